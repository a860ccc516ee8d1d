/** The map of one scene: its layers, in web Mercator or in the scene's own rows and columns. */

import { json } from "./api.js";
import { byId } from "./dom.js";
import { FetchedTiles, fetchedImage } from "./fetched_layers.js";
import { Graticule } from "./graticule.js";
import { PointReader } from "./point_reader.js";
import { Swipe } from "./swipe.js";

const { L } = window;
const MOST_ZOOM = 19;
// From the lowest to the highest; the mask is above everything.
const ORDER = ["backscatter_before", "backscatter", "proba", "reference", "flood_proba", "exclusion", "mask"];
// The picture from before, the picture now, and what was computed from them: the swipe clips them separately.
const PRINTED_PX = 660; // width of the map on paper: A4 without margins
const PANES = { before: 210, now: 220, results: 230 };
const RADAR_PANES = { backscatter_before: "before", backscatter: "now" };

/** The map of a scene. `onError` is called with the error when a picture cannot be shown; its message names the layer. */
export class MapView {
  constructor(scene, onError) {
    this.scene = scene;
    this.onError = onError;
    this.layers = new Map();
    const container = byId("map");
    // Leaflet leaves listeners and classes on the element of a map that is removed, so every scene gets a new one.
    this.unused = container.cloneNode(false);
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    container.setAttribute("aria-label", `Map of ${scene.summary.scene_id}`);
    this.map = L.map(container, {
      attributionControl: false,
      fadeAnimation: !calm,
      zoomAnimation: !calm,
      inertia: !calm,
      zoomControl: false,
      crs: scene.web_map ? L.CRS.EPSG3857 : L.CRS.Simple,
      maxZoom: scene.web_map ? MOST_ZOOM : 5,
      minZoom: scene.web_map ? 1 : -6,
      zoomSnap: scene.web_map ? 1 : 0.5,
    });
    for (const [name, zIndex] of Object.entries(PANES)) this.map.createPane(name).style.zIndex = zIndex;
    this.bounds = this.boundsOfScene();
    this.fit();
    L.control.zoom({ position: "topright" }).addTo(this.map);
    if (scene.web_map) L.control.scale({ position: "bottomright", imperial: false, maxWidth: 140 }).addTo(this.map);
    new Graticule(scene.web_map, this.bounds).addTo(this.map);
    this.swipe = new Swipe(this.map, this.has("backscatter_before"));
    this.points = new PointReader(this.map, scene);
    this.map.on("resize", this.noteSize, this);
    this.noteSize();
  }

  /** Note the size for the print, which shows the map as it is on the screen: the printed page has no time to load more. */
  noteSize() {
    if (window.matchMedia("print").matches) return;
    const { x, y } = this.map.getSize();
    const style = this.map.getContainer().style;
    style.setProperty("--screen-width", `${x}px`);
    style.setProperty("--screen-height", `${y}px`);
    style.setProperty("--print-zoom", Math.min(1, PRINTED_PX / x));
  }

  /** Fetch all pictures again. */
  redraw() {
    for (const made of this.layers.values()) made.then((layer) => layer?.redraw?.());
  }

  boundsOfScene() {
    const [rows, columns] = this.scene.shape;
    if (!this.scene.web_map || !this.scene.summary.bounds) return L.latLngBounds([-rows, 0], [0, columns]);
    const [west, south, east, north] = this.scene.summary.bounds;
    // A scene across the antimeridian has its east above 180.
    return L.latLngBounds([south, west], [north, east]);
  }

  fit() {
    this.map.fitBounds(this.bounds, { animate: false, padding: [16, 16] });
  }

  /** Show or hide a layer; its description is fetched when it is first shown. */
  async show(name, shown) {
    if (!this.layers.has(name)) {
      if (!shown) return;
      this.layers.set(name, this.make(this.scene.layers.find((layer) => layer.name === name)));
    }
    const layer = await this.layers.get(name);
    if (!layer || this.closed) return;
    if (shown) layer.addTo(this.map);
    else layer.remove();
  }

  /** Whether the scene has a layer. */
  has(name) {
    return this.scene.layers.some((layer) => layer.name === name);
  }

  async setOpacity(name, opacity) {
    (await this.layers.get(name))?.setOpacity(opacity);
  }

  async make(description) {
    const options = {
      pane: RADAR_PANES[description.name] ?? "results",
      zIndex: 1 + ORDER.indexOf(description.name),
      className: `layer-${description.name}`,
    };
    try {
      const layer = description.tilejson
        ? await this.tiles(description, options)
        : fetchedImage(description.image, this.bounds, options);
      layer.on("picturefailed", ({ error }) => this.failed(description, error));
      return layer;
    } catch (error) {
      this.failed(description, error);
      this.layers.delete(description.name); // so that it is fetched when it is shown again
      return null;
    }
  }

  failed(description, error) {
    if (!this.closed) this.onError(Object.assign(error, { message: `${description.title}: ${error.message}` }));
  }

  async tiles(description, options) {
    const tilejson = await json(description.tilejson);
    // The address of the tiles is made here: behind a proxy, the service may not know its own name.
    const template = `${description.tilejson.replace(/\.json$/, "")}/{z}/{x}/{y}.png`;
    return new FetchedTiles(template, { ...options, bounds: this.bounds, maxNativeZoom: tilejson.maxzoom, maxZoom: MOST_ZOOM });
  }

  close() {
    this.closed = true;
    this.points.close();
    this.swipe.close();
    const used = this.map.getContainer();
    this.map.remove();
    used.replaceWith(this.unused);
  }
}

/** The values of one pixel, in a popup: by a click, or by Enter at the crosshair in the middle of the map. */

import { address, json } from "./api.js";
import { announce, element, facts, swatch } from "./dom.js";
import { numberText } from "./texts.js";

const { L } = window;
// The right side is left free, because the buttons of the zoom would cover the popup there.
const POPUP = { minWidth: 240, autoPanPaddingTopLeft: [12, 12], autoPanPaddingBottomRight: [58, 12] };
const MOST_WIDTH = 300;
const VALUES = "values"; // the name of the pane
const FRAME_WIDTH = 104; // the padding of the popup, and what is free beside it
const FRAME_HEIGHT = 80;

export class PointReader {
  constructor(map, scene) {
    this.map = map;
    this.scene = scene;
    this.legend = scene.layers.find((layer) => layer.name === "mask")?.legend ?? [];
    this.crosshair = element("div", { class: "crosshair", "aria-hidden": "true", hidden: true });
    map.getContainer().append(this.crosshair);
    map.on("click", ({ latlng }) => this.read(latlng));
    this.entered = (event) => {
      if (event.key !== "Enter" || event.target !== map.getContainer()) return;
      event.preventDefault();
      this.read(map.getCenter());
    };
    // The panes of Leaflet lie together below the line of the swipe. This one is above it and moves with them.
    const pane = map.createPane(VALUES, map.getContainer());
    const follow = () => L.DomUtil.setPosition(pane, L.DomUtil.getPosition(map.getPane("mapPane")));
    map.on("move viewreset", follow);
    follow();
    // Only users of the keyboard need the crosshair. Tab, which moves the focus to the map, is released there.
    this.listeners = {
      keydown: this.entered,
      keyup: (event) => { this.crosshair.hidden = event.target !== map.getContainer(); },
      pointerdown: () => { this.crosshair.hidden = true; },
      blur: () => { this.crosshair.hidden = true; },
    };
    for (const [name, listener] of Object.entries(this.listeners)) map.getContainer().addEventListener(name, listener);
  }

  /** Show the values of the pixel at a place of the map. */
  async read(place) {
    const size = this.map.getSize();
    const most = { maxWidth: Math.min(MOST_WIDTH, size.x - FRAME_WIDTH), maxHeight: size.y - FRAME_HEIGHT };
    const popup = L.popup({ ...POPUP, ...most, pane: VALUES }).setLatLng(place);
    popup.setContent(element("p", { class: "help" }, "Reading the values ...")).openOn(this.map);
    try {
      const point = await json(`${address("v1", "scenes", this.scene.summary.id, "point")}?${this.query(place)}`);
      popup.setContent(this.content(point));
      announce(`Row ${point.row}, column ${point.column}: ${point.state}`);
    } catch (error) {
      popup.setContent(element("p", { class: "message error" }, error.message));
      announce(error.message);
    }
  }

  query(place) {
    if (!this.scene.web_map) return new URLSearchParams({ row: Math.floor(-place.lat), column: Math.floor(place.lng) });
    const { lat, lng } = place.wrap();
    return new URLSearchParams({ lon: lng, lat });
  }

  content(point) {
    const colour = this.legend.find((entry) => entry.text === point.state)?.colour;
    return element(
      "div",
      { class: "pixel" },
      element("p", { class: "state" }, colour ? swatch(colour) : null, point.state),
      point.exclusion.length ? element("p", { class: "reasons" }, `Excluded because of ${point.exclusion.join(", ")}`) : null,
      facts([
        ["Probability of water", numberText(point.probability, 4)],
        ["Probability of water before", numberText(point.reference, 4)],
        ["Probability of flood", numberText(point.flood_probability, 4)],
        ["VV", numberText(point.vv_db, 2, " dB")],
        ["VH", numberText(point.vh_db, 2, " dB")],
        ["VV before", numberText(point.vv_before_db, 2, " dB")],
        ["VH before", numberText(point.vh_before_db, 2, " dB")],
        ["Mask value", point.mask],
        ["Row, column", `${point.row}, ${point.column}`],
        ["Latitude", numberText(point.lat, 5, "°")],
        ["Longitude", numberText(point.lon, 5, "°")],
      ]),
    );
  }

  close() {
    for (const [name, listener] of Object.entries(this.listeners)) this.map.getContainer().removeEventListener(name, listener);
    this.crosshair.remove();
  }
}

/** Leaflet layers whose pictures are fetched with the headers of every request, and drawn into canvases. */

import { picture } from "./api.js";

const { L } = window;

/** Map tiles of one layer of a scene. */
export const FetchedTiles = L.GridLayer.extend({
  initialize(template, options) {
    L.setOptions(this, options);
    this.template = template;
    this.on("tileunload", ({ tile }) => tile.stop.abort());
  },

  createTile(coords, done) {
    const canvas = document.createElement("canvas");
    const size = this.getTileSize();
    canvas.width = size.x;
    canvas.height = size.y;
    canvas.stop = new AbortController();
    picture(L.Util.template(this.template, coords), canvas.stop.signal)
      .then((bitmap) => {
        if (bitmap) canvas.getContext("2d").drawImage(bitmap, 0, 0, size.x, size.y);
        done(null, canvas);
      })
      .catch((error) => {
        if (error.name !== "AbortError") this.fire("picturefailed", { error });
        done(error, canvas);
      });
    return canvas;
  },
});

/**
 * Return a layer with one picture of a whole scene, in the rows and columns of its own grid.
 * Leaflet's layer for an SVG takes any element, so it shows the canvas.
 */
export function fetchedImage(path, bounds, options) {
  const canvas = document.createElement("canvas");
  const layer = new L.SVGOverlay(canvas, bounds, options);
  picture(path)
    .then((bitmap) => {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      layer.fire("load");
    })
    .catch((error) => layer.fire("picturefailed", { error }));
  return layer;
}

/** Lines of longitude and latitude, or of rows and columns, with their numbers at the edges of the map. */

const { L } = window;
const STEPS = [1, 2, 5];
const LEAST_PX = 110; // between two lines
const CORNER_PX = 24;
const PADDING = 0.5; // of the size of the map, on each side, so that a drag does not reach the end of the lines

/** Return the smallest round step that is at least `least`: 1, 2 or 5 times a power of ten. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return (STEPS.find((step) => step * power >= least * (1 - 1e-9)) ?? 10) * power;
}

export const Graticule = L.Layer.extend({
  /** `bounds` are those of the scene: its rows and columns end there, degrees do not. */
  initialize(geographic, bounds) {
    this.geographic = geographic;
    this.bounds = bounds;
  },

  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "graticule leaflet-zoom-hide", map.createPane("graticule"));
    map.getPane("graticule").style.zIndex = 300;
    map.getPane("graticule").style.pointerEvents = "none";
    map.on("moveend resize", this.draw, this);
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.scheme.addEventListener("change", this.redraw);
    this.draw();
  },

  onRemove(map) {
    map.off("moveend resize", this.draw, this);
    this.scheme.removeEventListener("change", this.redraw);
    this.canvas.remove();
  },

  draw() {
    const map = this._map;
    const size = map.getSize();
    if (!size.x || !size.y) return;
    const pad = size.multiplyBy(PADDING).round();
    const whole = size.add(pad.multiplyBy(2));
    const ratio = window.devicePixelRatio || 1;
    L.DomUtil.setPosition(this.canvas, map.containerPointToLayerPoint(pad.multiplyBy(-1)));
    this.canvas.width = whole.x * ratio;
    this.canvas.height = whole.y * ratio;
    this.canvas.style.width = `${whole.x}px`;
    this.canvas.style.height = `${whole.y}px`;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.translate(pad.x, pad.y);
    const style = getComputedStyle(map.getContainer());
    const colours = { line: style.getPropertyValue("--graticule"), text: style.getPropertyValue("--graticule-text"), halo: style.getPropertyValue("--graticule-halo") };
    this.drawLines(context, map, size, pad, colours);
  },

  drawLines(context, map, size, pad, colours) {
    const corner = map.containerPointToLatLng(pad.multiplyBy(-1));
    const opposite = map.containerPointToLatLng(size.add(pad));
    const middle = map.containerPointToLatLng(size.divideBy(2));
    const perPixel = Math.abs(map.containerPointToLatLng(size.divideBy(2).add([1, 0])).lng - middle.lng);
    const step = roundStep(perPixel * LEAST_PX);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    context.lineWidth = 1;
    context.font = "11px system-ui, sans-serif";
    for (const [across, from, to] of [[true, corner.lng, opposite.lng], [false, opposite.lat, corner.lat]]) {
      for (let value = Math.ceil(from / step) * step; value <= to; value += step) {
        if (!this.geographic && !this.bounds.contains(across ? [this.bounds.getSouth(), value] : [value, 0])) continue;
        const point = map.latLngToContainerPoint(across ? [middle.lat, value] : [value, middle.lng]);
        const at = Math.round(across ? point.x : point.y) + 0.5;
        context.strokeStyle = colours.line;
        context.beginPath();
        context.moveTo(across ? at : -pad.x, across ? -pad.y : at);
        context.lineTo(across ? at : size.x + pad.x, across ? size.y + pad.y : at);
        context.stroke();
        // Numbers of both kinds would cover each other in the corner.
        const shown = across ? at > CORNER_PX : at < size.y - CORNER_PX;
        if (shown) this.drawNumber(context, this.text(value, across, decimals), across ? [at + 3, size.y - 5] : [4, at - 3], colours);
      }
    }
  },

  drawNumber(context, text, [x, y], colours) {
    context.lineWidth = 3;
    context.strokeStyle = colours.halo;
    context.strokeText(text, x, y);
    context.lineWidth = 1;
    context.fillStyle = colours.text;
    context.fillText(text, x, y);
  },

  text(value, across, decimals) {
    if (!this.geographic) return across ? `column ${value.toFixed(decimals)}` : `row ${(-value).toFixed(decimals)}`;
    const degrees = across ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
    const side = across ? (degrees < 0 ? "W" : "E") : degrees < 0 ? "S" : "N";
    return `${Math.abs(degrees).toFixed(decimals)}° ${side}`;
  },
});

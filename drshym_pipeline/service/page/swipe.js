/**
 * The swipe: left of a movable line the map shows the state before, right of it the map now.
 * A scene without a picture from before shows the radar image alone on the left.
 */

import { element } from "./dom.js";

const STEP = 2; // percent of the width for one press of an arrow key
const LARGE_STEP = 10;

export class Swipe {
  /** `hasBefore` says whether the scene has a picture from before. */
  constructor(map, hasBefore) {
    this.map = map;
    this.share = 50; // percent of the width of the map
    this.on = false;
    this.hasBefore = hasBefore;
    this.left = element("span", { class: "swipe-side left", "aria-hidden": "true" }, hasBefore ? "before" : "radar image only");
    this.right = element("span", { class: "swipe-side right", "aria-hidden": "true" }, hasBefore ? "now" : "with the map");
    this.handle = element("div", {
      class: "swipe-handle",
      role: "slider",
      tabindex: 0,
      "aria-label": "Line of the swipe",
      "aria-orientation": "horizontal",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      keydown: (event) => this.pressed(event),
      pointerdown: (event) => this.grabbed(event),
      pointermove: (event) => this.dragged(event),
    });
    this.line = element("div", { class: "swipe", hidden: true }, this.left, this.right, this.handle);
    map.getContainer().append(this.line);
    // Otherwise the map would read a pixel, zoom or move below the handle.
    window.L.DomEvent.disableClickPropagation(this.handle);
    map.on("move zoom zoomend viewreset resize", this.clip, this);
    this.clip();
  }

  set(on) {
    this.on = on;
    this.line.hidden = !on;
    this.clip();
    if (on) this.handle.focus();
  }

  pressed(event) {
    const steps = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -LARGE_STEP, PageUp: LARGE_STEP };
    const ends = { Home: 0, End: 100 };
    if (event.key in ends) this.share = ends[event.key];
    else if (event.key in steps) this.share += steps[event.key];
    else return;
    // The map would move with the same keys.
    event.preventDefault();
    event.stopPropagation();
    this.clip();
  }

  grabbed(event) {
    this.handle.setPointerCapture(event.pointerId);
    event.stopPropagation();
  }

  dragged(event) {
    if (!this.handle.hasPointerCapture(event.pointerId)) return;
    const box = this.map.getContainer().getBoundingClientRect();
    this.share = (100 * (event.clientX - box.left)) / box.width;
    this.clip();
  }

  /** Clip the panes at the line. They move with the map, so their coordinates are those of its layers. */
  clip() {
    this.share = Math.min(100, Math.max(0, this.share));
    this.handle.setAttribute("aria-valuenow", Math.round(this.share));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.share)} % of the map from the left is ${this.left.textContent}`);
    this.line.style.setProperty("--at", `${this.share}%`);
    const size = this.map.getSize();
    const low = this.map.containerPointToLayerPoint([0, 0]);
    const high = this.map.containerPointToLayerPoint(size);
    const at = low.x + (size.x * this.share) / 100;
    const box = (from, to) => `polygon(${from}px ${low.y}px, ${to}px ${low.y}px, ${to}px ${high.y}px, ${from}px ${high.y}px)`;
    const right = this.on ? box(at, high.x) : "";
    this.map.getPane("before").style.clipPath = this.on ? box(low.x, at) : "";
    this.map.getPane("now").style.clipPath = this.hasBefore ? right : "";
    this.map.getPane("results").style.clipPath = right;
  }

  close() {
    this.line.remove();
  }
}

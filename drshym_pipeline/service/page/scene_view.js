/** The page of one scene: the map and, beside it, everything that is known about the scene. */

import { address, json, request, save, token } from "./api.js";
import { announce, byId, element, facts, isClear, showError, swatch } from "./dom.js";
import { MapView } from "./map_view.js";
import { acquiredText, areaText, fileText, shareText, timeText } from "./texts.js";

const BEFORE = "backscatter_before";
const SHOWN_FIRST = new Set(["backscatter", "mask"]);
// Radar images hide what is below them; through everything else the radar image can be seen.
const OPACITIES = { backscatter: 1, [BEFORE]: 1 };
const OTHER_OPACITY = 0.7;

let open = null;

/** Show a scene, by its id. Returns its name. */
export async function showScene(id) {
  const scene = await json(address("v1", "scenes", id));
  closeScene();
  const message = element("div");
  byId("panel").replaceChildren(...panel(scene, message));
  byId("scene").hidden = false;
  document.body.classList.add("one-scene");
  byId("panel").scrollTop = 0;
  window.scrollTo(0, 0);
  open = new MapView(scene, (error) => showError(message, error, "warning"));
  for (const input of byId("panel").querySelectorAll("[data-layer]:checked")) open.show(input.dataset.layer, true);
  for (const input of byId("panel").querySelectorAll("[data-opacity]")) open.setOpacity(input.dataset.opacity, input.value / 100);
  announce(`Map of ${scene.summary.scene_id}`);
  return scene.summary.scene_id;
}

/** Draw the scene that is shown again, after pictures could not be fetched. Returns whether there is one. */
export function redrawScene() {
  open?.redraw();
  return open !== null;
}

/** Close the scene that is shown, if there is one. */
export function closeScene() {
  open?.close();
  open = null;
  byId("panel").replaceChildren();
  byId("scene").hidden = true;
  document.body.classList.remove("one-scene");
}

function panel(scene, message) {
  const { summary } = scene;
  return [
    element("p", { class: "back" }, element("a", { href: "#" }, "All scenes")),
    element("h2", { tabindex: -1, class: "scene-name" }, summary.scene_id),
    element("p", { class: "when" }, acquiredText(summary)),
    element("p", { class: "area" }, areaText(summary)),
    element("p", { class: "caption" }, summary.caption),
    message,
    ...intervalsPart(scene),
    layersPart(scene),
    warningsPart(scene),
    part("Share of each state in the mask", shares(scene)),
    filesPart(scene),
    part("Provenance", provenance(scene)),
    ...(summary.origin === "service" ? [removal(summary)] : []),
  ];
}

/** The areas of all kinds of water, where the scene has more than the one that is already shown. */
function intervalsPart(scene) {
  const areas = Object.entries(scene.intervals);
  return areas.length > 1 ? [part("Areas of water", facts(areas.map(([name, area]) => [name, area.text])))] : [];
}

function warningsPart(scene) {
  const made = part("Read this before using the map", element("ul", { class: "warnings" }, scene.warnings.map((text) => element("li", {}, text))));
  made.classList.add("warnings-part");
  return made;
}

function filesPart(scene) {
  const made = part("Downloads", downloads(scene));
  made.classList.add("files-part");
  return made;
}

const part = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

function layersPart(scene) {
  const swipe = element("input", { type: "checkbox", id: "swipe", change: () => setSwipe(swipe.checked) });
  const hasBefore = scene.layers.some((layer) => layer.name === BEFORE);
  const label = hasBefore ? "Swipe between before and now" : "Swipe between the radar image and the map";
  return part(
    "Layers",
    element("ul", { class: "layers" }, scene.layers.map(layerRow)),
    element(
      "div",
      { class: "map-tools" },
      element("label", { class: "check" }, swipe, label),
      element("button", { type: "button", click: () => open.fit() }, "Show the whole scene"),
    ),
  );
}

function layerRow(layer) {
  const opacity = OPACITIES[layer.name] ?? OTHER_OPACITY;
  const shown = SHOWN_FIRST.has(layer.name);
  const legend = element("ul", { class: "legend" }, layer.legend.map((entry) => element("li", {}, swatch(entry.colour), isClear(entry.colour) ? `${entry.text} (no colour)` : entry.text)));
  const slider = element("input", {
    type: "range", min: 0, max: 100, step: 5, value: 100 * opacity, "data-opacity": layer.name,
    input: () => open.setOpacity(layer.name, slider.value / 100),
  });
  const details = element("div", { class: "layer-details", hidden: !shown }, element("label", { class: "opacity" }, "Opacity", slider), legend);
  slider.setAttribute("aria-label", `Opacity of ${layer.title}`);
  const box = element("input", { type: "checkbox", "data-layer": layer.name, checked: shown, change: () => setShown(box.checked) });
  const setShown = async (on) => {
    details.hidden = !on;
    // Without the image from before, the left side of the swipe is empty.
    const swipe = byId("panel").querySelector("#swipe");
    if (!on && layer.name === BEFORE && swipe.checked) swipe.click();
    await open.show(layer.name, on);
    await open.setOpacity(layer.name, slider.value / 100);
  };
  return element("li", {}, element("label", { class: "check" }, box, layer.title), details);
}

function setSwipe(on) {
  const before = byId("panel").querySelector(`[data-layer=${BEFORE}]`);
  if (on && before && !before.checked) before.click();
  open.swipe.set(on);
}

/** The shares of the pixels of the mask. They are counted; an area is shown with its interval only. */
const shares = (scene) => facts(scene.shares.map(({ text, share }) => [text, shareText(share)]));

function downloads(scene) {
  const files = Object.entries(scene.files).map(([key, path]) => {
    const name = decodeURIComponent(path.split("/").at(-1)) || key;
    return element("li", {}, download(path, name), element("span", { class: "help" }, fileText(name)));
  });
  const archive = `${scene.summary.scene_id}.zip`;
  files.push(element("li", {}, download(address("v1", "scenes", scene.summary.id, "archive.zip"), archive), element("span", { class: "help" }, "All files in one zip")));
  return element("ul", { class: "files" }, files);
}

/** A link that saves a file. With a token the page fetches the file itself, because a link cannot send a header. */
function download(path, name) {
  const link = element("a", { href: path, download: name }, name);
  link.addEventListener("click", async (event) => {
    if (!token()) return;
    event.preventDefault();
    link.setAttribute("aria-busy", "true");
    try {
      await save(path, name);
    } catch (error) {
      showError(link.parentElement.appendChild(element("div")), error);
    }
    link.removeAttribute("aria-busy");
  });
  return link;
}

function provenance(scene) {
  const from = scene.provenance;
  return facts([
    ["Model", from.model],
    ["Model sha256", from.model_sha256],
    ["Threshold", from.threshold],
    ["About the threshold", from.threshold_note],
    ["Calibration", from.calibration],
    ["Source sha256", from.source_sha256],
    ["Version of the map", from.map_version],
    ["Mapped", timeText(scene.summary.created_at)],
    ["Grid", `${scene.shape[0]} rows x ${scene.shape[1]} columns, ${scene.crs}`],
    ["Processing", from.processing.join("; ")],
    ["Software", Object.entries(from.software).map(([name, version]) => `${name} ${version}`).join(", ")],
  ]);
}

function removal(summary) {
  const message = element("div");
  const sure = element("div", { hidden: true }, element("p", {}, "All files of this map are deleted from the service."));
  const ask = element("button", { type: "button", click: () => { sure.hidden = false; remove.focus(); } }, "Delete this map");
  const remove = element("button", { type: "button", class: "danger" }, "Delete now");
  const keep = element("button", { type: "button", click: () => { sure.hidden = true; ask.focus(); } }, "Keep it");
  remove.addEventListener("click", async () => {
    try {
      await request(address("v1", "scenes", summary.id), { method: "DELETE" });
      window.location.hash = "";
    } catch (error) {
      showError(message, error);
    }
  });
  sure.append(remove, keep);
  const made = part("Delete", ask, sure, message);
  made.classList.add("delete-part");
  return made;
}

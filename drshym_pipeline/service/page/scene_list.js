/** The list of mapped scenes, newest first. */

import { address, canvasOf, json, picture } from "./api.js";
import { byId, element } from "./dom.js";
import { acquiredText, areaText } from "./texts.js";

const PAGE = 20;
const MOST_ASKED = 200; // of one request
let shown = 0;

/** Show the newest scenes in place of what is shown: as many as before, and at least one page. */
export async function showScenes() {
  const wanted = Math.max(PAGE, shown);
  const answers = [];
  for (let first = 0; first < wanted; first += MOST_ASKED) {
    answers.push(await json(`${address("v1", "scenes")}?limit=${Math.min(MOST_ASKED, wanted - first)}&offset=${first}`));
  }
  const focused = byId("scene-list").contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  byId("scene-list").replaceChildren();
  shown = 0;
  answers.forEach(add);
  if (focused) [...byId("scene-list").querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
}

/** Show the next page below the ones that are shown. */
export async function showMoreScenes() {
  const first = shown;
  add(await json(`${address("v1", "scenes")}?limit=${PAGE}&offset=${shown}`));
  // The button may be gone; the focus goes to the first new scene.
  byId("scene-list").children[first]?.querySelector("a").focus();
}

function add(answer) {
  shown += answer.scenes.length;
  byId("scene-list").append(...answer.scenes.map(row));
  byId("scene-count").textContent = countText(answer.total);
  byId("more-scenes").hidden = shown >= answer.total || answer.scenes.length === 0;
}

function countText(total) {
  if (total === 0) return "No scene has been mapped yet. Upload one to begin.";
  return shown < total ? `${shown} of ${total} scenes, newest first` : `${total} ${total === 1 ? "scene" : "scenes"}, newest first`;
}

function row(summary) {
  const thumbnail = element("span", { class: "thumbnail", "aria-hidden": "true" });
  showThumbnail(thumbnail, summary.id);
  const origin = summary.origin === "lineage" ? element("span", { class: "tag" }, "mapped by Dagster") : null;
  return element(
    "li",
    {},
    thumbnail,
    element(
      "div",
      { class: "scene-text" },
      element("h3", {}, element("a", { href: `#scene=${encodeURIComponent(summary.id)}` }, summary.scene_id)),
      element("p", { class: "when" }, acquiredText(summary), origin),
      element("p", { class: "area" }, areaText(summary)),
      element("p", { class: "caption" }, summary.caption),
    ),
  );
}

/** Show the small picture of a scene. A list without pictures is still of use, so a failure leaves the place empty. */
async function showThumbnail(place, id) {
  try {
    const bitmap = await picture(address("v1", "scenes", id, "thumbnail.png"));
    if (bitmap) place.append(canvasOf(bitmap));
  } catch {
    place.classList.add("none");
  }
}

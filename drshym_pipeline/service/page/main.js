/** The start of the page, and what the address shows: `#scene=ID` is one scene, everything else the list. */

import { address, json, onAnswer, onTokenNeeded } from "./api.js";
import { byId, removeNoAnswer, showError, showMessage } from "./dom.js";
import { showOpenJobs, startRow } from "./jobs.js";
import { showMoreScenes, showScenes } from "./scene_list.js";
import { closeScene, redrawScene, showScene } from "./scene_view.js";
import { askForToken, prepareTokenForm } from "./token_form.js";
import { prepareUpload } from "./upload.js";

const TITLE = "Flood maps";
const NOT_READY = 503;
const MODEL_RETRY_MS = 2000;

/** Return the id of the scene in the address, or null. */
function sceneInAddress() {
  return new URLSearchParams(window.location.hash.slice(1)).get("scene");
}

/** Show what the address says. */
async function show({ moved }) {
  const id = sceneInAddress();
  showMessage(byId("page-message"), "");
  try {
    if (id) {
      byId("home").hidden = true;
      document.title = `${await showScene(id)} - ${TITLE}`;
    } else {
      closeScene();
      byId("home").hidden = false;
      document.title = TITLE;
      await showScenes();
    }
  } catch (error) {
    closeScene();
    byId("home").hidden = false;
    document.title = TITLE;
    if (id) await showScenes().catch(() => {}); // the error that is shown says why
    showError(byId("page-message"), error);
  }
  // After a click on a link the focus goes to the new content, as if a new page had been loaded.
  if (moved) (byId("panel").querySelector("h2") ?? byId("main")).focus();
}

/** A scene is mapped: show it, if the user started it here and still looks at the list; else only list it. */
function finished(startedHere) {
  return (answer) => {
    if (sceneInAddress()) return;
    const id = sceneOf(answer);
    if (startedHere && id) window.location.hash = `scene=${encodeURIComponent(id)}`;
    else reported(showScenes());
  };
}

/** Return the id under which the service has the map of a finished job. */
function sceneOf(job) {
  return job.result?.scene_id;
}

/** Show which model the service maps with. It has none while its workers start. */
async function showModel() {
  const model = await json(address("v1", "model")).catch((error) => {
    if (error.status !== NOT_READY) throw error;
    byId("model").textContent = "The model is being loaded";
    setTimeout(() => reported(showModel()), MODEL_RETRY_MS);
  });
  if (!model) return;
  byId("model").textContent = `Model ${model.version.startsWith(model.name) ? "" : `${model.name} `}${model.version}`;
}

const reported = (promise) => promise.catch((error) => showError(byId("page-message"), error));

/** The service answers again: what could not be loaded is loaded now. */
function resume() {
  removeNoAnswer();
  reported(showModel());
  reported(showOpenJobs(finished(false)));
  if (!redrawScene()) show({ moved: false });
}

prepareTokenForm();
onTokenNeeded(askForToken);
onAnswer(resume);
prepareUpload((files) => startRow(files, finished(true)));
byId("more-scenes").addEventListener("click", () => reported(showMoreScenes()));
// Its address would replace the one of the scene.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
window.addEventListener("hashchange", () => show({ moved: true }));
reported(showModel());
show({ moved: false });
reported(showOpenJobs(finished(false)));

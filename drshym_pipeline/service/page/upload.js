/** The form that uploads a scene. */

import { headers, problemError, renewToken, token, unreachable } from "./api.js";
import { announce, byId, element, showMessage } from "./dom.js";
import { sizeText } from "./texts.js";

const MOST_FILES = 2;
const MOST_NAME_BYTES = 200;
// As the service names scenes: letters and digits of any script.
const NAME = /^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.-]*$/u;

const sent = new Set(); // the files of uploads that are not accepted yet

/**
 * Prepare the form.
 * @param {function(File[]): Object} startRow Called when an upload starts, with the files; returns the row of the job list:
 *   `uploading(sent, total)`, `failed(sentence)`, `accepted(answer)`, and `onCancel`, which the form sets.
 */
export function prepareUpload(startRow) {
  const form = byId("upload");
  for (const [input, chosen] of [["scene-files", "scene-chosen"], ["pre-files", "pre-chosen"]]) {
    byId(input).addEventListener("change", () => showChosen(byId(input), byId(chosen)));
    acceptDrops(byId(input));
  }
  // A file that misses the field would replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fault = faultOf(form);
    showMessage(byId("upload-message"), fault);
    if (!fault) send(form, startRow);
  });
}

function showChosen(input, list) {
  const rows = [...input.files].map((file) => element("li", {}, file.name, " ", element("span", { class: "help" }, sizeText(file.size))));
  list.replaceChildren(...rows);
  showMessage(byId("upload-message"), input.files.length > MOST_FILES ? tooMany(input) : "");
}

function acceptDrops(input) {
  const field = input.closest(".drop");
  const mark = (on) => field.classList.toggle("over", on);
  field.addEventListener("dragenter", () => mark(true));
  field.addEventListener("dragover", () => mark(true));
  field.addEventListener("dragleave", (event) => { if (!field.contains(event.relatedTarget)) mark(false); });
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change"));
    }
  });
}

const tooMany = (input) => `${input.files.length} files are chosen. A scene has at most two: VV and VH. Choose again.`;

function faultOf(form) {
  const scene = byId("scene-files");
  const before = byId("pre-files");
  if (!scene.files.length) return "No file is chosen. Choose the GeoTIFF or the zip of a scene.";
  for (const input of [scene, before]) {
    if (input.files.length > MOST_FILES) return tooMany(input);
  }
  if ([...scene.files].some((file) => sent.has(file))) return "These files are being uploaded. Wait until they are accepted, or choose others.";
  const name = byId("name").value.trim();
  if (name && !isName(name)) {
    byId("options-part").open = true;
    return `${name}: this cannot be the name of a scene. Use letters, digits, _, - and ., at most ${MOST_NAME_BYTES} bytes, and begin with a letter or a digit.`;
  }
  for (const input of form.querySelectorAll("input[type=number]")) {
    if (!input.checkValidity()) {
      byId("options-part").open = true;
      return `${form.querySelector(`label[for=${input.id}]`).textContent}: ${input.validationMessage}`;
    }
  }
  return "";
}

const isName = (text) => NAME.test(text) && new TextEncoder().encode(text).length <= MOST_NAME_BYTES;

/** Return the body of the request. Options that are left empty are left out, so the service has the only defaults. */
function bodyOf(form) {
  const body = new FormData();
  for (const file of byId("scene-files").files) body.append("file", file);
  for (const file of byId("pre-files").files) body.append("pre_file", file);
  const options = {};
  if (form.units.value) options.units = form.units.value;
  for (const name of ["threshold", "min_area_ha"]) {
    if (form[name].value) options[name] = Number(form[name].value);
  }
  body.append("options", JSON.stringify(options));
  // `form.name` would be the name of the form itself.
  const name = byId("name").value.trim();
  if (name) body.append("name", name);
  body.append("wait", "false");
  return body;
}

/** Upload what the form has. It is emptied when the service has accepted it: after an error it can be corrected and sent again. */
function send(form, startRow) {
  const body = bodyOf(form);
  const files = [...byId("scene-files").files];
  const row = startRow(files);
  announce("The upload has started.");
  for (const file of files) sent.add(file);
  transmit(body, row, (accepted) => {
    for (const file of files) sent.delete(file);
    // The user may have chosen the files of the next scene during the upload.
    if (accepted && files.every((file) => [...byId("scene-files").files].includes(file))) empty(form);
  });
}

function empty(form) {
  form.reset();
  for (const list of ["scene-chosen", "pre-chosen"]) byId(list).replaceChildren();
}

/**
 * Send the body. XMLHttpRequest is used because `fetch` does not say how much of a body was sent.
 * `ended` is called with whether the service has accepted it.
 */
function transmit(body, row, ended) {
  const used = token();
  const sending = new XMLHttpRequest();
  sending.open("POST", "/v1/segment/upload");
  for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
  sending.upload.addEventListener("progress", (event) => row.uploading(event.loaded, event.total));
  sending.addEventListener("load", () => {
    if (sending.status === 401) {
      renewToken(used).then(() => transmit(body, row, ended));
      return;
    }
    const accepted = sending.status >= 200 && sending.status < 300;
    ended(accepted);
    if (accepted) row.accepted(JSON.parse(sending.responseText));
    else row.failed(problemError(sending.status, sending.responseText).message);
  });
  sending.addEventListener("error", () => { ended(false); row.failed(unreachable().message); });
  sending.addEventListener("abort", () => ended(false));
  row.onCancel = () => sending.abort();
  sending.send(body);
}

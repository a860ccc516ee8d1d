/** The list of scenes that are being mapped: upload, place in the queue, stage and progress, cancel, error. */

import { address, json, request } from "./api.js";
import { announce, byId, element, showError, showMessage } from "./dom.js";
import { sizeText } from "./texts.js";

const POLL_MS = 700;
const POLL_HIDDEN_MS = 5000;
const ENDED = new Set(["done", "failed", "cancelled"]);

const rows = new Map(); // by the id of the job

/** One row of the list. */
class JobRow {
  constructor(name, onDone) {
    this.name = name;
    this.onDone = onDone;
    this.onCancel = null;
    this.text = element("p", { class: "job-text" });
    this.bar = element("progress", { max: 1, "aria-label": `Progress of ${name}` });
    this.message = element("div");
    this.button = element("button", { type: "button", click: () => this.cancel() }, "Cancel");
    this.button.setAttribute("aria-label", `Cancel ${name}`);
    this.item = element("li", {}, element("p", { class: "job-name" }, name), this.text, this.bar, this.message, this.button);
    byId("job-list").prepend(this.item);
    byId("jobs").hidden = false;
  }

  uploading(sent, total) {
    this.show(`uploading: ${sizeText(sent)} of ${sizeText(total)}`, sent, total);
    if (sent === total) this.show("uploaded, waiting for the service");
  }

  /** Show a text, and a bar with a share or, without one, a bar that only says that something happens. */
  show(text, done = 0, total = 0) {
    this.text.textContent = text;
    if (total > 0) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
  }

  accepted(answer) {
    this.onCancel = null;
    if (answer.outputs) {
      this.finish("done");
      this.onDone(answer.scene_id);
      return;
    }
    this.follow(answer);
  }

  follow(job) {
    this.id = job.id;
    rows.set(job.id, this);
    this.update(job);
    this.poll();
  }

  async poll() {
    while (!this.ended) {
      await new Promise((done) => { setTimeout(done, document.hidden ? POLL_HIDDEN_MS : POLL_MS); });
      if (this.ended) return;
      try {
        const job = await json(address("v1", "jobs", this.id));
        // An earlier message is out of date. What the update writes is not.
        showMessage(this.message, "");
        this.update(job);
      } catch (error) {
        if (error.status === 404) this.failed(error.message);
        else showError(this.message, error);
      }
    }
  }

  update(job) {
    if (this.ended) return;
    if (job.state === "queued") {
      const before = job.position ? `${job.position} before it` : "next";
      this.show(`waiting in the queue: ${before}`);
      announce(`${this.name}: waiting in the queue`);
    } else if (job.state === "running") {
      const stage = job.stage_text ?? "starting";
      const share = job.total > 0 ? ` (${Math.floor((100 * job.done) / job.total)} %)` : "";
      this.show(`${stage}${share}`, job.done, job.total);
      announce(`${this.name}: ${stage}`);
    } else if (job.state === "done") {
      this.finish("done");
      this.onDone(job);
    } else if (job.state === "cancelled") {
      this.finish("cancelled");
    } else {
      this.failed(job.problem?.detail ?? "The scene could not be mapped. Ask the operator of the service.");
    }
  }

  async cancel() {
    if (this.ended) {
      this.remove();
      return;
    }
    if (this.onCancel) {
      this.onCancel();
      this.finish("upload cancelled");
      return;
    }
    if (!this.id) return;
    try {
      await request(address("v1", "jobs", this.id), { method: "DELETE" });
      this.finish("cancelled");
    } catch (error) {
      showError(this.message, error);
    }
  }

  failed(sentence) {
    this.finish("not mapped");
    showMessage(this.message, sentence);
  }

  /** End the row. It stays, so that its text can be read, until its button removes it. */
  finish(text) {
    this.ended = true;
    this.text.textContent = text;
    this.bar.remove();
    this.button.textContent = "Remove from this list";
    this.button.setAttribute("aria-label", `Remove ${this.name} from this list`);
    announce(`${this.name}: ${text}`);
  }

  remove() {
    const focused = this.item.contains(document.activeElement);
    rows.delete(this.id);
    this.item.remove();
    byId("jobs").hidden = byId("job-list").childElementCount === 0;
    if (focused) byId("scene-files").focus();
  }
}

/** Return a new row for an upload of files. */
export function startRow(files, onDone) {
  return new JobRow(files.map((file) => file.name).join(" and "), onDone);
}

/** Show the jobs that the service already has and that have not ended, such as those of before a reload. */
export async function showOpenJobs(onDone) {
  const answer = await json(address("v1", "jobs"));
  // Each new row goes to the top of the list, and the answer has the newest job first.
  for (const job of answer.jobs.toReversed()) {
    if (!ENDED.has(job.state) && !rows.has(job.id)) new JobRow(job.scene_name, onDone).follow(job);
  }
}

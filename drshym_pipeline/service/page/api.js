/** Requests to the service: the token, errors as sentences, and pictures that are fetched like everything else. */

import { problemText } from "./texts.js";

const TOKEN_KEY = "drshym-token";
const TRIES_WHEN_BUSY = 3;
const LONGEST_WAIT_S = 10;
const RETRY_S = 3;

/** An answer of the service that is an error, or no answer at all; `message` is a sentence for people. */
export class ServiceError extends Error {
  constructor(message, status, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let askForToken = async () => null;
let asking = null;

/** Set the function that asks the user for a token: it returns a promise of the token. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

/** Return the token of this tab, or null. */
export const token = () => sessionStorage.getItem(TOKEN_KEY);

/** Return the headers that every request needs. The characters of a header are bytes; those of the token are UTF-8. */
export function headers() {
  if (!token()) return {};
  return { Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(token()))}` };
}

/** Return the address of a path of the API, such as `v1/scenes`; every part of it is encoded. */
export const address = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

/** Ask for a token once, also when many requests are refused at the same time. */
export function renewToken(refused) {
  if (token() !== refused) return Promise.resolve();
  asking ??= askForToken(refused !== null)
    .then((given) => sessionStorage.setItem(TOKEN_KEY, given))
    .finally(() => { asking = null; });
  return asking;
}

/** Return the error of a problem document (RFC 9457), or of any other text. */
export function problemError(status, text) {
  try {
    const problem = JSON.parse(text);
    if (typeof problem.detail === "string") return new ServiceError(problemText(problem.code, problem.detail), status, problem.code);
  } catch {
    // A proxy between the page and the service may answer with something else.
  }
  return new ServiceError(`The service answered with the status ${status}. Try again, or ask its operator.`, status);
}

/** Return the error of a request without an answer. From then on the service is asked until it answers. */
export function unreachable() {
  waitForAnswer();
  return new ServiceError("The service does not answer. Check that it runs and that this machine is connected, then try again.", 0);
}

let waiting = false;
let answered = () => {};

/** Set the function that is called when the service answers again. */
export function onAnswer(call) {
  answered = call;
}

async function waitForAnswer() {
  if (waiting) return;
  waiting = true;
  do await seconds(RETRY_S);
  while (!(await fetch("/health").then((response) => response.ok, () => false)));
  waiting = false;
  answered();
}

const seconds = (count) => new Promise((done) => { setTimeout(done, 1000 * count); });

/**
 * Send a request and return its response, if it is no error.
 * A refused token is asked for again; a service that is busy (429) is asked again after the time that it names.
 */
export async function request(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const used = token();
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw unreachable();
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await renewToken(used);
    } else if (response.status === 429 && attempt < TRIES_WHEN_BUSY) {
      await seconds(Math.min(Number(response.headers.get("Retry-After")) || 1, LONGEST_WAIT_S));
    } else {
      throw problemError(response.status, await response.text());
    }
  }
}

/** Return the JSON of an address. */
export const json = async (path, options) => (await request(path, options)).json();

/** Return the picture of an address, decoded; null where the service has no picture (204). */
export async function picture(path, signal) {
  const response = await request(path, { signal });
  return response.status === 204 ? null : createImageBitmap(await response.blob());
}

/** Return a picture in a new canvas. */
export function canvasOf(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

/** Save a file under its name. It is fetched with the token, which must not be part of an address. */
export async function save(path, name) {
  const blob = await (await request(path)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

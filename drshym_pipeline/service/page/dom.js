/** Elements of the page. Texts go in as text nodes only, so nothing from a scene or a file is ever read as HTML. */

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Return a new element.
 * @param {string} tag Its name.
 * @param {Object} attributes Attributes by name; a function is an event listener, `true` an empty attribute; null,
 *   undefined and false are left out.
 * @param {...(Node|string|number|null|Array)} children Elements and texts; null is left out.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined).map(asNode));
  return made;
}

const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/** Put a message into a container: `kind` is `error`, `warning` or `note`; without a text the container is emptied. */
export function showMessage(container, text, kind = "error") {
  const role = kind === "error" ? "alert" : "status";
  container.replaceChildren(...(text ? [element("p", { class: `message ${kind}`, role }, text)] : []));
}

/** Show the message of an error. That of a service that does not answer goes away as soon as it answers again. */
export function showError(container, error, kind = "error") {
  showMessage(container, error.message, kind);
  container.firstElementChild.classList.toggle("no-answer", error.status === 0);
}

/** Remove the messages that the service does not answer. */
export function removeNoAnswer() {
  for (const message of document.querySelectorAll(".message.no-answer")) message.remove();
}

/** Tell users of screen readers what happens; the same text is not repeated. */
export function announce(text) {
  const place = byId("announcer");
  if (place.textContent !== text) place.textContent = text;
}

/** Return whether a colour, eight hexadecimal digits, is completely transparent. */
export const isClear = (colour) => /^#.{6}00$/.test(colour);

/** Return a small square of a legend, in its colour; one that is transparent is crossed out. */
export function swatch(colour) {
  const made = element("span", { class: isClear(colour) ? "swatch clear" : "swatch", "aria-hidden": "true" });
  made.style.setProperty("--colour", colour);
  return made;
}

/** Return a list of names and values; rows without a value are left out. */
export function facts(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "facts" }, known.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

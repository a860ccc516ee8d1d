/** The small form that asks for the token of a service that has one. */

import { byId, showMessage } from "./dom.js";

let done = null; // of the promise of the token that is asked for

/** Prepare the form. */
export function prepareTokenForm() {
  const dialog = byId("token-dialog");
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = byId("token").value.trim();
    if (!value) return;
    const give = done;
    done = null;
    dialog.close();
    give?.(value);
  });
  // The page is of no use without a token: Escape must not leave it empty. Browsers close a dialog at the second Escape
  // whatever a page does, so it is opened again.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => { if (done) open(); });
}

/**
 * Ask for the token; returns a promise of it.
 * @param {boolean} refused Whether the service has refused a token before.
 */
export function askForToken(refused) {
  showMessage(byId("token-message"), refused ? "The service does not accept this token. Check it and try again." : "");
  byId("token").value = "";
  return new Promise((resolve) => {
    done = resolve;
    open();
  });
}

function open() {
  if (!byId("token-dialog").open) byId("token-dialog").showModal();
  byId("token").focus();
}

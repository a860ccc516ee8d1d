/** The small form that asks for the token of a service that has one. */

import { byId, showMessage } from "./dom.js";

/**
 * Ask for the token; returns a promise of it.
 * @param {boolean} refused Whether the service has refused a token before.
 */
export function askForToken(refused) {
  const dialog = byId("token-dialog");
  const input = byId("token");
  showMessage(byId("token-message"), refused ? "The service does not accept this token. Check it and try again." : "");
  input.value = "";
  // The page is of no use without a token: Escape must not leave it empty.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  return new Promise((done) => {
    const given = (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (!value) return;
      byId("token-form").removeEventListener("submit", given);
      dialog.close();
      done(value);
    };
    byId("token-form").addEventListener("submit", given);
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}

// The login form.

import { h, render } from "./dom.js";

/**
 * Shows the form, and calls back after a login.
 * @param {boolean} asksUsername
 * @param {() => void} done
 */
export function showLogin(asksUsername, done) {
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  render(/** @type {HTMLElement} */ (document.getElementById("top")), [h("h1", null, "Syncthing")]);
  render(main, [
    h(
      "form",
      { key: "login", class: "login", onsubmit: (/** @type {SubmitEvent} */ event) => submit(event, done) },
      h("h2", null, "Log in"),
      asksUsername
        ? h("label", null, "User name", h("input", { name: "username", autocomplete: "username", required: true }))
        : null,
      h(
        "label",
        null,
        "Password",
        h("input", { name: "password", type: "password", autocomplete: "current-password", required: true }),
      ),
      h("p", null, h("button", { class: "main" }, "Log in")),
      h("p", { id: "fault", role: "alert", own: true }),
    ),
  ]);
  main.querySelector("input")?.focus();
}

/** @param {SubmitEvent} event @param {() => void} done */
async function submit(event, done) {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.target)));
  const fault = /** @type {HTMLElement} */ (document.getElementById("fault"));
  fault.textContent = "";
  try {
    const answer = await fetch("api/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(given),
    });
    if (answer.ok) done();
    else fault.textContent = (await answer.json()).error;
  } catch {
    fault.textContent = "The server of this page does not answer.";
  }
}

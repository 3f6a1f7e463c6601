// The buttons: sends commands, asks first where one may do harm, and shows the reply.

import { h, render } from "./dom.js";

/**
 * @typedef {object} Action
 * @property {string} command
 * @property {string} label the text of the button
 * @property {string} what what it acts on, for the dialog, the reply and screen readers
 * @property {Record<string, any>} arguments
 * @property {string} [question] asked before the command is sent
 * @property {boolean} [durations] whether the user chooses for how long
 */

const DURATIONS = [
  ["", "until it is resumed"],
  ["30m", "for 30 minutes"],
  ["2h", "for 2 hours"],
  ["8h", "for 8 hours"],
  ["1d", "for a day"],
];

/** @type {Set<string>} */
let allowed = new Set();

/** @param {string[]} commands */
export function allow(commands) {
  allowed = new Set(commands);
}

/**
 * Returns the button of an action, or null if it is not allowed.
 * @param {import("./model.js").Instance} instance
 * @param {Action} action
 * @param {string[] | undefined} bridgeAllows
 */
export function button(instance, action, bridgeAllows) {
  if (!allowed.has(action.command) || !instance.online) return null;
  if (bridgeAllows && !bridgeAllows.includes(action.command)) return null;
  const name = `${action.label} ${action.what}`;
  return h("button", { type: "button", "aria-label": name, onclick: () => start(instance, action) }, action.label);
}

/**
 * Returns the button that pauses a folder or device, or resumes it if it is paused; null if that is not allowed.
 * @param {import("./model.js").Instance} instance
 * @param {boolean} paused
 * @param {string} what
 * @param {Record<string, string>} target the arguments of the command
 * @param {string[] | undefined} bridgeAllows
 */
export function pauseButton(instance, paused, what, target, bridgeAllows) {
  const action = paused
    ? { command: "resume", label: "Resume", what, arguments: target }
    : { command: "pause", label: "Pause", what, arguments: target, durations: true };
  return button(instance, action, bridgeAllows);
}

/** @param {import("./model.js").Instance} instance @param {Action} action */
function start(instance, action) {
  if (!action.question && !action.durations) {
    send(instance, action, action.arguments);
    return;
  }
  const place = /** @type {HTMLElement} */ (document.getElementById("dialogs"));
  const choice = action.durations
    ? h(
        "label",
        null,
        "How long? ",
        h(
          "select",
          { name: "for" },
          DURATIONS.map(([value, text]) => h("option", { value }, text)),
        ),
      )
    : null;
  render(place, [
    h(
      "dialog",
      { key: `${instance.key} ${action.command} ${action.what} ${Date.now()}`, "aria-labelledby": "question" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "question" }, `${action.label} ${action.what}?`),
        action.question ? h("p", null, action.question) : null,
        choice,
        h(
          "p",
          { class: "buttons" },
          h("button", { value: "yes", class: "main" }, action.label),
          h("button", { value: "no" }, "Cancel"),
        ),
      ),
    ),
  ]);
  const dialog = /** @type {HTMLDialogElement} */ (place.querySelector("dialog"));
  dialog.addEventListener("close", () => {
    const length = dialog.querySelector("select")?.value;
    if (dialog.returnValue === "yes")
      send(instance, action, length ? { ...action.arguments, for: length } : action.arguments);
    render(place, []);
  });
  dialog.showModal();
}

/** @param {string} text */
function reply(text) {
  const place = /** @type {HTMLElement} */ (document.getElementById("reply"));
  place.textContent = text;
}

/** @param {import("./model.js").Instance} instance @param {Action} action @param {Record<string, any>} given */
async function send(instance, action, given) {
  const name = `${action.label} ${action.what}`;
  reply(`${name}: sent`);
  const body = JSON.stringify({
    base: instance.base,
    instance: instance.name,
    command: action.command,
    arguments: given,
  });
  try {
    const answer = await fetch("api/command", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    const data = await answer.json();
    if (!answer.ok) reply(`${name} failed: ${data.error}`);
    else if (data.status === "error") reply(`${name} failed: ${data.error?.message ?? "unknown error"}`);
    else reply(data.status === "accepted" ? `${name}: accepted, it is still running` : `${name}: done`);
  } catch {
    reply(`${name} failed: there is no connection to this page's server`);
  }
}

// Puts the page together: connects to the server, and draws again when something has changed.

import { allow } from "./actions.js";
import { render } from "./dom.js";
import { clock } from "./format.js";
import { showLogin } from "./login.js";
import { chosen, fragment, restore } from "./parts.js";
import { State } from "./state.js";
import { Stream } from "./stream.js";
import { page } from "./views.js";

const ANNOUNCED_MS = 10000;
const CLOCK_MS = 10000;

const state = new State();
const top_ = /** @type {HTMLElement} */ (document.getElementById("top"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const alarm = /** @type {HTMLElement} */ (document.getElementById("alarm"));
const announcement = /** @type {HTMLElement} */ (document.getElementById("announcement"));

let lost = "";
let loggedIn = false;
let waiting = false;
let announced = "";
let announcedAt = 0;

function draw() {
  waiting = false;
  if (!loggedIn) return;
  const shown = page({
    state,
    now: state.now(),
    redraw: request,
    allows: (instance) => state.tree.bridges?.[instance.base]?.info?.commands,
  });
  if (location.hash !== fragment()) history.replaceState(null, "", location.pathname + location.search + fragment());
  render(top_, shown.top);
  render(main, shown.main);
  warn();
  document.title = `${shown.sentence.text} - stbridge`;
  announce(shown.sentence.text);
}

/** Draws with the next frame, even if that is asked for several times. */
function request() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(draw);
}

/** @param {string} text read out by screen readers, at most every ten seconds and not when the page has just opened */
function announce(text) {
  if (text.replace(/[\d.,]+ [kMGTP]?B/g, "") === announced) return;
  const first = announced === "";
  if (!first && Date.now() - announcedAt < ANNOUNCED_MS) return;
  announced = text.replace(/[\d.,]+ [kMGTP]?B/g, "");
  announcedAt = Date.now();
  if (!first) announcement.textContent = text;
}

function warn() {
  const broker = state.tree.broker;
  let text = "";
  if (lost) text = `${lost} Everything below is old.`;
  else if (broker?.since) {
    text = `No connection to the broker since ${clock(broker.since)}: everything below is old. ${broker.message ?? ""}`;
  }
  if (alarm.textContent !== text) alarm.textContent = text;
  document.body.classList.toggle("stale", text !== "");
}

const stream = new Stream(state, {
  changed: () => {
    lost = "";
    loggedIn = true;
    allow(state.allow);
    if (chosen.paused) warn();
    else request();
  },
  lost: (reason) => {
    lost = `No connection to the server of this page${reason ? ` (${reason})` : ""}.`;
    state.unplug();
    warn();
    if (!chosen.paused) request();
  },
  login: (asksUsername) => {
    loggedIn = false;
    lost = "";
    warn();
    alarm.textContent = "";
    showLogin(asksUsername, () => stream.open());
  },
});

document.addEventListener("click", async (event) => {
  if (!(event.target instanceof HTMLElement) || event.target.id !== "logout") return;
  try {
    await fetch("api/logout", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  } catch {
    // the server does not answer, which `open` shows
  }
  stream.open();
});
addEventListener("hashchange", () => {
  restore(location.hash);
  request();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", request);
setInterval(() => {
  if (!chosen.paused) request(); // times, such as "3 min ago"
}, CLOCK_MS);
restore(location.hash);
stream.open();

// What several parts of the page share: what the user has chosen, and small elements.

import { h } from "./dom.js";
import { ago, date, moment } from "./format.js";
import { GLYPHS } from "./model.js";

export const ROWS_AT_ONCE = 100;

/** What the user has chosen on the page. */
export const chosen = {
  /** The search as it was typed. */
  typed: "",
  search: "",
  attention: false,
  paused: false,
  /** @type {Map<string, boolean>} */
  open: new Map(),
  /** @type {Map<string, number>} */
  limits: new Map(),
};

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./model.js").Instance} Instance */
/** @typedef {import("./model.js").Row} Row */
/** @typedef {{state: State, now: number, redraw: () => void, allows: (instance: Instance) => string[] | undefined}} Context */

/** @param {string} text what the user has typed */
export function search(text) {
  chosen.typed = text;
  chosen.search = text.trim().toLowerCase();
}

/** The filters as the fragment of an address, so that a reload and a bookmark keep them. */
export function fragment() {
  const kept = new URLSearchParams();
  if (chosen.search) kept.set("search", chosen.typed.trim());
  if (chosen.attention) kept.set("attention", "yes");
  const text = String(kept);
  return text && `#${text}`;
}

/** Sets the filters. @param {string} text the fragment of an address */
export function restore(text) {
  const kept = new URLSearchParams(text.replace(/^#/, ""));
  search(kept.get("search") ?? "");
  chosen.attention = kept.get("attention") === "yes";
}

/** @param {string} text */
export function matches(text) {
  return text.toLowerCase().includes(chosen.search);
}

/** @param {string} tone @param {string} text */
export function status(tone, text) {
  const glyph = /** @type {Record<string, string>} */ (GLYPHS)[tone];
  return h(
    "span",
    { class: `status ${tone}` },
    h("span", { class: "glyph", "aria-hidden": "true" }, glyph),
    ` ${text}`,
  );
}

/** @param {string} text with names in backticks */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", null, part) : part));
}

/** @param {any} stamp @param {number} now */
export function time(stamp, now) {
  return moment(stamp) === null ? null : h("time", { datetime: stamp, title: date(stamp) }, ago(stamp, now));
}

/** @param {string} id @param {string} title @param {...any} children */
export function section(id, title, ...children) {
  return h(
    "section",
    { key: id, id, "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title` }, title),
    ...children,
  );
}

/** @param {Context} context @param {string} key @param {number} total @param {number} limit */
export function more(context, key, total, limit) {
  if (total <= limit) return null;
  return h(
    "p",
    { key: `more ${key}` },
    h(
      "button",
      {
        type: "button",
        onclick: () => {
          chosen.limits.set(key, limit + ROWS_AT_ONCE);
          context.redraw();
        },
      },
      `Show more (${total - limit} left)`,
    ),
  );
}

/**
 * The rows that the search finds; all of them if it finds the instance itself.
 * @param {Instance} instance
 * @param {Row[]} rows
 */
export function found(instance, rows) {
  if (chosen.search === "" || matches(instance.title)) return rows;
  return rows.filter((one) => matches(`${one.name} ${one.id}`));
}

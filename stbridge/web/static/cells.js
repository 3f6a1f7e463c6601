// The values of the matrix: one byte for a folder on a device; `stbridge/web/matrix.py` computes them.

const WHOLE = 100;
const OLD = 128;
const ATTENTION = 250;
const WRONG = 251;
const NOT_ACCEPTED = 252;
const PAUSED = 253;
const UNKNOWN = 254;
const NOT_SHARED = 255;

/** @typedef {"good" | "busy" | "attention" | "wrong" | "off" | "none"} CellTone */
/** @typedef {{tone: CellTone, text: string, meaning: string, part: number, old: boolean}} Cell */

/** @type {Map<number, Cell>} */
const SPECIAL = new Map([
  [ATTENTION, { tone: "attention", text: "!", meaning: "has local changes", part: 1, old: false }],
  [WRONG, { tone: "wrong", text: "✕", meaning: "stopped, or has failed items", part: 1, old: false }],
  [
    NOT_ACCEPTED,
    { tone: "attention", text: "?", meaning: "the device has not accepted the folder", part: 0, old: false },
  ],
  [PAUSED, { tone: "off", text: "‖", meaning: "paused", part: 0, old: false }],
  [UNKNOWN, { tone: "off", text: "·", meaning: "unknown", part: 0, old: false }],
  [NOT_SHARED, { tone: "none", text: "", meaning: "not shared", part: 0, old: false }],
]);

/** @param {number} value @returns {Cell} */
export function cell(value) {
  const special = SPECIAL.get(value);
  if (special) return special;
  const old = value >= OLD;
  const percent = old ? value - OLD : value;
  const note = old ? ", when the device was last connected" : "";
  if (percent >= WHOLE) return { tone: old ? "off" : "good", text: "100", meaning: `complete${note}`, part: 1, old };
  return {
    tone: old ? "off" : "busy",
    text: String(percent),
    meaning: `${percent} % complete${note}`,
    part: percent / 100,
    old,
  };
}

/** Whether a cell is listed below the matrix. @param {number} value */
export function isIncomplete(value) {
  return value !== WHOLE && value !== WHOLE + OLD && value !== NOT_SHARED && value !== PAUSED;
}

/** @param {Uint8Array} cells */
export function totals(cells) {
  let shared = 0;
  let complete = 0;
  let wrong = 0;
  for (const value of cells) {
    if (value === NOT_SHARED) continue;
    shared += 1;
    if (value === WHOLE || value === WHOLE + OLD) complete += 1;
    if (value === WRONG) wrong += 1;
  }
  return { shared, complete, wrong };
}

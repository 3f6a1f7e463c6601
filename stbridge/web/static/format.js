// Formats numbers, times and words for people.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
const STEP = 1000;
const count_ = new Intl.NumberFormat("en");
const clock_ = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date_ = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {any} value */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {any} value number of bytes */
export function size(value) {
  let left = number(value);
  if (left === null) return "?";
  let unit = 0;
  while (left >= STEP && unit < UNITS.length - 1) {
    left /= STEP;
    unit += 1;
  }
  return `${unit ? left.toFixed(1) : Math.round(left)} ${UNITS[unit]}`;
}

/** @param {any} value bytes per second */
export function rate(value) {
  return `${size(value)}/s`;
}

/**
 * Never rounds up: 100 % means that nothing is missing.
 * @param {any} value
 */
export function percent(value) {
  const known = number(value);
  return known === null ? "?" : `${Math.floor(known * 10) / 10} %`;
}

/**
 * @param {number} value
 * @param {string} one the singular
 * @param {string} [many] the plural
 */
export function counted(value, one, many) {
  return `${grouped(value)} ${value === 1 ? one : (many ?? `${one}s`)}`;
}

/** @param {number} value a count, returned with separators of thousands */
export function grouped(value) {
  return count_.format(value);
}

/** @param {any} text a time stamp */
export function moment(text) {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

/**
 * @param {any} text a time stamp
 * @param {number} now
 */
export function ago(text, now) {
  const time = moment(text);
  if (time === null) return "";
  const seconds = Math.max(0, (now - time) / 1000);
  if (seconds < 60) return "now";
  return `${duration(seconds)} ago`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(10, Math.ceil(seconds / 10) * 10)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** @param {any} text a time stamp */
export function clock(text) {
  const time = moment(text);
  return time === null ? "" : clock_.format(time);
}

/** @param {any} text a time stamp */
export function date(text) {
  const time = moment(text);
  return time === null ? "" : date_.format(time);
}

/**
 * Turns a word of the interface into one for people: `out_of_sync` becomes `Out of sync`.
 * @param {any} value
 */
export function words(value) {
  const text = String(value ?? "unknown").replace(/[_-]+/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// What the page knows: the state that the server sent, with all updates since.

/** @typedef {Record<string, any>} Tree */

/**
 * @typedef {object} Matrix
 * @property {number} version
 * @property {string[]} folders
 * @property {string[]} devices
 * @property {Uint8Array} cells row by row, one row per folder
 */

const MOST_EVENTS = 200;
const RATE_POINTS = 360;

/** An object without inherited keys: the ID of a folder may be `__proto__`. */
export function empty() {
  return /** @type {Tree} */ (Object.create(null));
}

/** @param {any} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Applies a JSON Merge Patch (RFC 7386).
 * @param {Tree} target
 * @param {Tree} patch
 * @returns {Tree} the target
 */
export function merged(target, patch) {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (isObject(value)) target[key] = merged(isObject(target[key]) ? target[key] : empty(), value);
    else target[key] = value;
  }
  return target;
}

/** @param {string} text in base64 */
function bytes(text) {
  return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
}

export class State {
  constructor() {
    this.boot = "";
    this.number = 0;
    this.version = "";
    /** @type {string[]} */
    this.allow = [];
    this.login = false;
    this.problems = empty();
    this.tree = empty();
    /** @type {any[]} */
    this.events = [];
    /** @type {Matrix} */
    this.matrix = { version: 0, folders: [], devices: [], cells: new Uint8Array() };
    /** @type {Record<string, [number[], number[]]>} */
    this.rates = empty();
    this.clockOffset = 0;
  }

  /** @param {any} data the answer to `api/state` */
  replace(data) {
    this.boot = data.boot;
    this.number = data.number;
    this.version = data.version;
    this.allow = data.allow;
    this.login = data.login;
    this.problems = merged(empty(), data.problems);
    this.tree = merged(empty(), data.tree);
    this.events = data.events;
    this.rates = Object.assign(empty(), data.rates);
    this.clockOffset = Date.parse(data.now) - Date.now();
    this.takeMatrix(data.matrix);
  }

  /**
   * @param {any} tick an update
   * @returns {boolean} whether it follows the last one
   */
  take(tick) {
    if (tick.number <= this.number) return true;
    if (tick.number !== this.number + 1) return false;
    this.number = tick.number;
    this.clockOffset = Date.parse(tick.now) - Date.now();
    if (tick.patch) merged(this.tree, tick.patch);
    if (tick.events) this.events = [...this.events, ...tick.events].slice(-MOST_EVENTS);
    if (tick.rates) this.takeRates(tick.rates);
    return tick.matrix ? this.takeMatrix(tick.matrix) : true;
  }

  /** @param {Record<string, [number, number]>} points */
  takeRates(points) {
    const rates = empty();
    for (const [key, values] of Object.entries(points)) {
      const series = this.rates[key] ?? [[], []];
      rates[key] = [0, 1].map((one) => [...series[one], values[one]].slice(-RATE_POINTS));
    }
    this.rates = /** @type {Record<string, [number[], number[]]>} */ (rates);
  }

  /** @param {any} matrix */
  takeMatrix(matrix) {
    if (matrix.cells !== undefined) this.matrix = { ...matrix, cells: bytes(matrix.cells) };
    else if (matrix.version !== this.matrix.version) return false;
    for (const [position, value] of matrix.changed ?? []) this.matrix.cells[position] = value;
    return true;
  }

  /** Notes that nothing is known to be current, because the server of the page does not answer. */
  unplug() {
    this.tree.broker = Object.assign(empty(), { connected: false, server: false });
  }

  /** The current time of the server. */
  now() {
    return Date.now() + this.clockOffset;
  }
}

// The matrix of folders and devices: a table if it is small, else a canvas with one pixel per cell, which is drawn in
// milliseconds, where a table of 100,000 cells takes seconds and 700 MB.

import { cell, isIncomplete, totals } from "./cells.js";
import { h } from "./dom.js";
import { counted, grouped } from "./format.js";
import { sorted } from "./model.js";

const LARGEST_TABLE = 2000;
const MOST_LISTED = 200;
const CELL_PX = 8;

/** @type {Record<string, [number, number, number]>} */
const LIGHT = {
  good: [154, 214, 190],
  busy: [61, 111, 240],
  attention: [205, 123, 8],
  wrong: [147, 3, 1],
  off: [176, 181, 190],
  none: [246, 247, 249],
};
/** @type {Record<string, [number, number, number]>} */
const DARK = {
  good: [35, 110, 80],
  busy: [140, 180, 255],
  attention: [255, 204, 14],
  wrong: [255, 90, 90],
  off: [88, 96, 110],
  none: [31, 35, 42],
};

const dark = matchMedia("(prefers-color-scheme: dark)");
const forced = matchMedia("(forced-colors: active)");

/** The position of the cursor on the canvas. */
const cursor = { row: 0, column: 0 };

/**
 * @typedef {object} Shown the rows and columns that are shown, in their order
 * @property {number[]} rows
 * @property {number[]} columns
 * @property {string[]} folders their names
 * @property {string[]} devices
 * @property {(row: number, column: number) => number} at
 */

/**
 * @param {import("./state.js").Matrix} matrix
 * @param {{folders: Map<string, string>, devices: Map<string, string>}} names
 * @param {{matches: (text: string) => boolean, attention: boolean}} filter
 * @returns {Shown}
 */
export function select(matrix, names, filter) {
  const width = matrix.devices.length;
  /** @param {string} id */
  const folderName = (id) => names.folders.get(id) ?? id;
  /** @param {string} id */
  const deviceName = (id) => names.devices.get(id) ?? id;
  const all = sorted(matrix.folders.keys(), (row) => folderName(matrix.folders[row]));
  const devices = sorted(matrix.devices.keys(), (column) => deviceName(matrix.devices[column]));
  const folders = all.filter((row) => filter.matches(`${folderName(matrix.folders[row])} ${matrix.folders[row]}`));
  // a search that finds folders shows them on all devices, and one that finds only devices shows all folders on these
  const columns = folders.length
    ? devices
    : devices.filter((column) => filter.matches(`${deviceName(matrix.devices[column])} ${matrix.devices[column]}`));
  const rows = (folders.length ? folders : all).filter(
    (row) => !filter.attention || columns.some((column) => isIncomplete(matrix.cells[row * width + column])),
  );
  return {
    rows,
    columns,
    folders: rows.map((row) => folderName(matrix.folders[row])),
    devices: columns.map((column) => deviceName(matrix.devices[column])),
    at: (row, column) => matrix.cells[rows[row] * width + columns[column]],
  };
}

/**
 * @param {import("./state.js").Matrix} matrix
 * @param {{folders: Map<string, string>, devices: Map<string, string>}} names
 * @param {{matches: (text: string) => boolean, attention: boolean}} filter
 */
export function matrixView(matrix, names, filter) {
  const shown = select(matrix, names, filter);
  const count = shown.rows.length * shown.columns.length;
  if (!count)
    return [
      h(
        "p",
        { class: "quiet" },
        filter.attention ? "Every folder is complete on every device." : "There is nothing to show.",
      ),
    ];
  const large = count > LARGEST_TABLE || forced.matches;
  const parts = forced.matches ? [] : large ? canvasView(shown) : [tableView(shown)];
  return [...parts, large ? listView(shown) : null, legend()];
}

/** @param {Shown} shown */
function tableView(shown) {
  const head = h(
    "tr",
    null,
    h("td", null),
    shown.devices.map((name) => h("th", { scope: "col" }, h("span", null, name))),
  );
  const rows = shown.folders.map((name, row) => {
    const cells = shown.devices.map((device, column) => {
      const one = cell(shown.at(row, column));
      const label = `${name} on ${device}: ${one.meaning}`;
      const style = { "--part": `${one.part * 100}%` };
      return h(
        "td",
        { class: `cell ${one.tone}`, title: label, style },
        one.text,
        h("span", { class: "unseen" }, ` ${one.meaning}`),
      );
    });
    return h("tr", { key: `row ${shown.rows[row]}` }, h("th", { scope: "row" }, name), cells);
  });
  return h(
    "div",
    { class: "scroll", key: "table", tabIndex: 0, role: "region", "aria-label": "Folders by devices" },
    h("table", { class: "matrix" }, h("thead", null, head), h("tbody", null, rows)),
  );
}

/** @param {Shown} shown */
function canvasView(shown) {
  const { shared, complete, wrong } = visibleTotals(shown);
  const label = `${counted(shown.rows.length, "folder")} on ${counted(shown.columns.length, "device")}: ${grouped(complete)} of ${grouped(shared)} complete, ${grouped(wrong)} stopped or with failed items. Arrow keys move over the cells.`;
  cursor.row = Math.min(cursor.row, shown.rows.length - 1);
  cursor.column = Math.min(cursor.column, shown.columns.length - 1);
  const canvas = h("canvas", {
    id: "canvas",
    own: true,
    role: "img",
    tabIndex: 0,
    "aria-label": label,
    "aria-describedby": "cell",
    onkeydown: (/** @type {KeyboardEvent} */ event) => move(event, shown),
    onmousemove: (/** @type {MouseEvent} */ event) => point(event, shown),
    onclick: (/** @type {MouseEvent} */ event) => point(event, shown),
    style: { width: `${shown.columns.length * CELL_PX}px`, height: `${shown.rows.length * CELL_PX}px` },
  });
  requestAnimationFrame(() => draw(shown));
  return [
    h("p", { class: "quiet", key: "label" }, label),
    h("p", { id: "cell", key: "cell", role: "status" }, describe(shown)),
    h("div", { class: "scroll", key: "canvas" }, canvas),
  ];
}

/** @param {Shown} shown */
function visibleTotals(shown) {
  const values = new Uint8Array(shown.rows.length * shown.columns.length);
  let at = 0;
  for (let row = 0; row < shown.rows.length; row += 1) {
    for (let column = 0; column < shown.columns.length; column += 1) values[at++] = shown.at(row, column);
  }
  return totals(values);
}

/** @param {Shown} shown */
function draw(shown) {
  const canvas = /** @type {HTMLCanvasElement | null} */ (document.getElementById("canvas"));
  const context = canvas?.getContext("2d");
  if (!canvas || !context) return;
  const [width, height] = [shown.columns.length, shown.rows.length];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const colors = dark.matches ? DARK : LIGHT;
  const byValue = Array.from({ length: 256 }, (_, value) => colors[cell(value).tone]);
  const image = context.createImageData(width, height);
  let at = 0;
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const color = byValue[shown.at(row, column)];
      image.data[at] = color[0];
      image.data[at + 1] = color[1];
      image.data[at + 2] = color[2];
      image.data[at + 3] = 255;
      at += 4;
    }
  }
  context.putImageData(image, 0, 0);
}

/** @param {Shown} shown */
function describe(shown) {
  const one = cell(shown.at(cursor.row, cursor.column));
  return `${shown.folders[cursor.row]} on ${shown.devices[cursor.column]}: ${one.meaning}`;
}

/** @param {Shown} shown */
function tell(shown) {
  const place = document.getElementById("cell");
  if (place) place.textContent = describe(shown);
}

/** @param {KeyboardEvent} event @param {Shown} shown */
function move(event, shown) {
  const [lastRow, lastColumn] = [shown.rows.length - 1, shown.columns.length - 1];
  /** @type {Record<string, [number, number]>} */
  const targets = {
    ArrowUp: [cursor.row - 1, cursor.column],
    ArrowDown: [cursor.row + 1, cursor.column],
    ArrowLeft: [cursor.row, cursor.column - 1],
    ArrowRight: [cursor.row, cursor.column + 1],
    Home: [cursor.row, 0],
    End: [cursor.row, lastColumn],
    PageUp: [cursor.row - 20, cursor.column],
    PageDown: [cursor.row + 20, cursor.column],
  };
  const target = targets[event.key];
  if (!target) return;
  event.preventDefault();
  cursor.row = Math.max(0, Math.min(lastRow, target[0]));
  cursor.column = Math.max(0, Math.min(lastColumn, target[1]));
  tell(shown);
}

/** @param {MouseEvent} event @param {Shown} shown */
function point(event, shown) {
  cursor.column = Math.max(0, Math.min(shown.columns.length - 1, Math.floor(event.offsetX / CELL_PX)));
  cursor.row = Math.max(0, Math.min(shown.rows.length - 1, Math.floor(event.offsetY / CELL_PX)));
  tell(shown);
}

/** @param {Shown} shown */
function listView(shown) {
  const items = [];
  const folders = new Set();
  let more = 0;
  for (let row = 0; row < shown.rows.length; row += 1) {
    for (let column = 0; column < shown.columns.length; column += 1) {
      const value = shown.at(row, column);
      if (!isIncomplete(value)) continue;
      folders.add(row);
      if (items.length >= MOST_LISTED) more += 1;
      else
        items.push(
          h(
            "li",
            { key: `${shown.rows[row]} ${shown.columns[column]}` },
            `${shown.folders[row]} on ${shown.devices[column]}: ${cell(value).meaning}`,
          ),
        );
    }
  }
  if (!items.length) return null;
  return h(
    "details",
    { key: "list" },
    h("summary", null, `${counted(folders.size, "folder")} not complete, by device`),
    h("ul", { class: "plain" }, items),
    more ? h("p", { class: "quiet" }, `and ${more} more`) : null,
  );
}

function legend() {
  const entries = [100, 63, 250, 251, 252, 253, 228, 255];
  return h(
    "ul",
    { class: "legend", key: "legend", "aria-label": "Legend" },
    entries.map((value) => {
      const one = cell(value);
      const meaning = value === 63 ? "percent complete" : one.meaning;
      return h(
        "li",
        null,
        h(
          "span",
          { class: `cell ${one.tone}`, style: { "--part": `${one.part * 100}%` }, "aria-hidden": "true" },
          one.text,
        ),
        ` ${meaning}`,
      );
    }),
  );
}

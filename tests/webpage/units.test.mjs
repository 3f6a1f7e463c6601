// Tests of the modules of the page that need no browser: node --test tests/webpage/units.test.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { cell, isIncomplete, totals } from "../../stbridge/web/static/cells.js";
import { ago, counted, duration, percent, size, words } from "../../stbridge/web/static/format.js";
import { instanceNeedsAttention, instances, problems, summary, toneOf } from "../../stbridge/web/static/model.js";
import { chosen, fragment, restore, search } from "../../stbridge/web/static/parts.js";
import { empty, merged, State } from "../../stbridge/web/static/state.js";
import { jsonOf } from "../../stbridge/web/static/stream.js";

globalThis.matchMedia = () => ({ matches: false });
const { select } = await import("../../stbridge/web/static/matrix.js");

const NOW = "2026-11-28T12:00:00Z";

function whole(tree, more = {}) {
  const matrix = { version: 1, folders: ["f"], devices: ["D"], cells: btoa("\x64") };
  return {
    boot: "b",
    number: 1,
    version: "1",
    allow: [],
    login: false,
    problems: {},
    now: NOW,
    tree,
    events: [],
    rates: {},
    matrix,
    ...more,
  };
}

test("a merge patch changes, adds and removes", () => {
  const target = merged(empty(), { a: { b: 1, c: 2 }, d: [1] });
  merged(target, { a: { b: null, e: { f: 3 } }, d: [2] });
  assert.equal(JSON.stringify(target), '{"a":{"c":2,"e":{"f":3}},"d":[2]}');
});

test("no ID can change JavaScript's own objects", () => {
  const tree = merged(empty(), JSON.parse('{"folders": {"__proto__": {"polluted": true}, "constructor": {"a": 1}}}'));
  assert.equal({}.polluted, undefined);
  assert.deepEqual(Object.keys(tree.folders), ["__proto__", "constructor"]);
  merged(tree, JSON.parse('{"folders": {"__proto__": null}}'));
  assert.deepEqual(Object.keys(tree.folders), ["constructor"]);
  assert.equal(toneOf("constructor"), "off");
});

test("updates are applied in order, and a gap is noticed", () => {
  const state = new State();
  state.replace(whole({ instances: { "s/nas": { state: "online" } } }));
  assert.equal(state.take({ number: 2, now: NOW, patch: { instances: { "s/nas": { state: "offline" } } } }), true);
  assert.equal(state.tree.instances["s/nas"].state, "offline");
  assert.equal(state.take({ number: 2, now: NOW, patch: { instances: null } }), true, "an old one is ignored");
  assert.equal(state.take({ number: 4, now: NOW }), false);
});

test("cells change in place, and only those of the same matrix", () => {
  const state = new State();
  state.replace(whole({}));
  assert.equal(state.take({ number: 2, now: NOW, matrix: { version: 1, changed: [[0, 7]] } }), true);
  assert.equal(state.matrix.cells[0], 7);
  assert.equal(state.take({ number: 3, now: NOW, matrix: { version: 2, changed: [[0, 8]] } }), false);
});

test("graphs and events are bounded", () => {
  const state = new State();
  state.replace(whole({}, { rates: { "s/nas": [[1], [2]] } }));
  for (let number = 2; number < 400; number += 1) {
    state.take({ number, now: NOW, rates: { "s/nas": [number, 0] }, events: [{ path: number }] });
  }
  assert.equal(state.rates["s/nas"][0].length, 360);
  assert.equal(state.rates["s/nas"][0].at(-1), 399);
  assert.equal(state.events.length, 200);
});

test("percentages are never rounded up", () => {
  assert.equal(percent(99.99), "99.9 %");
  assert.equal(percent(100), "100 %");
  assert.equal(percent(undefined), "?");
  assert.equal(cell(99).text, "99");
  assert.equal(cell(100).meaning, "complete");
  assert.match(cell(228).meaning, /last connected/);
  assert.deepEqual([99, 100, 228, 253, 255, 251].map(isIncomplete), [true, false, false, false, false, true]);
  assert.deepEqual(totals(Uint8Array.from([100, 228, 40, 251, 255])), { shared: 4, complete: 2, wrong: 1 });
});

test("numbers and times are readable", () => {
  assert.deepEqual([0, 999, 1000, 1.25e9, null].map(size), ["0 B", "999 B", "1.0 kB", "1.3 GB", "?"]);
  assert.equal(counted(1, "folder"), "1 folder");
  assert.equal(counted(1234, "folder"), "1,234 folders");
  assert.equal(ago(NOW, Date.parse(NOW) + 190_000), "3 min ago");
  assert.equal(ago("rubbish", 0), "");
  assert.equal(duration(12), "20 s");
  assert.equal(words("failed_items"), "Failed items");
});

test("an instance is offline with its reason", () => {
  const state = new State();
  const nas = { state: "offline", connection: { status: "unauthorized", message: "API key rejected" } };
  state.replace(
    whole({ broker: { connected: true }, bridges: { s: { state: "online" } }, instances: { "s/nas": nas } }),
  );
  const all = instances(state);
  assert.equal(all[0].reason, "Unauthorized: API key rejected");
  assert.deepEqual(
    problems(state, all).map((one) => one.where),
    ["nas"],
  );
  state.take({ number: 2, now: NOW, patch: { bridges: { s: { state: "offline" } } } });
  const wrong = problems(state, instances(state));
  assert.deepEqual(
    wrong.map((one) => one.message),
    ["The bridge is offline"],
    "the bridge counts once",
  );
});

test("only what is known to be in sync is called so", () => {
  const state = new State();
  const nas = { state: "online", system: { all_in_sync: true } };
  state.replace(
    whole({ broker: { connected: true }, bridges: { s: { state: "online" } }, instances: { "s/nas": nas } }),
  );
  assert.equal(summary(state, instances(state), []).known, true);
  state.take({ number: 2, now: NOW, patch: { bridges: null } });
  const all = instances(state);
  assert.equal(summary(state, all, []).known, false);
  assert.deepEqual(
    problems(state, all).map((one) => one.message),
    ["The bridge has not published its state"],
  );
});

test("an unknown state is not called in sync, and a paused instance does not count", () => {
  const state = new State();
  const instance = (all_in_sync, more) => ({ state: "online", system: { all_in_sync, ...more } });
  const found = { "s/nas": instance(true), "s/new": instance(null), "s/off": instance(null, { state: "paused" }) };
  state.replace(whole({ broker: { connected: true }, bridges: { s: { state: "online" } }, instances: found }));
  const all = instances(state);
  assert.deepEqual(
    all.map((one) => [one.name, one.tone, instanceNeedsAttention(one)]),
    [
      ["nas", "good", false],
      ["new", "off", false],
      ["off", "off", false],
    ],
  );
  assert.equal(summary(state, all, []).unknown, 1);
});

test("without a connection to the broker nothing is called in sync", () => {
  const state = new State();
  state.replace(
    whole({
      broker: { connected: false, since: NOW },
      bridges: { s: { state: "online" } },
      instances: { "s/nas": { state: "online", system: { all_in_sync: true } } },
    }),
  );
  const all = instances(state);
  assert.equal(all[0].online, false);
  assert.equal(all[0].tone, "off");
  assert.equal(summary(state, all, []).connected, false);
});

test("an instance needs attention unless everything on it is in sync", () => {
  const state = new State();
  const online = (/** @type {any} */ more) => ({ state: "online", system: { all_in_sync: true }, ...more });
  state.replace(
    whole({
      broker: { connected: true },
      bridges: { s: { state: "online" } },
      instances: {
        "s/behind": { state: "online", system: { all_in_sync: false } },
        "s/device": online({ devices: { D: { status: "syncing" } } }),
        "s/folder": online({ folders: { f: { status: "failed_items" } } }),
        "s/fine": online({ folders: { f: { status: "up_to_date" }, g: { status: "paused" } } }),
        "s/offline": { state: "offline", system: { all_in_sync: true } },
        "s/wrong": { state: "online", system: { problem: true } },
      },
    }),
  );
  const shown = instances(state).filter(instanceNeedsAttention);
  assert.deepEqual(
    shown.map((one) => one.name),
    ["behind", "device", "folder", "offline", "wrong"],
  );
});

test("a reload and a bookmark keep the filters", () => {
  assert.equal(fragment(), "");
  search(" Müsli & Co ");
  chosen.attention = true;
  const kept = fragment();
  assert.match(kept, /^#search=M%C3%BCsli/);
  restore("");
  assert.deepEqual([chosen.typed, chosen.search, chosen.attention], ["", "", false]);
  restore(kept);
  assert.deepEqual([chosen.typed, chosen.search, chosen.attention], ["Müsli & Co", "müsli & co", true]);
  restore("");
});

test("a search narrows the matrix to folders, or to devices", () => {
  const matrix = { version: 1, folders: ["music", "photos"], devices: ["LAPTOP1", "NASNASN"] };
  const cells = Uint8Array.from([100, 100, 100, 40]);
  const names = { folders: new Map([["photos", "Photos"]]), devices: new Map([["NASNASN", "nas"]]) };
  const shown = (/** @type {string} */ text, attention = false) => {
    const matches = (/** @type {string} */ one) => one.toLowerCase().includes(text);
    const { folders, devices } = select({ ...matrix, cells }, names, { matches, attention });
    return [folders, devices];
  };
  const devices = ["LAPTOP1", "nas"];
  assert.deepEqual(shown(""), [["music", "Photos"], devices]);
  assert.deepEqual(shown("photos"), [["Photos"], devices]);
  assert.deepEqual(shown("nas"), [["music", "Photos"], ["nas"]]);
  assert.deepEqual(shown("", true), [["Photos"], devices]);
  assert.deepEqual(shown("laptop", true), [[], ["LAPTOP1"]]);
  assert.deepEqual(shown("nothing"), [["music", "Photos"], []]);
});

test("a page of a reverse proxy is its status", async () => {
  const headers = { "Content-Type": "text/html" };
  const proxy = new Response("<html>", { status: 502, statusText: "Bad Gateway", headers });
  await assert.rejects(jsonOf(proxy), { message: "status 502 Bad Gateway" });
  assert.deepEqual(await jsonOf(Response.json({ error: "x" }, { status: 503 })), { error: "x" });
});

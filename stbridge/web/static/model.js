// Derives what the page shows from the state: instances with their problems, the summary, what needs attention.

import { number, words } from "./format.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {"good" | "busy" | "attention" | "wrong" | "off"} Tone */

/**
 * @typedef {object} Instance
 * @property {string} key base topic and name
 * @property {string} base
 * @property {string} name
 * @property {string} title the name, with the base topic if there are several
 * @property {any} data the payloads of its topics
 * @property {boolean} online
 * @property {string} reason why it is not online
 * @property {Row[]} folders
 * @property {Row[]} devices
 * @property {Tone} tone
 */

/**
 * @typedef {object} Row a folder or a device
 * @property {string} id
 * @property {string} name
 * @property {any} data its payload
 * @property {Tone} tone
 * @property {string} status in words
 */

/**
 * @typedef {object} Problem
 * @property {string} key
 * @property {Instance | null} instance
 * @property {string} where
 * @property {string} message
 * @property {string} since
 * @property {string} meaning
 * @property {string} fix
 * @property {string} [code]
 * @property {string} [folder]
 */

/** @type {Record<string, Tone>} */
const TONES = {
  up_to_date: "good",
  paused: "off",
  unknown: "off",
  stopped: "wrong",
  out_of_sync: "wrong",
  failed_items: "wrong",
  unexpected_items: "wrong",
  local_additions: "attention",
  unshared: "off",
  "scan-waiting": "off",
  "sync-waiting": "off",
  "clean-waiting": "off",
  scanning: "busy",
  syncing: "busy",
  "sync-preparing": "busy",
  cleaning: "busy",
  starting: "busy",
  disconnected: "off",
  disconnected_inactive: "off",
  unused: "off",
};

const OWN_WORDS = new Map([
  ["disconnected_inactive", "Disconnected for a week or more"],
  ["sync-preparing", "Preparing to sync"],
  ["scan-waiting", "Waiting to scan"],
  ["sync-waiting", "Waiting to sync"],
  ["clean-waiting", "Waiting to clean"],
]);

/** @type {Record<Tone, string>} */
export const GLYPHS = { good: "✓", busy: "↻", attention: "!", wrong: "✕", off: "–" };

/** @param {any} status */
export function toneOf(status) {
  return Object.hasOwn(TONES, status) ? TONES[status] : "off";
}

/** @param {any} status */
export function statusWords(status) {
  return OWN_WORDS.get(status) ?? words(status);
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** @param {Iterable<any>} items @param {(item: any) => string} name */
export function sorted(items, name) {
  return [...items].sort((one, other) => collator.compare(name(one), name(other)));
}

/** @param {Record<string, any> | undefined} entries @param {string} nameKey @returns {Row[]} */
function rows(entries, nameKey) {
  const found = Object.entries(entries ?? {}).map(([id, data]) => ({
    id,
    name: data[nameKey] || id,
    data,
    tone: toneOf(data.status),
    status: statusWords(data.status),
  }));
  return sorted(found, (one) => one.name);
}

/** @param {State} state @param {string} base @param {any} data */
function offlineReason(state, base, data) {
  const bridge = state.tree.bridges?.[base];
  if (state.tree.broker?.server === false) return "there is no connection to the server of this page";
  if (!state.tree.broker?.connected) return "there is no connection to the broker";
  if (bridge?.state !== "online") return bridge?.state ? `the bridge is ${bridge.state}` : "the bridge is unknown";
  if (data.state === "online") return "";
  const status = data.connection?.status;
  const what = status && status !== "online" ? words(status) : "Syncthing is offline";
  return data.connection?.message ? `${what}: ${data.connection.message}` : what;
}

/** @param {State} state @returns {Instance[]} */
export function instances(state) {
  const several = Object.keys(state.tree.bridges ?? {}).length > 1;
  const found = Object.entries(state.tree.instances ?? {}).map(([key, data]) => {
    const at = key.lastIndexOf("/");
    const [base, name] = [key.slice(0, at), key.slice(at + 1)];
    const reason = offlineReason(state, base, data);
    const online = reason === "";
    const title = several ? `${base}/${name}` : name;
    const devices = rows(data.devices, "name");
    return { key, base, name, title, data, online, reason, folders: rows(data.folders, "label"), devices };
  });
  return sorted(found, (one) => one.title).map((one) => ({ ...one, tone: toneOfInstance(one) }));
}

/** @param {any} instance @returns {Tone} */
function toneOfInstance({ online, data }) {
  if (!online) return "off";
  if (data.system?.problem || data.system?.state === "error") return "wrong";
  if (data.system?.state === "syncing" || data.system?.state === "scanning") return "busy";
  if (data.system?.all_in_sync === false) return "attention";
  return data.system?.all_in_sync === true ? "good" : "off";
}

const OFFLINE_FIXES = new Map([
  ["unauthorized", "Set the API key of the instance in the settings of the bridge."],
  ["host_check", "See the message; Syncthing refuses the host name in the address."],
  ["tls_error", "Set `verify` of the instance in the settings of the bridge."],
]);

/** @param {State} state @param {Instance[]} all @returns {Problem[]} */
export function problems(state, all) {
  /** @type {Problem[]} */
  const found = [];
  if (!state.tree.broker?.connected) return found;
  for (const base of new Set([...Object.keys(state.tree.bridges ?? {}), ...all.map((one) => one.base)])) {
    const bridge = state.tree.bridges?.[base];
    if (bridge?.state === "online") continue;
    found.push({
      key: `bridge ${base}`,
      instance: null,
      where: base,
      message: bridge?.state ? `The bridge is ${bridge.state}` : "The bridge has not published its state",
      since: "",
      meaning: "Its instances are shown as they were when it stopped.",
      fix: "Start the bridge, or see its log.",
    });
  }
  for (const instance of all) {
    if (state.tree.bridges?.[instance.base]?.state !== "online") continue;
    if (!instance.online) {
      found.push({
        key: `instance ${instance.key}`,
        instance,
        where: instance.title,
        message: instance.reason,
        since: instance.data.connection?.since ?? "",
        meaning: "The bridge cannot use this Syncthing instance. Its values are shown as they were.",
        fix: OFFLINE_FIXES.get(instance.data.connection?.status) ?? "Check whether Syncthing runs and is reachable.",
      });
    }
    const listed = instance.online ? (instance.data.system?.problems ?? []) : [];
    for (const one of listed) {
      const text = state.problems[one.code];
      const subject = one.folder ? one.label || one.folder : one.device ? one.name || one.device : "";
      found.push({
        key: `${instance.key} ${one.code} ${one.folder ?? one.device ?? ""}`,
        instance,
        where: subject ? `${subject} on ${instance.title}` : instance.title,
        message: one.message || words(one.code),
        since: one.since ?? "",
        meaning: text?.meaning ?? "",
        fix: text?.fix ?? "",
        code: one.code,
        folder: one.folder,
      });
    }
  }
  return found;
}

/** @param {State} state @param {Instance[]} all @param {Problem[]} wrong */
export function summary(state, all, wrong) {
  const online = all.filter((one) => one.online);
  /** @param {string} key */
  const total = (key) => online.reduce((sum, one) => sum + (number(one.data.metrics?.[key]) ?? 0), 0);
  const need = online.reduce((sum, one) => sum + (number(one.data.system?.need_bytes) ?? 0), 0);
  const busy = online.some((one) => one.data.system?.state === "syncing");
  const behind = online.some((one) => one.data.system?.all_in_sync === false);
  return {
    problems: wrong.length,
    connected: state.tree.broker?.connected === true,
    lost: state.tree.broker?.since !== undefined,
    served: state.tree.broker?.server !== false,
    reading: state.tree.broker?.reading,
    missing: state.tree.broker?.missing,
    need,
    busy,
    behind,
    known: online.some((one) => one.data.system?.all_in_sync === true),
    unknown: online.filter(
      ({ data }) => data.system?.state !== "paused" && typeof data.system?.all_in_sync !== "boolean",
    ).length,
    inRate: total("in_rate"),
    outRate: total("out_rate"),
    instances: all.length,
    folders: new Set(all.flatMap((one) => one.folders.map((folder) => folder.id))).size,
    devices: state.matrix.devices.length,
  };
}

/** @param {Row} row */
export function needsAttention(row) {
  return row.tone === "wrong" || row.tone === "attention" || row.tone === "busy" || row.data.problem === true;
}

/** @param {Instance} instance */
export function instanceNeedsAttention(instance) {
  if (!instance.online || (instance.tone !== "good" && instance.tone !== "off")) return true;
  return [...instance.folders, ...instance.devices].some(needsAttention);
}

/** Names of all folders and devices, by ID. @param {Instance[]} all */
export function names(all) {
  /** @type {Map<string, string>} */
  const folders = new Map();
  /** @type {Map<string, string>} */
  const devices = new Map();
  for (const instance of all) {
    for (const one of instance.folders) if (!folders.has(one.id) || one.data.label) folders.set(one.id, one.name);
    for (const one of instance.devices) devices.set(one.id, one.name);
  }
  for (const instance of all) {
    const own = instance.data.system?.device_id;
    if (own) devices.set(own.slice(0, 7), instance.data.system.name || instance.name);
  }
  return { folders, devices };
}

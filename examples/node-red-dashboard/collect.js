// Makes the texts of the page from the newest payloads, at most once a second.
const FIXES = {};
const FOLDER_STATUS = {};
const DEVICE_STATUS = {};
const TONES = {
    up_to_date: "good",
    stopped: "bad",
    out_of_sync: "warning",
    failed_items: "warning",
    local_additions: "warning",
    unexpected_items: "warning",
    disconnected_inactive: "warning",
    disconnected: "off",
    paused: "off",
    unshared: "off",
    unused: "off",
    unknown: "off",
};
const SHOWN_CHARACTERS = 500;

if (!flow.get("changed") && !msg.now) {
    return null;
}
flow.set("changed", false);

const text = (value) =>
    typeof value === "string" ? value.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, SHOWN_CHARACTERS) : "";
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const list = (value) => (Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []);
const object = (value) => (value && typeof value === "object" ? value : {});
const counted = (count, noun) => `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
const counts = (pairs) => pairs.filter(([count]) => number(count)).map(([count, noun]) => counted(count, noun));

function size(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < units.length - 1; unit += 1) {
        bytes /= 1000;
    }
    return `${bytes.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

function left(end) {
    const seconds = Math.round((Date.parse(end) - Date.now()) / 1000);
    if (!(seconds > 0)) {
        return "";
    }
    if (seconds < 60) {
        return `${seconds} s left`;
    }
    return seconds < 3600 ? `${Math.ceil(seconds / 60)} min left` : `${Math.ceil(seconds / 360) / 10} h left`;
}

// Like Syncthing, it never rounds up: 99.99 % is not complete.
const percent = (value) => (number(value) === null ? null : Math.max(0, Math.min(100, Math.floor(value * 10) / 10)));
const rate = (value) => (number(value) ? `${size(value)}/s` : "");
const joined = (parts) => parts.filter(Boolean).join(" · ");

const tree = flow.get("tree") || {};
const bridge = { info: {}, state: "" };
const instances = new Map(); // not an object: an instance may have any name, such as __proto__
for (const topic of Object.keys(tree).sort()) {
    const [name, kind] = topic.split("/").slice(1);
    if (name === "bridge") {
        bridge[kind] = tree[topic];
        continue;
    }
    if (!instances.has(name)) {
        instances.set(name, { state: "", connection: {}, system: {}, metrics: {}, folder: [], device: [] });
    }
    const instance = instances.get(name);
    if (Array.isArray(instance[kind])) {
        instance[kind].push(tree[topic]);
    } else {
        instance[kind] = tree[topic];
    }
}

const allowed = Array.isArray(bridge.info.commands) ? bridge.info.commands : [];
const button = (command, label, args) => ({ command, label, arguments: args });
const buttons = (wanted) => wanted.filter((one) => allowed.includes(one.command));
const pause = (paused, args) => (paused ? button("resume", "Resume", args) : button("pause", "Pause", args));

function row(payload, name, words, actions, details) {
    const status = Object.hasOwn(words, payload.status) ? payload.status : "unknown";
    return {
        id: text(payload.id),
        name: text(name) || text(payload.id),
        status: words[status] || "Unknown",
        tone: TONES[status] || "busy",
        problem: payload.problem === true,
        percent: percent(payload.completion),
        until: payload.paused === true ? text(payload.resume_at) : "",
        detail: joined(details),
        buttons: buttons(actions),
    };
}

function folderRow(folder) {
    const scanning = number(folder.scan_progress) !== null;
    const items = number(folder.need_total_items) ?? number(folder.need_items) ?? 0;
    const needs = [items && counted(items, "item"), number(folder.need_bytes) && size(folder.need_bytes)];
    const speed = scanning
        ? [`${percent(folder.scan_progress)} % scanned`, rate(folder.scan_rate), left(folder.scan_ends_at)]
        : [rate(folder.sync_rate), left(folder.sync_ends_at)];
    const has = [counts([[folder.global_files, "file"]])[0], number(folder.global_bytes) && size(folder.global_bytes)];
    const words = [...needs, ...speed].some(Boolean) ? [needs.filter(Boolean).join(", "), ...speed] : has;
    const scan = folder.paused === true ? [] : [button("scan", "Scan", { folder: folder.id })];
    const actions = [...scan, pause(folder.paused === true, { folder: folder.id })];
    return row(folder, folder.label, FOLDER_STATUS, actions, words);
}

function deviceRow(device) {
    const items = number(device.need_total_items) ?? number(device.need_items) ?? 0;
    const needs = [items && counted(items, "item"), number(device.need_bytes) && size(device.need_bytes)];
    const rates = [rate(device.in_rate) && `↓ ${rate(device.in_rate)}`, rate(device.out_rate) && `↑ ${rate(device.out_rate)}`];
    const actions = [pause(device.paused === true, { device: device.id })];
    const shown = row(device, device.name, DEVICE_STATUS, actions, [needs.filter(Boolean).join(", "), ...rates]);
    return { ...shown, seen: device.connected === true ? "" : text(device.last_seen_at) };
}

function stateOf(system) {
    if (system.state !== "idle") {
        return { error: "Error", syncing: "Syncing", scanning: "Scanning", paused: "Paused" }[system.state] || "Unknown";
    }
    if (system.in_sync === false) {
        return "Out of sync";
    }
    return system.all_in_sync === false ? "Up to date, but not on all devices" : "Up to date";
}

// Topics in the texts of the documentation are short, and have F for the folder and D for the device.
function fixOf(name, problem) {
    const parts = { F: text(problem.folder) || "F", D: text(problem.device) || "D" };
    const full = (topic) => `syncthing/${name}/${topic.replace(/\b[FD]\b/g, (one) => parts[one])}`;
    const fix = Object.hasOwn(FIXES, problem.code) ? FIXES[problem.code] : "";
    return fix.replace(/`([^`]+)`/g, (_, code) => (/^(errors|(folder|completion)\/.*)$/.test(code) ? full(code) : code));
}

const byName = (one, other) => other.problem - one.problem || one.name.localeCompare(other.name);

const problems = [];
const shown = [];
for (const [name, { state, connection, system, metrics, folder, device }] of instances) {
    const online = bridge.state === "online" && state === "online";
    if (state !== "online") {
        const message = text(connection.message) || "the bridge cannot reach this Syncthing instance";
        problems.push({ where: name, message, fix: "", since: text(connection.since) });
    }
    for (const problem of online ? list(system.problems) : []) {
        const subject = text(problem.label) || text(problem.folder) || text(problem.name) || text(problem.device);
        problems.push({
            where: subject ? `${name}: ${subject}` : name,
            message: text(problem.message),
            fix: fixOf(name, problem),
            since: text(problem.since),
        });
    }
    const devices = object(system.devices);
    shown.push({
        name,
        online,
        state: online ? stateOf(system) : "Offline",
        percent: online ? percent(system.completion) : null,
        facts: joined([
            text(system.version),
            number(devices.total) !== null && `${number(devices.connected) ?? 0} of ${counted(devices.total, "device")} connected`,
            ...counts([
                [system.conflicts, "conflict"],
                [system.pending_devices, "pending device"],
                [system.pending_folders, "pending folder"],
            ]),
        ]),
        rates: online && `↓ ${rate(metrics.in_rate) || "0 B/s"} ↑ ${rate(metrics.out_rate) || "0 B/s"}`,
        buttons: buttons([
            button("scan", "Scan all", { folder: "all" }),
            button("pause_all", "Pause all devices", {}),
            button("resume_all", "Resume all devices", {}),
        ]),
        folders: folder.map(folderRow).sort(byName),
        devices: device.map(deviceRow).sort(byName),
    });
}

let notice = "";
if (flow.get("connected") === false) {
    notice = "Node-RED is not connected to the broker.";
} else if (bridge.state !== "online") {
    notice = bridge.state ? "The bridge is offline: the values are not current." : "Nothing is published on this broker: is the bridge running?";
}
const page = { notice, problems, instances: shown, replies: flow.get("replies") || [] };
return [{ payload: page }, { payload: { notice, problems } }];

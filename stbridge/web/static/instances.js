// The instances with their folders and devices.

import { button, pauseButton } from "./actions.js";
import { h } from "./dom.js";
import { clock, counted, duration, grouped, moment, number, percent, rate, size, words } from "./format.js";
import { graph } from "./graph.js";
import { needsAttention, statusWords } from "./model.js";
import { chosen, found, more, ROWS_AT_ONCE, status, time } from "./parts.js";

const OPEN_INSTANCES = 3;

/** @typedef {import("./parts.js").Context} Context */
/** @typedef {import("./model.js").Instance} Instance */
/** @typedef {import("./model.js").Row} Row */

/** @param {Context} context @param {Instance} instance @param {number} count */
export function instanceView(context, instance, count) {
  const system = instance.data.system ?? {};
  const open = chosen.open.get(instance.key) ?? (count <= OPEN_INSTANCES || chosen.attention || chosen.search !== "");
  const word = instance.online
    ? words(system.state ?? "unknown")
    : `${context.state.tree.broker?.connected ? "Offline" : "Unknown"}: ${instance.reason}`;
  const wrong = system.problems?.length ? `, ${counted(system.problems.length, "problem")}` : "";
  const inSync = system.all_in_sync && !system.need_bytes ? ", everything is in sync" : "";
  const id = `instance ${instance.key}`;
  const sync = instance.online ? wrong || inSync : "";
  return h(
    "article",
    { key: id, class: `instance ${instance.online ? "" : "old"}` },
    h(
      "h3",
      null,
      h(
        "button",
        {
          type: "button",
          class: "expand",
          "aria-expanded": String(open),
          onclick: () => {
            chosen.open.set(instance.key, !open);
            context.redraw();
          },
        },
        h("span", { "aria-hidden": "true" }, open ? "▾ " : "▸ "),
        instance.title,
      ),
    ),
    h("p", null, status(instance.tone, word + sync)),
    h("p", { class: "quiet" }, facts(instance, system)),
    rates(context, instance),
    open
      ? h(
          "div",
          { key: "inside" },
          errorsView(context, instance),
          rowsView(context, instance, "Folders", instance.folders, folderRow),
          rowsView(context, instance, "Devices", instance.devices, deviceRow),
        )
      : null,
  );
}

/** @param {Instance} instance @param {any} system */
function facts(instance, system) {
  const newest = instance.data.upgrade?.latest_version;
  return [
    instance.folders.length ? counted(instance.folders.length, "folder") : "",
    connected(system),
    system.need_bytes ? `${size(system.need_bytes)} missing` : "",
    system.version ? `Syncthing ${system.version}` : "",
    newest && newest !== system.version ? `${newest} is available` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

/** @param {Context} context @param {Instance} instance */
function rates(context, instance) {
  const series = context.state.rates[instance.key];
  const metrics = instance.data.metrics ?? {};
  const now = instance.online ? `↓ ${rate(metrics.in_rate ?? 0)} ↑ ${rate(metrics.out_rate ?? 0)} ` : null;
  const shown = series && Math.max(...series[0], ...series[1]) > 0 ? graph(series) : null;
  return now || shown ? h("p", { class: "rates" }, now, shown) : null;
}

/** @param {any} system */
function connected(system) {
  return system.devices
    ? `${grouped(system.devices.connected ?? 0)} of ${counted(system.devices.total ?? 0, "device")} connected`
    : "";
}

/** @param {Context} context @param {Instance} instance */
function errorsView(context, instance) {
  const items = instance.data.errors?.items ?? [];
  if (!items.length) return null;
  const clear = { command: "clear_errors", label: "Clear errors", what: `of ${instance.title}`, arguments: {} };
  return h(
    "div",
    { key: "errors" },
    h("h4", null, "Errors of Syncthing"),
    h(
      "ul",
      { class: "plain" },
      items
        .slice(-5)
        .map((/** @type {any} */ one) => h("li", null, time(one.when, context.now), ` ${one.message ?? ""}`)),
    ),
    button(instance, clear, context.allows(instance)),
  );
}

/**
 * @param {Context} context
 * @param {Instance} instance
 * @param {string} title
 * @param {Row[]} rows
 * @param {(context: Context, instance: Instance, row: Row) => any} show
 */
function rowsView(context, instance, title, rows, show) {
  const own = found(instance, rows);
  const shown = chosen.attention ? own.filter(needsAttention) : own;
  const key = `${instance.key} ${title}`;
  const limit = chosen.limits.get(key) ?? ROWS_AT_ONCE;
  if (!shown.length) return null;
  return h(
    "div",
    { key: title },
    h("h4", null, title),
    h(
      "ul",
      { class: "rows" },
      shown.slice(0, limit).map((one) => show(context, instance, one)),
    ),
    more(context, key, shown.length, limit),
  );
}

/** @param {string} label @param {any} value */
function progress(label, value) {
  const known = number(value);
  if (known === null) return null;
  return h("progress", { max: 100, value: Math.floor(known), "aria-label": label });
}

/** @param {any} stamp @param {number} now */
function left(stamp, now) {
  const end = moment(stamp);
  return end === null || end <= now ? "" : `${duration((end - now) / 1000)} left`;
}

/** @param {any} data @param {number} now */
function pausedUntil(data, now) {
  return data.paused && moment(data.resume_at) !== null
    ? `resumes at ${clock(data.resume_at)} (${left(data.resume_at, now)})`
    : "";
}

/** @param {Context} context @param {Instance} instance @param {Row} row */
function folderRow(context, instance, row) {
  const { data } = row;
  const allows = context.allows(instance);
  const what = `${row.name} on ${instance.title}`;
  const working = number(data.sync_progress) ?? number(data.scan_progress);
  const facts = [
    data.need_bytes || data.need_total_items
      ? `${counted(data.need_total_items ?? 0, "item")}, ${size(data.need_bytes ?? 0)} missing`
      : "",
    data.sync_rate ? rate(data.sync_rate) : "",
    left(data.sync_ends_at ?? data.scan_ends_at, context.now),
    data.failed ? `${counted(data.failed, "failed item")}` : "",
    data.conflicts ? counted(data.conflicts, "conflict file") : "",
    data.local_changes ? counted(data.local_changes, "local change") : "",
    pausedUntil(data, context.now),
    data.error ?? "",
    data.watch_error ?? "",
  ].filter(Boolean);
  const completion =
    data.completion === undefined ? null : `${percent(data.completion)} of ${size(data.global_bytes ?? 0)}`;
  const target = { folder: row.id };
  const actions = [
    data.paused ? null : button(instance, { command: "scan", label: "Scan", what, arguments: target }, allows),
    pauseButton(instance, Boolean(data.paused), what, target, allows),
  ];
  return h(
    "li",
    { key: row.id },
    h("span", { class: "name", title: data.path ?? row.id }, row.name),
    status(row.tone, working !== null && row.tone === "busy" ? `${row.status}, ${percent(working)}` : row.status),
    h(
      "span",
      { class: "value" },
      progress(`${row.name} is complete on ${instance.title}`, data.completion),
      completion ? ` ${completion}` : null,
    ),
    h(
      "span",
      { class: "quiet facts" },
      facts.join(", "),
      data.last_file
        ? h(
            "span",
            null,
            facts.length ? ". " : "",
            `Latest change: ${data.last_file_deleted ? "deleted " : ""}${data.last_file}, `,
            time(data.last_file_at, context.now),
          )
        : null,
    ),
    actions.some(Boolean) ? h("span", { class: "buttons" }, ...actions) : null,
  );
}

/** @param {Context} context @param {Instance} instance @param {Row} row */
function deviceRow(context, instance, row) {
  const { data } = row;
  const allows = context.allows(instance);
  const what = `device ${row.name} on ${instance.title}`;
  const facts = [
    data.connected
      ? [data.is_local ? "local" : "", words(data.connection_type ?? "").toLowerCase()].filter(Boolean).join(" ")
      : "",
    data.connected && (data.in_rate || data.out_rate)
      ? `↓ ${rate(data.in_rate ?? 0)} ↑ ${rate(data.out_rate ?? 0)}`
      : "",
    data.need_bytes ? `needs ${size(data.need_bytes)}` : "",
    data.client_version ?? "",
    pausedUntil(data, context.now),
  ].filter(Boolean);
  const pause = pauseButton(instance, Boolean(data.paused), what, { device: row.id }, allows);
  return h(
    "li",
    { key: row.id },
    h("span", { class: "name", title: row.id }, row.name),
    status(row.tone, statusWords(data.status)),
    h(
      "span",
      { class: "value" },
      progress(`${row.name} is complete`, data.completion),
      data.completion === undefined ? null : ` ${percent(data.completion)}`,
    ),
    h(
      "span",
      { class: "quiet facts" },
      facts.join(", "),
      data.connected || !data.last_seen_at
        ? null
        : h("span", null, facts.length ? ", " : "", "last seen ", time(data.last_seen_at, context.now)),
    ),
    pause ? h("span", { class: "buttons" }, pause) : null,
  );
}

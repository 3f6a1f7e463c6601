// The page, made from the state.

import { button } from "./actions.js";
import { h } from "./dom.js";
import { clock, counted, date, rate, size, words } from "./format.js";
import { instanceView } from "./instances.js";
import { matrixView } from "./matrix.js";
import { instanceNeedsAttention, instances, names, problems, summary } from "./model.js";
import { chosen, found, matches, more, prose, ROWS_AT_ONCE, search, section, status, time } from "./parts.js";
import { pendingView } from "./pending.js";

const EVENTS_AT_ONCE = 50;
const NOTED_TOPICS = 1000;

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./parts.js").Context} Context */
/** @typedef {import("./model.js").Instance} Instance */
/** @typedef {import("./model.js").Row} Row */

/** The whole content. @param {Context} context */
export function page(context) {
  const { state } = context;
  const all = instances(state);
  const wrong = problems(state, all);
  const matching = all.filter((one) => !chosen.search || matches(textOf(one)));
  const shown = chosen.attention ? matching.filter(instanceNeedsAttention) : matching;
  const filter = {
    matches: (/** @type {string} */ text) => !chosen.search || matches(text),
    attention: chosen.attention,
  };
  const head = summary(state, all, wrong);
  return {
    head,
    sentence: sentence(head),
    top: top(head, context),
    main: [
      ...problemsView(context, wrong),
      ...pendingView(context, shown),
      section(
        "instances",
        "Instances",
        shown.length
          ? shown.map((one) => instanceView(context, one, all.length))
          : h("p", { class: "quiet" }, matching.length ? "No instance needs attention." : nothing(state, all)),
      ),
      state.matrix.folders.length
        ? section("matrix", "Folders on devices", ...matrixView(state.matrix, names(all), filter))
        : null,
      ...itemsView(context, shown),
      eventsView(context, all),
      h("footer", { key: "footer" }, `stbridge ${state.version}. Times are those of this device.`),
    ].filter((one) => one !== null),
  };
}

/** @param {Instance} instance */
function textOf(instance) {
  const inside = [...instance.folders, ...instance.devices].map((one) => `${one.name} ${one.id}`);
  return [instance.title, ...inside].join(" ");
}

/** @param {State} state @param {Instance[]} all */
function nothing(state, all) {
  if (all.length) return "No instance matches the search.";
  if (state.tree.broker?.reading !== undefined) return "Reading the broker…";
  return "No bridge has published anything on this broker yet. Check `web.base_topics`.".replaceAll("`", "");
}

/** @param {ReturnType<typeof summary>} head */
function sentence(head) {
  const left = head.need ? `, ${size(head.need)} left` : "";
  if (!head.served) return { tone: "off", text: "No connection" };
  if (!head.connected)
    return { tone: "off", text: head.lost ? "No connection to the broker" : "Connecting to the broker" };
  if (!head.instances) return { tone: "off", text: head.reading === undefined ? "No instances" : "Reading the broker" };
  if (head.problems) return { tone: "wrong", text: `${counted(head.problems, "problem")}${left}` };
  if (head.busy || head.need) return { tone: "busy", text: `Syncing${left}` };
  if (head.behind) return { tone: "attention", text: "In sync here; other devices are not" };
  if (!head.known) return { tone: "off", text: "Everything is paused, or its state is unknown" };
  if (head.unknown) {
    return {
      tone: "off",
      text: `In sync, as far as is known: the state of ${counted(head.unknown, "instance")} is unknown`,
    };
  }
  return { tone: "good", text: "Everything is in sync" };
}

/** @param {ReturnType<typeof summary>} head @param {Context} context */
function top(head, context) {
  const { tone, text } = sentence(head);
  const { state, redraw } = context;
  return [
    h("h1", null, "Syncthing"),
    h("p", { class: "summary" }, status(tone, text)),
    h(
      "p",
      { class: "counts" },
      `${counted(head.instances, "instance")}, ${counted(head.folders, "folder")}, ${counted(head.devices, "device")}. `,
      h("span", { class: "rates" }, `↓ ${rate(head.inRate)} ↑ ${rate(head.outRate)}`),
    ),
    head.reading === undefined || head.reading < NOTED_TOPICS
      ? null
      : h("p", { class: "counts" }, `Reading the broker: ${counted(head.reading, "topic")} so far`),
    head.missing === undefined
      ? null
      : h(
          "p",
          { class: "counts" },
          `${counted(head.missing, "topic")} did not arrive again after the connection was lost, so some values may be old.`,
        ),
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      h(
        "label",
        { class: "field" },
        h("span", { class: "unseen" }, "Search"),
        h("input", {
          type: "search",
          placeholder: "Search",
          value: chosen.typed,
          oninput: (/** @type {any} */ event) => {
            search(event.target.value);
            redraw();
          },
        }),
      ),
      h(
        "label",
        null,
        h("input", {
          type: "checkbox",
          checked: chosen.attention,
          onchange: (/** @type {any} */ event) => {
            chosen.attention = event.target.checked;
            redraw();
          },
        }),
        " Only what needs attention",
      ),
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(chosen.paused),
          onclick: () => {
            chosen.paused = !chosen.paused;
            redraw();
          },
        },
        chosen.paused ? "Continue updates" : "Pause updates",
      ),
      state.login ? h("button", { type: "button", id: "logout" }, "Log out") : null,
    ),
  ].filter((one) => one !== null);
}

/** @param {Context} context @param {import("./model.js").Problem[]} wrong */
function problemsView(context, wrong) {
  const shown = wrong.filter((one) => !chosen.search || matches(`${one.where} ${one.message}`));
  if (!shown.length) return [];
  const limit = chosen.limits.get("problems") ?? ROWS_AT_ONCE;
  const items = shown
    .slice(0, limit)
    .map((one) =>
      h(
        "li",
        { key: one.key, class: "problem" },
        h("h3", null, status("wrong", one.where)),
        h(
          "p",
          { class: "message" },
          one.message,
          one.since ? " (" : null,
          time(one.since, context.now),
          one.since ? ")" : null,
        ),
        one.meaning ? h("p", { class: "quiet" }, ...prose(one.meaning)) : null,
        one.fix ? h("p", { class: "fix" }, h("strong", null, "Fix: "), ...prose(one.fix)) : null,
        problemButtons(context, one),
      ),
    );
  return [
    section("problems", "Problems", h("ul", { class: "cards" }, items), more(context, "problems", shown.length, limit)),
  ];
}

/** @param {Context} context @param {import("./model.js").Problem} problem */
function problemButtons(context, problem) {
  const { instance } = problem;
  if (!instance) return null;
  const allows = context.allows(instance);
  const found = [];
  if (problem.folder) {
    found.push(
      button(
        instance,
        { command: "scan", label: "Scan", what: problem.where, arguments: { folder: problem.folder } },
        allows,
      ),
    );
  }
  if (problem.code === "system_errors") {
    found.push(
      button(
        instance,
        { command: "clear_errors", label: "Clear errors", what: `of ${instance.title}`, arguments: {} },
        allows,
      ),
    );
  }
  return found.some(Boolean) ? h("p", { class: "buttons" }, ...found) : null;
}

/** Conflicts and failed items. @param {Context} _context @param {Instance[]} all */
function itemsView(_context, all) {
  const lists = [];
  for (const instance of all) {
    for (const folder of found(instance, instance.folders)) {
      const conflicts = instance.data.conflicts?.[folder.id];
      const failed = instance.data.failed?.[folder.id];
      lists.push(itemList(instance, folder, "conflict file", conflicts, (one) => String(one)));
      lists.push(itemList(instance, folder, "failed item", failed, (one) => `${one.path ?? ""}: ${one.error ?? ""}`));
    }
  }
  const shown = lists.filter((one) => one !== null);
  return shown.length ? [section("items", "Conflicts and failed items", ...shown)] : [];
}

/** @param {Instance} instance @param {Row} folder @param {string} kind @param {any} list @param {(one: any) => string} text */
function itemList(instance, folder, kind, list, text) {
  if (!list?.count) return null;
  const items = list.items ?? [];
  const key = `${instance.key} ${folder.id} ${kind}`;
  return h(
    "details",
    { key },
    h("summary", null, `${counted(list.count, kind)} in ${folder.name} on ${instance.title}`),
    h(
      "ul",
      { class: "plain paths" },
      items.map((/** @type {any} */ one) => h("li", null, text(one))),
    ),
    list.count > items.length ? h("p", { class: "quiet" }, `and ${list.count - items.length} more`) : null,
  );
}

/** @param {Context} context @param {Instance[]} all */
function eventsView(context, all) {
  const titles = new Map(all.map((one) => [one.key, one.title]));
  const events = context.state.events.filter((one) => !chosen.search || matches(JSON.stringify(one)));
  const items = events
    .slice(-EVENTS_AT_ONCE)
    .reverse()
    .map((one) => {
      const subject = one.folder ? one.label || one.folder : one.device ? one.name || one.device : "";
      const detail = [one.path, one.message, one.error].filter(Boolean).join(": ");
      return h(
        "li",
        null,
        h("time", { datetime: one.time, title: date(one.time) }, clock(one.time)),
        ` ${titles.get(one.instance) ?? one.instance}: ${words(one.event_type)}${subject ? `, ${subject}` : ""}${detail ? `: ${detail}` : ""}`,
      );
    });
  return section(
    "events",
    "Latest events",
    items.length
      ? h("ul", { class: "plain" }, items)
      : h("p", { class: "quiet" }, "No event since this page's server started."),
  );
}

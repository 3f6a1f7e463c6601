// Pending requests of devices and folders.

import { button } from "./actions.js";
import { h } from "./dom.js";
import { section, time } from "./parts.js";

/** @typedef {import("./parts.js").Context} Context */
/** @typedef {import("./model.js").Instance} Instance */

/** @param {Context} context @param {Instance[]} all */
export function pendingView(context, all) {
  const items = [];
  for (const instance of all) {
    const allows = context.allows(instance);
    for (const one of instance.data.pending?.devices ?? []) {
      const name = one.name || one.device;
      const action = { what: `device ${name} on ${instance.title}`, arguments: { device: one.device } };
      items.push(
        h(
          "li",
          { key: `${instance.key} device ${one.device}` },
          h(
            "p",
            null,
            h("strong", null, name),
            ` wants to connect to ${instance.title} from ${one.address ?? "an unknown address"}. `,
            time(one.time, context.now),
          ),
          h("p", { class: "quiet id" }, one.device),
          h(
            "p",
            { class: "buttons" },
            button(
              instance,
              {
                ...action,
                command: "accept_device",
                label: "Accept",
                question: "The device can then connect to this instance.",
              },
              allows,
            ),
            button(
              instance,
              {
                ...action,
                command: "dismiss_device",
                label: "Dismiss",
                question: "The request disappears until the device connects again.",
              },
              allows,
            ),
          ),
        ),
      );
    }
    for (const one of instance.data.pending?.folders ?? []) {
      const name = one.label || one.folder;
      const action = {
        what: `folder ${name} on ${instance.title}`,
        arguments: { folder: one.folder, device: one.device },
      };
      items.push(
        h(
          "li",
          { key: `${instance.key} folder ${one.folder} ${one.device}` },
          h(
            "p",
            null,
            `Device ${deviceName(instance, one.device)} offers folder `,
            h("strong", null, name),
            ` to ${instance.title}. `,
            time(one.time, context.now),
          ),
          h(
            "p",
            { class: "buttons" },
            button(
              instance,
              {
                ...action,
                command: "accept_folder",
                label: "Accept",
                question: "The folder is added and shared with the device that offers it.",
              },
              allows,
            ),
            button(
              instance,
              {
                ...action,
                command: "dismiss_folder",
                label: "Dismiss",
                question: "The request disappears until the folder is offered again.",
              },
              allows,
            ),
          ),
        ),
      );
    }
  }
  return items.length ? [section("pending", "Pending requests", h("ul", { class: "cards" }, items))] : [];
}

/** @param {Instance} instance @param {any} id */
function deviceName(instance, id) {
  const short = String(id ?? "").slice(0, 7);
  return instance.devices.find((one) => one.id === short)?.name ?? short;
}

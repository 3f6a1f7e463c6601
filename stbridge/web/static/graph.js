// Small graphs of the transfer rates of the last hour.

import { h } from "./dom.js";
import { rate } from "./format.js";

const POINTS = 360;
const WIDTH = 180;
const HEIGHT = 32;

/** @param {number[]} series @param {number} largest */
function line(series, largest) {
  const first = POINTS - series.length;
  return series
    .map((value, at) => [
      ((first + at) / (POINTS - 1)) * WIDTH,
      HEIGHT - 1 - (Math.max(0, value) / largest) * (HEIGHT - 2),
    ])
    .map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`)
    .join(" ");
}

/** @param {[number[], number[]] | undefined} rates bytes per second, received and sent */
export function graph(rates) {
  const [received, sent] = rates ?? [[], []];
  const largest = Math.max(1, ...received, ...sent);
  const label =
    largest > 1 ? `Rates of the last hour, at most ${rate(largest)}` : "Nothing was transferred in the last hour";
  return h(
    "svg",
    {
      class: "graph",
      role: "img",
      "aria-label": label,
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
    },
    h("polyline", { class: "received", points: line(received, largest) }),
    h("polyline", { class: "sent", points: line(sent, largest) }),
  );
}

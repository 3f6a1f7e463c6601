"""How long a change takes from the stamp that Syncthing sets on its event to a subscriber.

The change is a folder that is paused or resumed: one event, whose effect shows in one topic. It is made again when
everybody has told of the one before.
"""

import json
import random
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from matplotlib.figure import Figure

from benchmarks import integration, stage
from benchmarks.quantiles import quantiles
from benchmarks.receipts import Receipt, Receipts
from benchmarks.section import Plot, Section, Table, Verdict
from stbridge.core.events import EVENT_TYPES
from stbridge.demo.node import SyncthingNode

FOLDER = "docs"
WARM_UP = 10
GIVE_UP_S = 5.0
PAUSE_S = (0.1, 0.3)
POLL_S = 10
MOST_TIMES = 1.5

BRIDGE, BARE, POLLING, CORE = "stbridge", "bare minimum", f"{POLL_S} s polling", "Home Assistant's own integration"
COLOURS = {BRIDGE: "tab:blue", BARE: "tab:gray", POLLING: "tab:orange", CORE: "tab:green"}

POLL = """
while :; do
    curl -sf -H "X-API-Key: $KEY" "$URL/rest/config/folders/docs" | mosquitto_pub -h 127.0.0.1 -p "$PORT" -t polled -s -q 1
    sleep "$SECONDS_BETWEEN"
done
"""

Figures = dict[str, list[float]]


def run(quick: bool) -> Section:  # noqa: FBT001 - what every benchmark is called with
    """Measure."""
    with stage.directory() as where, ExitStack() as ends:
        broker = ends.enter_context(stage.broker(where))
        node = ends.enter_context(stage.syncthing(where))
        for folder in (FOLDER, "photos", "music"):
            node.share(folder, where / folder, label=folder.capitalize())
        # the same folder changes several times a second here, for minutes: that would be slowed down
        ends.enter_context(stage.bridge(where, broker.port, node, STBRIDGE_MQTT__UPDATES_PER_SECOND="0"))
        ends.enter_context(_bare_minimum(node, broker.port))
        receipts = Receipts(broker.port, f"syncthing/alpha/folder/{FOLDER}", "baseline/#", "polled").start()
        ends.callback(receipts.stop)
        with _polling(node, broker.port):
            figures = Changes(node, receipts, {BRIDGE, BARE}).make(40 if quick else 400)
        why, with_core = integration.missing(), Figures()
        if why is None:
            try:
                with integration.watching(where / "hass", node, FOLDER, receipts):
                    with_core = Changes(node, receipts, {BRIDGE, BARE, CORE}).make(20 if quick else 200)
            except (AssertionError, OSError, KeyError) as error:  # what it is compared with must not end the rest
                why = f"it did not work: {type(error).__name__}: {str(error)[:200]}"
    return _section(figures, with_core, why)


@contextmanager
def _bare_minimum(node: SyncthingNode, port: int) -> Iterator[None]:
    with stage.program(*stage.module("baseline", node.url, node.api_key, str(port), ",".join(EVENT_TYPES))):
        yield


@contextmanager
def _polling(node: SyncthingNode, port: int) -> Iterator[None]:
    if not all(map(shutil.which, ("sh", "curl", "mosquitto_pub"))):
        yield
        return
    variables = {"URL": node.url, "KEY": node.api_key, "PORT": str(port), "SECONDS_BETWEEN": str(POLL_S)}
    with stage.program("sh", "-c", POLL, **variables):
        yield


@dataclass(slots=True)
class Change:
    """One change, and who has told of it when."""

    paused: bool
    awaited: frozenset[str]
    stamp_ns: int = 0
    told_ns: dict[str, int] = field(default_factory=dict)
    polled_ns: list[int] = field(default_factory=list)

    def take(self, receipt: Receipt) -> bool:
        """Take a message that came, and tell whether nothing more is awaited."""
        payload = json.loads(receipt.payload)
        if receipt.topic == "polled":
            self.polled_ns.append(receipt.at_ns)
        elif receipt.topic == ("baseline/FolderPaused" if self.paused else "baseline/FolderResumed"):
            self.stamp_ns = in_ns(payload["time"])
            self.told_ns.setdefault(BARE, receipt.at_ns)
        elif receipt.topic.endswith(FOLDER) and payload["paused"] is self.paused:
            self.told_ns.setdefault(BRIDGE, receipt.at_ns)
        elif receipt.topic == integration.TOPIC and (payload == integration.PAUSED) is self.paused:
            self.told_ns.setdefault(CORE, receipt.at_ns)
        return self.awaited <= self.told_ns.keys()


class Changes:
    """Makes changes, one after the other, and finds out when each was told.

    Args:
        node: where.
        receipts: what is told.
        awaited: who is to tell each change before the next is made.
    """

    def __init__(self, node: SyncthingNode, receipts: Receipts, awaited: set[str]) -> None:
        self._node = node
        self._receipts = receipts
        self._awaited = frozenset(awaited)
        self._pause = threading.Event()

    def make(self, count: int) -> Figures:
        """Make some changes, and return how many milliseconds each took to be told by whom."""
        for number in range(WARM_UP):
            self._change(paused=number % 2 == 0)
        return milliseconds([self._change(paused=number % 2 == 0) for number in range(count)])

    def _change(self, *, paused: bool) -> Change:
        # Home Assistant's own integration takes no notice of the end of a pause: the scan that follows shows it.
        change = Change(paused, self._awaited)
        self._node.request("PATCH", f"/rest/config/folders/{FOLDER}", body={"paused": paused})
        assert self._receipts.until(change.take, GIVE_UP_S), f"after {GIVE_UP_S} s only told by {set(change.told_ns)}"
        self._receipts.until(lambda one: change.take(one) and False, random.uniform(*PAUSE_S))
        return change


def milliseconds(changes: Sequence[Change]) -> Figures:
    """Return how long each change took, by who told it; a poll tells all that has changed since the one before."""
    figures: Figures = defaultdict(list)
    waiting: list[int] = []
    for change in changes:
        for who, told_ns in change.told_ns.items():
            if who != CORE or change.paused:
                figures[who].append((told_ns - change.stamp_ns) / 1e6)
        waiting.append(change.stamp_ns)
        for polled_ns in change.polled_ns:
            figures[POLLING] += [(polled_ns - stamp_ns) / 1e6 for stamp_ns in waiting if stamp_ns < polled_ns]
            waiting = [stamp_ns for stamp_ns in waiting if stamp_ns >= polled_ns]
    return figures


def in_ns(stamp: str) -> int:
    """Return a stamp of Syncthing, with its nanoseconds, as nanoseconds since 1970."""
    whole, _, rest = stamp.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    zone = rest[len(digits) :]
    return int(datetime.fromisoformat(whole + zone).timestamp()) * 10**9 + int(digits.ljust(9, "0"))


# --- what it tells


def _section(figures: Figures, with_core: Figures, why_not: str | None) -> Section:
    tables = [_table("Side by side, milliseconds", figures)]
    summary = [
        f"A folder of a real Syncthing is paused and resumed {len(figures[BRIDGE])} times, at random moments. Each time"
        " the bridge and the bare minimum (`benchmarks/baseline.py`: a long poll with the same mask of events, JSON, a"
        " publication, in one thread) wait for the same event, and compete for the same processors. What counts is the"
        " time from Syncthing's own stamp on the event to a subscriber's receipt, by the same clock.",
        "A loop of `curl` and `mosquitto_pub` cannot be followed change by change: what is counted is the time to the"
        " next poll, also where the state had changed again by then and nobody was ever told.",
    ]
    if with_core:
        tables.append(_table("With Home Assistant's own integration, milliseconds", with_core))
        summary.append(
            f"Home Assistant {integration.version()} follows the same Syncthing by its own integration"
            f" (`aiosyncthing` {integration.library()}), in a run of its own because its process takes time from the"
            " others. Counted are pauses, which it is told by an event; of the end of a pause it takes no notice."
        )
    else:
        summary.append(f"Home Assistant's own integration was not measured: {why_not}.")
    return Section(
        title="From a change to a subscriber",
        summary=summary,
        tables=tables,
        plots=[Plot(name="latency", figure=_figure({**with_core, **figures}), caption=CAPTION)],
        verdicts=list(_verdicts(figures)),
    )


CAPTION = "The share of changes that a subscriber knew of after so many milliseconds (logarithmic)."


def _table(title: str, figures: Figures) -> Table:
    rows = []
    for who in COLOURS:
        if values := figures.get(who):
            ratio = [own / bare for own, bare in zip(quantiles(values), quantiles(figures[BARE]), strict=True)]
            cells = [f"{value:.2f} ({times:.2f})" for value, times in zip(quantiles(values), ratio, strict=True)]
            rows.append([who, str(len(values)), *cells, f"{max(values):.2f}"])
    head = ["who tells", "changes", "median (times bare)", "90th percentile", "99th percentile", "longest"]
    return Table(title=title, head=head, rows=rows)


def _verdicts(figures: Figures) -> Iterator[Verdict]:
    names = ("median", "90th percentile", "99th percentile")
    for name, own, bare in zip(names, quantiles(figures[BRIDGE]), quantiles(figures[BARE]), strict=True):
        yield Verdict(
            aim=f"{name} at most {MOST_TIMES} times the bare minimum",
            measured=f"{own:.2f} ms, {own / bare:.2f} times {bare:.2f} ms",
            met=own / bare <= MOST_TIMES,
        )


def _figure(figures: Figures) -> Figure:
    figure = Figure(figsize=(8, 4))
    axes = figure.add_subplot(xscale="log", xlabel="milliseconds since Syncthing's stamp", ylabel="share of changes")
    for who, colour in COLOURS.items():
        if values := figures.get(who):
            ranked = sorted(values)
            shares = [(number + 1) / len(ranked) for number in range(len(ranked))]
            axes.step(ranked, shares, where="post", color=colour, label=who)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    return figure

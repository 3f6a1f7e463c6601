"""Time from Syncthing's timestamp of an event to the receipt of the change by a subscriber.

The change is a paused or resumed folder: one event, whose effect is visible in one topic. The next change is made
when all publishers have published the previous one.
"""

import json
import random
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from matplotlib.figure import Figure
from paho.mqtt.enums import MQTTProtocolVersion

from benchmarks import integration, stage
from benchmarks.quantiles import quantiles
from benchmarks.receipts import Receipt, Receipts
from benchmarks.section import Plot, Section, Table, Verdict
from stbridge.core.events import EVENT_TYPES
from stbridge.demo.node import SyncthingNode
from tests.servers import ANONYMOUS

FOLDERS = tuple(f"folder-{number}" for number in range(10))
"""Folders to change in turn, so that no topic reaches the bridge's rate limit."""

WARM_UP = 10
BLOCK = 10
GIVE_UP_S = 5.0
PAUSE_S = (0.1, 0.3)
SETTLE_S = 0.7
POLL_S = 10
MAX_RATIOS = {"median": 1.25, "90th percentile": 1.5, "99th percentile": 1.5}
"""Aims, as multiples of the bare minimum."""

BRIDGE, BARE, POLLING, CORE = "stbridge", "bare minimum", f"{POLL_S} s polling", "Home Assistant's own integration"
COLOURS = {BRIDGE: "tab:blue", BARE: "tab:gray", POLLING: "tab:orange", CORE: "tab:green"}

POLL = """
while :; do
    curl -sf -H "X-API-Key: $KEY" "$URL/rest/config/folders" | mosquitto_pub -h 127.0.0.1 -p "$PORT" -t polled -s -q 1
    sleep "$SECONDS_BETWEEN"
done
"""

Figures = dict[str, list[float]]


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure the latency of all publishers, in turn and at once."""
    with stage.directory() as where, ExitStack() as ends:
        broker = ends.enter_context(stage.broker(where, [ANONYMOUS, "set_tcp_nodelay true"]))
        node = ends.enter_context(stage.syncthing(where))
        for folder in FOLDERS:
            node.share(folder, where / folder)
        bridge = ends.enter_context(stage.bridge(where, broker.port, node))
        bare = ends.enter_context(stage.program(*_bare_minimum(node, broker.port)))
        filters = ("syncthing/alpha/folder/+", "baseline/#", "polled")
        # Parsing MQTT 5 properties, which only the bridge sends, would count as time of the bridge.
        receipts = Receipts(broker.port, *filters, protocol=MQTTProtocolVersion.MQTTv311).start()
        ends.callback(receipts.stop)
        changes = Changes(node, receipts)
        changes.make(WARM_UP, {BRIDGE, BARE})
        in_turn = changes.make_in_turn(20 if quick else 400, {BRIDGE: bridge.signal, BARE: bare.send_signal})
        with _polling(node, broker.port):
            at_once = milliseconds(changes.make(30 if quick else 200, {BRIDGE, BARE}))
        why, with_core = integration.missing(), Figures()
        if why is None:
            try:
                with integration.watching(where / "hass", node, receipts):
                    changes.make(WARM_UP, {BRIDGE, BARE})
                    with_core = milliseconds(changes.make(20 if quick else 150, {BRIDGE, BARE, CORE}))
            except (
                AssertionError,
                OSError,
                KeyError,
            ) as error:  # a failure of the integration must not stop the benchmark
                why = f"it failed: {type(error).__name__}: {str(error)[:200]}"
    return _section(in_turn, at_once, with_core, why)


def _bare_minimum(node: SyncthingNode, port: int) -> Sequence[str]:
    return stage.module("baseline", node.url, node.api_key, str(port), ",".join(EVENT_TYPES))


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
    """A change, and when each publisher has published it."""

    folder: str
    paused: bool
    awaited: frozenset[str]
    stamp_ns: int = 0
    received_ns: dict[str, int] = field(default_factory=dict)
    polled_ns: list[int] = field(default_factory=list)

    @property
    def event(self) -> str:
        """Type of its event."""
        return "FolderPaused" if self.paused else "FolderResumed"

    def take(self, receipt: Receipt) -> bool:
        """Process a message, and return whether all awaited publishers have published the change."""
        who, _, rest = receipt.topic.partition("/")
        if who == "polled":
            self.polled_ns.append(receipt.at_ns)
        elif self._is_received(who, rest, json.loads(receipt.payload)):
            self.received_ns.setdefault(WHO[who], receipt.at_ns)
        # Home Assistant's own integration does not notice the end of a pause.
        return self.received_ns.keys() >= (self.awaited if self.paused else self.awaited - {CORE})

    def _is_received(self, who: str, rest: str, payload: object) -> bool:
        if isinstance(payload, dict):
            if who == "baseline":
                return rest == self.event and payload["data"]["id"] == self.folder
            return payload.get("id") == self.folder and payload["paused"] is self.paused
        return self.paused and rest == self.folder and payload == integration.PAUSED


WHO = {"syncthing": BRIDGE, "baseline": BARE, integration.TOPIC: CORE}
"""Publisher by the first level of the topic."""


class Changes:
    """Makes consecutive changes, and records when each was published.

    Args:
        node: the instance to change.
        receipts: the received messages.
    """

    def __init__(self, node: SyncthingNode, receipts: Receipts) -> None:
        self._node = node
        self._receipts = receipts
        self._made = 0
        self._last_event = 0
        self._events(timeout_s=0)  # Syncthing keeps events of a mask from the first request with that mask on

    def make(self, count: int, awaited: set[str]) -> list[Change]:
        """Make some changes, each after all awaited publishers have published the previous one."""
        return [self._make(frozenset(awaited)) for _ in range(count)]

    def make_in_turn(self, count: int, stoppable: Mapping[str, Callable[[signal.Signals], None]]) -> Figures:
        """Make blocks of changes, each with only one publisher; the other processes are suspended."""
        figures: Figures = {who: [] for who in stoppable}
        while len(figures[BARE]) < count:
            for who in stoppable:
                others = [send for other, send in stoppable.items() if other != who]
                for send in others:
                    send(signal.SIGSTOP)
                try:
                    figures[who] += milliseconds(self.make(BLOCK, {who}))[who]
                finally:
                    for send in others:
                        send(signal.SIGCONT)
                self._receipts.until(lambda _: False, SETTLE_S)
        return figures

    def _make(self, awaited: frozenset[str]) -> Change:
        change = Change(FOLDERS[self._made // 2 % len(FOLDERS)], self._made % 2 == 0, awaited)
        self._made += 1
        self._node.request("PATCH", f"/rest/config/folders/{change.folder}", body={"paused": change.paused})
        assert self._receipts.until(change.take, GIVE_UP_S), (
            f"after {GIVE_UP_S} s published only by {set(change.received_ns)}"
        )
        self._receipts.until(lambda one: change.take(one) and False, random.uniform(*PAUSE_S))
        [event] = self._events(timeout_s=1)
        assert (event["type"], event["data"]["id"]) == (change.event, change.folder)
        change.stamp_ns = in_ns(event["time"])
        assert all(received_ns > change.stamp_ns for received_ns in change.received_ns.values()), (
            "published before it happened"
        )
        return change

    def _events(self, *, timeout_s: int) -> list[dict[str, Any]]:
        """Return the change events since the last call; their mask has its own event buffer."""
        query = {"events": "FolderPaused,FolderResumed", "since": self._last_event, "timeout": timeout_s}
        events: list[dict[str, Any]] = self._node.request("GET", "/rest/events", query)
        self._last_event += len(events)
        return events


def milliseconds(changes: Sequence[Change]) -> Figures:
    """Return the latencies by publisher; a poll publishes all changes since the previous poll."""
    figures: Figures = defaultdict(list)
    waiting: list[int] = []
    for change in changes:
        for who, received_ns in change.received_ns.items():
            figures[who].append((received_ns - change.stamp_ns) / 1e6)
        waiting.append(change.stamp_ns)
        for polled_ns in change.polled_ns:
            figures[POLLING] += [(polled_ns - stamp_ns) / 1e6 for stamp_ns in waiting if stamp_ns < polled_ns]
            waiting = [stamp_ns for stamp_ns in waiting if stamp_ns >= polled_ns]
    return figures


def in_ns(stamp: str) -> int:
    """Convert a timestamp of Syncthing, including its nanoseconds, to nanoseconds since 1970."""
    whole, _, rest = stamp.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    zone = rest[len(digits) :]
    return int(datetime.fromisoformat(whole + zone).timestamp()) * 10**9 + int(digits.ljust(9, "0"))


# --- report


def _section(in_turn: Figures, at_once: Figures, with_core: Figures, why_not: str | None) -> Section:
    how = (
        f"One of {len(FOLDERS)} folders of a real Syncthing instance is paused or resumed, at random moments, one "
        "change after the other. Measured is the time from Syncthing's timestamp of the event to its receipt by a "
        "subscriber, by the same clock. The bare minimum is `benchmarks/baseline.py`: a long poll with the same event "
        "mask, JSON and a publication, in one thread. The subscriber uses MQTT 3.1.1, the default of `mosquitto_sub` "
        "and Node-RED. Mosquitto sends without delay (`set_tcp_nodelay true`); otherwise it delays some messages of "
        "every publisher by 40 ms."
    )
    turns = (
        f"In turn: {len(in_turn[BRIDGE])} changes each, in blocks of {BLOCK}, while the other process is suspended. "
        "Each competes only with Syncthing, the broker and the subscriber. The aims refer to these figures. At once: "
        "both wait for the same event and compete for the processors, so the figures depend mainly on the processors."
    )
    polling = (
        f"A loop of `curl`, `mosquitto_pub` and a pause of {POLL_S} s does not publish each change. Measured is the "
        "time to the next poll, even if the state had changed again by then and the change was never published."
    )
    tables = [_table("In turn, milliseconds", in_turn), _table("At once, milliseconds", at_once)]
    if with_core:
        tables.append(_table("At once, with Home Assistant's own integration, milliseconds", with_core))
        core = (
            f"Home Assistant {integration.version()} follows the same Syncthing instance by its own integration "
            f"(`aiosyncthing` {integration.library()}), without a broker. Its websocket reports when the sensor of the "
            "folder is `paused`. The integration follows only a few event types; it does not notice the end of a pause."
        )
    else:
        core = f"Home Assistant's own integration was not measured: {why_not}."
    shown = {**with_core, **at_once, **in_turn}
    return Section(
        title="From a change to a subscriber",
        summary=[how, turns, polling, core, BEFORE],
        tables=tables,
        plots=[Plot(name="latency", figure=_figure(shown), caption=CAPTION)],
        verdicts=list(_verdicts(in_turn)),
    )


BEFORE = (
    "Before an event passed from Syncthing's answer to the outbox in one call, with several hand-overs between threads,"
    " the bridge took 2.36 ms (1.48 times the bare minimum) at the median and 4.57 ms (0.88 times) at the 99th"
    " percentile, measured in turn on the same machine."
)
CAPTION = (
    "Share of changes that a subscriber had received, by milliseconds (logarithmic); bridge and bare minimum are "
    "measured in turn."
)


def _table(title: str, figures: Figures) -> Table:
    rows = []
    for who in COLOURS:
        if values := figures.get(who):
            pairs = zip(quantiles(values), quantiles(figures[BARE]), strict=True)
            cells = [f"{own:.2f}" if who == BARE else f"{own:.2f} ({own / bare:.2f} times)" for own, bare in pairs]
            rows.append([who, str(len(values)), *cells, f"{max(values):.2f}"])
    return Table(title=title, head=["publisher", "changes", *MAX_RATIOS, "longest"], rows=rows)


def _verdicts(figures: Figures) -> Iterator[Verdict]:
    measured = zip(MAX_RATIOS.items(), quantiles(figures[BRIDGE]), quantiles(figures[BARE]), strict=True)
    for (name, max_ratio), own, bare in measured:
        yield Verdict(
            aim=f"{name} at most {max_ratio} times the bare minimum",
            measured=f"{own:.2f} ms, {own / bare:.2f} times {bare:.2f} ms",
            met=own / bare <= max_ratio,
        )


def _figure(figures: Figures) -> Figure:
    figure = Figure(figsize=(8, 4))
    axes = figure.add_subplot(
        xscale="log", xlabel="milliseconds since Syncthing's timestamp", ylabel="share of changes"
    )
    for who, colour in COLOURS.items():
        if values := figures.get(who):
            ranked = sorted(values)
            shares = [(number + 1) / len(ranked) for number in range(len(ranked))]
            axes.step(ranked, shares, where="post", color=colour, label=who)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    return figure

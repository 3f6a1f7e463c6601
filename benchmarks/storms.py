"""Ten thousand events a second: correctness of the final state, and latency of other folders."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from matplotlib.figure import Figure

from benchmarks.audience import busiest
from benchmarks.fake.fleet import Fleet
from benchmarks.fake.syncthing import folder_id
from benchmarks.quantiles import quantiles
from benchmarks.section import Plot, Section, Table, Verdict
from benchmarks.service import Service, service
from benchmarks.usage import Looks
from stbridge.core.topic_rate import BURST
from tests.servers import eventually

FOLDERS, DEVICES, BEACONS = 100, 10, 10
RATE = 10_000
BEACON_EVERY_S = 2.0
LONGEST_S = 60.0
RIGHT_S = 30.0
MOST_LATENCY_MS = 1000.0
MOST_MORE_MB = 50.0
PACE = "STBRIDGE_MQTT__UPDATES_PER_SECOND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Results of a storm.

    Attributes:
        name: name of the storm.
        events: number of events.
        seconds: duration of the events.
        cpu_s: processor time of the bridge.
        memory_mb: memory of the bridge before the storm.
        more_mb: maximum growth of that memory.
        messages: number of messages to the broker in each second of the storm.
        busiest: messages per second of the busiest state topic, averaged over the second half.
        latencies: arrival of each change of a quiet folder in seconds from the start, and its latency in milliseconds.
        reread: number of times that the whole state was read again because events were lost.
        right_after_s: seconds from the last event until every topic was correct.
        wrong: topics that stayed wrong.
    """

    name: str
    events: int
    seconds: float
    cpu_s: float
    memory_mb: float
    more_mb: float
    messages: Sequence[int]
    busiest: float
    latencies: Sequence[tuple[float, float]]
    reread: int
    right_after_s: float
    wrong: Sequence[str]


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure a storm with and without the rate limit."""
    usual = storm("default settings", seconds=5 if quick else 30)
    unbounded = storm("without a rate limit of updates", seconds=3 if quick else 15, **{PACE: "0"})
    return Section(
        title=f"Storms: {RATE:,} events a second",
        summary=[
            (
                f"A fake Syncthing instance with {FOLDERS} folders x {DEVICES} devices has {RATE:,} events a second"
                f" about {FOLDERS - BEACONS} of the folders: state changes, summaries and completions. Its event buffer"
                " holds 1,000 events, as that of a real one: a bridge that is a tenth of a second late misses some, and"
                " reads the whole state again."
            ),
            (
                f"Each of the other {BEACONS} folders changes every {BEACON_EVERY_S:.0f} s. Measured is the time from"
                " that change to its receipt by a subscriber. At the end each topic is compared with the state of the"
                " fake."
            ),
        ],
        tables=[_table([usual, unbounded])],
        plots=[_plot(usual)],
        verdicts=_verdicts(usual),
    )


def storm(name: str, *, seconds: float, **variables: str) -> Weather:
    """Run a storm, and return its results."""
    beacons = frozenset(f"syncthing/fake0/folder/{folder_id(one)}" for one in range(FOLDERS - BEACONS, FOLDERS))
    with (
        Fleet(folders=FOLDERS, devices=DEVICES) as fleet,
        service(fleet, closely=beacons, **variables) as one,
    ):
        one.wait_until_complete(FOLDERS, DEVICES, LONGEST_S)
        one.wait_until_quiet()
        began_at = monotonic()
        with Looks(one.process) as looks:
            blown = fleet.call(
                "storm",
                rate=RATE,
                seconds=seconds,
                stirred=FOLDERS - BEACONS,
                beacons=BEACONS,
                beacon_every_s=BEACON_EVERY_S,
            )
            right_after_s = _right_after_s(fleet, one)
        by_second = [one.audience.by_second[int(began_at) + second] for second in range(1, int(seconds))]
        weather = Weather(
            name=name,
            events=int(blown["events"]),
            seconds=blown["seconds"],
            cpu_s=looks.cpu_s,
            memory_mb=looks.usages[0].memory_mb,
            more_mb=looks.more_mb,
            messages=[counts.total() for counts in by_second],
            busiest=_busiest(by_second[len(by_second) // 2 :]),
            latencies=[
                (at - began_at, _latency_ms(at, payload)) for at, _, payload in one.audience.kept if at > began_at
            ],
            reread=fleet.call("requests")["/rest/config"] - 1,
            right_after_s=right_after_s,
            wrong=list(_wrong(fleet, one)),
        )
    sys.stdout.write(f"  {name}: {weather.events:,} events in {weather.seconds:.1f} s\n")
    sys.stdout.flush()
    return weather


def _busiest(by_second: Sequence[Counter[str]]) -> float:
    return busiest(sum(by_second, Counter())) / len(by_second)


def _latency_ms(at: float, payload: bytes) -> float:
    changed_at_us = json.loads(payload)["global_files"]
    return float(at * 1000 - changed_at_us / 1000)


def _right_after_s(fleet: Fleet, one: Service) -> float:
    """Wait until all topics are correct or 30 s have passed, and return the seconds."""
    began_at = monotonic()
    with suppress(AssertionError):
        eventually(lambda: not _wrong(fleet, one), RIGHT_S)
    return monotonic() - began_at


def _wrong(fleet: Fleet, one: Service) -> Sequence[str]:
    """Return the topics that differ from the state of the fake."""
    wrong = []
    for folder, summary in fleet.call("folders").items():
        published = _published(one, f"folder/{folder}")
        true = (summary["state"], summary["needBytes"], summary["globalFiles"])
        if (published.get("state"), published.get("need_bytes"), published.get("global_files")) != true:
            wrong.append(folder)
    for device, folder, completion in fleet.call("completions"):
        if _published(one, f"completion/{device[:7]}/{folder}").get("need_bytes") != completion["needBytes"]:
            wrong.append(f"{device[:7]}/{folder}")
    return wrong


def _published(one: Service, topic: str) -> Any:
    return json.loads(one.audience.newest.get(f"syncthing/fake0/{topic}", b"{}"))


def _table(storms: Sequence[Weather]) -> Table:
    rows = []
    for one in storms:
        median, most, nearly_all = quantiles([latency for _, latency in one.latencies])
        rows.append(
            (
                one.name,
                f"{one.events:,} in {one.seconds:.0f} s",
                f"{one.cpu_s / one.events * 1e6:.0f}",
                f"{one.memory_mb:.0f} + {one.more_mb:.0f}",
                f"{sum(one.messages) / len(one.messages):,.0f}",
                f"{one.busiest:.1f}",
                f"{median:.0f}, {most:.0f}, {nearly_all:.0f}, {max(latency for _, latency in one.latencies):.0f}",
                f"{one.reread}",
                f"{one.right_after_s:.1f}",
                f"{len(one.wrong)}",
            )
        )
    return Table(
        title="Two storms",
        head=(
            "storm",
            "events",
            "processor time per event, µs",
            "memory, MB",
            "messages per second",
            "messages of the busiest topic per second",
            "latency of other folders, ms: median, 90th, 99th, maximum",
            "reads of the whole state",
            "correct after, s",
            "topics wrong at the end",
        ),
        rows=rows,
    )


def _plot(weather: Weather) -> Plot:
    figure = Figure(figsize=(9, 4.5))
    above, below = figure.subplots(2, 1, sharex=True)
    above.scatter([at for at, _ in weather.latencies], [latency for _, latency in weather.latencies], s=8)
    above.set_ylabel("latency of\nother folders, ms")
    above.set_ylim(0, 1.1 * max(latency for _, latency in weather.latencies))
    below.step(range(1, len(weather.messages) + 1), weather.messages, where="post")
    below.set_ylabel("messages per second")
    below.set_xlabel(f"seconds since the beginning of {RATE:,} events a second")
    below.set_ylim(0, 1.1 * max(weather.messages))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return Plot(name="storms", figure=figure, caption="A storm: latency of other folders, and messages to the broker.")


def _verdicts(weather: Weather) -> Sequence[Verdict]:
    latencies = [latency for _, latency in weather.latencies]
    median, _, nearly_all = quantiles(latencies)
    return [
        Verdict(
            aim=f"{RATE:,} events a second end in the right state",
            measured=f"{len(weather.wrong)} topics wrong after {weather.events:,} events"
            f" in {weather.seconds:.0f} s, whole state read again {weather.reread} times",
            met=not weather.wrong and weather.events >= 0.95 * RATE * weather.seconds,
        ),
        Verdict(
            aim="changes of other folders are published within a second meanwhile",
            measured=f"median {median:.0f} ms, 99th percentile {nearly_all:.0f} ms, maximum {max(latencies):.0f} ms",
            met=max(latencies) < MOST_LATENCY_MS,
        ),
        Verdict(
            aim="memory is bounded",
            measured=f"{weather.more_mb:.0f} MB more than before",
            met=weather.more_mb < MOST_MORE_MB,
        ),
        Verdict(
            aim="a topic that keeps changing is published at the rate of `mqtt.updates_per_second` (2)",
            measured=f"{weather.busiest:.1f} messages a second of the busiest topic, in the second half of the storm",
            # a topic that paused for a moment may send a burst
            met=weather.busiest <= 2 + 2 * BURST / len(weather.messages),
        ),
    ]

"""Cost of folders, devices and instances: time until all topics are published, memory, and cost of an event."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.fake.fleet import Fleet
from benchmarks.section import Plot, Section, Table, Verdict
from benchmarks.service import Cost, Service, service
from benchmarks.usage import Usage

CURVE = (1, 10, 100, 300, 1000)
DEVICES = 10
LONGEST_S = 240.0
LARGE_S, MANY_S = 25.0, 6.0
"""Aims: seconds until 1,000 folders x 100 devices, and 50 instances x 20 folders x 10 devices, are published."""

RATE, STORM_S, WARM_UP_S = 500, 8.0, 2.0
WITHIN = 0.25
"""Relative difference up to which two values count as equal, which is the precision of the measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Measurements with a number of instances, folders and devices."""

    instances: int
    folders: int
    devices: int
    online_s: float
    complete_s: float
    usage: Usage
    cost: Cost

    @property
    def shares(self) -> int:
        """Number of published completions, which are most of the topics."""
        return self.instances * self.folders * self.devices

    @property
    def name(self) -> str:
        """Name in tables."""
        several = f"{self.instances} instances x " if self.instances > 1 else ""
        return f"{several}{self.folders:,} folders x {self.devices} devices"


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure setups of different size."""
    storm_s = 2.0 if quick else STORM_S
    curve = [measure(folders=one, devices=DEVICES, storm_s=storm_s) for one in (CURVE[:3] if quick else CURVE)]
    large = measure(folders=100 if quick else 1000, devices=100, storm_s=storm_s)
    many = measure(instances=5 if quick else 50, folders=20, devices=10, storm_s=storm_s)
    return Section(
        title="Scale: folders, devices, instances",
        summary=[
            (
                "The Syncthing instances are fakes (`benchmarks/fake`), which send recorded answers of real ones and"
                " use a seventh of a core for 10,000 events a second. All devices share all folders, so most topics are"
                " completions. One request for each device shows that all its folders are complete. A device that needs"
                " something, or an instance with few completions, takes one request for each completion. The devices"
                " are not connected: the remote states of connected ones are read later, 50 in a second."
            ),
            (
                "Before one request showed whether a device is complete, 1,000 folders x 100 devices were online after"
                " 33 s and complete after 120 s, and 50 instances x 20 folders x 10 devices after 23 s."
            ),
            (
                f"The cost of an event is the bridge's processor time for {RATE} events a second about one folder,"
                f" during {storm_s:.0f} s, with any number of other folders. With many instances the events are spread"
                " over all instances, so nearly each event needs its own request, which costs much more than the event."
            ),
        ],
        tables=[_table([*curve, large, many])],
        plots=[_plot(curve)],
        verdicts=list(_verdicts(curve, large, many)),
    )


def measure(*, instances: int = 1, folders: int, devices: int, storm_s: float) -> Point:
    """Start a bridge with these numbers, and measure its start and the cost of events."""
    with (
        Fleet(instances=instances, folders=folders, devices=devices, connected=False) as fleet,
        service(fleet) as one,
    ):
        complete_s = one.wait_until_complete(instances * folders, devices, LONGEST_S)
        one.wait_until_quiet()
        usage = one.usage
        point = Point(
            instances=instances,
            folders=folders,
            devices=devices,
            online_s=one.online_after_s,
            complete_s=complete_s,
            usage=usage,
            cost=_cost(one, storm_s, spread=instances > 1),
        )
    sys.stdout.write(f"  {point.name}: complete after {complete_s:.1f} s, {usage.memory_mb:.0f} MB\n")
    sys.stdout.flush()
    return point


def _cost(one: Service, storm_s: float, *, spread: bool) -> Cost:
    one.fleet.call("storm", rate=RATE, seconds=WARM_UP_S, stirred=1, spread=spread)  # uses up the rate limits
    one.wait_until_quiet()
    return one.cost_of(rate=RATE, seconds=storm_s, stirred=1, spread=spread)


def _table(points: Sequence[Point]) -> Table:
    return Table(
        title="From the start of the process, and for each event",
        head=(
            "setup",
            "online after, s",
            "all known after, s",
            "processor time until then, s",
            "resident, MB",
            "threads",
            "processor time per event, µs",
            "messages per event",
            "requests per event",
        ),
        rows=[
            (
                one.name,
                f"{one.online_s:.1f}",
                f"{one.complete_s:.1f}",
                f"{one.usage.cpu_s:.1f}",
                f"{one.usage.memory_mb:.0f}",
                f"{one.usage.threads}",
                f"{one.cost.cpu_us:.0f}",
                f"{one.cost.messages:.2f}",
                f"{one.cost.requests:.2f}",
            )
            for one in points
        ],
    )


def _plot(curve: Sequence[Point]) -> Plot:
    figure = Figure(figsize=(12, 3.6))
    folders = [one.folders for one in curve]
    panels: Sequence[tuple[str, Sequence[float]]] = (
        ("all known after, s", [one.complete_s for one in curve]),
        ("resident memory, MB", [one.usage.memory_mb for one in curve]),
        ("processor time per event, µs", [one.cost.cpu_us for one in curve]),
    )
    for place, (label, values) in enumerate(panels, start=1):
        axes: Axes = figure.add_subplot(1, len(panels), place)
        axes.plot(folders, values, marker="o")
        axes.set_xlabel(f"folders, each shared with {DEVICES} devices")
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.1 * max(values))
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return Plot(
        name="scale",
        figure=figure,
        caption="Time until all is known and memory grow with the number of folders; the cost of an event does not.",
    )


def _verdicts(curve: Sequence[Point], large: Point, many: Point) -> Sequence[Verdict]:
    costs = [one.cost.cpu_us for one in curve]
    middle = sorted(costs)[len(costs) // 2]
    times = [_each(one.usage.cpu_s - curve[0].usage.cpu_s, one, curve[0]) for one in curve[2:]]
    memory = [_each(one.usage.memory_mb - curve[0].usage.memory_mb, one, curve[0]) for one in curve[2:]]
    return [
        Verdict(
            aim="the cost of an event does not depend on the number of folders",
            measured=f"{min(costs):.0f} to {max(costs):.0f} µs, from 1 to {curve[-1].folders:,} folders",
            met=max(costs) < (1 + 2 * WITHIN) * middle and costs[-1] < (1 + WITHIN) * middle,
        ),
        Verdict(
            aim="the processor time until all is known is linear in the number of completions",
            measured=_range(times, 1000, "ms for each additional completion"),
            met=_alike(times),
        ),
        Verdict(
            aim="memory is linear in the number of completions",
            measured=_range(memory, 1024, "KB for each additional completion, including its share of a folder"),
            met=memory[-1] <= (1 + WITHIN) * memory[0],
        ),
        _all_there(large, LARGE_S),
        _all_there(many, MANY_S),
    ]


def _each(more: float, one: Point, first: Point) -> float:
    return more / (one.shares - first.shares)


def _range(values: Sequence[float], factor: float, unit: str) -> str:
    return f"{min(values) * factor:.1f} to {max(values) * factor:.1f} {unit}"


def _alike(values: Sequence[float]) -> bool:
    return max(values) <= (1 + WITHIN) * min(values)


def _all_there(point: Point, most_s: float) -> Verdict:
    return Verdict(
        aim=f"{point.name} in one process: everything is published within {most_s:.0f} s",
        measured=f"online after {point.online_s:.1f} s, with {point.shares:,} completions after"
        f" {point.complete_s:.1f} s, {point.usage.memory_mb:.0f} MB",
        met=point.complete_s <= most_s,
    )

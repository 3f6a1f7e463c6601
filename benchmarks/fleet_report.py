"""The section of the report about a fleet of bridges."""

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from statistics import median

from matplotlib.figure import Figure

from benchmarks.company import LONGEST_S
from benchmarks.fleet_results import HERD_S, Arrival, Deaths, Memory, Period, most_at_once
from benchmarks.quantiles import MOST, quantile
from benchmarks.section import Plot, Section, Table, Verdict

MOST_RECOVERY_S = 5.0
MOST_AT_ONCE = 0.5
"""A herd is more than this share of all bridges that connect within HERD_S."""

MOST_NAMED = 5
"""Maximum number of bridges that a verdict names."""

BIN_S = 0.25


def section(
    number: int,
    arrivals: Sequence[Arrival],
    periods: Sequence[Period],
    memory: Memory,
    deaths: Deaths,
    *,
    folders: int,
    devices: int,
) -> Section:
    """Return the section of the report.

    Args:
        number: number of bridges.
        arrivals: every start and restart, the start of all bridges first.
        periods: the steady cost.
        memory: the memory after the start.
        deaths: what happened when some bridges were killed.
        folders: number of folders of each instance.
        devices: number of devices of each instance.
    """
    outages, values = [one for one in arrivals if one.outage_s], memory.values
    return Section(
        title="A fleet: many bridges on one broker",
        summary=[
            (
                f"{number} bridges run on one Mosquitto. Its queue for each client is unlimited, because the subscriber"
                " that checks must not miss a message after a restart. Each bridge runs in its own process"
                f" (`benchmarks/bridges.py`) and with its own fake Syncthing instance of {folders} folders x {devices}"
                " connected devices. All processes are forked after all imports, which real bridges do on their own"
                " machines. All of them, the fakes, the broker and the subscriber that checks share the processors of"
                f" this machine ({os.cpu_count()} cores, {os.getloadavg()[0]:.0f} processes ready to run when the"
                " measurement ended), so times are longer than in a real fleet. Compare processor times and numbers"
                " of messages."
            ),
            (
                f"Every topic of every bridge is compared with the state of its fake instance:"
                f" {arrivals[0].topics:,} topics. The first folder and the first device are different for each bridge."
                " *Right* is the time when the last topic is equal, at a subscriber of all topics. Afterwards, a new"
                " subscriber reads everything again, one bridge at a time; additional topics, and a `bridge/health`"
                " that has a message, count as wrong. While the broker is stopped, every instance changes, so no topic"
                " that the broker has kept is right by chance."
            ),
            (
                "Attempts to connect are counted in the bridges (an audit hook of Python), because no server sees"
                f" those that are refused. A herd means that more than {MOST_AT_ONCE:.0%} of the bridges connect within"
                f" {HERD_S * 1000:.0f} ms. *Killed* means that half of the bridges get SIGKILL at once."
            ),
            (
                f"After the start, the broker has {values['clients/connected']:.0f} clients,"
                f" {values['subscriptions/count']:.0f} subscriptions and {values['retained messages/count']:,.0f}"
                f" retained messages including its own, {memory.broker_files} open files and sockets, and"
                f" {memory.broker:.0f} MB of resident memory. A bridge has {median(memory.resident):.1f} MB of resident"
                f" memory ({max(memory.resident):.1f} MB at most), of which {median(memory.private):.1f} MB are its own"
                " and the rest is shared with the process from which it was forked."
            ),
        ],
        tables=[_arrivals(arrivals), _attempts(outages), _periods(number, periods), _deaths(deaths)],
        plots=[_plot(outages)],
        verdicts=_verdicts(number, arrivals, outages, deaths),
    )


def _arrivals(arrivals: Sequence[Arrival]) -> Table:
    return Table.of(
        "Seconds from the start of the bridges, or from when the broker serves again",
        arrivals,
        {
            "what": lambda one: one.name,
            "bridges": lambda one: f"{len(one.bridges) - len(one.unseen)} of {len(one.bridges)}",
            "online: median, 90th percentile, last": lambda one: _spread(one.online_s.values()),
            "right: median, 90th percentile, last": lambda one: _spread(one.right_s.values()),
            "processor time of the broker, s": lambda one: f"{one.broker_cpu_s:.2f}",
            "of all bridges, s": lambda one: f"{one.bridges_cpu_s:.1f}",
            "wrong topics": lambda one: f"{len(one.wrong)} of {one.topics:,}",
        },
    )


def _attempts(outages: Sequence[Arrival]) -> Table:
    def each_second(one: Arrival) -> str:
        return f"{len(one.during_outage) / len(one.bridges) / one.outage_s:.2f}"

    def at_once(one: Arrival) -> str:
        return f"{most_at_once(one.during_outage)} while it is stopped, {most_at_once(one.after_outage)} afterwards"

    return Table.of(
        "Attempts to connect in an outage of the broker",
        outages,
        {
            "what": lambda one: one.name,
            "without a broker, s": lambda one: f"{one.outage_s:.1f}",
            "attempts while there is no broker": lambda one: f"{len(one.during_outage)}",
            "for each bridge and second": each_second,
            "attempts when it serves again": lambda one: f"{len(one.after_outage)}",
            f"most attempts within {HERD_S * 1000:.0f} ms": at_once,
        },
    )


def _periods(number: int, periods: Sequence[Period]) -> Table:
    def share(cpu_s: float, one: Period, digits: int) -> str:
        return f"{100 * cpu_s / one.seconds:.{digits}f}"

    return Table.of(
        "Steady cost",
        periods,
        {
            "what happens in Syncthing": lambda one: one.name,
            "packets to the broker per second": lambda one: f"{one.counted['messages/received'] / one.seconds:.1f}",
            "bytes per second": lambda one: f"{one.counted['bytes/received'] / one.seconds:,.0f}",
            "broker, % of a core": lambda one: share(one.broker_cpu_s, one, 2),
            "all bridges, % of a core": lambda one: share(one.bridges_cpu_s, one, 1),
            "a bridge, % of a core": lambda one: share(one.bridges_cpu_s / number, one, 2),
        },
    )


def _deaths(deaths: Deaths) -> Table:
    return Table.of(
        "Killed bridges",
        [deaths],
        {
            "killed": lambda one: f"{len(one.killed)}",
            "last wills": lambda one: f"{len(one.last_will_s)}",
            "last wills of other bridges": lambda one: f"{len(one.others)}",
            "seconds until the last will: median, 90th, last": lambda one: _spread(one.last_will_s.values()),
        },
    )


def _spread(times: Iterable[float]) -> str:
    values = list(times)
    if not values:
        return "none"
    return f"{median(values):.1f}, {quantile(values, MOST):.1f}, {max(values):.1f}"


def _plot(outages: Sequence[Arrival]) -> Plot:
    figure = Figure(figsize=(9, 1.8 * len(outages)))
    for place, one in enumerate(outages, start=1):
        axes = figure.add_subplot(len(outages), 1, place)
        counts = Counter(math.floor(at / BIN_S) for at in (*one.during_outage, *one.after_outage))
        places = range(min(counts, default=0), max(counts, default=0) + 1)
        axes.bar([at * BIN_S for at in places], [counts[at] for at in places], width=BIN_S, align="edge")
        axes.axvline(0, color="black", linestyle="--")
        axes.set_title(one.name, fontsize="small", loc="left")
        axes.set_ylabel(f"attempts\nin {BIN_S} s", fontsize="small")
        axes.grid(alpha=0.3)
    axes.set_xlabel("seconds since the broker serves again")
    figure.tight_layout()
    return Plot(
        name="fleet",
        figure=figure,
        caption="Attempts of all bridges to connect, from the end of the broker; the dashed line is its start.",
    )


def _verdicts(
    number: int, arrivals: Sequence[Arrival], outages: Sequence[Arrival], deaths: Deaths
) -> Sequence[Verdict]:
    wrong = sum(len(one.wrong) for one in arrivals)
    unseen = {base for one in arrivals for base in one.unseen}
    slowest = max(outages, key=_slowest_s)
    late = [sum(one.right_s.get(base, LONGEST_S) > MOST_RECOVERY_S for base in one.bridges) for one in outages]
    never = {base for one in outages for base in one.bridges if base not in one.right_s}
    most = max(most_at_once(times) for one in outages for times in (one.during_outage, one.after_outage))
    silent = {base for one in outages for base in one.without_attempt}
    return [
        Verdict(
            aim=f"{number} bridges on one broker: everything is published and correct",
            measured=f"{wrong} wrong topics in {len(arrivals)} comparisons of {arrivals[0].topics:,} topics"
            + _named("not seen in time", unseen),
            met=not wrong and not unseen,
        ),
        Verdict(
            aim=f"all topics of {number} bridges are right {MOST_RECOVERY_S:.0f} s after the broker serves again",
            measured=f"after {_slowest_s(slowest):.1f} s at most ({slowest.name});"
            f" later than that: {', '.join(map(str, late))} bridges" + _named("never right", never),
            met=not any(late),
        ),
        Verdict(
            aim=f"no herd: at most {MOST_AT_ONCE:.0%} of the bridges connect within {HERD_S * 1000:.0f} ms",
            measured=f"{most} of {number}" + _named("no attempt recorded", silent),
            met=False if most > MOST_AT_ONCE * number else None if silent else True,
        ),
        Verdict(
            aim="all last wills of killed bridges arrive, and no other",
            measured=f"{len(deaths.last_will_s)} of {len(deaths.killed)}, and {len(deaths.others)} others"
            + _named("missing", deaths.missing)
            + _named("of others", deaths.others),
            met=not deaths.missing and not deaths.others,
        ),
    ]


def _slowest_s(one: Arrival) -> float:
    """Return when the last bridge was right; a bridge that was never right counts with the longest wait."""
    return max(one.right_s.get(base, LONGEST_S) for base in one.bridges)


def _named(what: str, bases: Collection[str]) -> str:
    """Return the names of bridges that would otherwise be missing in a figure; nothing if there are none."""
    if not bases:
        return ""
    more = f" and {len(bases) - MOST_NAMED} more" if len(bases) > MOST_NAMED else ""
    return f"; {what}: {', '.join(sorted(bases)[:MOST_NAMED])}{more}"

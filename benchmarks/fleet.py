"""A hundred bridges on one broker: start and steady cost, restarts of the broker, and the death of half of them."""

import json
import math
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from matplotlib.figure import Figure
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import stage
from benchmarks.bridges import Bridges, Plan
from benchmarks.expected import INSTANCE, Examiner, Expected, expected, is_right
from benchmarks.fake.fleet import Fleet
from benchmarks.fake.syncthing import FILES
from benchmarks.quantiles import MOST, quantile
from benchmarks.section import Plot, Section, Table, Verdict
from benchmarks.usage import Usage
from tests.servers import ANONYMOUS, PATIENCE_S, Mosquitto, eventually

BRIDGES, QUICK_BRIDGES = 100, 10
FOLDERS, DEVICES = 10, 3
STEADY_S, QUICK_STEADY_S = 120.0, 15.0
SETTLE_S, QUICK_SETTLE_S = 30.0, 5.0
BUSY_S, QUICK_BUSY_S, EVENTS_EACH = 30.0, 5.0, 2
OUTAGE_S = 20.0
LONGEST_S = 120.0
MOST_RECOVERY_S = 5.0
HERD_S, MOST_AT_ONCE = 0.1, 0.5
"""A herd is more than this share of all bridges that connect within this time."""

BIN_S = 0.25
SILENCE_S = 0.3
BROKER_COUNTERS = ("messages/received", "bytes/received")
UPTIME = "uptime"
BROKER_VALUES = (*BROKER_COUNTERS, "retained messages/count", "clients/connected", "subscriptions/count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How all bridges came online, and their topics became right.

    Attributes:
        name: the cause.
        online_s: seconds until each bridge was online.
        right_s: seconds until all topics of each bridge were right.
        attempts: seconds of each attempt to connect; 0 is when the broker served, or the bridges started.
        broker_cpu_s: processor time of the broker meanwhile.
        bridges_cpu_s: processor time of all bridges meanwhile.
        wrong: topics that a new subscriber finds wrong afterwards.
        topics: number of topics that it compared.
        outage_s: seconds without a broker.
    """

    name: str
    online_s: Sequence[float]
    right_s: Sequence[float]
    attempts: Sequence[float]
    broker_cpu_s: float
    bridges_cpu_s: float
    wrong: Sequence[str]
    topics: int
    outage_s: float = 0.0

    @property
    def successful(self) -> int:
        """Number of attempts after the broker served."""
        return sum(at >= 0 for at in self.attempts)

    @property
    def most_at_once(self) -> int:
        """Maximum number of attempts within HERD_S while there was no broker."""
        return _most_at_once([at for at in self.attempts if at < 0])

    @property
    def most_at_once_after(self) -> int:
        """Maximum number of attempts within HERD_S since the broker served."""
        return _most_at_once([at for at in self.attempts if at >= 0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Cost of a period in which nothing else happens.

    Attributes:
        name: what happens in Syncthing.
        seconds: duration.
        counted: how much the counters of the broker have grown.
        broker_cpu_s: processor time of the broker.
        bridges_cpu_s: processor time of all bridges.
    """

    name: str
    seconds: float
    counted: Mapping[str, float]
    broker_cpu_s: float
    bridges_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in units of 2^20 bytes.

    Attributes:
        broker: resident memory of the broker.
        resident: resident memory of each bridge.
        private: the part of it that the bridge does not share with others.
        broker_files: number of files and sockets that the broker has open.
        values: what the broker publishes about itself.
    """

    broker: float
    resident: Sequence[float]
    private: Sequence[float]
    broker_files: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """What happened when half of the bridges were killed.

    Attributes:
        killed: number of killed bridges.
        last_will_s: seconds until the last will of each killed bridge arrived.
        others: number of last-will messages of bridges that were not killed.
    """

    killed: int
    last_will_s: Sequence[float]
    others: int


class Counters:
    """Reads the values that the broker publishes about itself.

    Args:
        port: of the broker.
    """

    def __init__(self, port: int) -> None:
        self._values: dict[str, float] = {}
        self._rounds = 0
        self._round = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(f"$SYS/broker/{one}", 0) for one in (UPTIME, *BROKER_VALUES)])

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def read(self) -> dict[str, float]:
        """Wait for the next values, and return them; the broker publishes only those that have changed."""
        with self._round:
            before = self._rounds
            assert self._round.wait_for(lambda: self._rounds > before, PATIENCE_S)
        threading.Event().wait(SILENCE_S)  # the uptime is the first value of a round
        with self._round:
            return dict(self._values)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self._round:
            topic = message.topic.removeprefix("$SYS/broker/")
            if topic == UPTIME:
                self._rounds += not message.retain
                self._round.notify_all()
            else:
                self._values[topic] = float(message.payload)


class Company:
    """All bridges, their fake instances, the broker and the subscriber that checks.

    Args:
        where: a directory.
        broker: the broker.
        bridges: starts the bridges.
        fleet: the fake instances, one for each bridge.
        examiner: the subscriber.
    """

    def __init__(self, where: Path, broker: Mosquitto, bridges: Bridges, fleet: Fleet, examiner: Examiner) -> None:
        self.broker = broker
        self.fleet = fleet
        self._where = where
        self._bridges = bridges
        self._examiner = examiner
        self._ids: dict[str, int] = {}
        self._plans = {_base(number): self._plan(number, url) for number, url in enumerate(fleet.urls)}
        self._generation = 0

    def _plan(self, number: int, url: str) -> Plan:
        place = self._where / str(number)
        place.mkdir()
        prefix = f"STBRIDGE_SYNCTHING__{INSTANCE.upper()}__"
        return Plan(
            log=str(place / "stbridge.log"),
            attempts=str(place / "attempts"),
            variables={
                "XDG_RUNTIME_DIR": str(place),
                "HOME": str(place),
                "STBRIDGE_MQTT__PORT": str(self.broker.port),
                "STBRIDGE_MQTT__CLIENT_ID": f"stbridge-{number:03}",
                "STBRIDGE_MQTT__BASE_TOPIC": _base(number),
                f"{prefix}URL": url,
                f"{prefix}API_KEY": "key",
            },
        )

    def start(self, name: str, bases: Sequence[str]) -> Arrival:
        """Start some bridges, and wait until all topics of all bridges are right."""
        self._change()
        spent = self._spent()
        began = monotonic()
        self._ids |= dict(zip(bases, self._bridges.start([self._plans[one] for one in bases]), strict=True))
        return self._arrival(name, began, began, spent, bases)

    def restart_broker(self, name: str, *, keep_data: bool, outage_s: float) -> Arrival:
        """Stop the broker, start it again, and wait until all topics are right.

        The truth changes during the outage, so that no topic that the broker has kept is right by chance.
        """
        spent = self._spent()
        if keep_data:
            self.broker.stop()
        else:
            self.broker.kill()
            (self._where / "broker/mosquitto.db").unlink(missing_ok=True)
        stopped = monotonic()
        self._examiner.forget()
        self._change()
        threading.Event().wait(max(0.0, outage_s - (monotonic() - stopped)))
        self.broker.start()
        return self._arrival(name, stopped, monotonic(), (0.0, spent[1]), list(self._plans))

    def kill(self, bases: Sequence[str]) -> Deaths:
        """Kill some bridges, and wait for their last-will messages."""
        began = monotonic()
        for base in bases:
            os.kill(self._ids.pop(base), signal.SIGKILL)
        offline: dict[str, float] = {}

        def all_offline() -> bool:
            for base, states in self._examiner.states().items():
                if late := [at - began for at, payload in states if payload == b"offline" and at > began]:
                    offline.setdefault(base, late[0])
            return set(bases) <= set(offline)

        eventually(all_offline, LONGEST_S)
        threading.Event().wait(SILENCE_S)
        all_offline()
        return Deaths(
            killed=len(bases),
            last_will_s=[offline[base] for base in bases],
            others=len(set(offline) - set(bases)),
        )

    def period(self, name: str, counters: Counters, during: Callable[[], object]) -> Period:
        """Return the cost of all bridges while a function runs."""
        before, spent, began = counters.read(), self._spent(), monotonic()
        during()
        seconds, after, now = monotonic() - began, counters.read(), self._spent()
        return Period(
            name=name,
            seconds=seconds,
            counted={one: after[one] - before.get(one, 0.0) for one in BROKER_COUNTERS},
            broker_cpu_s=now[0] - spent[0],
            bridges_cpu_s=now[1] - spent[1],
        )

    def memory(self, values: Mapping[str, float]) -> Memory:
        """Return the memory of all processes.

        Args:
            values: what the broker publishes about itself.
        """
        return Memory(
            broker=Usage.of(self.broker.id).memory_mb,
            resident=[Usage.of(one).memory_mb for one in self._ids.values()],
            private=[_private_mb(one) for one in self._ids.values()],
            broker_files=len(list(Path(f"/proc/{self.broker.id}/fd").iterdir())),
            values=values,
        )

    def _change(self) -> None:
        """Change the truth of every instance, and expect it."""
        self._generation += 1
        self.fleet.call("change_each", files=FILES + 1000 * self._generation, missing=self._generation)
        self._examiner.expect(self._truth())

    def _truth(self) -> Mapping[str, Expected]:
        return {base: expected(base, self.fleet, number, DEVICES) for number, base in enumerate(self._plans)}

    def _arrival(
        self, name: str, since: float, served: float, spent: tuple[float, float], bases: Sequence[str]
    ) -> Arrival:
        def all_right() -> bool:
            return len(self._examiner.right_at()) == len(self._plans)

        try:
            eventually(all_right, LONGEST_S)
        except AssertionError:
            _say(f"{name}: wrong: {list(self._examiner.wrong().items())[:5]}")
        right_at, now = self._examiner.right_at(), self._spent()
        states = self._examiner.states()
        online = [[at for at, payload in states.get(base, ()) if payload == b"online" and at > since] for base in bases]
        attempts = [
            float(line) - served
            for base in bases
            for line in Path(self._plans[base].attempts).read_text(encoding="utf-8").split()
        ]
        wrong = self._audit()
        arrival = Arrival(
            name=name,
            online_s=[times[-1] - served for times in online if times],
            right_s=[right_at[base] - served for base in bases if base in right_at],
            attempts=[at for at in attempts if at >= since - served],
            broker_cpu_s=now[0] - spent[0],
            bridges_cpu_s=now[1] - spent[1],
            wrong=wrong,
            topics=self._examiner.count(),
            outage_s=served - since,
        )
        _say(f"{name}: right after {max(arrival.right_s, default=0):.1f} s, {len(wrong)} topics wrong {wrong[:5]}")
        return arrival

    def _audit(self) -> Sequence[str]:
        """Read everything with a new subscriber, one bridge at a time, and return the topics that are wrong."""
        wrong = []
        for base, topics in self._truth().items():
            kept = _retained(self.broker.port, [f"{base}/#", *(one for one in topics if not one.startswith(base))])
            health = json.loads(kept.pop(f"{base}/bridge/health", b"{}"))
            wrong += [topic for topic, wanted in topics.items() if not is_right(kept.get(topic, b""), wanted)]
            wrong += sorted(set(kept) - set(topics))
            if health.get("message", "missing") is not None:
                wrong.append(f"{base}/bridge/health ({health.get('message')})")
        return wrong

    def _spent(self) -> tuple[float, float]:
        """Return the processor time of the broker and of all bridges."""
        return Usage.of(self.broker.id).cpu_s, sum(Usage.of(one).cpu_s for one in self._ids.values())


def _most_at_once(times: Sequence[float]) -> int:
    """Return the maximum number of times within HERD_S."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] > HERD_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def _base(number: int) -> str:
    return f"fleet/{number:03}"


def _private_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def _retained(port: int, filters: Sequence[str]) -> dict[str, bytes]:
    """Return the retained messages under some topic filters; the end is marked by another subscription's answer."""
    found: dict[str, bytes] = {}
    answered = threading.Semaphore(0)

    def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.retain:
            found[message.topic] = bytes(message.payload)

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.on_subscribe = lambda *_: answered.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    for one in ([(one, 0) for one in filters], [("nothing/here", 0)]):
        client.subscribe(one)
        assert answered.acquire(timeout=PATIENCE_S)
    client.disconnect()
    client.loop_stop()
    return found


@contextmanager
def _company(bridges: int) -> Iterator[Company]:
    with stage.directory() as where:
        data = where / "broker"
        lines = (ANONYMOUS, "sys_interval 1", "persistence true", f"persistence_location {data}/")
        with (
            stage.broker(where, lines) as broker,
            Fleet(instances=bridges, folders=FOLDERS, devices=DEVICES) as fleet,
            Examiner(broker.port) as examiner,
            Bridges() as processes,
        ):
            yield Company(where, broker, processes, fleet, examiner)


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Start the fleet, and measure it in every phase of its life."""
    number = QUICK_BRIDGES if quick else BRIDGES
    pause = threading.Event().wait
    with _company(number) as company:
        bases = [_base(one) for one in range(number)]
        half = bases[::2]
        arrivals = [company.start("start of all bridges", bases)]
        pause(QUICK_SETTLE_S if quick else SETTLE_S)
        counters = Counters(company.broker.port)
        steady_s, busy_s = (QUICK_STEADY_S, QUICK_BUSY_S) if quick else (STEADY_S, BUSY_S)
        periods = [company.period("nothing", counters, lambda: pause(steady_s))]
        rate = EVENTS_EACH * number
        storm = {"rate": rate, "seconds": busy_s, "stirred": FOLDERS - 1, "spread": True}
        periods.append(
            company.period(f"{rate} events a second", counters, lambda: company.fleet.call("storm", **storm))
        )
        company.fleet.call("calm")
        memory = company.memory(counters.read())
        counters.close()
        arrivals += [
            company.restart_broker("restart of the broker", keep_data=True, outage_s=0),
            company.restart_broker("outage, data kept", keep_data=True, outage_s=OUTAGE_S),
            company.restart_broker("outage, data lost", keep_data=False, outage_s=OUTAGE_S),
        ]
        deaths = company.kill(half)
        arrivals.append(company.start("start of the killed half", half))
    return _section(number, arrivals, periods, memory, deaths)


# --- report


def _section(
    number: int,
    arrivals: Sequence[Arrival],
    periods: Sequence[Period],
    memory: Memory,
    deaths: Deaths,
) -> Section:
    outages, values = [one for one in arrivals if one.outage_s], memory.values
    return Section(
        title="A fleet: many bridges on one broker",
        summary=[
            (
                f"{number} bridges run on one Mosquitto with its default limits, each in its own process"
                f" (`benchmarks/bridges.py`) and with its own fake Syncthing instance of {FOLDERS} folders x {DEVICES}"
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
        tables=[_arrivals(arrivals), _attempts(number, outages), _periods(number, periods), _deaths(deaths)],
        plots=[_plot(outages)],
        verdicts=_verdicts(number, arrivals, outages, deaths),
    )


def _arrivals(arrivals: Sequence[Arrival]) -> Table:
    return Table(
        title="Seconds from the start of the bridges, or from when the broker serves again",
        head=(
            "what",
            "bridges",
            "online: median, 90th percentile, last",
            "right: median, 90th percentile, last",
            "processor time of the broker, s",
            "of all bridges, s",
            "wrong topics",
        ),
        rows=[
            (
                one.name,
                f"{len(one.online_s)}",
                _spread(one.online_s),
                _spread(one.right_s),
                f"{one.broker_cpu_s:.2f}",
                f"{one.bridges_cpu_s:.1f}",
                f"{len(one.wrong)} of {one.topics:,}",
            )
            for one in arrivals
        ],
    )


def _attempts(number: int, outages: Sequence[Arrival]) -> Table:
    return Table(
        title="Attempts to connect in an outage of the broker",
        head=(
            "what",
            "without a broker, s",
            "attempts while there is no broker",
            "for each bridge and second",
            "attempts when it serves again",
            f"most attempts within {HERD_S * 1000:.0f} ms",
        ),
        rows=[
            (
                one.name,
                f"{one.outage_s:.1f}",
                f"{len(one.attempts) - one.successful}",
                f"{(len(one.attempts) - one.successful) / number / one.outage_s:.2f}",
                f"{one.successful}",
                f"{one.most_at_once} while it is stopped, {one.most_at_once_after} afterwards",
            )
            for one in outages
        ],
    )


def _periods(number: int, periods: Sequence[Period]) -> Table:
    return Table(
        title="Steady cost",
        head=(
            "what happens in Syncthing",
            "packets to the broker per second",
            "bytes per second",
            "broker, % of a core",
            "all bridges, % of a core",
            "a bridge, % of a core",
        ),
        rows=[
            (
                one.name,
                f"{one.counted['messages/received'] / one.seconds:.1f}",
                f"{one.counted['bytes/received'] / one.seconds:,.0f}",
                f"{100 * one.broker_cpu_s / one.seconds:.2f}",
                f"{100 * one.bridges_cpu_s / one.seconds:.1f}",
                f"{100 * one.bridges_cpu_s / one.seconds / number:.2f}",
            )
            for one in periods
        ],
    )


def _deaths(deaths: Deaths) -> Table:
    return Table(
        title="Killed bridges",
        head=("killed", "last wills", "last wills of other bridges", "seconds until the last will: median, 90th, last"),
        rows=[(f"{deaths.killed}", f"{len(deaths.last_will_s)}", f"{deaths.others}", _spread(deaths.last_will_s))],
    )


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{median(values):.1f}, {quantile(values, MOST):.1f}, {max(values):.1f}"


def _plot(outages: Sequence[Arrival]) -> Plot:
    figure = Figure(figsize=(9, 1.8 * len(outages)))
    for place, one in enumerate(outages, start=1):
        axes = figure.add_subplot(len(outages), 1, place)
        counts = Counter(math.floor(at / BIN_S) for at in one.attempts)
        places = range(min(counts), max(counts) + 1)
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
    slowest = max(outages, key=lambda one: max(one.right_s, default=LONGEST_S))
    most = max(max(one.most_at_once, one.most_at_once_after) for one in outages)
    late = [number - sum(at <= MOST_RECOVERY_S for at in one.right_s) for one in outages]
    return [
        Verdict(
            aim=f"{number} bridges on one broker: everything is published and correct",
            measured=f"{wrong} wrong topics in {len(arrivals)} comparisons of {arrivals[0].topics:,} topics",
            met=not wrong,
        ),
        Verdict(
            aim=f"all topics of {number} bridges are right {MOST_RECOVERY_S:.0f} s after the broker serves again",
            measured=f"after {max(slowest.right_s, default=LONGEST_S):.1f} s at most ({slowest.name});"
            f" later than that: {', '.join(map(str, late))} bridges",
            met=not any(late),
        ),
        Verdict(
            aim=f"no herd: at most {MOST_AT_ONCE:.0%} of the bridges connect within {HERD_S * 1000:.0f} ms",
            measured=f"{most} of {number}",
            met=most <= MOST_AT_ONCE * number,
        ),
        Verdict(
            aim="all last wills of killed bridges arrive, and no other",
            measured=f"{len(deaths.last_will_s)} of {deaths.killed}, and {deaths.others} others",
            met=len(deaths.last_will_s) == deaths.killed and not deaths.others,
        ),
    ]


def _say(what: str) -> None:
    sys.stdout.write(f"  {what}\n")
    sys.stdout.flush()

"""A hundred bridges on one broker: their start, their steady cost, restarts of the broker, and the death of half of them."""

import json
import os
import shutil
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
CHECK_S = 40.0
"""Seconds within which `bridge/health` has to be right: it is published every 30 s."""

BROKER_COUNTERS = ("publish/messages/received", "messages/received", "bytes/received", "publish/bytes/received")
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
        """Maximum number of attempts within HERD_S."""
        ordered, first, most = sorted(self.attempts), 0, 0
        for last, at in enumerate(ordered):
            while at - ordered[first] > HERD_S:
                first += 1
            most = max(most, last - first + 1)
        return most


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
    """

    broker: float
    resident: Sequence[float]
    private: Sequence[float]
    broker_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """What happened when half of the bridges were killed.

    Attributes:
        killed: number of killed bridges.
        last_wills_s: seconds until the last will of each killed bridge arrived.
        others: number of last wills of bridges that were not killed.
    """

    killed: int
    last_wills_s: Sequence[float]
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
        """Kill some bridges, and wait for their last wills."""
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
            last_wills_s=[offline[base] for base in bases],
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
            counted={one: after[one] - before[one] for one in BROKER_COUNTERS},
            broker_cpu_s=now[0] - spent[0],
            bridges_cpu_s=now[1] - spent[1],
        )

    def memory(self) -> Memory:
        """Return the memory of all processes."""
        return Memory(
            broker=Usage.of(self.broker.id).memory_mb,
            resident=[Usage.of(one).memory_mb for one in self._ids.values()],
            private=[_private_mb(one) for one in self._ids.values()],
            broker_files=len(list(Path(f"/proc/{self.broker.id}/fd").iterdir())),
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
        online = [
            [at for at, payload in states.get(base, ()) if payload == b"online" and at > since] for base in bases
        ]
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
            try:
                yield Company(where, broker, processes, fleet, examiner)
            finally:
                if keep := os.environ.get("FLEET_KEEP"):
                    shutil.copytree(where, keep, dirs_exist_ok=True)


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
        values, memory = counters.read(), company.memory()
        counters.close()
        arrivals += [
            company.restart_broker("restart of the broker", keep_data=True, outage_s=0),
            company.restart_broker("outage, data kept", keep_data=True, outage_s=OUTAGE_S),
            company.restart_broker("outage, data lost", keep_data=False, outage_s=OUTAGE_S),
        ]
        deaths = company.kill(half)
        arrivals.append(company.start("start of the killed half", half))
    return _section(number, arrivals, periods, values, memory, deaths)


# --- report


def _section(
    number: int,
    arrivals: Sequence[Arrival],
    periods: Sequence[Period],
    values: Mapping[str, float],
    memory: Memory,
    deaths: Deaths,
) -> Section:
    return Section(
        title="A fleet: many bridges on one broker",
        summary=[],
        tables=[],
        plots=[_plot(number, arrivals)],
        verdicts=[],
    )


def _plot(number: int, arrivals: Sequence[Arrival]) -> Plot:
    return Plot(name="fleet", figure=Figure(), caption="")


def _say(what: str) -> None:
    sys.stdout.write(f"  {what}\n")
    sys.stdout.flush()

"""The bridges of a fleet, their fake instances and their broker, and what is done to them."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.bridges import Bridges, Plan
from benchmarks.broker_counters import BROKER_COUNTERS, SILENCE_S, Counters
from benchmarks.expected import INSTANCE, Examiner, Expected, expected, is_right
from benchmarks.fake.fleet import Fleet
from benchmarks.fake.syncthing import FILES
from benchmarks.fleet_results import Arrival, Deaths, Memory, Period
from benchmarks.usage import Usage
from stbridge.core.slow_topics import copies
from stbridge.core.topics import Topics
from tests.servers import PATIENCE_S, Mosquitto, eventually

LONGEST_S = 120.0


class Company:
    """All bridges, their fake instances, the broker and the subscriber that checks.

    Args:
        where: a directory.
        broker: the broker.
        bridges: starts the bridges.
        fleet: the fake instances, one for each bridge.
        examiner: the subscriber.
        devices: number of devices of each instance.
    """

    def __init__(
        self, where: Path, broker: Mosquitto, bridges: Bridges, fleet: Fleet, examiner: Examiner, *, devices: int
    ) -> None:
        self.broker = broker
        self.fleet = fleet
        self._where = where
        self._bridges = bridges
        self._examiner = examiner
        self._devices = devices
        self._ids: dict[str, int] = {}
        self._plans = {base_topic(number): self._plan(number, url) for number, url in enumerate(fleet.urls)}
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
                "STBRIDGE_MQTT__BASE_TOPIC": base_topic(number),
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

        try:
            eventually(all_offline, LONGEST_S)
        except AssertionError:
            _say(f"no last will of {sorted(set(bases) - set(offline))[:5]}")
        threading.Event().wait(SILENCE_S)
        all_offline()
        return Deaths(
            killed=bases,
            last_will_s={base: at for base, at in offline.items() if base in bases},
            others=sorted(set(offline) - set(bases)),
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
        return {base: expected(base, self.fleet, number, self._devices) for number, base in enumerate(self._plans)}

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
        online = {
            base: [at for at, payload in states.get(base, ()) if payload == b"online" and at > since] for base in bases
        }
        wrong = self._audit()
        arrival = Arrival(
            name=name,
            bridges=bases,
            online_s={base: times[-1] - served for base, times in online.items() if times},
            right_s={base: right_at[base] - served for base in bases if base in right_at},
            attempts={base: [at - served for at in self._attempts(base) if at >= since] for base in bases},
            broker_cpu_s=now[0] - spent[0],
            bridges_cpu_s=now[1] - spent[1],
            wrong=wrong,
            topics=self._examiner.count(),
            outage_s=served - since,
        )
        unseen = f", not seen: {arrival.unseen[:5]}" if arrival.unseen else ""
        slowest = max(arrival.right_s.values(), default=0)
        _say(f"{name}: right after {slowest:.1f} s, {len(wrong)} topics wrong {wrong[:5]}{unseen}")
        return arrival

    def _attempts(self, base: str) -> Sequence[float]:
        """Return the times of all attempts of a bridge to connect; none if it did not even begin."""
        record = Path(self._plans[base].attempts)
        return [float(line) for line in record.read_text(encoding="utf-8").split()] if record.exists() else []

    def _audit(self) -> Sequence[str]:
        """Read everything with a new subscriber, one bridge at a time, and return the topics that are wrong."""
        wrong = []
        for base, topics in self._truth().items():
            kept = _retained(self.broker.port, [f"{base}/#", *(one for one in topics if not one.startswith(base))])
            health = json.loads(kept.pop(f"{base}/bridge/health", b"{}"))
            wrong += [topic for topic, wanted in topics.items() if not is_right(kept.get(topic, b""), wanted)]
            # Slow copies are not compared, because they follow up to 30 s later.
            slow = {copy for copy, original in copies(Topics(base), kept).items() if original in topics}
            wrong += sorted(set(kept) - set(topics) - slow)
            if health.get("message", "missing") is not None:
                wrong.append(f"{base}/bridge/health ({health.get('message')})")
        return wrong

    def _spent(self) -> tuple[float, float]:
        """Return the processor time of the broker and of all bridges."""
        return Usage.of(self.broker.id).cpu_s, sum(Usage.of(one).cpu_s for one in self._ids.values())


def base_topic(number: int) -> str:
    """Return the base topic of a bridge."""
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


def _say(what: str) -> None:
    sys.stdout.write(f"  {what}\n")
    sys.stdout.flush()

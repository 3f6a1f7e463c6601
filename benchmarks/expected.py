"""Expected topics of a bridge with one fake Syncthing instance, and a subscriber that compares the real ones."""

import hashlib
import json
import threading
from collections.abc import Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.fake.fleet import Fleet
from benchmarks.fake.syncthing import FILE_BYTES, device_id

INSTANCE = "nas"
SHORT = 7
"""Length of a short device ID."""

RECONNECT_S = 0.02
"""Pause of the subscriber after a failed attempt to connect: much shorter than that of any bridge."""

Expected = Mapping[str, bytes | Mapping[str, Any]]
"""The expected word, or some expected values of the JSON document, by topic."""


def expected(base_topic: str, fleet: Fleet, number: int, devices: int) -> Expected:
    """Return what a bridge has to publish, according to the state of its fake instance.

    Args:
        base_topic: of the bridge.
        fleet: the fake instances.
        number: number of the instance, from 0.
        devices: number of devices.
    """
    summaries: Mapping[str, Any] = fleet.call("folders", instance=number)
    needed = {(device, folder): one["needItems"] for device, folder, one in fleet.call("completions", instance=number)}
    first = (number + 1) << 16
    own, others = device_id(first), [device_id(first + one) for one in range(1, devices + 1)]
    behind = {device for (device, _), items in needed.items() if items}
    below = f"{base_topic}/{INSTANCE}"
    discovery = _discovery(base_topic, own, others, summaries)
    found: dict[str, bytes | Mapping[str, Any]] = {
        f"{base_topic}/bridge/state": b"online",
        f"{base_topic}/bridge/discovery/{INSTANCE}": {
            "topics": sorted([*discovery, _discovery_topic(f"stbridge_bridge_{_hash(base_topic)}")])
        },
        f"{base_topic}/bridge/info": {"instances": [INSTANCE], "mqtt_protocol": "5"},
        f"{below}/state": b"online",
        f"{below}/connection": {"status": "online"},
        f"{below}/errors": {"count": 0},
        f"{below}/metrics": {"out_rate": 0.0},
        f"{below}/pending": {"devices": [], "folders": []},
        f"{below}/upgrade": {"installed_version": "v2.1.3"},
        f"{below}/system": {
            "device_id": own,
            "in_sync": True,
            "all_in_sync": not behind,
            "folders": {"total": len(summaries), "paused": 0, "syncing": 0, "out_of_sync": 0, "error": 0},
            "devices": {"total": devices, "connected": devices, "paused": 0, "out_of_sync": len(behind)},
        },
    }
    for folder, summary in summaries.items():
        found[f"{below}/folder/{folder}"] = {
            "state": summary["state"],
            "need_bytes": summary["needBytes"],
            "global_files": summary["globalFiles"],
            "local_bytes": summary["localBytes"],
        }
        found |= {f"{below}/folder/{folder}/{kind}": {"count": 0} for kind in ("failed", "conflicts")}
    for device in others:
        items = sum(needed.get((device, folder), 0) for folder in summaries)
        found[f"{below}/device/{device[:SHORT]}"] = {"id": device, "connected": True, "need_items": items}
        for folder in summaries:
            items = needed.get((device, folder), 0)
            share = {"need_items": items, "need_bytes": items * FILE_BYTES, "remote_state": "valid"}
            found[f"{below}/completion/{device[:SHORT]}/{folder}"] = share
    return {**found, **discovery}


def _discovery(
    base_topic: str, own: str, others: Sequence[str], folders: Collection[str]
) -> Mapping[str, Mapping[str, Any]]:
    instance = f"stbridge_{own[:SHORT]}"
    names = [
        instance,
        *(f"{instance}_folder_{_hash(one)}" for one in folders),
        *(f"{instance}_device_{one[:SHORT]}" for one in others),
    ]
    available = {"availability": [{"topic": f"{base_topic}/bridge/state"}, {"topic": f"{base_topic}/{INSTANCE}/state"}]}
    return {_discovery_topic(name): available for name in names}


def _discovery_topic(name: str) -> str:
    return f"homeassistant/device/{name}/config"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_right(payload: bytes, wanted: bytes | Mapping[str, Any]) -> bool:
    """Return whether a payload is the expected one."""
    if isinstance(wanted, bytes):
        return payload == wanted
    try:
        values = json.loads(payload)
    except ValueError:
        return False
    return isinstance(values, dict) and all(values.get(key, "missing") == value for key, value in wanted.items())


class Examiner:
    """Receives all messages at QoS 0, and compares each with the expected one when it arrives.

    Args:
        port: of the broker.
    """

    def __init__(self, port: int) -> None:
        self.newest: dict[str, bytes] = {}
        """The newest payload of each topic."""
        self._states: dict[str, list[tuple[float, bytes]]] = {}
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}
        self._expected: Expected = {}
        self._wrong: dict[str, set[str]] = {}
        self._right_at: dict[str, float] = {}
        self._port = port
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(RECONNECT_S, RECONNECT_S)  # type: ignore[arg-type]  # used as seconds
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def forget(self) -> None:
        """Forget everything that was received, because the broker is going to stop."""
        with self._lock:
            self.newest.clear()
            self._states.clear()

    def expect(self, all_of_them: Mapping[str, Expected]) -> None:
        """Expect these topics from now on, of which some may be right already.

        Args:
            all_of_them: the expected topics, by base topic.
        """
        with self._lock:
            self._owners = {topic: base for base, topics in all_of_them.items() for topic in topics}
            self._expected = {topic: one for topics in all_of_them.values() for topic, one in topics.items()}
            self._wrong = {
                base: {topic for topic, one in topics.items() if not is_right(self.newest.get(topic, b""), one)}
                for base, topics in all_of_them.items()
            }
            self._right_at = {base: monotonic() for base, wrong in self._wrong.items() if not wrong}

    def states(self) -> dict[str, list[tuple[float, bytes]]]:
        """Return arrival times and payloads of each `bridge/state`, by base topic, except stored ones."""
        with self._lock:
            return {base: list(states) for base, states in self._states.items()}

    def right_at(self) -> dict[str, float]:
        """Return since when all topics of a bridge are right, for each bridge of which they are."""
        with self._lock:
            return dict(self._right_at)

    def wrong(self) -> dict[str, bytes]:
        """Return the wrong and missing topics, with their payloads."""
        with self._lock:
            return {topic: self.newest.get(topic, b"") for topics in self._wrong.values() for topic in topics}

    def count(self) -> int:
        """Return the number of expected topics."""
        return len(self._expected)

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe("#")

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now, topic, payload = monotonic(), message.topic, bytes(message.payload)
        with self._lock:
            self.newest[topic] = payload
            if topic.endswith("/bridge/state") and not message.retain:
                self._states.setdefault(topic.removesuffix("/bridge/state"), []).append((now, payload))
            if (base := self._owners.get(topic)) is None:
                return
            wrong = self._wrong[base]
            wrong.discard(topic) if is_right(payload, self._expected[topic]) else wrong.add(topic)
            if wrong:
                self._right_at.pop(base, None)
            else:
                self._right_at.setdefault(base, now)

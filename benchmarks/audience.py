"""A subscriber that receives all messages and keeps statistics about them."""

import threading
from collections import Counter, defaultdict
from time import monotonic
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers import PATIENCE_S, is_state

UNKNOWN = b'"need_bytes":null'
LEVELS = {"folder": 4, "device": 4, "completion": 5}
"""Number of levels of the topics of each kind; the topics of a folder's failed items have one more."""


class Audience:
    """Subscribes to all topics at QoS 0 while its context is active.

    Args:
        port: of the broker.
        closely: topics of which every message is kept with its arrival time.
    """

    def __init__(self, port: int, closely: frozenset[str] = frozenset()) -> None:
        self.newest: dict[str, bytes] = {}
        self.messages = 0
        self.bytes = 0
        self.online_at: float | None = None
        self.known: Counter[str] = Counter()
        """Number of topics of each kind whose values are known."""
        self.by_second: dict[int, Counter[str]] = defaultdict(Counter)
        """Number of messages of each topic in each second of the monotonic clock."""
        self.kept: list[tuple[float, str, bytes]] = []
        self._closely = closely
        self._port = port
        self._told: set[str] = set()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe("#")
        assert self._subscribed.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def is_complete(self, folders: int, devices: int) -> bool:
        """Return whether the bridge is online and has published all values of all folders and devices.

        Args:
            folders: number of folders of all instances.
            devices: number of devices for each folder.
        """
        known = self.known
        whole = known["folder"] >= folders and known["completion"] >= folders * devices
        return self.online_at is not None and whole

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now = monotonic()
        topic, payload = message.topic, bytes(message.payload)
        self.messages += 1
        self.bytes += len(topic) + len(payload)
        self.newest[topic] = payload
        if message.retain:
            return
        self.by_second[int(now)][topic] += 1
        if topic in self._closely:
            self.kept.append((now, topic, payload))
        if topic not in self._told and UNKNOWN not in payload:
            self._told.add(topic)
            self._know(topic)
        if topic == "syncthing/bridge/state" and payload == b"online":
            self.online_at = now

    def _know(self, topic: str) -> None:
        levels = topic.split("/")
        if levels[0] == "syncthing" and len(levels) == LEVELS.get(levels[2]):
            self.known[levels[2]] += 1


def busiest(counts: Counter[str]) -> int:
    """Return the largest number of messages of one topic, without events and replies, which are all different."""
    return max((times for topic, times in counts.items() if is_state(topic)), default=0)

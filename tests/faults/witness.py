"""An MQTT client, connected directly to the broker, that records all messages and always reconnects."""

import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.servers import PATIENCE_S

MOMENTS = 100
"""Maximum number of moments kept, because a walk can last hours."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message, and its arrival time by the monotonic clock."""

    at: float
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """Publication of an `online`: the number of messages until then, and the retained topics at that time."""

    count: int
    tree: dict[str, bytes]


class Witness:
    """Records every message, and mirrors the retained topics of the broker.

    Args:
        port: of the broker.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._changed = threading.Condition()
        self._seen: list[Seen] = []
        self._tree: dict[str, bytes] = {}
        self._moments: deque[Moment] = deque(maxlen=MOMENTS)
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "witness", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]  # also accepts fractions of a second
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, and stay connected."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self._tree.clear()  # the broker sends all retained topics again
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        client.subscribe("#", options=options)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        with self._changed:
            self._seen.append(Seen(monotonic(), message.topic, payload))
            if message.retain and payload:
                self._tree[message.topic] = payload
            elif message.retain:
                self._tree.pop(message.topic, None)
            if payload == b"online":
                self._moments.append(Moment(len(self._seen), dict(self._tree)))
            self._changed.notify_all()

    @property
    def is_watching(self) -> bool:
        """Whether it is connected and subscribed."""
        return self._subscribed.is_set()

    @property
    def count(self) -> int:
        """Number of messages received so far."""
        with self._changed:
            return len(self._seen)

    @property
    def tree(self) -> dict[str, bytes]:
        """The retained topics of the broker."""
        with self._changed:
            return dict(self._tree)

    def moments(self, since: int) -> list[Moment]:
        """Return the moments at which `online` was published, after a number of messages."""
        with self._changed:
            return [one for one in self._moments if one.count > since]

    def topics(self, since: int = 0) -> set[str]:
        """Return the topics of all messages after a number of messages."""
        with self._changed:
            return {one.topic for one in self._seen[since:]}

    def seen(self, topic: str, since: int = 0) -> list[bytes]:
        """Return the payloads of a topic after a number of messages."""
        with self._changed:
            return [one.payload for one in self._seen[since:] if one.topic == topic]

    def wait_for(self, topic: str, payload: bytes | None = None, *, since: int = 0) -> bytes:
        """Wait for any payload on a topic, or for the given one, and return it."""

        def found() -> list[bytes]:
            return [one for one in self.seen(topic, since) if payload in (None, one)]

        with self._changed:
            assert self._changed.wait_for(found, PATIENCE_S), (topic, payload, self.seen(topic))
            return found()[0]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, response_topic: str | None = None) -> None:
        """Publish a message, and wait for the broker's acknowledgement."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho types only some
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        self._client.publish(topic, payload, 1, retain, properties).wait_for_publish(PATIENCE_S)

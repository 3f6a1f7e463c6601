"""A subscriber that records each message with its arrival time."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.servers import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message, and its arrival time in nanoseconds by the same wall clock as Syncthing's timestamps."""

    at_ns: int
    topic: str
    payload: bytes


class Receipts:
    """Subscribes at QoS 0, so that only the messages themselves take time.

    Args:
        port: of the broker.
        topic_filters: the topics to subscribe to.
        protocol: the MQTT version of the connection.
    """

    def __init__(
        self, port: int, *topic_filters: str, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    ) -> None:
        self._port = port
        self._filters: Sequence[str] = topic_filters
        self._subscribed = threading.Event()
        self._came: SimpleQueue[Receipt] = SimpleQueue()
        self.client = Client(CallbackAPIVersion.VERSION2, f"receipts-{id(self)}", protocol=protocol)
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self._subscribed.set()

    def start(self) -> "Receipts":
        """Connect and subscribe."""
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        self.client.subscribe([(one, 0) for one in self._filters])
        assert self._subscribed.wait(PATIENCE_S)
        return self

    def stop(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.put(message.topic, bytes(message.payload))

    def put(self, topic: str, payload: bytes) -> None:
        """Record a message, which may come from another source; callable from any thread."""
        self._came.put(Receipt(time.time_ns(), topic, payload))

    def until(self, enough: Callable[[Receipt], bool], timeout_s: float) -> bool:
        """Process messages until `enough` returns true or the time is over, and return whether it did."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                if enough(self._came.get(timeout=left)):
                    return True
            except Empty:
                break
        return False

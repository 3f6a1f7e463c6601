"""A subscriber that notes when what came."""

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
    """A message, and when it came, in nanoseconds by the clock of the wall, as Syncthing's stamps are."""

    at_ns: int
    topic: str
    payload: bytes


class Receipts:
    """Subscribes at QoS 0, so that nothing but the messages themselves takes time.

    Args:
        port: of the broker.
        topic_filters: of what.
        protocol: of the connection.
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
        """Note that something came, from elsewhere maybe; any thread."""
        self._came.put(Receipt(time.time_ns(), topic, payload))

    def until(self, enough: Callable[[Receipt], bool], timeout_s: float) -> bool:
        """Take what comes until it is enough, and tell whether it is."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                if enough(self._came.get(timeout=left)):
                    return True
            except Empty:
                break
        return False

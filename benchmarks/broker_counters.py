"""The values that Mosquitto publishes about itself."""

import threading

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers import PATIENCE_S

BROKER_COUNTERS = ("messages/received", "bytes/received")
UPTIME = "uptime"
BROKER_VALUES = (*BROKER_COUNTERS, "retained messages/count", "clients/connected", "subscriptions/count")
SILENCE_S = 0.3


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

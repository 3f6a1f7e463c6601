"""A plain MQTT client that tests the features of a broker."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
KEPT_S = 60
PATIENCE_S = 10.0
"""Seconds after which a broker counts as not supporting a feature."""

SUBSCRIBE_ATTEMPTS = 30


def properties(kind: int, **values: Any) -> Properties:
    """Return MQTT 5 properties."""
    made = Properties(kind)  # type: ignore[no-untyped-call]  # paho types only some
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Peer:
    """A client with its own connection.

    Args:
        port: of the broker.
        version: the MQTT version.
        name: its client ID.
        will: topic of a retained last will; empty for none.
        kept: whether the broker keeps the session.
    """

    def __init__(self, port: int, version: str, name: str, *, will: str = "", kept: bool = False) -> None:
        self.modern = version == "5"
        self.messages: list[MQTTMessage] = []
        self._port = port
        self._kept = kept
        self._changed = threading.Condition()
        self._connected: bool | None = None
        self._granted: bool | None = None
        clean = None if self.modern else not kept
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            name,
            clean_session=clean,
            protocol=VERSIONS[version],
            reconnect_on_failure=False,
        )
        if will:
            self._client.will_set(will, b"gone", 1, retain=True)
        self._client.on_connect = lambda *arguments: self._set("_connected", not arguments[3].is_failure)
        self._client.on_disconnect = lambda *_: self._set("_connected", value=False)
        self._client.on_subscribe = lambda *arguments: self._set("_granted", not arguments[3][0].is_failure)
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        assert self.connect(), "the broker refuses"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def connect(self) -> bool:
        """Connect, and return whether the broker accepts."""
        if self.modern:
            expiry_s = KEPT_S if self._kept else 0
            wanted = properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry_s)
            self._client.connect("127.0.0.1", self._port, clean_start=not self._kept, properties=wanted)
        else:
            self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected is not None, PATIENCE_S)
            return bool(self._connected)

    def drop(self) -> None:
        """Close the connection without a DISCONNECT, as a crash would."""
        connection = self._client.socket()
        assert connection is not None, "it is connected"
        self._client.loop_stop()
        connection.close()

    def subscribe(self, topic_filter: str, *, as_published: bool = False) -> bool:
        """Subscribe, and return whether the broker grants it.

        mochi-mqtt 2.7.9 refuses a subscription whose packet identifier is that of a message to this client.
        """
        for _ in range(SUBSCRIBE_ATTEMPTS):
            granted = self._subscribe(topic_filter, as_published)
            if granted is not False:
                return granted is True
        return False

    def _subscribe(self, topic_filter: str, as_published: bool) -> bool | None:  # noqa: FBT001 - private
        """Subscribe once, and return whether the broker grants it; None if it does not answer."""
        self._granted = None
        if self.modern:
            self._client.subscribe(topic_filter, options=SubscribeOptions(1, retainAsPublished=as_published))
        else:
            self._client.subscribe(topic_filter, 1)
        with self._changed:
            self._changed.wait_for(lambda: self._granted is not None, PATIENCE_S)
            return self._granted

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, **wanted: Any) -> None:
        """Publish at QoS 1, with properties if MQTT 5 is used, and wait for the acknowledgement."""
        given = properties(PacketTypes.PUBLISH, **wanted) if self.modern else None
        with suppress(RuntimeError):  # the connection is closed, and the missing message will show it
            self._client.publish(topic, payload, 1, retain, given).wait_for_publish(PATIENCE_S)

    def hears(
        self, fits: Callable[[MQTTMessage], object], timeout_s: float = PATIENCE_S, *, since: int = 0
    ) -> MQTTMessage | None:
        """Wait for a matching message from index `since` on, and return it; None if it does not arrive."""

        def found() -> MQTTMessage | None:
            return next((message for message in self.messages[since:] if fits(message)), None)

        with self._changed:
            return self._changed.wait_for(found, timeout_s)

    @property
    def tree(self) -> Mapping[str, bytes]:
        """The newest payload of each topic, without topics that were cleared."""
        with self._changed:
            newest = {message.topic: bytes(message.payload) for message in self.messages}
        return {topic: payload for topic, payload in newest.items() if payload}

    def sees(self, condition: Callable[[Mapping[str, bytes]], object]) -> bool:
        """Wait until the newest payloads satisfy a condition, and return whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(condition(self.tree)), PATIENCE_S)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def _set(self, name: str, value: bool) -> None:  # noqa: FBT001 - a result of a callback
        with self._changed:
            setattr(self, name, value)
            self._changed.notify_all()

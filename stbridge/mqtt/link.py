"""One connection to the broker, from CONNECT to its end.

One thread calls `open`, `turn` and `close`, and reads what arrives. Another one may send in between while it
holds `alone`, and any may call `wake` and acknowledge what arrived.

paho's own threaded loop is not used: its thread dies of any exception while `is_connected()` stays true, and
without it `publish` writes to the socket at once instead of waking another thread first.
"""

import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnavailable, BrokerUnreachable
from stbridge.mqtt import diagnosis
from stbridge.mqtt.client import Subscription, acknowledge_without_delay, connect, new_client, subscribe
from stbridge.mqtt.deliveries import Deliveries
from stbridge.mqtt.outbox import WINDOW
from stbridge.mqtt.packets import publish_properties, received_from
from stbridge.mqtt.protocol import Protocol, VersionRefused
from stbridge.mqtt.waiter import Waiter
from stbridge.settings import MqttSettings

# For the TCP connection, TLS, WebSocket and CONNACK each, and for SUBACK. Where a network forgets connections without a
# word, a try that is under way then ends only after that, and everything is to be right again within 5 s.
ANSWER_TIMEOUT_S = 4.0
# TCP alone takes minutes to notice that the other end is gone, and paho two keepalives.
ACKNOWLEDGEMENT_TIMEOUT_S = 10.0
TURN_S = 1.0  # paho wants to look at its keepalive about this often
# When a WebSocket takes only part of a frame, paho loses the packet (_packet_write does not put it back when
# 0 bytes were written), so no more may be in flight than surely fits into the socket's buffer.
WEBSOCKET_WINDOW = 4


class Link:
    """One connection to the broker.

    Args:
        settings: the broker's.
        protocol: the version of MQTT to speak.
        client_id: the client ID.
        received: is handed each message that arrives; must not block.
        answered: is told the packet identifier of each message that the broker answered, and why if it
            refused it.
        will: what the broker publishes when this connection ends without DISCONNECT.
        session_expiry_s: MQTT 5: how long the broker keeps subscriptions and undelivered commands.
        deliveries: what the broker may deliver again, over all connections of the session.

    Raises:
        SettingsError: the files for TLS cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        protocol: Protocol,
        *,
        client_id: str,
        received: Callable[[Received], None],
        answered: Callable[[int, str | None], None] | None = None,
        will: Message | None = None,
        session_expiry_s: int = 0,
        deliveries: Deliveries | None = None,
    ) -> None:
        self.protocol = protocol
        self.window = WEBSOCKET_WINDOW if settings.transport == "websockets" else WINDOW
        self.largest_packet: int | None = None
        self.alone = threading.Lock()
        """Held by the thread that sends or receives just now, and never for long: no socket of paho's blocks."""
        self._settings = settings
        self._received = received
        self._answered = answered
        self._session_expiry_s = session_expiry_s
        self._deliveries = deliveries or Deliveries()
        self._accepted = False
        self._heard_at = 0.0
        self._ended: BrokerUnavailable | None = None
        self._failure: Exception | None = None
        self._subscribed: dict[int, list[ReasonCode]] = {}
        self._to_acknowledge: deque[int] = deque()
        self._unanswered: OrderedDict[int, float] = OrderedDict()
        self._client = self._build_client(client_id, will)
        self._waiter = Waiter()

    def _build_client(self, client_id: str, will: Message | None) -> Client:
        client = new_client(self._settings, self.protocol, client_id, will, ANSWER_TIMEOUT_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    # --- what its own thread does

    def open(self, stop: threading.Event) -> None:
        """Connect, and wait until the broker accepts.

        Args:
            stop: ends the wait, together with `wake`.

        Raises:
            BrokerUnreachable: nothing answers, or `stop` was set.
            VersionRefused: the broker does not agree to this version of MQTT.
            BrokerRefused: the broker refuses the login.
        """
        try:
            self._open(stop)
        except BaseException:  # whatever it was: nobody else knows of the sockets that are open by now
            self.close()
            raise

    def _open(self, stop: threading.Event) -> None:
        try:
            connect(self._client, self._settings, self.protocol, self._session_expiry_s)
        except (OSError, ValueError, LookupError) as error:
            raise diagnosis.unreachable(error, self._settings) from error
        connection = self._client.socket()
        if connection is None:
            raise self._end()
        try:
            self._waiter.watch(connection)
        except OSError as error:
            raise diagnosis.unreachable(error, self._settings) from error
        if self._wait_until(lambda: self._accepted or stop.is_set()) and self._accepted:
            return
        if stop.is_set():
            raise BrokerUnreachable("stopped while connecting to the broker")
        raise self._version_refused("accepts the connection but does not answer", silent=True)

    def _wait_until(self, condition: Callable[[], bool]) -> bool:
        """Turn until the condition is met, or nothing came for too long."""
        self._heard_at = time.monotonic()
        while not condition() and (remaining := self._heard_at + ANSWER_TIMEOUT_S - time.monotonic()) > 0:
            self.turn(min(TURN_S, remaining))
        return condition()

    def subscribe(self, subscriptions: Sequence[Subscription]) -> dict[str, str]:
        """Subscribe, and wait for the broker's answer.

        Args:
            subscriptions: to what.

        Returns:
            the filters that the broker refused, each with its reason.

        Raises:
            BrokerUnavailable: the connection ended, or no answer came.
        """
        packet_id = subscribe(self._client, self.protocol, subscriptions)
        if packet_id is None:
            raise self._end()
        if not self._wait_until(lambda: packet_id in self._subscribed):
            raise BrokerUnreachable(f"{diagnosis.address(self._settings)} does not answer a subscription")
        codes = self._subscribed.pop(packet_id)
        return {one.topic_filter: str(code) for one, code in zip(subscriptions, codes, strict=True) if code.is_failure}

    def publish(self, message: Message) -> int:
        """Send a message at QoS 1; whoever does holds `alone`.

        Args:
            message: one that `packets.unsendable` has nothing against.

        Returns:
            the packet identifier that `answered` will be called with.
        """
        properties = publish_properties(message) if self.protocol is Protocol.MQTT_5 else None
        information = self._client.publish(message.topic, message.payload, 1, message.retain, properties)
        self._unanswered[information.mid] = time.monotonic()
        return information.mid

    def turn(self, timeout_s: float = TURN_S) -> None:
        """Wait for the network, or `wake`, and do what is to be done.

        Args:
            timeout_s: the longest wait.

        Raises:
            BrokerUnavailable: the connection has ended, and why.
            Exception: whatever `fail` was called with.
        """
        with self.alone:
            self._check_that_it_is_open()
            self._waiter.expect(to_write=self._client.want_write())
        readable, writable = self._waiter.wait(timeout_s)
        with self.alone:
            if readable:
                self._client.loop_read()
                acknowledge_without_delay(self._client)
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
            self._check_that_it_is_open()
            self._check_that_it_answers()

    @property
    def to_acknowledge(self) -> int:
        """How many messages `acknowledge` was called for that the broker has not been told of."""
        return len(self._to_acknowledge)

    def send_acknowledgements(self, most: int) -> None:
        """Tell the broker which messages it need not deliver again, the first ones first; like `publish`."""
        for _ in range(most):
            self._client.ack(self._to_acknowledge.popleft(), 1)

    def _check_that_it_is_open(self) -> None:
        if self._failure:
            raise self._failure
        if self._client.socket() is None:
            raise self._end()

    def _check_that_it_answers(self) -> None:
        now = time.monotonic()
        if now - next(iter(self._unanswered.values()), now) > ACKNOWLEDGEMENT_TIMEOUT_S:
            raise BrokerUnreachable(f"{diagnosis.address(self._settings)} does not answer any more")

    def _end(self) -> BrokerUnavailable:
        if self._ended or self._accepted:
            return self._ended or BrokerUnreachable(f"{diagnosis.address(self._settings)} has closed the connection")
        return self._version_refused("closes the connection without an answer to", silent=True)

    def _version_refused(self, what: str, *, silent: bool = False) -> VersionRefused:
        return VersionRefused(
            f"{diagnosis.address(self._settings)} {what} MQTT {self.protocol.value}: check mqtt.port, "
            "mqtt.protocol and mqtt.tls.enabled",
            silent=silent,
        )

    def close(self, *, say_goodbye: bool = False) -> None:
        """End the connection.

        Args:
            say_goodbye: send DISCONNECT, so that the broker does not publish the will.
        """
        if say_goodbye and self._client.socket() is not None:
            # or a command that was carried out would be delivered again
            self.send_acknowledgements(self.to_acknowledge)
            self._client.disconnect()
            with contextlib.suppress(BrokerUnavailable):  # that is what is wanted
                self._wait_until(lambda: self._client.socket() is None)
        if (connection := self._client.socket()) is not None:
            connection.close()
        self._waiter.close()

    # --- what any thread may do

    @property
    def has_more(self) -> bool:
        """Whether something is left for `turn`: the system did not take all that was sent, or the connection ended."""
        return self._client.want_write() or self._client.socket() is None

    def fail(self, error: Exception) -> None:
        """Have `turn` raise what was raised in another thread."""
        self._failure = error
        self.wake()

    def wake(self) -> None:
        """End the wait in `turn`."""
        self._waiter.wake()

    def acknowledge(self, packet_id: int) -> None:
        """Have the broker told, by the next `send_acknowledgements`, that it need not deliver a message again."""
        self._to_acknowledge.append(packet_id)
        self.wake()

    # --- what paho calls, in the thread that called `turn`

    def _on_connect(
        self,
        _client: Client,
        _userdata: Any,
        flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.value == diagnosis.UNSUPPORTED_PROTOCOL_VERSION:
            self._ended = self._version_refused("does not speak")
        elif code.is_failure:
            self._ended = diagnosis.refusal(code.value, str(code), self._settings)
        else:
            self._accepted = True
            if not flags.session_present:
                self._deliveries.forget()
            self.window = min(self.window, getattr(properties, "ReceiveMaximum", WINDOW))
            self.largest_packet = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._ended is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._ended = diagnosis.refusal(code.value, str(code), self._settings)
        elif code.value == diagnosis.KEEP_ALIVE_TIMEOUT:
            self._ended = BrokerUnreachable(f"{diagnosis.address(self._settings)} does not answer any more")

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        packet_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._subscribed[packet_id] = codes

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        packet_id: int,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._unanswered.pop(packet_id, None)
        if self._answered:
            self._answered(packet_id, str(code) if code.is_failure else None)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._heard_at = time.monotonic()  # an answer waits behind the messages that were sent before it
        if (received := received_from(message, self.acknowledge, self._deliveries)) is not None:
            self._received(received)

"""One MQTT connection, from CONNECT until it is closed.

One thread calls `open`, `subscribe`, `loop_once` and `close`, and reads what arrives. Other threads may send while they
hold `io_lock`. Any thread may call `wake` and acknowledge received messages.

paho's own threaded loop is not used: any exception stops its thread while `is_connected()` stays true. Without that
loop, `publish` writes to the socket immediately instead of waking another thread first.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerRefused, BrokerUnavailable, BrokerUnreachable, ConnectionClosed
from stbridge.mqtt import diagnosis
from stbridge.mqtt.client import (
    Subscription,
    TolerantClient,
    acknowledge_without_delay,
    connect,
    new_client,
    subscribe,
)
from stbridge.mqtt.nodes import Nodes
from stbridge.mqtt.outbox import WINDOW, InFlight, Outbox
from stbridge.mqtt.packets import publish_properties, received_from
from stbridge.mqtt.protocol import Protocol, VersionRefused
from stbridge.mqtt.reasons import Reason
from stbridge.mqtt.redelivery import RedeliveryFilter
from stbridge.mqtt.waiter import Waiter
from stbridge.settings import MqttSettings
from stbridge.supervision import HEARTBEAT_S

# Timeout of each step: the TCP connection, the handshakes of TLS and WebSocket, CONNACK, and SUBACK. If a network drops
# connections silently, an attempt in progress fails only after this time, and the bridge has to recover within 5 s.
ANSWER_TIMEOUT_S = 3.5
# The same for the node of a cluster. A NATS server waits 5 s for the other nodes before it refuses a client or a
# subscription, and begins again for the next attempt.
CLUSTER_ANSWER_TIMEOUT_S = 6.5
# Maximum wait for SUBACK, which may be queued behind retained messages on a slow connection.
LONGEST_ANSWER_S = 60.0
# Mosquitto drops every packet that does not fit into its queue (`packet__queue` of 2.0.20), also SUBACK, while it sends
# the retained messages of the previous subscription. It is the topic filter that counts, so subscribing again is safe.
SUBSCRIBE_ATTEMPTS = 3
# TCP alone takes minutes to detect that the peer is gone, and paho takes two keepalive intervals.
ACKNOWLEDGEMENT_TIMEOUT_S = 10.0
# Sent bytes may still be in the buffers of proxies, tunnels and the broker's system, which can hold several megabytes.
# For each 32 KiB a message gets one second more; 32 KiB/s is 5 % of a slow DSL uplink.
SLOWEST_BYTES_PER_S = 32 * 1024
LOOP_S = 1.0  # while the broker has to answer, the timeout of the answer is checked about this often
# If a WebSocket accepts only part of a frame, paho loses the packet (_packet_write does not put it back when 0 bytes
# were written). Therefore the messages in flight must always fit into the socket's buffer.
WEBSOCKET_WINDOW = 4
MOST_ECHOES = 100


def _no_heartbeat() -> None:
    """Do nothing: the default of `heartbeat`."""


class Session:
    """One connection to the broker.

    Args:
        settings: the settings of one node of the broker.
        protocol: the version of MQTT to use.
        client_id: the client ID.
        received: called with each message that arrives; must not block.
        outbox: the messages that `loop_once` sends after its owner has called `Outbox.connected`.
        last_will: the broker publishes it if this connection is closed without DISCONNECT.
        session_expiry_s: MQTT 5: how long the broker keeps subscriptions and undelivered commands, in seconds.
        redeliveries: de-duplicates redelivered messages, over all connections of the MQTT session.
        heartbeat: called before each wait for the network.

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
        outbox: Outbox | None = None,
        last_will: Message | None = None,
        session_expiry_s: int = 0,
        redeliveries: RedeliveryFilter | None = None,
        heartbeat: Callable[[], None] = _no_heartbeat,
    ) -> None:
        self.protocol = protocol
        self.node_name = diagnosis.node_name(settings)
        """Identifies the node of the broker."""
        self.window = WEBSOCKET_WINDOW if settings.transport == "websockets" else WINDOW
        self.largest_packet: int | None = None
        self.io_lock = threading.Lock()
        """Held by the thread that sends or receives; only for a short time, because paho's sockets do not block."""
        self.heard_at = 0.0
        """The last time that bytes arrived, by time.monotonic()."""
        self.unanswered = 0
        """How many subscriptions were sent again, because the broker had not answered."""
        self._settings = settings
        self._answer_timeout_s = CLUSTER_ANSWER_TIMEOUT_S if settings.hosts else ANSWER_TIMEOUT_S
        self._received = received
        self._outbox = outbox or Outbox()
        self._session_expiry_s = session_expiry_s
        self._redeliveries = redeliveries or RedeliveryFilter()
        self._heartbeat = heartbeat
        self._stop = threading.Event()
        self._accepted = False
        self._ended: BrokerUnavailable | None = None
        self._failure: Exception | None = None
        self._subscribed: dict[int, list[Reason]] = {}
        self._answered: dict[int, Reason] = {}  # the answers that `publish_now` waits for
        self._to_acknowledge: deque[int] = deque()
        # For MQTT 3.1.1: the filters whose messages the broker must not send back, and the messages that it will.
        self._no_local: list[str] = []
        self._echoes: deque[tuple[str, bytes]] = deque(maxlen=MOST_ECHOES)
        self._waits_until = 0.0
        self._oldest: InFlight | None = None
        self._progress_at = 0.0
        self._departed = 0
        self._client_id = client_id
        self._client = self._build_client(client_id, last_will)
        self._waiter = Waiter()

    def _build_client(self, client_id: str, last_will: Message | None) -> TolerantClient:
        client = new_client(self._settings, self.protocol, client_id, last_will, ANSWER_TIMEOUT_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    # --- called by the session's own thread

    def open(self, stop: threading.Event) -> None:
        """Connect, and wait until the broker accepts the connection.

        Args:
            stop: aborts this wait, and those of `subscribe`, together with `wake`.

        Raises:
            BrokerUnreachable: nothing answers, or `stop` was set.
            VersionRefused: the broker does not accept this version of MQTT.
            BrokerRefused: the broker refuses the login.
        """
        self._stop = stop
        try:
            self._open()
        except BaseException:  # after any exception, nothing else could close the sockets that are open now
            self.close()
            raise

    def _open(self) -> None:
        try:
            connect(self._client, self._settings, self.protocol, self._session_expiry_s)
        except (OSError, ValueError, LookupError) as error:
            raise diagnosis.unreachable(error, self._settings) from error
        connection = self._client.socket()
        if connection is None:
            raise self._closed_error()
        try:
            self._waiter.watch(connection)
        except OSError as error:
            raise diagnosis.unreachable(error, self._settings) from error
        self._wait_until(lambda: self._accepted or self._stop.is_set(), self._answer_timeout_s)
        if self._accepted:
            return
        if self._stop.is_set():
            raise BrokerUnreachable("stopped while connecting to the broker")
        raise self._version_refused("accepts the connection but does not answer", silent=True)

    def _wait_until(self, condition: Callable[[], bool], longest_s: float) -> bool:
        """Run the network loop until the condition holds, or no bytes have arrived for the timeout of an answer.

        Args:
            condition: what to wait for.
            longest_s: maximum wait in seconds, even if bytes keep arriving.
        """
        began = time.monotonic()
        while not condition():
            silent_since = max(began, self.heard_at)
            remaining = min(silent_since + self._answer_timeout_s, began + longest_s) - time.monotonic()
            if remaining <= 0:
                return False
            self.loop_once(min(LOOP_S, remaining))
        return True

    def subscribe(self, subscriptions: Sequence[Subscription]) -> dict[str, str]:
        """Subscribe, and wait for the broker's answer.

        Args:
            subscriptions: the topic filters.

        Returns:
            the filters that the broker refused, each with its reason.

        Raises:
            BrokerUnavailable: the connection was lost, or no answer came.
        """
        if self.protocol is Protocol.MQTT_3_1_1:  # it does not have the option no_local
            self._no_local += [one.topic_filter for one in subscriptions if one.no_local]
        sent: set[int] = set()
        deadline = time.monotonic() + LONGEST_ANSWER_S
        for _ in range(SUBSCRIBE_ATTEMPTS):
            began = time.monotonic()
            packet_id = subscribe(self._client, self.protocol, subscriptions)
            if packet_id is None:
                raise self._closed_error()
            sent.add(packet_id)
            self._wait_until(lambda: self._stop.is_set() or not sent.isdisjoint(self._subscribed), deadline - began)
            if answers := [self._subscribed.pop(one) for one in sent & self._subscribed.keys()]:
                reasons = zip(subscriptions, answers[0], strict=True)
                return {one.topic_filter: reason.name for one, reason in reasons if reason.is_failure}
            if self._stop.is_set():
                raise BrokerUnreachable("stopped while subscribing")
            if self.heard_at < began or time.monotonic() >= deadline:  # the connection is dead, or too slow
                break
            self.unanswered += 1
        raise BrokerUnreachable(f"{diagnosis.address(self._settings)} does not answer a subscription")

    def unsubscribe(self, topic_filters: Sequence[str]) -> None:
        """Unsubscribe; messages that arrive before the broker has done so are received as usual."""
        if topic_filters:
            self._client.unsubscribe(list(topic_filters))

    def publish_now(self, message: Message) -> Reason:
        """Publish a message ahead of the outbox, and wait for the broker's answer.

        Args:
            message: a message for which `packets.unsendable` returns None.

        Raises:
            BrokerUnavailable: the connection was lost, or no answer came.
        """
        with self.io_lock:
            packet_id = self.publish(message)
        if not self._wait_until(lambda: packet_id in self._answered, LONGEST_ANSWER_S):
            raise BrokerUnreachable(f"{diagnosis.address(self._settings)} does not acknowledge a message")
        return self._answered.pop(packet_id)

    def loop_once(self, timeout_s: float = HEARTBEAT_S) -> None:
        """Send what is due, wait for the network, `wake` or the keepalive, and handle what has arrived.

        Args:
            timeout_s: maximum wait in seconds; while a message is unacknowledged, it is at most LOOP_S.

        Raises:
            BrokerUnavailable: the connection was lost; the message has the reason.
            Exception: the error that `fail` was called with.
        """
        self._heartbeat()
        with self.io_lock:
            self._outbox.send(self)
            self._check_that_it_is_open()  # after sending: paho closes a socket that it finds broken
            self._waiter.expect(to_write=self._client.want_write())
            idle = self._outbox.oldest_in_flight is None
            timeout_s = min(timeout_s, self._client.silent_for() if idle else LOOP_S)
            self._waits_until = time.monotonic() + timeout_s
        readable, writable = self._waiter.wait(timeout_s)
        with self.io_lock:
            if readable:
                self.heard_at = time.monotonic()
                self._client.loop_read()
                acknowledge_without_delay(self._client)
            if writable:
                self._client.loop_write()
            oldest = self._outbox.oldest_in_flight
            if oldest is None:
                self._client.loop_misc()
            self._check_that_it_is_open()
            self._check_that_it_answers(oldest)

    def _check_that_it_is_open(self) -> None:
        if self._failure:
            raise self._failure
        if self._client.socket() is None:
            raise self._closed_error()

    def _check_that_it_answers(self, oldest: InFlight | None) -> None:
        """Raise an error if the broker hangs, but not if only the connection is slow.

        The timeout restarts with each acknowledgement, and while bytes of the oldest unacknowledged message are being
        sent. Bytes of later messages do not count, because a broker that hangs may still receive those. paho's
        keepalive is suspended in the meantime, because its PINGREQ would be queued behind these messages.
        """
        if oldest is None:
            return
        now = time.monotonic()
        if oldest is not self._oldest:
            self._oldest, self._progress_at = oldest, now
        # `departed` is a system call, so call it at most ten times per timeout.
        elif now - self._progress_at > ACKNOWLEDGEMENT_TIMEOUT_S / 10:
            departed = self._client.departed()
            if self._departed < min(departed, oldest.end):
                self._progress_at = now
            self._departed = departed
        if now - self._progress_at > ACKNOWLEDGEMENT_TIMEOUT_S + oldest.size / SLOWEST_BYTES_PER_S:
            raise BrokerUnreachable(f"{diagnosis.address(self._settings)} no longer responds")

    def _closed_error(self) -> BrokerUnavailable:
        """Return the error for a connection that is closed."""
        if self._ended or self._accepted:
            return self._ended or ConnectionClosed(f"{diagnosis.address(self._settings)} has closed the connection")
        # Mosquitto also closes a connection that exceeds `max_connections` or its file descriptors.
        more = "; or the broker has reached its limit on connections"
        return self._version_refused("closes the connection without an answer to", more, silent=True)

    def _version_refused(self, what: str, more: str = "", *, silent: bool = False) -> VersionRefused:
        return VersionRefused(
            f"{diagnosis.address(self._settings)} {what} MQTT {self.protocol.value}: check "
            f"{diagnosis.port_setting(self._settings)}, mqtt.protocol and mqtt.tls.enabled{more}",
            silent=silent,
        )

    def close(self, *, send_disconnect: bool = False) -> None:
        """Close the connection.

        Args:
            send_disconnect: send DISCONNECT, so that the broker does not publish the last will.
        """
        if send_disconnect and self._client.socket() is not None:
            # otherwise finished commands would be redelivered
            self.send_acknowledgements(self.to_acknowledge)
            self._client.disconnect()
            with contextlib.suppress(BrokerUnavailable):  # raised when the connection is closed, which is the aim
                self._wait_until(lambda: self._client.socket() is None, ANSWER_TIMEOUT_S)
        if (connection := self._client.socket()) is not None:
            connection.close()
        self._redeliveries.disconnected()
        self._waiter.close()

    # --- called by the thread that holds `io_lock`

    def publish(self, message: Message) -> int:
        """Send a message at QoS 1.

        Args:
            message: a message for which `packets.unsendable` returns None.

        Returns:
            the packet identifier that `Outbox.answered` will be called with.
        """
        if self._no_local and any(topic_matches_sub(one, message.topic) for one in self._no_local):
            self._echoes.append((message.topic, message.payload))
        properties = publish_properties(message) if self.protocol is Protocol.MQTT_5 else None
        return self._client.publish(message.topic, message.payload, 1, message.retain, properties).mid

    @property
    def bytes_queued(self) -> int:
        """Number of bytes that were passed to paho."""
        return self._client.bytes_queued

    @property
    def to_acknowledge(self) -> int:
        """Number of messages for which `acknowledge` was called and no acknowledgement was sent yet."""
        return len(self._to_acknowledge)

    def send_acknowledgements(self, most: int) -> None:
        """Send acknowledgements for the oldest messages for which `acknowledge` was called."""
        for _ in range(most):
            self._client.ack(self._to_acknowledge.popleft(), 1)

    # --- called by any thread

    @property
    def has_more(self) -> bool:
        """Whether `loop_once` has work: bytes to send, a lost connection, or the timeout of a first acknowledgement."""
        waits_long = self._waits_until > time.monotonic() + LOOP_S  # else it checks the timeout soon enough by itself
        waits_for_answer = waits_long and self._outbox.oldest_in_flight is not None
        return waits_for_answer or self._client.want_write() or self._client.socket() is None

    def fail(self, error: Exception) -> None:
        """Make `loop_once` raise an error that occurred in another thread."""
        self._failure = error
        self.wake()

    def wake(self) -> None:
        """Interrupt the wait in `loop_once`."""
        self._waiter.wake()

    def acknowledge(self, packet_id: int) -> None:
        """Queue the acknowledgement of a message for `send_acknowledgements`."""
        self._to_acknowledge.append(packet_id)
        self.wake()

    # --- called by paho, in the thread that called `loop_once`

    def _on_connect(
        self,
        _client: Client,
        _userdata: Any,
        flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        (reason,) = self._client.reasons([code])
        if reason.code == diagnosis.UNSUPPORTED_PROTOCOL_VERSION:
            self._ended = self._version_refused("does not speak")
        elif reason.is_failure:
            self._ended = diagnosis.login_refused(reason, self._settings, self._client_id)
        else:
            self._accepted = True
            self._redeliveries.connected(self.acknowledge, session_present=flags.session_present)
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
            (reason,) = self._client.reasons([code])
            self._ended = diagnosis.closing(reason, self._settings)
        elif code.value == diagnosis.KEEP_ALIVE_TIMEOUT:
            self._ended = BrokerUnreachable(f"{diagnosis.address(self._settings)} no longer responds")

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        packet_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._subscribed[packet_id] = self._client.reasons(codes)

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        packet_id: int,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._progress_at = time.monotonic()
        (reason,) = self._client.reasons([code])
        if not self._outbox.answered(packet_id, reason if reason.is_failure else None):
            self._answered[packet_id] = reason

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if (received := received_from(message, self._redeliveries)) is None:
            return
        if self._echoes and (echo := (received.topic, received.payload)) in self._echoes:
            self._echoes.remove(echo)
            received.acknowledge()
        else:
            self._received(received)


def ignore(_received: Received) -> None:
    """Ignore a message, and leave it unacknowledged."""


def beside(settings: MqttSettings, role: str) -> str:
    """Return a client ID for an additional connection, which does not disconnect a running bridge.

    Args:
        settings: the settings of the bridge.
        role: the purpose of the connection.
    """
    return f"{settings.client_id}-{role}"


def _first_that_opens(
    nodes: Nodes, opened: Callable[[MqttSettings, Protocol], Session], stop: threading.Event
) -> Session:
    """Return the session of the first node that accepts one; raise the errors of all nodes as one if none does."""
    *others, last = nodes.in_turn
    faults, refused = [], True
    for node in others:
        try:
            return node.protocols.open(partial(opened, node.settings))
        except BrokerUnavailable as error:
            faults.append(str(error))  # not the error itself, whose traceback keeps the session alive
            refused &= isinstance(error, BrokerRefused)
            if stop.is_set():
                raise
    try:
        return last.protocols.open(partial(opened, last.settings))
    except BrokerUnavailable as error:
        if not faults:
            raise
        refused &= isinstance(error, BrokerRefused)
        raise (BrokerRefused if refused else BrokerUnreachable)("; ".join([*faults, str(error)])) from error


@contextlib.contextmanager
def open_session(
    settings: MqttSettings,
    client_id: str,
    received: Callable[[Received], None] = ignore,
    *,
    outbox: Outbox | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Session]:
    """Open an additional session, and close it with DISCONNECT unless an error occurs.

    The nodes of the broker are tried in turn; the first that accepts the session is used.

    Args:
        settings: the settings of the broker.
        client_id: the client ID; with the bridge's own, the broker closes the connection of a running bridge.
        received: called with each message that arrives; must not block.
        outbox: the messages that the session sends.
        stop: aborts the wait for the broker.

    Raises:
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    stop = stop or threading.Event()

    def opened(node: MqttSettings, protocol: Protocol) -> Session:
        session = Session(node, protocol, client_id=client_id, received=received, outbox=outbox)
        session.open(stop)
        return session

    session = _first_that_opens(Nodes(settings), opened, stop)
    try:
        if outbox:
            outbox.on_work = session.wake
            outbox.connected(session.window, session.largest_packet)
        yield session
    except BaseException:  # the connection may be in any state, so sending DISCONNECT could hang
        session.close()
        raise
    else:
        session.close(send_disconnect=True)
    finally:
        if outbox:
            outbox.disconnected()

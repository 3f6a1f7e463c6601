"""paho's client, configured from the settings: CONNECT, SUBSCRIBE and socket options."""

import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic

from paho.mqtt import MQTTException
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from stbridge.core.messages import Message
from stbridge.keepalive import enable_keepalive
from stbridge.mqtt.outbox import WINDOW
from stbridge.mqtt.packets import new_properties
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.reasons import Reason, known_reasons, reason, reason_codes
from stbridge.mqtt.tls import tls_context
from stbridge.settings import MqttSettings

if sys.platform == "linux":
    import fcntl
    import termios

_VERSIONS = {Protocol.MQTT_5: MQTTProtocolVersion.MQTTv5, Protocol.MQTT_3_1_1: MQTTProtocolVersion.MQTTv311}


LARGEST_PACKET = 16 * 1024 * 1024
"""Maximum size in bytes of a packet from the broker. With MQTT 5 the broker drops larger ones; with 3.1.1 the client
discards the rest of them."""

_CHUNK = 64 * 1024
_MOST_CHUNKS = 100  # per call, so that other work is not delayed


class TolerantClient(Client):
    """A client that tolerates strings and reason codes that paho rejects, and packets of any size.

    It also counts the bytes that it sends.
    """

    bytes_written = 0
    """Number of bytes that were written to the socket."""

    _original_codes = b""
    _surplus = 0

    def reasons(self, codes: Sequence[ReasonCode]) -> list[Reason]:
        """Return the reason codes that the broker sent, which paho may have replaced in the arguments of a callback.

        Args:
            codes: paho's, for the packet that is being handled.
        """
        originals = self._original_codes or bytes(code.value for code in codes)
        return [reason(code, original) for code, original in zip(codes, originals, strict=True)]

    def _packet_handle(self) -> MQTTErrorCode:
        """Replace reason codes that paho does not know, because it treats the packet as malformed otherwise."""
        packet = self._in_packet["packet"]
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            where = reason_codes(self._in_packet["command"] >> 4, packet)
            codes = bytes(packet[where])
            known = known_reasons(self._in_packet["command"] >> 4, codes)
            if known != codes:
                packet[where] = known
                self._original_codes = codes
        try:
            return super()._packet_handle()
        finally:
            self._original_codes = b""

    def _sock_recv(self, bufsize: int) -> bytes:
        """Read only the beginning of a packet that is too large; this part still exceeds the limit of a payload.

        In MQTT 3.1.1 a client cannot announce a limit, and a packet may have 256 MB.
        """
        if bufsize > LARGEST_PACKET:
            self._surplus = bufsize - LARGEST_PACKET
            self._in_packet["to_process"] = bufsize = LARGEST_PACKET
        return super()._sock_recv(bufsize)

    def _packet_read(self) -> MQTTErrorCode:
        """Skip the rest of a packet that was too large, then read the next packet."""
        for _ in range(_MOST_CHUNKS):
            if not self._surplus:
                return super()._packet_read()
            try:
                skipped = len(super()._sock_recv(min(self._surplus, _CHUNK)))
            except BlockingIOError:
                return MQTTErrorCode.MQTT_ERR_AGAIN
            except OSError:
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
            if not skipped:
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
            self._surplus -= skipped
            with self._msgtime_mutex:
                self._last_bytes_received = monotonic()  # otherwise paho would consider the connection dead
        return MQTTErrorCode.MQTT_ERR_AGAIN

    @property
    def bytes_queued(self) -> int:
        """Number of bytes that were passed to this client to be sent."""
        return self.bytes_written + sum(packet["to_process"] for packet in self._out_packet)

    def silent_for(self) -> float:
        """Return the seconds for which `loop_misc` has nothing to do; infinite without a keepalive."""
        if not self._keepalive:
            return inf
        with self._msgtime_mutex:
            since = min(self._last_msg_out, self._last_bytes_received, self._ping_t or inf)
        return max(0.0, since + self._keepalive - monotonic())

    def departed(self) -> int:
        """Return the number of bytes that the peer has acknowledged; without that information, the number written."""
        connection = self.socket()
        if connection is None or sys.platform != "linux":
            return self.bytes_written
        size = bytearray(4)
        with contextlib.suppress(OSError):  # the socket is closed, which is handled elsewhere
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, size)  # tcp(7): bytes that the peer has not acknowledged
        return self.bytes_written - int.from_bytes(size, sys.byteorder)

    def _sock_send(self, buf: bytes | bytearray) -> int:
        written = super()._sock_send(buf)
        self.bytes_written += written
        with self._msgtime_mutex:
            # paho (2.2) records this only for PINGREQ and DISCONNECT, and so sends PINGREQ after any other packet, too
            self._last_msg_out = monotonic()
        return written

    def _handle_publish(self) -> MQTTErrorCode:
        """Acknowledge and drop a message with U+FEFF in a response topic or user property.

        MQTT 5 allows the character (1.5.4-3), and brokers forward it. paho treats it as a protocol error and
        disconnects. The broker then redelivers the same message with the session, endlessly.
        """
        try:
            return super()._handle_publish()
        except (MQTTException, UnicodeDecodeError):
            header, packet = self._in_packet["command"], self._in_packet["packet"]
            if qos := (header & 0x06) >> 1:
                at = 2 + int.from_bytes(packet[:2], "big")  # after the topic (MQTT 5, section 3.3.2)
                self.ack(int.from_bytes(packet[at : at + 2], "big"), qos)
            return MQTTErrorCode.MQTT_ERR_SUCCESS


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and its options.

    Attributes:
        topic_filter: the topic filter.
        qos: 0 or 1.
        no_local: do not receive messages of this client; with MQTT 5 this includes the last will of its client ID.
        retain_as_published: MQTT 5: `retained` is also set on live messages that were published as retained; otherwise
            only on stored messages, as in MQTT 3.1.1.
    """

    topic_filter: str
    qos: int = 1
    no_local: bool = True
    retain_as_published: bool = True


def new_client(
    settings: MqttSettings, protocol: Protocol, client_id: str, last_will: Message | None, timeout_s: float
) -> TolerantClient:
    """Return a client that is not connected yet.

    Args:
        settings: the settings of the broker.
        protocol: the version of MQTT to use.
        client_id: the client ID.
        last_will: the broker publishes it when the connection is closed without DISCONNECT.
        timeout_s: timeout in seconds for TCP, TLS and WebSocket each.

    Raises:
        SettingsError: the files for TLS cannot be used.
    """
    client = TolerantClient(
        CallbackAPIVersion.VERSION2,
        client_id,
        protocol=_VERSIONS[protocol],
        transport=settings.transport,
        reconnect_on_failure=False,  # otherwise CONNACK "unacceptable protocol version" makes paho try MQTT 3.1
        manual_ack=True,
    )
    client.connect_timeout = timeout_s
    client.max_inflight_messages = WINDOW
    if settings.username:
        client.username_pw_set(settings.username, settings.password.get_secret_value() or None)
    if settings.transport == "websockets":
        client.ws_set_options(settings.path)
    if context := tls_context(settings):
        client.tls_set_context(context)
    if last_will:
        client.will_set(last_will.topic, last_will.payload, qos=1, retain=last_will.retain)
    return client


def connect(client: Client, settings: MqttSettings, protocol: Protocol, session_expiry_s: int) -> None:
    """Open the connection to the broker and send CONNECT.

    Args:
        client: a client from `new_client`.
        settings: the settings of the broker.
        protocol: the client's version of MQTT.
        session_expiry_s: MQTT 5: how long the broker keeps the session, in seconds; 0 starts a clean session.

    Raises:
        OSError: also for errors of sockets and TLS.
        ValueError, LookupError: a host name or an answer is invalid.
    """
    # With the transport "unix", paho uses the host as the path, but still requires a port.
    where = (settings.host, settings.port, settings.keepalive_s)
    if protocol is Protocol.MQTT_3_1_1:
        client.connect(*where)
    else:
        properties = new_properties(PacketTypes.CONNECT)
        properties.MaximumPacketSize = LARGEST_PACKET
        if session_expiry_s:
            # Leave out the default, 0: brokers that parse the packet as 3.1.1 (amqtt) wait for more bytes instead of
            # refusing the version.
            properties.SessionExpiryInterval = session_expiry_s
        client.connect(*where, clean_start=session_expiry_s == 0, properties=properties)
    _on_tcp_socket(client, _set_options)


def _set_options(connection: socket.socket) -> None:
    # Nagle's algorithm delays a message until the previous one is acknowledged.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    enable_keepalive(connection)


def acknowledge_without_delay(client: Client) -> None:
    """Make TCP acknowledge received bytes immediately.

    Linux delays an acknowledgement by up to 40 ms to send it with data. A broker with Nagle's algorithm, such as
    Mosquitto by default, delays the next command until then. Linux resets this option by itself, so call this after
    each read.

    Args:
        client: a client whose socket has just been read.
    """
    if sys.platform == "linux":
        _on_tcp_socket(client, lambda connection: connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1))


def _on_tcp_socket(client: Client, act: Callable[[socket.socket], None]) -> None:
    """Call a function with the TCP socket inside any wrapper of paho; do nothing if it is closed or not TCP."""
    connection = client.socket()
    if connection is None or client.transport == "unix":
        return
    with (
        contextlib.suppress(OSError),  # the socket is already closed, which is handled elsewhere
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as same_connection,
    ):
        act(same_connection)


def subscribe(client: Client, protocol: Protocol, subscriptions: Sequence[Subscription]) -> int | None:
    """Send SUBSCRIBE.

    Args:
        client: a connected client.
        protocol: the client's version of MQTT.
        subscriptions: the topic filters and their options.

    Returns:
        the packet identifier; None if the connection is closed.
    """
    if protocol is Protocol.MQTT_3_1_1:
        return client.subscribe([(one.topic_filter, one.qos) for one in subscriptions])[1]
    options = [
        (
            one.topic_filter,
            SubscribeOptions(one.qos, noLocal=one.no_local, retainAsPublished=one.retain_as_published),
        )
        for one in subscriptions
    ]
    return client.subscribe(options)[1]

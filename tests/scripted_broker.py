"""A broker that follows a script, to reproduce responses to publishers that Mosquitto never gives."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
MQTT_5 = 5


@dataclass(frozen=True, slots=True)
class Published:
    """A message that a client has published; `packet_size` counts the whole packet, like the size limits of brokers."""

    topic: str
    payload: bytes
    packet_size: int


Verdict = Callable[[Published], int | None]
"""Returns the reason code of the PUBACK, or None to close the connection; in MQTT 3.1.1 a PUBACK has no reason code."""


def accept(_published: Published) -> int:
    """Accept every message."""
    return 0


class ScriptedBroker:
    """Implements as much of both versions of MQTT as a bridge needs, and delivers no messages.

    Args:
        verdict: decides the reason code for each message.
        protocols: the MQTT protocol levels that it accepts.
        disconnect_code: the reason code of the DISCONNECT before it closes a connection (MQTT 5); None for none.
        granted: the reason code of each SUBACK.
    """

    def __init__(
        self,
        verdict: Verdict = accept,
        *,
        protocols: tuple[int, ...] = (4, 5),
        disconnect_code: int | None = None,
        granted: int = 1,
    ) -> None:
        self.verdict = verdict
        self.connections = 0
        """The number of accepted clients."""
        self.accepted: list[Published] = []
        self.closed_over: list[Published] = []
        """The messages that made the broker close the connection."""
        self.cut_at: str | None = None
        """The topic whose publication closes the connection once, as a network failure would."""
        self._protocols = protocols
        self._disconnect_code = disconnect_code
        self._granted = granted
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="scripted-broker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the broker and close all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # makes accept() return
        self._listener.close()
        self.cut()
        self._thread.join(30)

    def cut(self) -> None:
        """Close every connection."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def latest(self) -> dict[str, bytes]:
        """Return the newest payload of each topic that has one."""
        newest = {one.topic: one.payload for one in list(self.accepted)}
        return {topic: payload for topic, payload in newest.items() if payload}

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection = self._listener.accept()[0]
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), name="scripted-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            self._converse(connection)
        self._open.discard(connection)

    def _converse(self, connection: socket.socket) -> None:
        kind, body, _ = read_packet(connection)
        assert kind == CONNECT
        protocol = body[6]
        if protocol not in self._protocols:
            return
        self.connections += 1
        extra = b"\0" if protocol == MQTT_5 else b""  # no properties
        connection.sendall(bytes([CONNACK << 4, 2 + len(extra), 0, 0]) + extra)
        while True:
            kind, body, header = read_packet(connection)
            if kind == SUBSCRIBE:
                filters = _count_filters(body[2 + _length_of_properties(body[2:], protocol) :])
                answer = body[:2] + extra + bytes([self._granted]) * filters
                connection.sendall(bytes([SUBACK << 4, len(answer)]) + answer)
            elif kind == PINGREQ:
                connection.sendall(bytes([PINGRESP << 4, 0]))
            elif kind == DISCONNECT:
                return
            elif kind == PUBLISH:
                packet_id, published = _published(body, header, protocol)
                if published.topic == self.cut_at:
                    self.cut_at = None
                    return
                if (code := self._reason_for(connection, published, protocol)) is None:
                    return
                answer = packet_id + (bytes([code, 0]) if protocol == MQTT_5 and code else b"")
                connection.sendall(bytes([PUBACK << 4, len(answer)]) + answer)

    def _reason_for(self, connection: socket.socket, published: Published, protocol: int) -> int | None:
        code = self.verdict(published)
        if code is None:
            self.closed_over.append(published)
            if self._disconnect_code is not None and protocol == MQTT_5:
                connection.sendall(bytes([DISCONNECT << 4, 2, self._disconnect_code, 0]))
        elif code < 0x80:
            self.accepted.append(published)
        return code


def _published(body: bytes, header: int, protocol: int) -> tuple[bytes, Published]:
    length = int.from_bytes(body[:2], "big")
    topic, packet_id, rest = body[2 : 2 + length], body[2 + length : 4 + length], body[4 + length :]
    payload = rest[_length_of_properties(rest, protocol) :]
    return packet_id, Published(topic.decode(), payload, header + len(body))


def _length_of_properties(rest: bytes, protocol: int) -> int:
    if protocol != MQTT_5:
        return 0
    length, used = _variable_byte_integer(rest)
    return length + used


def _variable_byte_integer(data: bytes) -> tuple[int, int]:
    value = 0
    for at, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value, at + 1
    raise EOFError


def _count_filters(body: bytes) -> int:
    count = 0
    while body:
        body = body[2 + int.from_bytes(body[:2], "big") + 1 :]
        count += 1
    return count


def read_packet(connection: socket.socket) -> tuple[int, bytes, int]:
    """Return the type of a packet, the bytes after its fixed header, and the length of that header."""
    kind = _read(connection, 1)[0] >> 4
    head = b""
    while not head or head[-1] >= 0x80:
        head += _read(connection, 1)
    return kind, _read(connection, _variable_byte_integer(head)[0]), 1 + len(head)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data

"""A proxy that delays retained messages, as broker clusters and NATS do."""

import select
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

from tests.proxy import CHUNK, Proxy

PUBLISH = 3
RETAIN = 0x01


class LateRetained(Proxy):
    """Forwards everything at once, except the retained messages from the broker.

    Args:
        target: the port of the broker.
        late_s: for how many seconds retained messages are delayed.
    """

    def __init__(self, target: int, late_s: float) -> None:
        super().__init__(target)
        self._late_s = late_s

    def _carry(self, source: socket.socket, sink: socket.socket, most: int | None, from_client: bool = False) -> None:
        if from_client:
            super()._carry(source, sink, most, from_client)
            return
        held: deque[tuple[float, bytes]] = deque()
        buffer = bytearray()
        with suppress(OSError, ValueError):  # one side has closed the connection
            while True:
                timeout_s = max(0.0, held[0][0] - monotonic()) if held else None
                if select.select([source], [], [], timeout_s)[0]:
                    data = source.recv(CHUNK)
                    if not data:
                        break
                    buffer += data
                    for packet in _packets(buffer):
                        if packet[0] >> 4 == PUBLISH and packet[0] & RETAIN:
                            held.append((monotonic() + self._late_s, packet))
                        else:
                            sink.sendall(packet)
                while held and held[0][0] <= monotonic():
                    sink.sendall(held.popleft()[1])
            sink.shutdown(socket.SHUT_WR)


def _packets(buffer: bytearray) -> Iterator[bytes]:
    """Remove the complete packets from a buffer, and yield them (MQTT 5, section 2.1.4)."""
    while len(buffer) > 1:
        length, shift, start = 0, 0, 1
        while True:
            if start == len(buffer):
                return
            byte = buffer[start]
            length |= (byte & 0x7F) << shift
            start, shift = start + 1, shift + 7
            if not byte & 0x80:
                break
        if len(buffer) < start + length:
            return
        yield bytes(buffer[: start + length])
        del buffer[: start + length]

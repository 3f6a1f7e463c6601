"""A TCP proxy between the bridge and a server that can reproduce network failures."""

import socket
import struct
import threading
from contextlib import suppress
from time import monotonic
from typing import Self

CHUNK = 65536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of zero: close() sends RST."""


class Proxy:
    """Forwards bytes between its clients and a port of the loopback address.

    Args:
        target: the port of the server.
        host: the address to listen on.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self._target = target
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """The number of connections so far."""
        self.tries: list[float] = []
        """The time of each connection attempt, by the monotonic clock."""
        self.counted = 0
        """How often clients have sent the bytes that `count` looks for."""
        self._words = b""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._forgotten: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._changed = threading.Event()
        self._refusing = False
        self._bytes_per_s: int | None = None
        self._most: int | None = None
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    def start(self) -> Self:
        """Start to forward."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop the proxy and close all connections."""
        self.repair()
        self._refusing = True
        with suppress(OSError):  # no client ever connected
            self._listener.shutdown(socket.SHUT_RDWR)  # makes accept() return
        self._listener.close()
        self.cut()
        for end in self._forgotten:
            _close(end, reset=True)
        self._thread.join(30)

    def more_than(self, connections: int) -> bool:
        """Return whether there have been more than this number of connections."""
        return self.connections > connections

    @property
    def carries(self) -> bool:
        """Whether a connection is open; a server may not have noticed yet that its client has closed one."""
        with self._lock:
            return bool(self._open)

    def count(self, words: bytes) -> None:
        """Count from now on how often clients send these bytes in one piece, as they send the head of a request."""
        self.counted, self._words = 0, words

    # --- faults

    def cut(self) -> None:
        """Close every connection, as a server that stops does."""
        self._end(reset=False)

    def reset(self) -> None:
        """Reset every connection, as a server that was restarted does."""
        self._end(reset=True)

    def refuse(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._refusing = True
        self._end(reset=True)

    def hang(self) -> None:
        """Delay all bytes, as a network does that recovers later: no connection is closed, and no byte is lost."""
        self._flowing.clear()

    def strand(self) -> threading.Event:
        """Forward everything again except the bytes that `hang` delays; the returned event lets those through."""
        stranded, self._flowing = self._flowing, threading.Event()
        self._flowing.set()
        return stranded

    def slow(self, bytes_per_s: int) -> None:
        """Limit the rate in each direction."""
        self._bytes_per_s = bytes_per_s

    def truncate(self, most: int) -> None:
        """Close each connection, including new ones, after this number of bytes from the server."""
        self._most = most
        self.reset()

    def lead_to(self, target: int) -> None:
        """Forward to another server from now on."""
        self._target = target
        self.reset()

    def repair(self, *, lost: bool = False) -> None:
        """Forward everything again.

        Args:
            lost: forget the existing connections without closing them, as a restarted router does.
        """
        self._refusing, self._bytes_per_s, self._most = False, None, None
        if lost:
            with self._lock:
                self._forgotten += self._open  # otherwise they would be closed, and the other side would notice
                self._open = set()  # their threads stop when their connection is no longer in this set
        self._changed.set()
        self._changed.clear()
        self._flowing.set()

    # --- forwarding

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                near = self._listener.accept()[0]
                with self._lock:  # before it is counted, so that a fault affects every connection that was counted
                    self._open.add(near)
                self.connections += 1
                self.tries.append(monotonic())
                threading.Thread(target=self._connect, args=(near,), name="proxy-connect", daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            if self._refusing:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            with self._lock:
                self._open.discard(near)
            _close(near, reset=True)
            return
        with self._lock:
            lost = near not in self._open
            self._open |= set() if lost else {far}
        if lost:  # while it was being established
            far.close()
            return
        for end in (near, far):
            with suppress(OSError):  # closed by a fault in the meantime: `_carry` closes the other side
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        other = threading.Thread(target=self._carry, args=(near, far, None, True), name="proxy-carry", daemon=True)
        other.start()
        self._carry(far, near, self._most)
        other.join()
        with self._lock:
            lost = not {near, far} <= self._open
            self._open -= {near, far}
        far.close()
        if not lost:
            near.close()

    def _carry(self, source: socket.socket, sink: socket.socket, most: int | None, from_client: bool = False) -> None:
        carried = 0
        try:
            while data := source.recv((self._bytes_per_s and max(1, self._bytes_per_s // 20)) or CHUNK):
                self._flowing.wait()
                if self._is_lost(sink):
                    return
                carried += len(data)
                if most is not None and carried >= most:
                    sink.sendall(data[: len(data) - (carried - most)])
                    _close(source, reset=True)
                    _close(sink, reset=True)
                    return
                sink.sendall(data)
                if from_client and self._words:
                    self.counted += data.count(self._words)
                if self._bytes_per_s:
                    self._changed.wait(len(data) / self._bytes_per_s)
            self._flowing.wait()
            if not self._is_lost(sink):
                sink.shutdown(socket.SHUT_WR)
        except OSError:  # one side has reset the connection: the other side is closed when the network lets it through
            self._flowing.wait()
            if not self._is_lost(sink):
                _close(sink, reset=True)

    def _is_lost(self, end: socket.socket) -> bool:
        with self._lock:
            return end not in self._open

    def _end(self, *, reset: bool) -> None:
        with self._lock:
            ends = list(self._open)
        for end in ends:
            _close(end, reset=reset)


def _close(end: socket.socket, *, reset: bool) -> None:
    """Close a connection from which another thread may be reading."""
    with suppress(OSError):  # already closed by its own side
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        end.shutdown(socket.SHUT_RDWR)
    end.close()

"""What lies between the bridge and a server: a small TCP proxy that can fail in every way that a network does."""

import socket
import struct
import threading
from contextlib import suppress
from time import monotonic
from typing import Self

CHUNK = 65536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close() sends RST."""


class Proxy:
    """Carries bytes between whoever connects and a port of the loopback address.

    Args:
        target: the port of the server.
        host: the address to listen on.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self._target = target
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """How many there have been."""
        self.tries: list[float] = []
        """When somebody connected, by the monotonic clock."""
        self.counted = 0
        """How often clients have sent the words that are counted."""
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
        """Begin to carry."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, with all connections."""
        self.mend()
        self._refusing = True
        with suppress(OSError):  # nobody ever connected
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()
        self.cut()
        for end in self._forgotten:
            _close(end, reset=True)
        self._thread.join(30)

    def more_than(self, connections: int) -> bool:
        """Tell whether there have been more connections than so many."""
        return self.connections > connections

    def count(self, words: bytes) -> None:
        """Begin to count how often clients send these words, as they do at once if these are the head of a request."""
        self.counted, self._words = 0, words

    # --- faults

    def cut(self) -> None:
        """End every connection, as a server that stops does."""
        self._end(reset=False)

    def reset(self) -> None:
        """Break every connection, as a server that was restarted does."""
        self._end(reset=True)

    def refuse(self) -> None:
        """Break every connection, and hang up on everybody who comes."""
        self._refusing = True
        self._end(reset=True)

    def hang(self) -> None:
        """Hold back all bytes, as a network does that comes back some day: nobody is told, nothing is lost."""
        self._flowing.clear()

    def slow(self, bytes_per_s: int) -> None:
        """Carry only so much in each direction."""
        self._bytes_per_s = bytes_per_s

    def truncate(self, most: int) -> None:
        """End each connection, new ones too, after so many bytes from the server, wherever that is."""
        self._most = most
        self.reset()

    def lead_to(self, target: int) -> None:
        """Have somebody else answer from now on."""
        self._target = target
        self.reset()

    def mend(self, *, lost: bool = False) -> None:
        """Carry everything again.

        Args:
            lost: forget the connections there were, without telling anybody, as a router does that was restarted.
        """
        self._refusing, self._bytes_per_s, self._most = False, None, None
        if lost:
            with self._lock:
                self._forgotten += self._open  # or they would be closed, and the other side told
                self._open = set()  # their threads notice that they are not in it any more
        self._changed.set()
        self._changed.clear()
        self._flowing.set()

    # --- what carries

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near = self._listener.accept()[0]
                self.connections += 1
                self.tries.append(monotonic())
                threading.Thread(target=self._connect, args=(near,), name="proxy-connect", daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            if self._refusing:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _close(near, reset=True)
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {near, far}
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
        except OSError:  # one side has broken it off: the other is told, when the network lets it through
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
    """Close a connection that another thread may be reading from."""
    with suppress(OSError):  # closed by its own side already
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        end.shutdown(socket.SHUT_RDWR)
    end.close()

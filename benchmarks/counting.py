"""A TCP proxy between the bridge and a server that counts requests and bytes."""

import re
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Self

REQUEST = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE) (/[^ ?]*)[^ ]* HTTP/1\.1\r\n")
CHUNK = 65536


class CountingProxy:
    """Forwards connections to a port of the loopback address while its context is active.

    Args:
        target: the port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: Counter[str] = Counter()
        """HTTP requests by path; a request is small enough to arrive in one piece."""
        self.bytes_to = self.bytes_from = 0
        """Number of bytes to and from the server."""
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._open):
            with suppress(OSError):  # it is closed already
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for carry, source, sink in ((self._carry_to, near, far), (self._carry_from, far, near)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=carry, args=(source, sink), daemon=True).start()

    def _carry_to(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # the other end is closed
            while data := source.recv(CHUNK):
                self.bytes_to += len(data)
                self.requests.update(path.decode() for path in REQUEST.findall(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _carry_from(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # the other end is closed
            while data := source.recv(CHUNK):
                self.bytes_from += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

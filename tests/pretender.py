"""Servers that listen like a broker, but are not brokers."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Pretender:
    """Listens like a broker, and handles each connection with a given function."""

    def __init__(self, answer: Callable[[socket.socket], object]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                with self._listener.accept()[0] as connection:
                    self.connections += 1
                    with suppress(OSError):  # the other side closed the connection first
                        self._answer(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # makes accept() return
        self._listener.close()
        self._thread.join(30)


def until_hung_up(connection: socket.socket) -> None:
    """Read until the client closes the connection, and send nothing."""
    while connection.recv(4096):
        pass


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Return a handler that sends this answer to the first packet."""

    def answered(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return answered

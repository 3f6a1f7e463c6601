"""Servers that listen as a broker does, and are none."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Pretender:
    """Listens as a broker would, and does something else with each connection."""

    def __init__(self, answer: Callable[[socket.socket], object]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                with self._listener.accept()[0] as connection:
                    self.connections += 1
                    with suppress(OSError):  # the other side hung up first
                        self._answer(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()
        self._thread.join(30)


def until_hung_up(connection: socket.socket) -> None:
    """Read and say nothing."""
    while connection.recv(4096):
        pass


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer the first packet."""

    def answered(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return answered

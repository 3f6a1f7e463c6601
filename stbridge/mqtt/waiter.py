"""Waits for a socket, or for another thread that has work."""

import selectors
import socket
from contextlib import ExitStack, suppress
from typing import Protocol


class Waitable(Protocol):
    """A socket, or paho's wrapper around one."""

    def fileno(self) -> int:
        """Return its file descriptor."""


class Waiter:
    """Waits until a socket is ready or another thread calls `wake`.

    It uses a selector, because paho's own select() fails for file descriptors above 1023.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._selector: selectors.BaseSelector
        self._connection: Waitable
        self._reader: socket.socket
        self._writer: socket.socket | None = None
        self._buffered = False
        self._woken = False

    def watch(self, connection: Waitable) -> None:
        """Watch a socket from now on.

        Args:
            connection: the socket; only one can be watched.

        Raises:
            OSError: the process has no file descriptors left.
        """
        self._selector = self._open.enter_context(selectors.DefaultSelector())
        self._reader, self._writer = map(self._open.enter_context, socket.socketpair())
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)
        self._connection = connection

    def expect(self, *, to_write: bool) -> None:
        """Set what the next wait is for; no other thread may use the socket during this call.

        Args:
            to_write: whether to also wait until the socket is writable.
        """
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if to_write else 0)
        if self._selector.get_key(self._connection).events != events:
            self._selector.modify(self._connection, events)
        # TLS may have decrypted more bytes than were read, which a selector cannot detect.
        self._buffered = bool(getattr(self._connection, "pending", int)())

    def wait(self, timeout_s: float) -> tuple[bool, bool]:
        """Wait until the socket is ready, or `wake` is called.

        Args:
            timeout_s: maximum wait in seconds.

        Returns:
            whether the socket is readable, and whether it is writable.
        """
        ready = {key.fileobj: mask for key, mask in self._selector.select(0 if self._buffered else timeout_s)}
        if self._reader in ready:
            self._reader.recv(64)
            self._woken = False  # reset before the caller checks for work, so that no wake is missed
        mask = ready.get(self._connection, 0)
        return self._buffered or bool(mask & selectors.EVENT_READ), bool(mask & selectors.EVENT_WRITE)

    def wake(self) -> None:
        """Interrupt the current wait or the next one; thread-safe."""
        if self._writer and not self._woken:
            self._woken = True
            with suppress(OSError):  # closed in the meantime, so no thread is waiting
                self._writer.send(b"\0")

    def close(self) -> None:
        """Close all resources except the watched socket."""
        self._open.close()

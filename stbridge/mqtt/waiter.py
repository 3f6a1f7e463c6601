"""Waits for a socket, and for other threads that have something to be done."""

import selectors
import socket
from contextlib import ExitStack, suppress
from typing import Protocol


class Waitable(Protocol):
    """A socket, or what paho makes of one."""

    def fileno(self) -> int:
        """Return its file descriptor."""


class Waiter:
    """Waits for one socket, until another thread calls `wake`.

    A selector, because paho's own select() ends at file descriptor 1023.
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
            connection: the only one.

        Raises:
            OSError: the process has no file descriptors left.
        """
        self._selector = self._open.enter_context(selectors.DefaultSelector())
        self._reader, self._writer = map(self._open.enter_context, socket.socketpair())
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)
        self._connection = connection

    def expect(self, *, to_write: bool) -> None:
        """Decide what the next wait is for; no other thread may use the socket meanwhile.

        Args:
            to_write: whether to wait until it can be written to, too.
        """
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if to_write else 0)
        if self._selector.get_key(self._connection).events != events:
            self._selector.modify(self._connection, events)
        # TLS may have decrypted more than was read, which no selector sees.
        self._buffered = bool(getattr(self._connection, "pending", int)())

    def wait(self, timeout_s: float) -> tuple[bool, bool]:
        """Wait until the socket is ready, or `wake` is called.

        Args:
            timeout_s: the longest wait.

        Returns:
            whether it can be read, and whether it can be written to.
        """
        ready = {key.fileobj: mask for key, mask in self._selector.select(0 if self._buffered else timeout_s)}
        if self._reader in ready:
            self._reader.recv(64)
            self._woken = False  # before the caller looks for work, so that no wake is missed
        mask = ready.get(self._connection, 0)
        return self._buffered or bool(mask & selectors.EVENT_READ), bool(mask & selectors.EVENT_WRITE)

    def wake(self) -> None:
        """End the wait, or the next one; any thread."""
        if self._writer and not self._woken:
            self._woken = True
            with suppress(OSError):  # closed meanwhile: nobody waits any more
                self._writer.send(b"\0")

    def close(self) -> None:
        """Let go of everything but the socket that was watched."""
        self._open.close()

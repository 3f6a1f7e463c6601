"""Reads single keys from a terminal, without waiting for Enter."""

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Self

_NAMES = {"\x1b[A": "up", "\x1b[B": "down", "\x03": "q", "\x1b": "q"}
_LONGEST_KEY = 8


class Keyboard:
    """Reads keys in a `with` block, and restores the terminal at its end.

    Args:
        pressed: called by another thread with each key: its character, `up` or `down`; `q` if the terminal is closed.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        self._terminal = sys.stdin.fileno()
        self._thread = threading.Thread(target=self._run, name="keyboard", daemon=True)

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._terminal)
        self._woken, self._wake = os.pipe()
        tty.setcbreak(self._terminal)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._wake, b".")
        self._thread.join()
        with contextlib.suppress(termios.error):  # the terminal is closed
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)
        os.close(self._woken)
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._terminal, self._woken], [], [])
            if self._woken in ready:
                return
            try:
                key = os.read(self._terminal, _LONGEST_KEY).decode("utf-8", "replace")
            except OSError:
                key = ""
            if not key:  # the terminal is closed
                self._pressed("q")
                return
            self._pressed(_NAMES.get(key, key))

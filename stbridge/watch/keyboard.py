"""Reads single keys from a terminal, without waiting for Enter."""

import contextlib
import os
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""A sequence of a terminal, or a character."""

_ESCAPE = "\x1b"
"""The key Esc, and the beginning of every sequence."""

_PAUSE_S = 0.05
"""Maximum seconds within a sequence; after a longer pause, it was the key Esc."""

_NAMES = {
    **dict.fromkeys(("\x1b[A", "\x1bOA"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB"), "down"),
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"), "home"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"), "end"),
    **dict.fromkeys(("\r", "\n"), "enter"),
    "\t": "tab",
    _ESCAPE: "escape",
    "\x03": "q",
}
"""The names of keys; terminals disagree about some of them."""

_MOST_AT_ONCE = 256


def keys(text: str) -> Iterator[str]:
    """Split the input of a terminal, which may contain several keys, into names and characters."""
    for found in _KEY.finditer(text):
        yield _NAMES.get(found[0], found[0])


class Keyboard:
    """Reads keys in a `with` block, and restores the terminal at its end.

    Args:
        pressed: called by another thread with each key: its name or character; `q` if the terminal is closed.
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
            text = self._read()
            if text.endswith(_ESCAPE) and select.select([self._terminal], [], [], _PAUSE_S)[0]:
                text += self._read()  # a slow connection has split a sequence
            if not text:  # the terminal is closed
                self._pressed("q")
                return
            for key in keys(text):
                self._pressed(key)

    def _read(self) -> str:
        try:
            return os.read(self._terminal, _MOST_AT_ONCE).decode("utf-8", "replace")
        except OSError:
            return ""

"""Who comes next: commands that undo each other must not overtake each other, though each has a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lane: turns are drawn in one thread, taken in others, and come in the order in which they were drawn."""

    def __init__(self) -> None:
        self._last = threading.Event()
        self._last.set()

    def draw(self) -> "Turn":
        """Return the next turn."""
        before, self._last = self._last, threading.Event()
        return Turn(before, self._last)


class Turn:
    """One turn.

    Args:
        before: is set when the one before is done.
        done: is set when this one is.
    """

    def __init__(self, before: threading.Event, done: threading.Event) -> None:
        self._before = before
        self._done = done

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn; it is over at the end, however that comes."""
        try:
            self._before.wait()
            yield
        finally:
            self._done.set()

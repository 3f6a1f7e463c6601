"""Limits how many Syncthing instances are read completely at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

CHECK_S = 0.05
"""Interval in seconds at which a waiting thread checks whether it may continue."""


class ConcurrencyLimit:
    """Limits how many threads do the same work at the same time; a slow one delays the others only briefly.

    Python runs one thread at a time. If many threads read the answers of fast instances, much of the processor time is
    spent on switching between them. A thread that works for longer mostly waits for its instance; it no longer counts.

    Args:
        max_working: maximum number of threads.
        max_s: seconds after which a thread no longer counts.
    """

    def __init__(self, max_working: int, max_s: float) -> None:
        self._max_working = max_working
        self._max_s = max_s
        self._lock = threading.Lock()
        self._began_at: list[float] = []

    @contextmanager
    def slot(self, stop: threading.Event, heartbeat: Callable[[], object]) -> Iterator[bool]:
        """Wait until fewer threads work than the maximum, and count this thread in the context.

        Args:
            stop: ends the wait when it is set.
            heartbeat: called repeatedly during the wait.

        Yields:
            whether this thread had to wait.
        """
        waited = False
        while (began_at := self._take()) is None and not stop.wait(CHECK_S):
            waited = True
            heartbeat()
        try:
            yield waited
        finally:
            if began_at is not None:
                with self._lock:
                    self._began_at.remove(began_at)

    def _take(self) -> float | None:
        now = monotonic()
        with self._lock:
            if sum(now - began_at < self._max_s for began_at in self._began_at) >= self._max_working:
                return None
            self._began_at.append(now)
            return now

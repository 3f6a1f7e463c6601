"""The wall clock, and the steps by which NTP or a user sets it."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SMALLEST_STEP = timedelta(seconds=1)
"""A smaller difference between the clocks is drift, which NTP corrects gradually."""


def utc_now() -> datetime:
    """Return the current time of the wall clock, in UTC."""
    return datetime.now(UTC)


def steady_s() -> float:
    """Return the seconds of a clock that is never set, and that keeps running while the machine is suspended.

    On Linux, `time.monotonic` stops during a suspend, so a suspend would look like a step of the wall clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SteppedClock:
    """The wall clock, which also returns the steps by which it was set; thread-safe.

    Args:
        wall: returns the time of the wall clock.
        steady: returns the seconds of a clock that is never set.
    """

    def __init__(self, wall: Callable[[], datetime] = utc_now, steady: Callable[[], float] = steady_s) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._last_wall, self._last_steady = wall(), steady()

    def read(self) -> tuple[datetime, timedelta]:
        """Return the time, and by how much the clock was set since the last call; zero if it was not set."""
        with self._lock:
            wall, steady = self._wall(), self._steady()
            step = (wall - self._last_wall) - timedelta(seconds=steady - self._last_steady)
            self._last_wall, self._last_steady = wall, steady
        return wall, step if abs(step) >= SMALLEST_STEP else timedelta()

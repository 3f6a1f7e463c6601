"""Transferred bytes: rates from counters, and totals over all processes of Syncthing."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from typing import NamedTuple

SMOOTHING_S = 10.0
"""Time constant of the exponential smoothing, in seconds."""

CHATTER = 100
"""Bytes per second; Syncthing's keepalives cause a lower rate, which counts as 0."""

KEPT_READINGS = 16
"""Number of readings that are kept until the status shows which process of Syncthing they belong to."""


@dataclass(slots=True)
class Rate:
    """A smoothed rate in bytes per second, from readings of a counter that may restart at zero."""

    value: float = 0.0
    _bytes: int | None = None
    _at: datetime | None = None

    def read(self, count: int, at: datetime) -> None:
        """Update the rate from a reading of the counter.

        The start and the end of a transfer change the rate immediately; in between it is smoothed.
        """
        if self._bytes is not None and self._at is not None and at > self._at:
            elapsed = (at - self._at).total_seconds()
            rate = max(0, count - self._bytes) / elapsed
            weight = 1 - exp(-elapsed / SMOOTHING_S) if self.value else 1
            self.value = round(self.value + weight * (rate - self.value), 1) if rate >= CHATTER else 0.0
        self._bytes, self._at = count, at

    def stop(self) -> None:
        """Set the rate to 0 and forget the last reading."""
        self.value, self._bytes, self._at = 0.0, None, None


class Reading(NamedTuple):
    """A reading of the counter of a process, with the time of the bridge's clock."""

    counted: int
    at: datetime


class Lifetime:
    """A total over all processes of Syncthing: the counts of previous processes plus that of the running one.

    The total is unknown until `restore` has been called once, with or without a total from the previous run.
    """

    def __init__(self) -> None:
        self.value: int | None = None
        self._earlier: int | None = None
        self._readings: deque[Reading] = deque(maxlen=KEPT_READINGS)

    @property
    def restored(self) -> bool:
        """Whether `restore` has been called."""
        return self._earlier is not None

    @property
    def current(self) -> int | None:
        """The count of the running process; None before its first reading."""
        return self._readings[-1].counted if self._readings else None

    def restore(self, total: int | None, current: int | None, *, same_process: bool) -> None:
        """Continue from the total that the previous run of the bridge published.

        Args:
            total: the lifetime total of that run, None if there is none.
            current: the count of the process of Syncthing at that time.
            same_process: whether that process is still running.
        """
        self._earlier = max(0, (total or 0) - (current or 0)) if same_process else (total or 0)
        self._add_up()

    def read(self, count: int, at: datetime) -> None:
        """Update the total from the count of the running process; a lower count than before means a new process."""
        if self.current is not None and count < self.current:
            self._end_process(self.current)
            self._readings.clear()
        self._readings.append(Reading(count, at))
        self._add_up()

    def restart(self, at: datetime, uptime_s: int) -> None:
        """Note a restart of Syncthing: the new counter may have exceeded the old value between two readings.

        Args:
            at: when the status of the new process was read.
            uptime_s: its uptime at that time; earlier readings belong to the previous process.
        """
        previous = 0
        for number, one in enumerate(self._readings, start=1):
            if one.at > at or (at - one.at).total_seconds() >= uptime_s:  # later than now: the clock was set
                previous = number
        if previous:
            self._end_process(self._readings[previous - 1].counted)
        for _ in range(previous):
            self._readings.popleft()
        self._add_up()

    def shift(self, by: timedelta) -> None:
        """Move the times of the readings, because the clock was set by this much."""
        self._readings = deque((one._replace(at=one.at + by) for one in self._readings), maxlen=KEPT_READINGS)

    def _end_process(self, counted: int) -> None:
        if self._earlier is not None:
            self._earlier += counted

    def _add_up(self) -> None:
        if self._earlier is not None and (self.current is not None or self.value is not None):
            self.value = self._earlier + (self.current or 0)

"""Transferred bytes: rates from counters, and totals over all processes that count."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from typing import NamedTuple

SMOOTHING_S = 10.0
"""Time constant of the exponential smoothing, in seconds."""

CHATTER = 100
"""Bytes per second that Syncthing spends on keepalives: nothing is transferred."""

KEPT_READINGS = 16
"""How many are kept until the status of a new process has been read, which shows whose they are."""


@dataclass(slots=True)
class Rate:
    """A smoothed rate in bytes per second, from readings of a counter that may start again."""

    value: float = 0.0
    _bytes: int | None = None
    _at: datetime | None = None

    def read(self, count: int, at: datetime) -> None:
        """Take a reading of the counter at a time.

        The start and the end of a transfer show at once; in between the rate is smoothed.
        """
        if self._bytes is not None and self._at is not None and at > self._at:
            elapsed = (at - self._at).total_seconds()
            rate = max(0, count - self._bytes) / elapsed
            weight = 1 - exp(-elapsed / SMOOTHING_S) if self.value else 1
            self.value = round(self.value + weight * (rate - self.value), 1) if rate >= CHATTER else 0.0
        self._bytes, self._at = count, at

    def stop(self) -> None:
        """Set the rate to 0, and forget the counter."""
        self.value, self._bytes, self._at = 0.0, None, None


class Reading(NamedTuple):
    """What a process had counted at a time of the bridge's clock."""

    counted: int
    at: datetime


class Lifetime:
    """A total over all processes of Syncthing: what earlier ones counted, and what the running one has counted so far.

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
        """What the running process has counted; None before its first reading."""
        return self._readings[-1].counted if self._readings else None

    def restore(self, total: int | None, current: int | None, *, same_process: bool) -> None:
        """Continue from what the previous run of the bridge published.

        Args:
            total: the lifetime total of that run, None if there is none.
            current: what the process of Syncthing had counted by then.
            same_process: whether that process is still running.
        """
        self._earlier = max(0, (total or 0) - (current or 0)) if same_process else (total or 0)
        self._add_up()

    def read(self, count: int, at: datetime) -> None:
        """Take what the running process has counted; less than before means that a new one counts."""
        if self.current is not None and count < self.current:
            self._end_process(self.current)
            self._readings.clear()
        self._readings.append(Reading(count, at))
        self._add_up()

    def restart(self, at: datetime, uptime_s: int) -> None:
        """End the previous process: the counter of the new one may have passed the old value between two readings.

        Args:
            at: when the status of the new process was read.
            uptime_s: for how many seconds it had been running; what was read before was counted by the previous one.
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

"""Time stamps of payloads, durations as users write them, and timers; the current time is always an argument."""

import heapq
import re
from collections.abc import Hashable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Generic, TypeVar

LONGEST_DURATION_S = 366 * 24 * 3600

SPARE = 64
"""Entries that the queue of timers may have in addition to two per timer before it is rebuilt."""

_FIRST = datetime(2013, 1, 1, tzinfo=UTC)
"""A time before Syncthing existed. A clock that shows an earlier time has not been set yet."""

_LAST = datetime(2100, 1, 1, tzinfo=UTC)
"""Later times are invalid: adding a threshold to them could overflow."""

LARGEST_STEP_BACK = timedelta(days=1)
"""Maximum step by which a clock is expected to be set back, for example to correct a wrong time zone."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_DURATION = re.compile(r"([0-9]{1,9})\s*([smhd]?)", re.ASCII)


# --- stamps: ISO 8601 in UTC with Z


def in_utc(stamp: datetime | None) -> str | None:
    """Format an aware time; fractions of a second are truncated to milliseconds, and left out if they are zero."""
    if stamp is None:
        return None
    utc = stamp.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"  # noqa: PLR2004 - 1 ms


def from_utc(text: object) -> datetime | None:
    """Parse a time that `in_utc` formatted; None for anything else, since any client may publish."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def past_from_utc(text: object, now: datetime) -> datetime | None:
    """Parse the time at which a condition began; None for times before Syncthing existed and for future times.

    A time up to one day in the future becomes the current time, because the clock may have been set back. As long as
    the clock has not been set after a boot, the current time is unknown, so every time up to _LAST is accepted.
    """
    stamp = from_utc(text)
    if stamp is None or not _FIRST <= stamp < _LAST:
        return None
    if now < _FIRST:
        return stamp
    return min(stamp, now) if stamp <= now + LARGEST_STEP_BACK else None


# --- durations: `90s`, `30m`, `2h`, `1d`, or a number of seconds


def is_duration(value: object) -> bool:
    """Return whether a value is a duration of at least one second and at most LONGEST_DURATION_S."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    length = parsed_seconds(str(value))
    return length is not None and 0 < length <= LONGEST_DURATION_S


def seconds(duration: int | str) -> int:
    """Return the number of seconds of a duration that `is_duration` accepts."""
    length = parsed_seconds(str(duration))
    assert length is not None, "is_duration() comes first"
    return length


def parsed_seconds(text: str) -> int | None:
    """Return the number of seconds of a duration of any length, such as `7d`; None for any other text."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


# --- timers

Key = TypeVar("Key", bound=Hashable)
Time = TypeVar("Time", datetime, float)


class Timers(Generic[Key, Time]):
    """One timer for each key; the cost of setting one and of finding due ones does not depend on the other timers.

    All times have one type: datetimes, or seconds of a monotonic clock. A postponed timer keeps its entry in the queue
    until that entry is due, so repeated postponing, as by the progress of a transfer, does not make the queue grow.
    """

    def __init__(self) -> None:
        self._due: dict[Key, Time] = {}
        self._queued: dict[Key, Time] = {}  # never later than the time in `_due`
        self._queue: list[tuple[Time, int, Key]] = []
        self._numbers = count()  # order entries with equal times, because keys may not be comparable

    def set(self, key: Key, at: Time | None) -> None:
        """Set the timer of a key, replacing the previous one; None removes it."""
        if at is None:
            self._due.pop(key, None)
            return
        self._due[key] = at
        if key not in self._queued or at < self._queued[key]:
            self._push(key, at)

    def shift(self, by: Any) -> None:
        """Move all timers, because the clock was set by this much."""
        due = {key: at + by for key, at in self._due.items()}
        self._due, self._queued, self._queue = {}, {}, []
        for key, at in due.items():
            self.set(key, at)

    @property
    def next(self) -> Time | None:
        """The earliest time of all timers."""
        while self._queue:
            at, _, key = self._queue[0]
            due = self._due.get(key)
            if at == due == self._queued.get(key):
                return at
            heapq.heappop(self._queue)
            if self._queued.get(key) == at:
                del self._queued[key]
                if due is not None:
                    self._push(key, due)
        return None

    def due(self, now: Time) -> Iterator[Key]:
        """Remove and return the keys whose timers are due, the earliest first."""
        while (at := self.next) is not None and at <= now:
            key = heapq.heappop(self._queue)[2]
            del self._due[key], self._queued[key]
            yield key

    def _push(self, key: Key, at: Time) -> None:
        # A timer that is removed, or set to an earlier time, leaves its old entry in the queue.
        if len(self._queue) > 2 * len(self._due) + SPARE:
            self._queued = {key: at for key, at in self._queued.items() if key in self._due}
            self._queue = [entry for entry in self._queue if self._queued.get(entry[2]) == entry[0]]
            heapq.heapify(self._queue)
        self._queued[key] = at
        heapq.heappush(self._queue, (at, next(self._numbers), key))

    def __len__(self) -> int:
        return len(self._queue)

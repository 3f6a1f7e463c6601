"""Computes the progress of scans and syncs: percent done, rate and estimated end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from stbridge.core.traffic import Rate

LONGEST = timedelta(days=3650)
"""Maximum remaining time of an estimate; a longer one is not published."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a scan or sync: percent done, bytes per second and the estimated end, None if unknown."""

    percent: float
    rate: float | None = None
    ends_at: datetime | None = None


def progress(*, done: int, total: int, rate: float | None, now: datetime, complete: bool = True) -> Progress:
    """Calculate percent done and the estimated end; percent are truncated to one decimal, never rounded up.

    Args:
        done: bytes done.
        total: total bytes, more than 0.
        rate: bytes per second; None or 0 if unknown.
        now: the current time.
        complete: False if items are missing that have no bytes; the result is then less than 100 percent.
    """
    # in integers: a float would round the last byte of a large total up to 100
    tenths = 1000 * max(0, min(done, total)) // total
    percent = (tenths if complete else min(tenths, 999)) / 10
    if not rate:
        return Progress(percent)
    left = (total - done) / rate
    ends_at = now + timedelta(seconds=round(left)) if 0 <= left < LONGEST.total_seconds() else None
    return Progress(percent, rate, ends_at and ends_at.replace(microsecond=0))


class SyncProgress:
    """The progress of one sync of a folder, computed from the bytes that are still missing.

    Args:
        need_bytes: the missing bytes at the start.
        now: the time of the start.
    """

    def __init__(self, need_bytes: int, now: datetime) -> None:
        self._total = need_bytes
        self._done = 0
        self._rate = Rate()
        self._rate.read(0, now)

    def read(self, need_bytes: int, now: datetime, *, complete: bool) -> Progress | None:
        """Update the progress from the missing bytes; `complete` means that nothing at all is missing.

        Empty files and deletions have no bytes, but count for `complete`. If more bytes are missing than before, the
        total grows, because changes arrive during the sync.
        """
        done = self._total - need_bytes
        if done < self._done:
            self._total, done = self._done + need_bytes, self._done
        self._done = done
        self._rate.read(done, now)
        if not self._total:
            return None
        return progress(done=done, total=self._total, rate=self._rate.value, now=now, complete=complete)

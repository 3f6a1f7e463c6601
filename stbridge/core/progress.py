"""How far something is, how fast it goes, and when it may end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from stbridge.core.traffic import Rate

LONGEST = timedelta(days=3650)
"""An end later than this is no estimate."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Work under way: percent done, bytes per second and the estimated end, as far as they are known."""

    percent: float
    rate: float | None = None
    ends_at: datetime | None = None


def progress(*, done: int, total: int, rate: float | None, now: datetime) -> Progress:
    """Reckon how far something is.

    Args:
        done: bytes that are done.
        total: bytes in all, more than 0.
        rate: bytes per second; None or 0 if that is not known.
        now: the time of the reckoning.
    """
    percent = round(100 * max(0.0, min(1.0, done / total)), 1)
    if not rate:
        return Progress(percent)
    left = (total - done) / rate
    ends_at = now + timedelta(seconds=round(left)) if 0 <= left < LONGEST.total_seconds() else None
    return Progress(percent, rate, ends_at and ends_at.replace(microsecond=0))


class SyncProgress:
    """The progress of one sync of a folder, by what is still lacking.

    Args:
        need_bytes: what is lacking at its beginning.
        now: the time of that.
    """

    def __init__(self, need_bytes: int, now: datetime) -> None:
        self._total = need_bytes
        self._done = 0
        self._rate = Rate()
        self._rate.read(0, now)

    def read(self, need_bytes: int, now: datetime) -> Progress | None:
        """Take what is lacking now; more than before makes the whole larger, as files come in while it syncs."""
        done = self._total - need_bytes
        if done < self._done:
            self._total, done = self._done + need_bytes, self._done
        self._done = done
        self._rate.read(done, now)
        return progress(done=done, total=self._total, rate=self._rate.value, now=now) if self._total else None

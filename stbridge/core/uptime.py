"""The uptime of the process of Syncthing, corrected for changes of its wall clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_S = 10 * 365 * 24 * 3600
"""A longer uptime is wrong: Syncthing started while its clock showed 1970."""

TOLERANCE_S = 60
"""Maximum difference between the reported and the expected uptime; a larger one means that the clock was set."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """The uptime of a process at the last reading; None means unknown."""

    process: datetime | None
    seconds: int | None
    read_at: datetime

    def shifted(self, by: timedelta) -> "Uptime":
        """Return the same uptime, with its time moved by as much as the clock was set."""
        return Uptime(self.process, self.seconds, self.read_at + by)


def uptime(before: Uptime | None, process: datetime | None, reported: int, now: datetime) -> Uptime:
    """Return the uptime after a reading; Syncthing computes it from its wall clock.

    Args:
        before: the last reading.
        process: the start time of the process, which stays the same when the clock is set.
        reported: the uptime that Syncthing reports.
        now: the time of the bridge's own clock.
    """
    if before is not None and before.process == process and before.seconds is not None:
        expected = before.seconds + max(0, round((now - before.read_at).total_seconds()))
        return Uptime(process, reported if abs(reported - expected) <= TOLERANCE_S else expected, now)
    return Uptime(process, reported if 0 <= reported <= LONGEST_S else None, now)

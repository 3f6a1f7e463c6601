"""For how long the process of Syncthing has been running, whatever happens to its wall clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_S = 10 * 365 * 24 * 3600
"""A longer uptime is the time since 1970: the clock was set after the start."""

TOLERANCE_S = 60
"""By how much a reading may differ from what the bridge expects; more means that the clock was set."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """The uptime of a process when it was read last; None is not known."""

    process: datetime | None
    seconds: int | None
    read_at: datetime

    def shifted(self, by: timedelta) -> "Uptime":
        """Return the same by a clock that was set by this much."""
        return Uptime(self.process, self.seconds, self.read_at + by)


def uptime(before: Uptime | None, process: datetime | None, reported: int, now: datetime) -> Uptime:
    """Return the uptime after a reading; Syncthing reckons it with its wall clock.

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

"""Completions that Syncthing has yet to report after a device has sent changes of its index of a folder."""

from datetime import datetime, timedelta

from stbridge.core.timing import Timers

Share = tuple[str, str]
"""The IDs of a device and of a folder that it shares."""

LATE = timedelta(seconds=3)
"""How long after the last change of an index its completion is late.

Syncthing reports it after 2 s, plus twice the time in which it computes all changed folders (`calculateSummaries` in
its lib/model/folder_summary.go). On a busy machine, that can take long.
"""

INTERVAL = timedelta(seconds=0.5)
"""Time between two late completions, so that most of many are reported by Syncthing before they are read."""


class ExpectedCompletions:
    """The shares whose index has changed since their completion was computed."""

    def __init__(self) -> None:
        self._sequences: dict[Share, int] = {}
        self._timers: Timers[Share, datetime] = Timers()
        self._next_at: datetime | None = None

    def index_changed(self, share: Share, sequence: int, now: datetime) -> None:
        """Expect a completion that was computed from this sequence of the index, or from a later one."""
        self._sequences[share] = sequence
        self._timers.set(share, now + LATE)

    def computed(self, share: Share, sequence: int) -> None:
        """Note that a completion is known that was computed from this sequence of the index.

        Version 2 reads the sequence after the items that are needed. If the index changes in between, the completion is
        the previous one, and the next event corrects it.
        """
        if sequence >= self._sequences.get(share, 0):
            self.forget(share)

    def forget(self, share: Share) -> None:
        """Expect no completion of a share."""
        self._sequences.pop(share, None)
        self._timers.set(share, None)

    def take_late(self, now: datetime) -> Share | None:
        """Remove and return a share whose completion is late; None if there is none, or during INTERVAL after one."""
        if self._next_at is not None and now < self._next_at:
            return None
        share = next(self._timers.due(now), None)
        if share is not None:
            del self._sequences[share]
            self._next_at = now + INTERVAL
        return share

    @property
    def next_late(self) -> datetime | None:
        """When `take_late` may return a share; None if no completion is expected."""
        at = self._timers.next
        return at if at is None or self._next_at is None else max(at, self._next_at)

    def shift(self, by: timedelta) -> None:
        """Move all times, because the clock was set by this much."""
        self._timers.shift(by)
        if self._next_at is not None:
            self._next_at += by

"""Completions that Syncthing has yet to report after a device has sent changes of its index of a folder."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from stbridge.core.timing import Timers

Share = tuple[str, str]
"""The IDs of a device and of a folder that it shares."""

LATE = timedelta(seconds=3)
"""How long after the last change of an index its completion is late.

Syncthing reports it after 2 s, plus twice the time in which it computes all changed folders (`calculateSummaries` in
its lib/model/folder_summary.go). On a busy machine, that can take long.
"""


class ExpectedCompletions:
    """The shares whose index has changed since their completion was computed."""

    def __init__(self) -> None:
        self._sequences: dict[Share, int] = {}
        self._timers: Timers[Share, datetime] = Timers()

    def index_changed(self, share: Share, sequence: int, now: datetime) -> None:
        """Expect a completion that was computed from this sequence of the index, or from a later one."""
        self._sequences[share] = sequence
        self._timers.set(share, now + LATE)

    def computed(self, share: Share, sequence: int) -> None:
        """Note that a completion is known that was computed from this sequence of the index."""
        if sequence >= self._sequences.get(share, 0):
            self.forget(share)

    def forget(self, share: Share) -> None:
        """Expect no completion of a share."""
        self._sequences.pop(share, None)
        self._timers.set(share, None)

    def late(self, now: datetime) -> Iterator[Share]:
        """Remove and yield the shares whose completion is late."""
        for share in self._timers.due(now):
            del self._sequences[share]
            yield share

    @property
    def next_late(self) -> datetime | None:
        """When the next completion is late; None if none is expected."""
        return self._timers.next

    def shift(self, by: timedelta) -> None:
        """Move all times, because the clock was set by this much."""
        self._timers.shift(by)

"""Pauses that end by themselves: of what, and when."""

from datetime import datetime, timedelta
from typing import NamedTuple

RETRY = timedelta(seconds=30)
"""How long after a try to resume the next one follows, if it is still paused."""


class Paused(NamedTuple):
    """A folder or a device that is paused; `kind` is `folder` or `device`, `id` the full ID."""

    kind: str
    id: str


class TimedPauses:
    """Knows which pauses end by themselves; it forgets one when it is told that it has ended."""

    def __init__(self) -> None:
        self._until: dict[Paused, datetime] = {}
        self._next_try: dict[Paused, datetime] = {}

    def set(self, paused: Paused, until: datetime | None) -> None:
        """Let a pause end at a time, or not by itself."""
        if until is None:
            self._until.pop(paused, None)
            self._next_try.pop(paused, None)
        else:
            self._until[paused] = self._next_try[paused] = until

    def until(self, kind: str, identifier: str) -> datetime | None:
        """Return when a pause will end by itself; None if it will not."""
        return self._until.get(Paused(kind, identifier))

    @property
    def next_try(self) -> datetime | None:
        """When the next one has to be resumed."""
        return min(self._next_try.values(), default=None)

    def take_due(self, now: datetime) -> list[Paused]:
        """Return what has to be resumed now; it is returned again after RETRY while it is still paused."""
        due = [paused for paused, at in self._next_try.items() if at <= now]
        self._next_try.update(dict.fromkeys(due, now + RETRY))
        return due

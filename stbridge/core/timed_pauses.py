"""Timed pauses: which folders and devices are to be resumed, and when."""

from collections.abc import Container
from datetime import datetime, timedelta
from typing import NamedTuple

RETRY = timedelta(seconds=30)
"""How long after an attempt to resume the next one follows, if it is still paused."""

PAUSING_COMMANDS = ("pause", "resume", "set_paused", "reset")
"""The commands that make timed pauses, or resume."""


def may_resume(allowed: Container[str]) -> bool:
    """Tell whether an allow-list (command names) admits that the bridge resumes something.

    A timed pause that was restored from the broker may be forged: anybody who may publish there can make one up.
    """
    return any(command in allowed for command in PAUSING_COMMANDS)


class Paused(NamedTuple):
    """A folder or a device that is paused; `kind` is `folder` or `device`, `id` the full ID."""

    kind: str
    id: str


class TimedPauses:
    """The pauses that the bridge is to end."""

    def __init__(self) -> None:
        self._until: dict[Paused, datetime] = {}
        self._next_try: dict[Paused, datetime] = {}
        self._restored: set[Paused] = set()

    def set(self, paused: Paused, until: datetime | None, *, restored: bool = False) -> None:
        """Set when a pause ends; None removes it.

        Args:
            paused: the folder or device.
            until: when it is resumed.
            restored: whether the previous run set it: then the time stays when the clock is set.
        """
        self._restored.discard(paused)
        if restored:
            self._restored.add(paused)
        if until is None:
            self._until.pop(paused, None)
            self._next_try.pop(paused, None)
        else:
            self._until[paused] = self._next_try[paused] = until

    def shift(self, by: timedelta) -> None:
        """Let the pauses of this run last as long as before, because the clock was set by this much."""
        for times in (self._until, self._next_try):
            times.update({paused: at + by for paused, at in times.items() if paused not in self._restored})

    def until(self, kind: str, identifier: str) -> datetime | None:
        """Return when a pause ends; None if it is not timed."""
        return self._until.get(Paused(kind, identifier))

    @property
    def next_try(self) -> datetime | None:
        """When the next attempt to resume something is due."""
        return min(self._next_try.values(), default=None)

    def take_due(self, now: datetime) -> list[Paused]:
        """Return what has to be resumed now, and again after RETRY while it is still paused."""
        due = [paused for paused, at in self._next_try.items() if at <= now]
        self._next_try.update(dict.fromkeys(due, now + RETRY))
        return due

"""Points in time at which something is due, for each key one; time comes in as an argument."""

import heapq
from collections.abc import Hashable, Iterator
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Timers(Generic[Key]):
    """An alarm clock for many: to set one, and to find those that are due, costs nothing for the others.

    A time that is put off again and again, as by a transfer that makes progress, stays in the queue where it is and
    is put off for good only when it comes up: so the queue does not grow with the events.
    """

    def __init__(self) -> None:
        self._due: dict[Key, datetime] = {}
        self._queued: dict[Key, datetime] = {}  # never later than what is due
        self._queue: list[tuple[datetime, int, Key]] = []
        self._numbers = count()  # keys need not be comparable

    def set(self, key: Key, at: datetime | None) -> None:
        """Set the time of a key, in place of any that it had; None takes it away."""
        if at is None:
            self._due.pop(key, None)
            return
        self._due[key] = at
        if key not in self._queued or at < self._queued[key]:
            self._push(key, at)

    @property
    def next(self) -> datetime | None:
        """The earliest time that is set."""
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

    def due(self, now: datetime) -> Iterator[Key]:
        """Take the keys out whose time has come, the earliest first."""
        while (at := self.next) is not None and at <= now:
            key = heapq.heappop(self._queue)[2]
            del self._due[key], self._queued[key]
            yield key

    def _push(self, key: Key, at: datetime) -> None:
        self._queued[key] = at
        heapq.heappush(self._queue, (at, next(self._numbers), key))

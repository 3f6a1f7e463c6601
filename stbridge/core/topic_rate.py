"""Rate limits for many topics; the current time is an argument."""

import heapq

from stbridge.core.topics import Address

BURST = 10
"""Tokens of a full bucket: one change often causes several updates, because a folder scans, syncs and becomes idle."""


class TopicRateLimiter:
    """One token bucket per topic, each stored as a single time (the generic cell rate algorithm).

    A bucket that is full again is dropped, so memory depends on the number of topics that keep changing.
    Times are seconds of a monotonic clock.

    Args:
        updates_per_second: the limit for one topic that keeps changing; 0 is no limit.
    """

    def __init__(self, updates_per_second: float) -> None:
        self._interval = 1 / updates_per_second if updates_per_second else 0.0
        # By topic, when its bucket is full again. Two generations allow dropping full buckets without a search: a
        # bucket that was not updated for the time that it needs to fill is full.
        self._full_at: dict[Address, float] = {}
        self._full_at_before: dict[Address, float] = {}
        self._renewed_at = 0.0
        self._limited: set[Address] = set()
        self._queue: list[tuple[float, Address]] = []

    def is_limited(self, address: Address, now: float) -> bool:
        """Return whether a topic is rate limited now; if so, `due` returns it when it has a token again."""
        if address in self._limited:
            return True
        at = self._full(address) - (BURST - 1) * self._interval
        if at <= now:
            return False
        self._limited.add(address)
        heapq.heappush(self._queue, (at, address))
        return True

    def take(self, address: Address, now: float) -> None:
        """Take a token of a topic."""
        if self._interval:
            self._full_at[address] = max(self._full(address), now) + self._interval

    @property
    def next(self) -> float | None:
        """When the first limited topic has a token again; None if no topic is limited."""
        return self._queue[0][0] if self._queue else None

    def due(self, now: float) -> list[Address]:
        """Release the topics that have a token again, the longest limited first."""
        if now - self._renewed_at > BURST * self._interval:
            self._full_at, self._full_at_before, self._renewed_at = {}, self._full_at, now
        released = []
        while self._queue and self._queue[0][0] <= now:
            released.append(heapq.heappop(self._queue)[1])
        self._limited.difference_update(released)
        return released

    def release(self) -> list[Address]:
        """Release all limited topics."""
        released = [address for _, address in sorted(self._queue)]
        self._queue.clear()
        self._limited.clear()
        return released

    def _full(self, address: Address) -> float:
        at = self._full_at.get(address)
        return at if at is not None else self._full_at_before.get(address, 0.0)

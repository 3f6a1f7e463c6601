"""How often each of many topics may be sent; time comes in as an argument."""

import heapq

from stbridge.core.topics import Address

BURST = 10
"""So many updates go at once: a change seldom comes alone, for a folder is scanned, then it syncs, then it is idle."""


class Pace:
    """Counts the updates of each address, and tells which of them have to wait.

    BURST of them may go at once; after as long a rest as so many take at an even pace, an address is as free as a new
    one, and forgotten. Times are seconds of a monotonic clock.

    Args:
        updates_per_second: of one address, while it keeps changing; 0 is no bound.
    """

    def __init__(self, updates_per_second: float) -> None:
        self._interval = 1 / updates_per_second if updates_per_second else 0.0
        # By address, when all of its updates so far would have gone at an even pace. What was not written for as long
        # as a burst takes to be allowed again tells nothing any more: two generations forget it without a search.
        self._even: dict[Address, float] = {}
        self._even_before: dict[Address, float] = {}
        self._renewed_at = 0.0
        self._held: set[Address] = set()
        self._queue: list[tuple[float, Address]] = []

    def holds(self, address: Address, now: float) -> bool:
        """Tell whether an update of an address has to wait; if so, `due` tells when it need not any more."""
        if address in self._held:
            return True
        at = self._even_at(address) - (BURST - 1) * self._interval
        if at <= now:
            return False
        self._held.add(address)
        heapq.heappush(self._queue, (at, address))
        return True

    def note(self, address: Address, now: float) -> None:
        """Count an update of an address."""
        if self._interval:
            self._even[address] = max(self._even_at(address), now) + self._interval

    @property
    def next(self) -> float | None:
        """When the first of those that wait need not any more."""
        return self._queue[0][0] if self._queue else None

    def due(self, now: float) -> list[Address]:
        """Release the addresses that need not wait any more, the first one first; to be called now and then."""
        if now - self._renewed_at > BURST * self._interval:
            self._even, self._even_before, self._renewed_at = {}, self._even, now
        released = []
        while self._queue and self._queue[0][0] <= now:
            released.append(heapq.heappop(self._queue)[1])
        self._held.difference_update(released)
        return released

    def release(self) -> list[Address]:
        """Release all that wait."""
        released = [address for _, address in sorted(self._queue)]
        self._queue.clear()
        self._held.clear()
        return released

    def _even_at(self, address: Address) -> float:
        at = self._even.get(address)
        return at if at is not None else self._even_before.get(address, 0.0)

"""An allowance: so many at once, and one more every so many seconds."""


class Allowance:
    """Counts what may be done; time comes in as an argument.

    Args:
        burst: how much may be done at once.
        every_s: how many seconds it takes until one more may be done.
    """

    def __init__(self, *, burst: int, every_s: float) -> None:
        self._burst = float(burst)
        self._every_s = every_s
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float, count: int = 1) -> bool:
        """Take so many if there are as many."""
        self._refill(now)
        if self._left < count:
            return False
        self._left -= count
        return True

    def available_in(self, now: float, count: int = 1) -> float:
        """Return the seconds until there will be so many."""
        self._refill(now)
        return max(0.0, (count - self._left) * self._every_s)

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) / self._every_s)
        self._at = now

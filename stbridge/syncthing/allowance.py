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

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        self._refill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def available_in(self, now: float) -> float:
        """Return the seconds until there will be one."""
        self._refill(now)
        return max(0.0, (1 - self._left) * self._every_s)

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) / self._every_s)
        self._at = now

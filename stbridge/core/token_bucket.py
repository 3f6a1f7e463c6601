"""The rate limiter of the bridge."""


class TokenBucket:
    """A token bucket: it holds at most `burst` tokens, and gains one every `every_s` seconds.

    The caller passes the time, and serializes the calls if several threads share a bucket.

    Args:
        burst: number of tokens in a full bucket; a new one is full.
        every_s: seconds per token; 0 is no limit.
    """

    def __init__(self, burst: int, every_s: float) -> None:
        self._burst = float(burst)
        self._every_s = every_s
        self._tokens = float(burst)
        self._refilled_at: float | None = None

    def take(self, now: float, count: int = 1) -> bool:
        """Take tokens, all or none; False if there are not enough."""
        self._refill(now)
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def available_in(self, now: float, count: int = 1) -> float:
        """Return the seconds until there are enough tokens."""
        self._refill(now)
        return max(0.0, (count - self._tokens) * self._every_s)

    def _refill(self, now: float) -> None:
        if not self._every_s:
            self._tokens = self._burst
        elif self._refilled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) / self._every_s)
        self._refilled_at = now

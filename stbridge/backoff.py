"""Exponential backoff: how long to wait before the next attempt."""

import random

LEAST_S = 0.3
"""Minimum wait in seconds, before jitter, after an attempt that took long itself; a shorter backoff stays shorter."""


class Backoff:
    """Waits that double, with jitter, so that many bridges do not reconnect at the same time.

    Args:
        first_s: maximum of the first wait, in seconds.
        longest_s: maximum of every wait, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s
        self._fresh = True

    @property
    def fresh(self) -> bool:
        """Whether there has been no wait since the last success."""
        return self._fresh

    def next(self, waited_s: float = 0.0) -> float:
        """Return the next wait in seconds.

        Args:
            waited_s: seconds that the last attempt waited without getting an answer; they are deducted.
        """
        longest, self._next_s = self._next_s, min(self._longest_s, 2 * self._next_s)
        self._fresh = False
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
        return max(longest * jitter - waited_s, min(longest, LEAST_S) * jitter)

    def reset(self) -> None:
        """Start again with the first wait, after a success."""
        self._next_s = self._first_s
        self._fresh = True

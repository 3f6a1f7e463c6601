"""How long to wait before the next try."""

import random

LEAST_S = 0.3
"""So long at most is waited, at least, after a try that was itself a long wait."""


class Backoff:
    """Waits that double, with jitter, so that many bridges do not return at once.

    Args:
        first_s: the longest first wait.
        longest_s: the longest of all.
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
            waited_s: for so long the last try has waited for an answer in vain, which counts.
        """
        longest, self._next_s = self._next_s, min(self._longest_s, 2 * self._next_s)
        self._fresh = False
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
        return max(longest * jitter - waited_s, min(longest, LEAST_S) * jitter)

    def reset(self) -> None:
        """Start anew: it worked."""
        self._next_s = self._first_s
        self._fresh = True

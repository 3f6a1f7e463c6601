"""How long to wait before the next try."""

import random

LEAST_S = 0.3


class Backoff:
    """Waits that double, with jitter, so that many bridges do not return to a broker at once.

    Args:
        first_s: the longest first wait.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._tries = 0

    def next(self, most_s: float, waited_s: float = 0.0) -> float:
        """Return the next wait in seconds.

        Args:
            most_s: the longest wait.
            waited_s: for so long the last try has waited for an answer in vain, which counts.
        """
        longest = min(most_s, self._first_s * 2**self._tries)
        self._tries = min(self._tries + 1, 16)  # 2**16 is beyond any limit
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
        wait_s: float = max(longest * jitter - waited_s, min(longest, LEAST_S) * jitter)
        return wait_s

    def reset(self) -> None:
        """Start anew: it worked for a while."""
        self._tries = 0

"""How long to wait before the next try."""

import random


class Backoff:
    """Waits that double, with jitter, so that many bridges do not return to a broker at once.

    Args:
        first_s: the longest first wait.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._tries = 0

    def next(self, most_s: float) -> float:
        """Return the next wait in seconds.

        Args:
            most_s: the longest wait.
        """
        longest = min(most_s, self._first_s * 2**self._tries)
        self._tries = min(self._tries + 1, 16)  # 2**16 is beyond any limit
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, keeps no secret

    def reset(self) -> None:
        """Start anew: it worked for a while."""
        self._tries = 0

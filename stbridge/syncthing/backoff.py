"""How long to wait before Syncthing is tried again."""

import random

SHORTEST_S = 0.25
LONGEST_S = 3.0
LEAST_S = 0.3


class Backoff:
    """Growing times with jitter; short ones at most, so that the truth is told soon after Syncthing is back."""

    def __init__(self) -> None:
        self._next_s = SHORTEST_S

    @property
    def fresh(self) -> bool:
        """Whether there has been no wait since the last success."""
        return self._next_s == SHORTEST_S

    def reset(self) -> None:
        """Begin anew after a success."""
        self._next_s = SHORTEST_S

    def next(self, waited_s: float = 0.0) -> float:
        """Return how many seconds to wait this time.

        Args:
            waited_s: for so long the last try has waited for an answer in vain, which counts.
        """
        seconds, self._next_s = self._next_s, min(LONGEST_S, self._next_s * 2)
        jitter = random.uniform(0.7, 1.0)  # noqa: S311 - spreads load, keeps no secret
        return max(seconds * jitter - waited_s, min(seconds, LEAST_S) * jitter)

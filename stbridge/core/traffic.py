"""Bytes that went through: rates from counters, and totals that outlive the processes that count."""

from dataclasses import dataclass
from datetime import datetime
from math import exp

SMOOTHING_S = 10.0
"""How long, in seconds, a change takes to show for the most part."""

CHATTER = 100
"""Bytes per second that Syncthing spends on signs of life: nothing flows."""


@dataclass(slots=True)
class Rate:
    """A smoothed rate in bytes per second, from readings of a counter that may begin anew."""

    value: float = 0.0
    _bytes: int | None = None
    _at: datetime | None = None

    def read(self, count: int, at: datetime) -> None:
        """Take a reading of the counter at a time.

        What begins or ends shows at once; only in between the rate is smoothed.
        """
        if self._bytes is not None and self._at is not None and at > self._at:
            elapsed = (at - self._at).total_seconds()
            rate = max(0, count - self._bytes) / elapsed
            weight = 1 - exp(-elapsed / SMOOTHING_S) if self.value else 1
            self.value = round(self.value + weight * (rate - self.value), 1) if rate >= CHATTER else 0.0
        self._bytes, self._at = count, at

    def stop(self) -> None:
        """Tell that nothing flows, and that the counter begins anew."""
        self.value, self._bytes, self._at = 0.0, None, None


@dataclass(slots=True)
class Lifetime:
    """A total over all processes: what earlier ones counted, and what the running one has counted so far.

    It is not known before it is known what had been counted: `recall` is called once, with or without a memory.
    """

    value: int | None = None
    _earlier: int | None = None
    _current: int | None = None

    @property
    def recalled(self) -> bool:
        """Whether it is known what had been counted."""
        return self._earlier is not None

    def recall(self, total: int | None, current: int | None, *, same_process: bool) -> None:
        """Continue from what was published in an earlier life of the bridge.

        Args:
            total: the lifetime total of then, None if there is none.
            current: what the Syncthing of then had counted by then.
            same_process: whether that Syncthing is still the one that runs.
        """
        self._earlier = max(0, (total or 0) - (current or 0)) if same_process else (total or 0)
        self._add_up()

    def read(self, current: int) -> None:
        """Take what the running process has counted; less than before means that a new one counts."""
        if self._current is not None and current < self._current and self._earlier is not None:
            self._earlier += self._current
        self._current = current
        self._add_up()

    def _add_up(self) -> None:
        if self._earlier is not None and self._current is not None:
            self.value = self._earlier + self._current

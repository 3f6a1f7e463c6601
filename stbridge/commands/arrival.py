"""A command that arrived, and the books on those that have not been answered yet."""

import threading
from dataclasses import dataclass
from time import monotonic

from stbridge.core.messages import Received


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A command that arrived.

    Attributes:
        name: the last level of its topic.
        received: the message.
        at: when, by the monotonic clock.
    """

    name: str
    received: Received
    at: float

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.name) + len(self.received.payload) + len(self.received.correlation or b"")

    @property
    def expired(self) -> bool:
        """Whether its sender does not want it carried out any more (MQTT 5, message expiry)."""
        expiry_s = self.received.expiry_s
        return expiry_s is not None and monotonic() - self.at >= expiry_s


class Unanswered:
    """The commands that are under way; whoever claims one, answers it, so each is answered exactly once.

    Everything that is kept of commands hangs on these, so they are what has to be bounded.

    Args:
        most: how many there may be.
        most_bytes: how large they may be altogether.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._arrivals: set[Arrival] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def add(self, arrival: Arrival) -> bool:
        """Note that a command is under way; False if there are too many already."""
        with self._changed:
            if len(self._arrivals) >= self._most or self._bytes + arrival.size > self._most_bytes:
                return False
            self._arrivals.add(arrival)
            self._bytes += arrival.size
            return True

    def claim(self, arrival: Arrival) -> bool:
        """Take a command to answer it; False if that has been done."""
        with self._changed:
            if arrival not in self._arrivals:
                return False
            self._arrivals.remove(arrival)
            self._bytes -= arrival.size
            self._changed.notify_all()
            return True

    def wait_for_all(self, timeout_s: float) -> list[Arrival]:
        """Wait until all are answered, and return those that are not after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._arrivals, timeout_s)
            return list(self._arrivals)

"""Detects another client with our client ID."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stbridge.backoff import Backoff
from stbridge.core.messages import Message
from stbridge.errors import BrokerUnavailable, TakenOver

SUSPECT_COUNT = 3
SUSPECT_S = 60.0
"""SUSPECT_COUNT connections that end within this time are worth a hint: one of two clients may always last longer."""

KNOWN_S = 2.0
"""A connection that lasts longer has left its marker at the broker."""

FIRST_WAIT_S = 3.0
LONGEST_WAIT_S = 60.0
"""Two bridges that share a client ID disconnect each other; each of them then does so about once a minute at most."""


@dataclass(frozen=True, slots=True)
class InstanceMarker:
    """The retained message that each bridge publishes before it is online, and that tells it from others.

    Attributes:
        topic: its topic.
        is_ours: whether a payload is from this process.
        message: returns it; its argument is the version of MQTT.
    """

    topic: str
    is_ours: Callable[[bytes], bool]
    message: Callable[[str], Message]


class ClientIdConflict:
    """Collects the evidence, adds a hint to the error message, and makes the waits between connections longer.

    The broker ends a session when another client connects with the same client ID. An MQTT 5 broker sends the reason
    code "session taken over". Other brokers just close the connection; then another bridge's marker in place of ours,
    at two connects in a row, is the evidence. Several connections that end soon after each other are worth a hint, but
    no longer waits: a network that fails a few times looks the same, and everything has to be right soon after that.

    Args:
        client_id: our client ID.
        marker: tells bridges apart; None if there is no marker.
    """

    def __init__(self, client_id: str, marker: InstanceMarker | None = None) -> None:
        self._client_id = client_id
        self._marker = marker
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._ends: deque[float] = deque(maxlen=SUSPECT_COUNT)
        self._foreign_markers = 0
        self._taken_over = False
        self._left_marker = False

    @property
    def topic(self) -> str | None:
        """Where bridges leave their markers."""
        return self._marker.topic if self._marker else None

    def note_marker(self, payload: bytes) -> None:
        """Note the marker that the broker has when a connection begins."""
        if self._marker is None or not self._left_marker:
            return  # another marker before ours was there is from the previous run
        self._foreign_markers = 0 if self._marker.is_ours(payload) else self._foreign_markers + 1

    def ended(self, lasted_s: float, error: BrokerUnavailable | None) -> None:
        """Note that a connection has ended.

        Args:
            lasted_s: how long it lasted, in seconds.
            error: why it ended.
        """
        self._taken_over = isinstance(error, TakenOver)
        self._ends.append(time.monotonic())
        self._left_marker = self._left_marker or lasted_s > KNOWN_S
        if not self.likely:
            self._backoff.reset()

    @property
    def likely(self) -> bool:
        """Whether another client probably has our client ID."""
        return self._taken_over or self._foreign_markers > 1

    @property
    def hint(self) -> str:
        """What to add to the reason why a connection ended; the same text for as long as nothing changes."""
        soon = len(self._ends) == SUSPECT_COUNT and time.monotonic() - self._ends[0] < SUSPECT_S
        if self._taken_over or not (soon or self._foreign_markers):
            return ""  # the text of TakenOver has the hint already
        what = (
            "another bridge has been online in the meantime: if it also uses"
            if self._foreign_markers
            else "several connections were closed within a short time: if another client uses"
        )
        return f"; {what} the client ID {self._client_id!r}, set another mqtt.client_id"

    def next_wait_s(self) -> float:
        """Return the seconds to wait before the next connection."""
        return self._backoff.next()

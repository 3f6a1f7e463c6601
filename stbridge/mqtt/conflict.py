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
"""SUSPECT_COUNT connections that are lost within this time cause a hint: of two clients, one may always stay connected
longer."""

KNOWN_S = 2.0
"""After a connection that lasted longer, the broker has stored a marker that it has acknowledged."""

LATE_S = 120.0
"""The network may deliver a CONNECT of ours this long after we have given it up."""

MOST_LATE = 20
"""Maximum number of such attempts that are remembered."""

FIRST_WAIT_S = 3.0
LONGEST_WAIT_S = 60.0
"""Limits how often two bridges with the same client ID disconnect each other: about once a minute for each bridge."""


@dataclass(frozen=True, slots=True)
class InstanceMarker:
    """The retained message that identifies a process of the bridge, which publishes it before it goes online.

    Attributes:
        topic: the topic of the message.
        is_ours: returns whether a payload is from this process.
        message: returns the message; its arguments are the version of MQTT and the name of the node.
    """

    topic: str
    is_ours: Callable[[bytes], bool]
    message: Callable[[str, str], Message]


class ClientIdConflict:
    """Detects a client ID conflict, adds a hint to error messages, and extends the waits between connections.

    The broker closes a session when another client connects with the same client ID. An MQTT 5 broker sends the reason
    code "session taken over". Other brokers only close the connection; in that case, the evidence is the marker of
    another bridge in place of ours on two connects in a row. If several connections are lost within a short time, only
    the hint is added: an unstable network looks the same, and the bridge has to recover quickly from that.

    Args:
        client_id: our client ID.
        marker: identifies this process; None if there is no marker.
    """

    def __init__(self, client_id: str, marker: InstanceMarker | None = None) -> None:
        self._client_id = client_id
        self._marker = marker
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._ends: deque[float] = deque(maxlen=SUSPECT_COUNT)
        self._unanswered: deque[float] = deque(maxlen=MOST_LATE)
        self._foreign_markers = 0
        self._taken_over = False
        self._left_marker_on: set[str] = set()

    @property
    def topic(self) -> str | None:
        """The topic of the markers; None if there is no marker."""
        return self._marker.topic if self._marker else None

    def note_marker(self, payload: bytes, node: str) -> None:
        """Record the marker that a node of the broker delivers at the start of a connection."""
        # Before ours was published, a foreign marker is from the previous run. In a cluster, that may also be true on a
        # node that this process has never used, because its copy may be old.
        if self._marker is None or node not in self._left_marker_on:
            return
        self._foreign_markers = 0 if self._marker.is_ours(payload) else self._foreign_markers + 1

    def unanswered(self) -> None:
        """Record that the broker did not answer a CONNECT of ours; it may receive it later."""
        self._unanswered.append(time.monotonic())

    def explains(self) -> bool:
        """Return whether a late CONNECT of ours may have taken our session over; each one explains this once."""
        while self._unanswered:
            if time.monotonic() - self._unanswered.popleft() < LATE_S:
                return True
        return False

    def ended(self, lasted_s: float, error: BrokerUnavailable | None, node: str, *, marker_acknowledged: bool) -> None:
        """Record that a connection was closed or lost.

        Args:
            lasted_s: how long it lasted, in seconds.
            error: the reason; None if there is none.
            node: the node of the broker.
            marker_acknowledged: whether the broker has acknowledged our marker on this connection. It may spend a long
                time with reading, and then close the connection over an earlier message.
        """
        self._taken_over = isinstance(error, TakenOver)
        self._ends.append(time.monotonic())
        if lasted_s > KNOWN_S and marker_acknowledged:
            self._left_marker_on.add(node)
        if lasted_s > 2 * LONGEST_WAIT_S:
            self._foreign_markers = 0  # the other bridge has not come back in the meantime
        if not self.likely:
            self._backoff.reset()

    @property
    def likely(self) -> bool:
        """Whether another client probably has our client ID."""
        return self._taken_over or self._foreign_markers > 1

    @property
    def hint(self) -> str:
        """The text to append to the reason for a lost connection; it stays the same while the situation does."""
        soon = len(self._ends) == SUSPECT_COUNT and time.monotonic() - self._ends[0] < SUSPECT_S
        if self._taken_over or not (soon or self._foreign_markers):
            return ""  # the message of TakenOver already contains the hint
        what = (
            "another bridge has been online in the meantime: if it also uses"
            if self._foreign_markers
            else "several connections were closed within a short time: if another client uses"
        )
        return f"; {what} the client ID {self._client_id!r}, set another mqtt.client_id"

    def next_wait_s(self) -> float:
        """Return the seconds to wait before the next connection."""
        return self._backoff.next()

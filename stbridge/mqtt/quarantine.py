"""Finds the messages over which a broker closes the connection, and has the outbox skip them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stbridge.core.messages import Message

FIRST_CLOSINGS = 3
"""How often the connection is closed over a message, sent alone, before it is skipped. A network that fails must not
look the same."""

LATER_CLOSINGS = 2
"""The same, once this broker has been found to close connections: each closing takes the bridge offline."""

MOST_SKIPPED = 1000
"""Maximum number of skipped topics: a broker that closes the connection over everything gets no more."""

SMALLER = 0.75
"""A skipped topic is tried again with a message that is smaller by this factor, in case its size was the reason. Each
failure lowers the size that is tried, so their number is bounded."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a connection may have been closed.

    Attributes:
        topic: of the message that the broker received last, as far as its acknowledgements tell.
        size: the size of its payload in bytes.
        alone: whether no other message was in flight, so that the broker closed the connection over this one.
        given_up: whether its topic is skipped from now on.
        has_room: whether further topics can be skipped.
    """

    topic: str
    size: int
    alone: bool
    given_up: bool
    has_room: bool


@dataclass(slots=True)
class Quarantine:
    """The topics under suspicion, and those that are skipped; the caller has a lock.

    A broker closes the connection while up to a window of messages is in flight, and its last acknowledgements may be
    lost. So the messages that were in flight are sent one at a time on the next connection. If the broker closes that
    one, too, the message is the reason.

    Attributes:
        skipped: skipped topics, each with the smallest size in bytes for which the connection was closed.
    """

    skipped: dict[str, int] = field(default_factory=dict)
    _closings: dict[str, int] = field(default_factory=dict)

    @property
    def has_suspects(self) -> bool:
        """Whether some messages have to be sent alone."""
        return bool(self._closings)

    def is_suspect(self, topic: str) -> bool:
        """Tell whether messages of a topic have to be sent alone."""
        return topic in self._closings

    def skips(self, message: Message) -> bool:
        """Tell whether a message must not be sent."""
        size = self.skipped.get(message.topic)
        return size is not None and _size(message) > SMALLER * size

    def acknowledged(self, topic: str) -> None:
        """Note that the broker has answered a message of a topic."""
        self._closings.pop(topic, None)

    def closed(self, in_flight: Sequence[Message]) -> Suspicion | None:
        """Note that the broker has closed the connection for a reason that may be a message.

        Args:
            in_flight: what it had not acknowledged, the oldest first.

        Returns:
            the suspicion; None if nothing was in flight.
        """
        if not in_flight:
            return None
        oldest, alone = in_flight[0], len(in_flight) == 1
        if alone:
            self._closings[oldest.topic] = self._closings.get(oldest.topic, 0) + 1
        else:
            closed_before = {topic: count for topic, count in self._closings.items() if count}
            self._closings = {**{one.topic: 0 for one in in_flight}, **closed_before}
        given_up = self._closings[oldest.topic] >= self._most_closings(oldest.topic) and self._has_room(oldest)
        if given_up:
            del self._closings[oldest.topic]
            if oldest.retain:  # else a client that names response topics could fill the table
                self.skipped[oldest.topic] = _size(oldest)
        return Suspicion(oldest.topic, len(oldest.payload), alone, given_up, len(self.skipped) < MOST_SKIPPED)

    def clear(self) -> None:
        """Try every topic again."""
        self.skipped.clear()

    def _most_closings(self, topic: str) -> int:
        if topic in self.skipped:
            return 1
        return LATER_CLOSINGS if self.skipped else FIRST_CLOSINGS

    def _has_room(self, message: Message) -> bool:
        return len(self.skipped) < MOST_SKIPPED or message.topic in self.skipped or not message.retain


def _size(message: Message) -> int:
    return len(message.topic) + len(message.payload)

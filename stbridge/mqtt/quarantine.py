"""Finds the messages that make the broker close the connection, so that the outbox skips them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stbridge.core.messages import Message

FIRST_CLOSINGS = 3
"""Number of times that the broker closes the connection after a message that is sent alone, before the message is
skipped: more than once, because a network failure looks the same."""

LATER_CLOSINGS = 2
"""The same number after the first skipped message from this broker: lower, because each closing takes the bridge
offline."""

MOST_SKIPPED = 1000
"""Maximum number of skipped topics, in case the broker closes the connection after every message."""

SMALLER = 0.75
"""A skipped topic is retried with a message that is smaller by this factor, in case the size was the reason. Each
failure lowers the size to retry, so the number of retries is limited."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A message that may have made the broker close the connection.

    Attributes:
        topic: the topic of the oldest message that the broker had not acknowledged.
        size: the size of its payload in bytes.
        alone: whether no other message was in flight, so that this message is the reason.
        given_up: whether its topic is skipped from now on.
        has_room: whether more topics can be skipped.
    """

    topic: str
    size: int
    alone: bool
    given_up: bool
    has_room: bool


@dataclass(slots=True)
class Quarantine:
    """The suspected topics and the skipped topics; the caller has to hold a lock.

    When a broker closes the connection, up to a whole window of messages is in flight, and its last acknowledgements
    may be lost. Therefore the messages that were in flight are sent one at a time on the next connection. If the broker
    closes that connection too, the message sent last is the reason.

    Attributes:
        skipped: skipped topics, each with the smallest payload size in bytes for which the connection was closed.
    """

    skipped: dict[str, int] = field(default_factory=dict)
    _closings: dict[str, int] = field(default_factory=dict)

    @property
    def has_suspects(self) -> bool:
        """Whether there are messages that have to be sent alone."""
        return bool(self._closings)

    def is_suspect(self, topic: str) -> bool:
        """Return whether messages on a topic have to be sent alone."""
        return topic in self._closings

    def skips(self, message: Message) -> bool:
        """Return whether a message must not be sent."""
        size = self.skipped.get(message.topic)
        return size is not None and _size(message) > SMALLER * size

    def acknowledged(self, topic: str) -> None:
        """Record that the broker has answered a message on a topic."""
        self._closings.pop(topic, None)

    def forget(self, topic: str) -> None:
        """Forget a topic on which the broker has no message any more."""
        self.skipped.pop(topic, None)

    def closed(self, in_flight: Sequence[Message]) -> Suspicion | None:
        """Record that the broker has closed the connection, possibly because of a message.

        Args:
            in_flight: the messages that it had not acknowledged, the oldest first.

        Returns:
            the suspected message; None if no message was in flight.
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
            if oldest.retain:  # otherwise a client could fill the table with response topics
                self.skipped[oldest.topic] = _size(oldest)
        return Suspicion(oldest.topic, len(oldest.payload), alone, given_up, len(self.skipped) < MOST_SKIPPED)

    def clear(self) -> None:
        """Retry all topics."""
        self.skipped.clear()

    def _most_closings(self, topic: str) -> int:
        if topic in self.skipped:
            return 1
        return LATER_CLOSINGS if self.skipped else FIRST_CLOSINGS

    def _has_room(self, message: Message) -> bool:
        return len(self.skipped) < MOST_SKIPPED or message.topic in self.skipped or not message.retain


def _size(message: Message) -> int:
    return len(message.topic) + len(message.payload)

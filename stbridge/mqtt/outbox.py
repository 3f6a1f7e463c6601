"""What the broker is to have, and what is on its way there.

A pure data structure: it knows neither MQTT library nor network. Whoever sends takes messages from it
and says what became of them.
"""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from stbridge.core.messages import Message
from stbridge.mqtt.backlog import Backlog

WINDOW = 20
EVENTS_LIMIT = 10_000
BYTES_LIMIT = 64 * 1024 * 1024
LARGEST_PAYLOAD = 268_000_000  # what MQTT can carry
ROOM = 4096  # for topic, correlation data and the like, as long as those are no longer than usual


class Lane(Enum):
    """Where a message was queued."""

    STATE = auto()
    EVENT = auto()
    REPLY = auto()


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is in flight until its token is handed back."""

    token: int
    message: Message
    lane: Lane


@dataclass(frozen=True, slots=True)
class Counters:
    """How busy an outbox is.

    Attributes:
        queued: messages that wait to be sent.
        in_flight: messages that the broker has not acknowledged yet.
        sent: messages that the broker acknowledged, ever.
        dropped: messages given up: too many events, or unfit to be sent.
        failed: messages that the broker refused.
    """

    queued: int
    in_flight: int
    sent: int
    dropped: int
    failed: int


def _ignore_work() -> None:
    """Stand in for a listener while nobody sends."""


class Outbox:
    """The last value of every retained topic, and the replies and events that are still to go.

    Replies go first. States and events share one queue, in the order of their arrival; a state that is
    queued already keeps its place and goes with its newest value. Any thread may call any method.

    Args:
        events_limit: how many events, and how many replies, may wait; the oldest are dropped.
        bytes_limit: how large they may be altogether, events and replies each.
    """

    def __init__(self, events_limit: int = EVENTS_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self.on_work: Callable[[], None] = _ignore_work
        """Called when there is something to take, by the thread that put it in; must not block."""
        self._changed = threading.Condition()
        self._connected = False
        self._window = WINDOW
        self._largest_payload = LARGEST_PAYLOAD
        self._desired: dict[str, Message] = {}  # in the order of the first put
        self._first: set[str] = set()
        self._availability: set[str] = set()
        # OrderedDicts, because taking the first key of a plain dict again and again is quadratic.
        self._queue: OrderedDict[str | int, None] = OrderedDict()  # topics of states, numbers of events
        self._events = Backlog(events_limit, bytes_limit)
        self._replies = Backlog(events_limit, bytes_limit)
        self._in_flight: dict[int, Taken] = {}
        self._numbers = itertools.count(1)
        self._sent = self._dropped = self._failed = 0
        self._together: set[int] = set()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tell at once of the first that this thread puts in meanwhile, and of the rest when it is much, or at the end.

        One change is a few messages, of which the first is waited for; thousands cost less in masses.
        """
        self._together.add(threading.get_ident())
        try:
            yield
        finally:
            self._together.discard(threading.get_ident())
            self._tell()

    def put_state(self, message: Message, *, first: bool = False, last: bool = False) -> bool:
        """Set what the broker is to keep on a topic.

        The same again is no work, unless it expires. An empty payload clears the topic; it is remembered
        until the broker has acknowledged it.

        Args:
            message: a retained message.
            first: marks a topic that tells what the others are about: on a (re)connect it goes before all states.
            last: marks a topic that tells availability: on a (re)connect it goes after all states, and a
                new value goes to the end of the queue.

        Returns:
            whether it is to be sent.
        """
        topic = message.topic
        with self._changed:
            if first:
                self._first.add(topic)
            if last:
                self._availability.add(topic)
            # An expiring message that is the same still has to go out, or it would expire.
            if self._desired.get(topic) == message and message.expiry_s is None:
                return False
            self._desired[topic] = message
            self._queue[topic] = None
            if last:
                self._queue.move_to_end(topic)
        self._tell()
        return True

    def put(self, message: Message, *, urgent: bool = False) -> None:
        """Queue a message that the broker is not to keep.

        Args:
            message: an event, or a reply.
            urgent: a reply: goes before everything else.
        """
        with self._changed:
            number = next(self._numbers)
            if urgent:
                self._replies.put(number, message)
            else:
                self._events.put(number, message)
                self._queue[number] = None
            self._drop_surplus()
        self._tell()

    def resend(self, topic: str | None = None) -> None:
        """Make every state due again, or only that of one topic."""
        with self._changed:
            if topic is None:
                self._queue_everything()
            elif topic in self._desired:
                self._queue[topic] = None
        self._tell()

    @property
    def largest_payload(self) -> int:
        """How many bytes of a payload the broker takes, with some room for topic and properties."""
        return self._largest_payload

    def connected(self, window: int = WINDOW, largest_packet: int | None = None) -> None:
        """Make due all that the broker is to have, because it may have forgotten all of it.

        The states in the order of their first put, those marked `first` before and availability after the others;
        then the events.

        Args:
            window: how many messages may be in flight.
            largest_packet: bytes that the broker accepts; None if it did not say.
        """
        with self._changed:
            if largest_packet is not None:
                self._largest_payload = max(largest_packet - ROOM, 0)
            self._return_what_was_in_flight()
            self._queue_everything()
            self._window = window
            self._connected = True
        self._tell()

    def disconnected(self) -> None:
        """Keep everything from now on, and take back what is in flight."""
        with self._changed:
            self._connected = False
            self._return_what_was_in_flight()
            self._changed.notify_all()

    def take(self) -> list[Taken]:
        """Return what is to be sent now: as much as is due and as fits into the window."""
        with self._changed:
            taken: list[Taken] = []
            while self._connected and len(self._in_flight) < self._window and self._waiting():
                lane, message = self._next()
                one = Taken(next(self._numbers), message, lane)
                self._in_flight[one.token] = one
                taken.append(one)
            return taken

    def sent(self, token: int) -> None:
        """Note that the broker acknowledged a message; tokens of earlier connections are ignored."""
        with self._changed:
            if taken := self._land(token):
                self._sent += 1
                if not taken.message.payload:
                    self._forget(taken)

    def failed(self, token: int) -> None:
        """Note that the broker refused a message; a state is due again at the next connect."""
        with self._changed:
            if self._land(token):
                self._failed += 1

    def discard(self, token: int) -> None:
        """Give up a message that cannot be sent, for good."""
        with self._changed:
            if taken := self._land(token):
                self._dropped += 1
                self._forget(taken)

    @property
    def replies_wait(self) -> bool:
        """Whether there are replies that have not been taken."""
        with self._changed:
            return bool(self._replies)

    def topics(self) -> set[str]:
        """Return the topics on which the broker is to keep something."""
        with self._changed:
            return {topic for topic, message in self._desired.items() if message.payload}

    def states(self) -> dict[str, bytes]:
        """Return what the broker is to keep, payloads by topic."""
        with self._changed:
            return {topic: message.payload for topic, message in self._desired.items() if message.payload}

    def counters(self) -> Counters:
        """Return how busy the outbox is."""
        with self._changed:
            return Counters(self._waiting(), len(self._in_flight), self._sent, self._dropped, self._failed)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged.

        Returns:
            whether it is; False at once when the connection is lost, since nothing moves then.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_empty() or not self._connected, timeout_s)
            return self._is_empty()

    def _tell(self) -> None:
        waiting = self._waiting()
        if not waiting or not self._connected or len(self._in_flight) >= self._window:
            return
        much_or_first = waiting >= self._window or not self._in_flight
        if much_or_first or threading.get_ident() not in self._together:
            self.on_work()

    # Everything below expects the outbox to be locked.

    def _waiting(self) -> int:
        return len(self._queue) + len(self._replies)

    def _is_empty(self) -> bool:
        return not self._waiting() and not self._in_flight

    def _next(self) -> tuple[Lane, Message]:
        if self._replies:
            return Lane.REPLY, self._replies.take_oldest()
        key, _ = self._queue.popitem(last=False)
        if isinstance(key, int):
            return Lane.EVENT, self._events.take(key)
        return Lane.STATE, self._desired[key]

    def _land(self, token: int) -> Taken | None:
        taken = self._in_flight.pop(token, None)
        if self._is_empty():
            self._changed.notify_all()
        return taken

    def _forget(self, taken: Taken) -> None:
        topic = taken.message.topic
        if taken.lane is Lane.STATE and self._desired.get(topic) is taken.message:
            del self._desired[topic]
            self._first.discard(topic)
            self._availability.discard(topic)
            self._queue.pop(topic, None)

    def _return_what_was_in_flight(self) -> None:
        """At least once: what was not acknowledged goes again, before what came after it."""
        returned = self._in_flight.values()
        replies = [taken.message for taken in returned if taken.lane is Lane.REPLY]
        events = [taken.message for taken in returned if taken.lane is Lane.EVENT]
        states = [taken.message.topic for taken in returned if taken.lane is Lane.STATE]
        self._in_flight.clear()
        for reply in reversed(replies):
            self._replies.put(next(self._numbers), reply, oldest=True)
        for event in reversed(events):
            number = next(self._numbers)
            self._events.put(number, event, oldest=True)
            self._queue[number] = None
            self._queue.move_to_end(number, last=False)
        for topic in states:
            if topic in self._desired:  # it was sent twice, and the first acknowledgement ended it
                self._queue[topic] = None
        self._drop_surplus()

    def _queue_everything(self) -> None:
        first = [topic for topic in self._desired if topic in self._first]
        availability = [topic for topic in self._desired if topic in self._availability]
        placed = self._first | self._availability
        states = [topic for topic in self._desired if topic not in placed]
        self._queue = OrderedDict.fromkeys([*first, *states, *availability, *self._events.numbers()])

    def _drop_surplus(self) -> None:
        events = self._events.drop_surplus()
        for number in events:
            del self._queue[number]
        self._dropped += len(events) + len(self._replies.drop_surplus())

"""All messages to the broker: the last value of each retained topic, the send queue, and the messages in flight.

Availability means the topics `state`, which are sent after the states that they describe.
"""

import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from stbridge.core.messages import Message
from stbridge.mqtt.backlog import Backlog, size_of
from stbridge.mqtt.diagnosis import how_to_allow, quoted
from stbridge.mqtt.packets import oversized, unsendable
from stbridge.mqtt.quarantine import Quarantine, Suspicion
from stbridge.mqtt.reasons import PACKET_TOO_LARGE, Reason

WINDOW = 20
"""Maximum number of messages in flight."""

WINDOW_BYTES = 128 * 1024
"""Maximum number of bytes in flight, so that the acknowledgement of a message is not delayed by much more than its own
transmission time. A single message may be larger."""

EVENTS_LIMIT = 10_000
BYTES_LIMIT = 64 * 1024 * 1024
LARGEST_PAYLOAD = 268_000_000  # the limit of MQTT
ROOM = 4096  # bytes for topic, correlation data and other properties of the usual length

LONGEST_OVERTAKING_S = 5.0
"""Maximum seconds for which newer states are sent ahead of queued availability.

Without this limit, availability would never be sent on a connection that is slower than the changes.
"""

TRY_AGAIN = "; then send the command `republish` to the bridge, or restart it"

_LEVELS = 3  # number of levels by which the log distinguishes kinds of topics
MOST_KINDS = 100  # maximum number of logged faults, see `_log_once`

_log = logging.getLogger(__name__)


class Lane(Enum):
    """The queue of a message."""

    STATE = auto()
    EVENT = auto()
    REPLY = auto()


@dataclass(slots=True, eq=False)
class InFlight:
    """A message that was passed to a session and is not acknowledged by the broker yet.

    Attributes:
        message: the message.
        lane: the queue that it came from.
        size: its approximate number of bytes.
        end: the position after its last byte, counted in bytes that the session has queued.
        correction: whether it repeats a state that the broker has replaced, see `Outbox.correct`.
    """

    message: Message
    lane: Lane
    size: int = 0
    end: int = 0
    correction: bool = False

    def __post_init__(self) -> None:
        self.size = size_of(self.message)


class _Due(NamedTuple):
    """The next message to send: its lane, the message, and its key in its queue."""

    lane: Lane
    message: Message
    key: str | int
    is_availability: bool = False


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of an outbox.

    Attributes:
        queued: messages that wait to be sent.
        in_flight: messages that the broker has not acknowledged yet.
        sent: messages that the broker has acknowledged since the start of the process.
        dropped: discarded messages: too many events, not sendable, too large, or skipped because they make the broker
            close the connection.
        failed: messages that the broker refused.
    """

    queued: int
    in_flight: int
    sent: int
    dropped: int
    failed: int


class Wire(Protocol):
    """The interface of a session that the outbox uses; the caller of `Outbox.send` holds its `io_lock`."""

    largest_packet: int | None

    @property
    def to_acknowledge(self) -> int:
        """Number of finished commands that are not acknowledged to the broker yet."""

    @property
    def bytes_queued(self) -> int:
        """Number of bytes that were passed to the network library since the session was opened."""

    def publish(self, message: Message) -> int:
        """Send a message and return its packet identifier."""

    def send_acknowledgements(self, most: int) -> None:
        """Acknowledge the oldest finished commands, at most `most` of them."""


def _ignore_work() -> None:
    """Do nothing: the default of `on_work`, before a connection is started."""


class Outbox:
    """The last value of every retained topic, and the queue of replies and events.

    Replies are sent first. States and events share one queue, in the order of their arrival. A state that is already
    queued keeps its place and is sent with its newest value. Availability is sent when no state is queued.

    Any thread may call `put_state`, `put` and similar methods, which only change memory, and then `flush`, which sends.

    Args:
        events_limit: maximum number of queued events, and of queued replies; the oldest are dropped.
        bytes_limit: maximum size in bytes of the queued events, and of the queued replies.
        on_refused: called with each message that the broker refuses, and the reason; the default logs it.
    """

    def __init__(
        self,
        events_limit: int = EVENTS_LIMIT,
        bytes_limit: int = BYTES_LIMIT,
        *,
        on_refused: Callable[[Message, str], object] | None = None,
    ) -> None:
        self.on_work: Callable[[], None] = _ignore_work
        """Called by `flush` if a message can be sent now; must not block."""
        self._on_refused = on_refused
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._connected = self._was_connected = False
        self._window = WINDOW
        self._largest_payload = LARGEST_PAYLOAD
        self._desired: dict[str, Message] = {}  # in the order in which topics were first put
        self._first: set[str] = set()
        self._last: set[str] = set()
        self._ahead: set[str] = set()  # topics whose last value the broker must have before any other state
        # Topics of states and numbers of events, each with its position. An OrderedDict, because removing the first key
        # of a plain dict repeatedly takes quadratic time.
        self._queue: OrderedDict[str | int, int] = OrderedDict()
        self._availability: OrderedDict[str, int] = OrderedDict()
        self._corrections: set[str] = set()  # queued topics that the broker has replaced on this connection
        self._overtaken_since: float | None = None
        self._events = Backlog(events_limit, bytes_limit)
        self._replies = Backlog(events_limit, bytes_limit)
        self._in_flight: dict[int, InFlight] = {}  # by packet identifier; by a negative number during sending
        self._bytes_in_flight = 0
        self._quarantine = Quarantine()
        self._numbers = itertools.count(1)
        self._sent = self._dropped = self._failed = 0
        self._logged: set[tuple[str, str]] = set()

    # --- these only change memory; thread-safe

    def put_state(self, message: Message, *, first: bool = False, last: bool = False) -> bool:
        """Set the retained message of a topic; `flush` sends it.

        An equal message is not sent again, unless it has an expiry. An empty payload clears the topic; it is kept until
        the broker has acknowledged it.

        Args:
            message: a retained message.
            first: on each connect, the topic is sent ahead of all states; for discovery, which describes the states.
            last: the topic is availability: it is sent when no state is queued, so that `online` follows the states.

        Returns:
            whether it will be sent.
        """
        topic = message.topic
        with self._lock:
            if first:
                self._first.add(topic)
            if last:
                self._last.add(topic)
            # An equal message with an expiry still has to be sent, or it would expire.
            if self._desired.get(topic) == message and message.expiry_s is None:
                return False
            if not message.payload:
                self._desired.pop(topic, None)  # after a reconnect, topics are also cleared in the order of the calls
            self._desired[topic] = message
            self._enqueue(topic)
        return True

    def put_prerequisite(self, message: Message, *, replaces: bool) -> None:
        """Set a retained message that states require which are put later; `flush` sends it ahead of them.

        Until the broker has acknowledged it, it is also sent ahead of all other states on each connect.

        Args:
            message: a retained message.
            replaces: whether the broker has an older message on this topic from the previous run. If it has none before
                the first connection, the message is sent like any other.
        """
        with self._lock:
            if self.put_state(message) and (replaces or self._was_connected):
                self._ahead.add(message.topic)

    def put(self, message: Message, *, urgent: bool = False) -> None:
        """Queue a message that is sent only once: an event, a reply, or the clearing of a retained command.

        Args:
            message: the message.
            urgent: send it ahead of all others except earlier urgent ones.
        """
        with self._lock:
            number = next(self._numbers)
            if urgent:
                self._replies.put(number, message)
            else:
                self._events.put(number, message)
                self._queue[number] = number
            self._drop_surplus()

    def resend(self, *, also_skipped: bool = False) -> None:
        """Queue all states again; `flush` sends them.

        Args:
            also_skipped: also retry skipped topics.
        """
        with self._lock:
            if also_skipped:
                self._quarantine.clear()
            self._queue_everything()

    def correct(self, topic: str) -> None:
        """Queue the state of a topic again, because the broker has replaced it; `flush` sends it."""
        with self._lock:
            if topic in self._desired:
                self._corrections.add(topic)
                self._enqueue(topic)

    # --- limits and contents

    @property
    def largest_payload(self) -> int:
        """Maximum size in bytes of a payload that the broker accepts, with some room for topic and properties."""
        return self._largest_payload

    def topics(self) -> set[str]:
        """Return the topics that have a retained message."""
        return set(self.states())

    def states(self) -> dict[str, bytes]:
        """Return the payloads of the retained messages by topic."""
        with self._lock:
            return {topic: message.payload for topic, message in self._desired.items() if message.payload}

    @property
    def skipped(self) -> dict[str, int]:
        """The topics that are skipped because they make the broker close the connection, with sizes in bytes."""
        with self._lock:
            return dict(self._quarantine.skipped)

    def counters(self) -> Counters:
        """Return the counters."""
        with self._lock:
            return Counters(self._waiting(), len(self._in_flight), self._sent, self._dropped, self._failed)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until all messages are acknowledged.

        Returns:
            whether all are; False immediately if the connection is lost, because no message can be acknowledged then.
        """
        with self._lock:
            self._changed.wait_for(lambda: self._is_empty() or not self._connected, timeout_s)
            return self._is_empty()

    # --- sending

    def flush(self) -> None:
        """Send what can be sent now; called by any thread after it has put messages in."""
        with self._lock:
            can_send = self._can_send()
        if can_send:
            self.on_work()

    def connected(self, window: int = WINDOW, largest_packet: int | None = None) -> None:
        """Queue everything again after a connect, because the broker may have lost it.

        The order is: states marked `first`, other states in the order of their first put, availability, events.

        Args:
            window: maximum number of messages in flight.
            largest_packet: maximum packet size in bytes that the broker accepts; None if it announced no limit.
        """
        with self._lock:
            if largest_packet is not None:
                self._largest_payload = max(largest_packet - ROOM, 0)
            self._requeue_in_flight()
            self._queue_everything()
            self._corrections.clear()
            self._window = window
            self._connected = self._was_connected = True

    def disconnected(self, *, closed_by_broker: bool = False) -> Suspicion | None:
        """Stop sending after a lost connection, and queue the messages in flight again.

        Args:
            closed_by_broker: whether the broker has closed the connection, possibly because of a message.

        Returns:
            the message that may be the reason; None if there is none.
        """
        with self._lock:
            self._connected = False
            in_flight = self._in_sending_order()
            suspicion = self._quarantine.closed([one.message for one in in_flight]) if closed_by_broker else None
            if suspicion and suspicion.given_up and in_flight[0].lane is not Lane.STATE:
                self._dropped += 1
                self._in_flight.clear()  # it was the only one in flight
            self._requeue_in_flight()
            self._changed.notify_all()
        if suspicion and suspicion.given_up:
            details = f"the broker closed the connection over it, and it has {suspicion.size} bytes; "
            self._log_once(in_flight[0], "is skipped from now on", details + how_to_allow(suspicion.topic) + TRY_AGAIN)
        return suspicion

    def send(self, wire: Wire) -> None:
        """Send as many messages as may be in flight, then acknowledge finished commands.

        A reply is sent ahead of the acknowledgement of its command. If the bridge is killed in between, the command has
        either been answered or is redelivered.

        Args:
            wire: the session.
        """
        acknowledged = wire.to_acknowledge  # read first: the replies to these commands are already in the outbox
        while taken := self._take():
            for key, one in taken:
                if fault := unsendable(one.message):
                    self._discard(key)
                    self._log_once(one, "cannot be sent", fault)
                elif fault := oversized(one.message, wire.largest_packet):
                    self._discard(key, for_good=False)  # another broker may accept it, or another size
                    self._log_once(one, "is too large", fault)
                elif self._quarantine.skips(one.message):
                    self._discard(key, for_good=False)
                else:
                    packet_id = wire.publish(one.message)
                    one.end = wire.bytes_queued
                    # Without the lock: only the holder of `io_lock` changes the table, which is never empty in between.
                    self._in_flight[packet_id] = one
                    del self._in_flight[key]
        with self._lock:
            replies_wait = bool(self._replies)
        if not replies_wait:
            wire.send_acknowledgements(acknowledged)

    @property
    def oldest_in_flight(self) -> InFlight | None:
        """The message that has been waiting longest for its acknowledgement; None if there is none."""
        with self._lock:
            return next(iter(self._in_flight.values()), None)

    def has_published(self, topic: str) -> bool:
        """Return whether the broker has acknowledged the newest message of a topic on this connection."""
        with self._lock:
            in_flight = (one.message.topic for one in self._in_flight.values())
            missing = {*self._queue, *in_flight, *self._quarantine.skipped}
            return self._connected and topic in self._desired and topic not in missing

    def answered(self, packet_id: int, refusal: Reason | None) -> bool:
        """Process the broker's answer to a message.

        Args:
            packet_id: its packet identifier.
            refusal: why the broker refuses it; None if it does not. A refused state is sent again on the next connect.

        Returns:
            whether the message belongs to the outbox and was in flight.
        """
        with self._lock:
            if (one := self._pop_in_flight(packet_id)) is None:
                return False
            self._quarantine.acknowledged(one.message.topic)
            if refusal is not None:
                self._failed += 1
            else:
                self._sent += 1
                if self._desired.get(one.message.topic) is one.message:
                    self._ahead.discard(one.message.topic)
                if not one.message.payload:
                    self._forget(one)
                    if one.message.topic not in self._desired:
                        self._quarantine.forget(one.message.topic)
        if refusal is not None and self._on_refused:
            self._on_refused(one.message, refusal.name)
        elif refusal is not None:
            self._log_once(one, f"is refused by the broker ({refusal.name})", self._fix(one, refusal))
        return True

    @staticmethod
    def _fix(one: InFlight, refusal: Reason) -> str:
        if refusal.code == PACKET_TOO_LARGE:
            return (
                f"it has {len(one.message.payload)} bytes; raise the broker's limit (Mosquitto: message_size_limit, "
                "max_packet_size)"
            )
        return "allow it in the broker's ACL"

    def _log_once(self, one: InFlight, what: str, details: str) -> None:
        """Log each fault once for each kind of topic, so that a thousand folders do not fill the log."""
        # The sender of a command chooses the topic of the reply, so it has no kind.
        kind = "" if one.lane is Lane.REPLY else "/".join(one.message.topic.split("/")[:_LEVELS])
        if (kind, what) not in self._logged and len(self._logged) < MOST_KINDS:
            self._logged.add((kind, what))
            _log.error("a message on %s %s: %s", quoted(one.message.topic), what, details)

    def _take(self) -> list[tuple[int, InFlight]]:
        """Move the messages that can be sent now into the table, under temporary keys, and return them."""
        taken: list[tuple[int, InFlight]] = []
        with self._lock:
            while self._can_send():
                due = self._peek()
                if self._has_to_wait(due.message):
                    break
                self._remove(due)
                key = -next(self._numbers)
                one = self._in_flight[key] = InFlight(due.message, due.lane)
                if due.lane is Lane.STATE and due.message.topic in self._corrections:
                    self._corrections.discard(due.message.topic)
                    one.correction = True
                self._bytes_in_flight += one.size
                taken.append((key, one))
        return taken

    def _discard(self, key: int, *, for_good: bool = True) -> None:
        with self._lock:
            if one := self._pop_in_flight(key):
                self._dropped += 1
                if for_good or not one.message.payload:
                    self._forget(one)

    # Everything below requires that the caller holds the lock.

    def _enqueue(self, topic: str) -> None:
        if topic in self._last:
            self._availability[topic] = next(self._numbers)
            self._availability.move_to_end(topic)
        else:
            self._queue.setdefault(topic, next(self._numbers))

    def _waiting(self) -> int:
        return len(self._queue) + len(self._availability) + len(self._replies)

    def _is_empty(self) -> bool:
        return not self._waiting() and not self._in_flight

    def _can_send(self) -> bool:
        if not self._connected or not (self._queue or self._replies or self._availability):
            return False
        return len(self._in_flight) < self._window and self._bytes_in_flight < WINDOW_BYTES

    def _has_to_wait(self, message: Message) -> bool:
        """Return whether a message has to wait until no message is in flight, because suspects are sent alone."""
        if not self._quarantine.has_suspects or not self._in_flight:
            return False
        topics = (message.topic, *(one.message.topic for one in self._in_flight.values()))
        return any(self._quarantine.is_suspect(topic) for topic in topics)

    def _peek(self) -> _Due:
        """Return the next message to send."""
        if self._replies:
            number = self._replies.oldest
            return _Due(Lane.REPLY, self._replies[number], number)
        if self._availability_is_due():
            topic = next(iter(self._availability))
            return _Due(Lane.STATE, self._desired[topic], topic, is_availability=True)
        key = next(iter(self._queue))
        if isinstance(key, int):
            return _Due(Lane.EVENT, self._events[key], key)
        return _Due(Lane.STATE, self._desired[key], key)

    def _remove(self, due: _Due) -> None:
        """Remove a message that `_peek` has returned from its queue."""
        match due:
            case _Due(lane=Lane.REPLY, key=int(number)):
                self._replies.take(number)
            case _Due(key=str(topic), is_availability=True):
                del self._availability[topic]
            case _Due(key=key):
                del self._queue[key]
                if isinstance(key, int):
                    self._events.take(key)

    def _availability_is_due(self) -> bool:
        """Return whether availability is next: all that was queued earlier is sent, and no newer state is queued."""
        place = next(iter(self._availability.values()), None)
        if place is None or next(iter(self._queue.values()), place) < place:
            return False
        if len(self._queue) > len(self._events):  # otherwise only events are queued
            now = time.monotonic()
            self._overtaken_since = self._overtaken_since or now
            if now - self._overtaken_since < LONGEST_OVERTAKING_S:
                return False
        self._overtaken_since = None
        return True

    def _pop_in_flight(self, key: int) -> InFlight | None:
        one = self._in_flight.pop(key, None)
        if one:
            self._bytes_in_flight -= one.size
        if self._is_empty():
            self._changed.notify_all()
        return one

    def _forget(self, one: InFlight) -> None:
        topic = one.message.topic
        if one.lane is Lane.STATE and self._desired.get(topic) is one.message:
            del self._desired[topic]
            for places in (self._first, self._last, self._ahead):
                places.discard(topic)
            self._queue.pop(topic, None)
            self._availability.pop(topic, None)

    def _in_sending_order(self) -> list[InFlight]:
        # If sending was interrupted, some messages have a temporary key: they follow those that were sent.
        return [self._in_flight[key] for key in sorted(self._in_flight, key=lambda key: key < 0)]

    def _requeue_in_flight(self) -> None:
        """Queue unacknowledged messages again, ahead of later messages, for delivery at least once."""
        returned = self._in_sending_order()
        self._in_flight.clear()
        self._bytes_in_flight = 0
        for one in reversed(returned):
            number = next(self._numbers)
            if one.lane is Lane.REPLY:
                self._replies.put(number, one.message, oldest=True)
            elif one.lane is Lane.EVENT:
                self._events.put(number, one.message, oldest=True)
                self._queue[number] = 0
                self._queue.move_to_end(number, last=False)
        for one in returned:
            # A state that was in flight twice may be gone already: its first acknowledgement removed it.
            if one.lane is Lane.STATE and one.message.topic in self._desired:
                self._enqueue(one.message.topic)
        self._drop_surplus()

    def _queue_everything(self) -> None:
        ahead = [topic for topic in self._desired if topic in self._ahead]
        first = [topic for topic in self._desired if topic in self._first and topic not in self._ahead]
        placed = self._ahead | self._first | self._last
        others = [topic for topic in self._desired if topic not in placed]
        availability = [topic for topic in self._desired if topic in self._last]
        self._queue = OrderedDict((topic, next(self._numbers)) for topic in [*ahead, *first, *others])
        self._availability = OrderedDict((topic, next(self._numbers)) for topic in availability)
        self._queue.update((number, next(self._numbers)) for number in self._events.numbers())

    def _drop_surplus(self) -> None:
        events = self._events.drop_surplus()
        for number in events:
            del self._queue[number]
        self._dropped += len(events) + len(self._replies.drop_surplus())

"""Reads and clears retained messages of the broker.

MQTT does not signal the last retained message. Therefore the reader publishes a retained message of its own first, the
sentinel, and asks for it last: soon after the sentinel arrives, all others have arrived. At the end, it clears it.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace

from stbridge.core.messages import Message, Received
from stbridge.core.wording import counted
from stbridge.errors import BrokerRefused, BrokerUnavailable, BrokerUnreachable
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.session import LOOP_S, Session, beside, open_session
from stbridge.settings import MqttSettings

LARGEST_KEPT = 512 * 1024
"""Maximum size in bytes of a payload that is kept completely.

The bridge never publishes a larger one, so of a larger one only the first byte is kept, to record that it exists.
"""

MOST_KEPT = 128 * 1024 * 1024
"""Maximum total size in bytes of everything that is read, including topics."""

_ENTRY_OVERHEAD = 100  # approximate bytes that an entry needs in addition to its topic and payload

QUIET_S = 0.15
"""Seconds without a message after which the reading is complete, if the broker delivered the sentinel promptly."""

LATENESS = 1.0
"""If the sentinel took longer than QUIET_S, the silence after it must last this many times as long as it took.

Such a broker may deliver topics out of order, for example a cluster that delivers the messages of several nodes.
"""

REPEAT_S = 0.3
"""Seconds after which the reader subscribes to a sentinel again that has not arrived.

NATS answers a subscription from an index that each node builds after its start, and never delivers what is missing in
it (`loadRetainedMessages` in server/mqtt.go of 2.15). It adds messages in the order in which they were published. But
if the index contains an older message of the same topic, NATS delivers the newest one, although its index is not that
far. Therefore the topic of the sentinel must have no message before the reading.
"""

MISSING_S = 5.0
"""Seconds without a message after which the reader stops waiting for the sentinel.

The broker is very late, or its ACL does not allow the bridge to publish or to read the sentinel.
"""

UNKNOWN_S = 2.5
"""Seconds without a message after which the reading is complete if there is no sentinel."""

MOST_FILTERS = 50
"""Maximum number of topics in one SUBSCRIBE or UNSUBSCRIBE, whose retained messages the broker sends together."""

MOST_LOST = 2
"""How often the connection may be lost during a part of the reading; after that, the reading skips that part.

A broker may close the connection over a topic of it, which would otherwise happen again each time.
"""

DEADLINE_S = 30.0
"""Maximum duration of the reading in seconds, on a slow connection or if other clients publish all the time."""

_log = logging.getLogger(__name__)


def _nothing_more(_payloads: Mapping[str, bytes]) -> Sequence[str]:
    """Return no filters: the default of `further`."""
    return ()


def _any(_topic: str, _payload: bytes) -> bool:
    """Accept every message: the default of `wants`."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which retained messages to read.

    Attributes:
        topic_filters: the topic filters.
        further: called with what was read, returns more topic filters to read; there may be many without a wildcard.
        wants: called with the topic and the payload of each message, returns whether to keep it.
    """

    topic_filters: Sequence[str]
    further: Callable[[Mapping[str, bytes]], Sequence[str]] = _nothing_more
    wants: Callable[[str, bytes], bool] = _any


class NotUpToDate(BrokerUnreachable):
    """The node does not know a message that was just published; another node may."""


class RetainedReader:
    """Reads retained messages over an open session.

    SUBACK does not mark the end, because some brokers (clusters) deliver retained messages seconds after it. A broker
    that has just started may not know all of them yet (NATS). Therefore the reader publishes the sentinel, waits until
    the broker delivers it, then subscribes to the filters, and to the sentinel again. Finally it clears the sentinel.
    Without a sentinel, only a long silence marks the end.

    A broker may drop messages that a subscriber does not read immediately (Mosquitto: those beyond
    `max_queued_messages`, 1000, and the socket buffer). Therefore the filters are read one after another: pass many
    narrow filters, the most important ones first.

    Args:
        selection: which messages to read.
        sentinel: a retained message with a payload of this process, on a topic that is used for nothing else.
        nodes: how many nodes the broker has. If one does not deliver the sentinel, the next reading may be on another.
        deadline_s: maximum duration of the reading, in seconds.
        stop: aborts the reading.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        sentinel: Message | None = None,
        nodes: int = 1,
        deadline_s: float = DEADLINE_S,
        stop: threading.Event | None = None,
    ) -> None:
        self.complete = False
        """Whether the last reading has read everything."""
        self._selection = selection
        self._sentinel = sentinel
        self._other_nodes = nodes - 1
        self._deadline_s = deadline_s
        self._stop = stop or threading.Event()
        self._deadline = 0.0
        self._payloads: dict[str, bytes] = {}
        self._size = 0  # of everything that was wanted, which any client may have published
        self._sentinel_at: float | None = None
        self._lost: Counter[str] = Counter()  # by part, the connections that were lost during it

    def take(self, message: Received) -> None:
        """Process a message that the session has received."""
        if message.payload and message.retained:
            if self._sentinel and message.topic == self._sentinel.topic and message.payload == self._sentinel.payload:
                self._sentinel_at = self._sentinel_at or time.monotonic()
            if self._selection.wants(message.topic, message.payload):
                self._keep(message.topic, message.payload)
        elif not message.payload:
            self._payloads.pop(message.topic, None)  # cleared during the reading
        message.acknowledge()

    def _keep(self, topic: str, payload: bytes) -> None:
        payload = payload if len(payload) <= LARGEST_KEPT else payload[:1]
        self._size += len(topic) + len(payload) + _ENTRY_OVERHEAD
        if self._has_room:
            self._payloads[topic] = payload

    @property
    def _has_room(self) -> bool:
        return self._size <= MOST_KEPT

    def read(self, session: Session) -> dict[str, bytes]:
        """Read the retained messages; the calling thread runs the session, which passes received messages to `take`.

        Args:
            session: an open session. The subscriptions to the filters are removed at the end.

        Returns:
            payloads by topic, without the sentinel.

        Raises:
            BrokerUnavailable: the connection was lost, or the node is not up to date and another one may be.
        """
        self._deadline = time.monotonic() + self._deadline_s
        self._payloads, self._size = {}, 0  # an earlier reading may have been interrupted by a lost connection
        if self._skips("sentinel"):
            self._sentinel = None
        late_s = None
        if self._sentinel:
            with self._counted("sentinel"):
                late_s = self._store_sentinel(session, self._sentinel)
        self.complete = self._read_all(session, self._selection.topic_filters, late_s)
        if further := self._selection.further(self._payloads):
            with self._counted("further topics"):
                self.complete = (
                    not self._skips("further topics") and self._read_all(session, further, late_s) and self.complete
                )
        if time.monotonic() >= self._deadline and not self._stop.is_set():
            _log.warning("reading retained messages took more than %.0f s: the rest was not read", self._deadline_s)
        if not self._has_room:
            self.complete = False
            _log.warning("more than %s MB of retained messages: the rest was not read", MOST_KEPT >> 20)
        if self._sentinel:
            self._clear_sentinel(session, self._sentinel)
        return self._payloads

    def _skips(self, part: str) -> bool:
        """Return whether to skip a part of the reading, which is logged."""
        skips = self._lost[part] >= MOST_LOST
        if skips:
            _log.warning("the connection was lost %d times while reading the %s: they are skipped", MOST_LOST, part)
        return skips

    @contextmanager
    def _counted(self, part: str) -> Iterator[None]:
        """Count the connections that are lost during a part of the reading."""
        try:
            yield
        except NotUpToDate:
            raise
        except BrokerUnavailable:
            self._lost[part] += 1
            raise

    def _read_all(self, session: Session, topic_filters: Sequence[str], late_s: float | None) -> bool:
        """Read the retained messages under some filters.

        Args:
            session: the session.
            topic_filters: the filters.
            late_s: how long the broker took to deliver the sentinel, in seconds; None if there is no sentinel.

        Returns:
            whether everything was read.
        """
        refused: dict[str, str] = {}
        unanswered = session.unanswered
        batches = list(_batches(topic_filters))
        # Most brokers send the SUBACK after the retained messages of the previous filter, so these do not pile up.
        for batch in batches:
            if time.monotonic() < self._deadline:
                refused |= session.subscribe([_subscription(topic_filter) for topic_filter in batch])
        if refused:
            _log.error("%s", subscriptions_refused(refused))
        silence_s = UNKNOWN_S
        found = True
        if self._sentinel and late_s is not None:
            again_s = self._read_sentinel(session, self._sentinel)
            found = again_s is not None
            silence_s = max(QUIET_S, LATENESS * max(late_s, UNKNOWN_S if again_s is None else again_s))
        in_time = self._read_until_silence(session, silence_s, frozenset(topic_filters))
        for batch in batches:
            session.unsubscribe(batch)
        # A broker that drops its answer to a subscription may have dropped retained messages as well.
        return found and in_time and not refused and session.unanswered == unanswered

    def _clear_sentinel(self, session: Session, sentinel: Message) -> None:
        session.unsubscribe([sentinel.topic])
        session.publish_now(replace(sentinel, payload=b"", expiry_s=None))
        self._payloads.pop(sentinel.topic, None)

    def _store_sentinel(self, session: Session, sentinel: Message) -> float | None:
        """Publish the sentinel, and wait until the broker delivers it: then it knows all older messages as well.

        Returns:
            how many seconds that took; None if the broker does not deliver it.
        """
        began = time.monotonic()
        if session.publish_now(sentinel).is_failure:
            return None
        while time.monotonic() - began < MISSING_S and not self._stop.is_set():
            if self._read_until_sentinel(session, sentinel, REPEAT_S) and self._sentinel_at is not None:
                return self._sentinel_at - began
        if self._other_nodes > 0 and not self._stop.is_set():
            # While a node of a NATS cluster is down, another may not learn of new retained messages: its index follows
            # them through a consumer without replicas, on a random node (`createGroupForConsumer` of 2.15).
            self._other_nodes -= 1
            raise NotUpToDate(f"{session.node_name} does not deliver a retained message that was just published")
        return None

    def _read_sentinel(self, session: Session, sentinel: Message) -> float | None:
        """Read until the sentinel has arrived; return how many seconds that took, None if it has not arrived."""
        began = time.monotonic()
        self._read_until_sentinel(session, sentinel, MISSING_S)
        return None if self._sentinel_at is None else self._sentinel_at - began

    def _read_until_sentinel(self, session: Session, sentinel: Message, silence_s: float) -> bool:
        """Subscribe to the sentinel, and return whether it arrives before the silence lasts this long."""
        self._sentinel_at = None  # it may also have arrived for another subscription
        session.subscribe([_subscription(sentinel.topic)])
        session.heard_at = time.monotonic()
        while self._sentinel_at is None and not self._stop.is_set():
            remaining = min(session.heard_at + silence_s, self._deadline) - time.monotonic()
            if remaining <= 0:
                return False
            session.loop_once(min(LOOP_S, remaining))
        return True

    def _read_until_silence(self, session: Session, silence_s: float, topics: AbstractSet[str]) -> bool:
        """Read until nothing has arrived for this long; return whether that was before the deadline.

        If the filters contain no wildcard, this returns as soon as there is a message on each of these topics.
        """
        session.heard_at = time.monotonic()
        while (
            not self._stop.is_set()
            and not topics <= self._payloads.keys()
            and (silent_s := time.monotonic() - session.heard_at) < silence_s
        ):
            remaining = min(silence_s - silent_s, self._deadline - time.monotonic())
            if remaining <= 0:
                return False
            session.loop_once(min(LOOP_S, remaining))
        return True


def _batches(topic_filters: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield groups of filters to subscribe to at once: one with a wildcard, or some without."""
    topics = []
    for topic_filter in topic_filters:
        if "+" in topic_filter or "#" in topic_filter:
            yield [topic_filter]
        else:
            topics.append(topic_filter)
    yield from (topics[start : start + MOST_FILTERS] for start in range(0, len(topics), MOST_FILTERS))


def _subscription(topic_filter: str) -> Subscription:
    """Return a subscription to stored messages, including those that the same client ID has published.

    Only stored messages count: a live message gives no information about those that are still to be delivered.
    """
    return Subscription(topic_filter, qos=0, no_local=False, retain_as_published=False)


def read_retained(
    settings: MqttSettings,
    topic_filters: Sequence[str],
    *,
    client_id: str | None = None,
    deadline_s: float = DEADLINE_S,
    stop: threading.Event | None = None,
) -> dict[str, bytes]:
    """Return the retained messages under some topic filters, read over a separate connection.

    Args:
        settings: the settings of the broker.
        topic_filters: which topics to read.
        client_id: the client ID; None derives one from the client ID of the bridge.
        deadline_s: maximum duration of the reading, in seconds.
        stop: aborts the reading.

    Raises:
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    reader = RetainedReader(Selection(topic_filters=topic_filters), deadline_s=deadline_s, stop=stop)
    with open_session(settings, client_id or beside(settings, "reader"), reader.take, stop=stop) as session:
        return reader.read(session)


def clear_retained(settings: MqttSettings, topics: Sequence[str], *, client_id: str | None = None) -> None:
    """Clear the retained messages of some topics, and wait until the broker has acknowledged that.

    Args:
        settings: the settings of the broker.
        topics: the topics.
        client_id: the client ID; None derives one from the client ID of the bridge.

    Raises:
        BrokerRefused: the broker does not let the bridge clear them.
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    refused: dict[str, str] = {}
    outbox = Outbox(on_refused=lambda message, reason: refused.setdefault(message.topic, reason))
    for topic in topics:
        outbox.put_state(Message(topic=topic, payload=b"", retain=True))
    with open_session(settings, client_id or beside(settings, "purge"), outbox=outbox) as session:
        while not outbox.wait_until_empty(0):
            session.loop_once()
    if refused:
        topic, reason = next(iter(refused.items()))
        raise BrokerRefused(
            f"the broker does not let the bridge clear {counted(len(refused), 'topic')}, such as {topic} ({reason}): "
            "allow it in the broker's ACL"
        )

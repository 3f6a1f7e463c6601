"""Reads and clears retained messages of the broker.

MQTT does not signal the last retained message. Therefore the reader publishes a retained message of its own first, the
sentinel, and asks for it last: soon after the sentinel arrives, all others have arrived.
"""

import logging
import threading
import time
from collections.abc import Sequence

from stbridge.core.messages import Message, Received
from stbridge.core.wording import counted
from stbridge.errors import BrokerRefused, BrokerUnreachable
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import InstanceMarker
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
it (`loadRetainedMessages` in server/mqtt.go of 2.15). It adds messages in the order in which they were published.
"""

MISSING_S = 5.0
"""Seconds without a message after which the reader stops waiting for the sentinel.

The broker is very late, or its ACL does not allow the bridge to publish or to read the sentinel.
"""

UNKNOWN_S = 2.5
"""Seconds without a message after which the reading is complete if there is no sentinel."""

DEADLINE_S = 30.0
"""Maximum duration of the reading in seconds, on a slow connection or if other clients publish all the time."""

_log = logging.getLogger(__name__)


class RetainedReader:
    """Reads the retained messages under some topic filters, over an open session.

    SUBACK does not mark the end, because some brokers (clusters) deliver retained messages seconds after it. A broker
    that has just started may not know all of them yet (NATS). Therefore the reader publishes the sentinel, waits until
    the broker delivers it, then subscribes to the filters, and to the sentinel again. Without a sentinel, only a long
    silence marks the end.

    A broker may drop messages that a subscriber does not read immediately (Mosquitto: those beyond
    `max_queued_messages`, 1000, and the socket buffer). Therefore the filters are read one after another: pass many
    narrow filters, the most important ones first.

    Args:
        topic_filters: which topics to read.
        sentinel: a retained message that this bridge will publish anyway.
        nodes: how many nodes the broker has. If one does not deliver the sentinel, the next reading may be on another.
        deadline_s: maximum duration of the reading, in seconds.
        stop: aborts the reading.
    """

    def __init__(
        self,
        topic_filters: Sequence[str],
        *,
        sentinel: InstanceMarker | None = None,
        nodes: int = 1,
        deadline_s: float = DEADLINE_S,
        stop: threading.Event | None = None,
    ) -> None:
        self._topic_filters = topic_filters
        self._sentinel = sentinel
        self._other_nodes = nodes - 1
        self._deadline_s = deadline_s
        self._stop = stop or threading.Event()
        self._deadline = 0.0
        self._payloads: dict[str, bytes] = {}
        self._size = 0  # of everything that arrived, which any client may have published
        self._sentinel_at: float | None = None

    def take(self, message: Received) -> None:
        """Process a message that the session has received."""
        if message.payload and message.retained:
            if self._sentinel and message.topic == self._sentinel.topic and self._sentinel.is_ours(message.payload):
                self._sentinel_at = self._sentinel_at or time.monotonic()
            payload = message.payload if len(message.payload) <= LARGEST_KEPT else message.payload[:1]
            self._size += len(message.topic) + len(payload) + _ENTRY_OVERHEAD
            if self._has_room:
                self._payloads[message.topic] = payload
        elif not message.payload:
            self._payloads.pop(message.topic, None)  # cleared during the reading
        message.acknowledge()

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
        late_s = self._store_sentinel(session, self._sentinel) if self._sentinel else None
        # Most brokers send the SUBACK after the retained messages of the previous filter, so these do not pile up.
        refused: dict[str, str] = {}
        for topic_filter in self._topic_filters:
            if time.monotonic() < self._deadline:
                refused |= session.subscribe([_subscription(topic_filter)])
        if refused:
            _log.error("%s", subscriptions_refused(refused))
        silence_s = UNKNOWN_S
        if self._sentinel and late_s is not None:
            silence_s = max(QUIET_S, LATENESS * max(late_s, self._read_sentinel(session, self._sentinel)))
        if not self._read_until_silence(session, silence_s) and not self._stop.is_set():
            _log.warning("reading retained messages took more than %.0f s: the rest was not read", self._deadline_s)
        if not self._has_room:
            _log.warning("more than %s MB of retained messages: the rest was not read", MOST_KEPT >> 20)
        session.unsubscribe(self._topic_filters)
        if self._sentinel:
            self._payloads.pop(self._sentinel.topic, None)
        return self._payloads

    def _store_sentinel(self, session: Session, sentinel: InstanceMarker) -> float | None:
        """Publish the sentinel, and wait until the broker delivers it: then it knows all older messages as well.

        Returns:
            how many seconds that took; None if the broker does not deliver it.
        """
        began = time.monotonic()
        if session.publish_now(sentinel.message(session.protocol.value, session.node_name)).is_failure:
            return None
        while time.monotonic() - began < MISSING_S and not self._stop.is_set():
            if self._read_until_sentinel(session, sentinel, REPEAT_S) and self._sentinel_at is not None:
                return self._sentinel_at - began
        if self._other_nodes > 0 and not self._stop.is_set():
            # While a node of a NATS cluster is down, another may not learn of new retained messages: its index follows
            # them through a consumer without replicas, on a random node (`createGroupForConsumer` of 2.15).
            self._other_nodes -= 1
            raise BrokerUnreachable(f"{session.node_name} does not deliver a retained message that was just published")
        return None

    def _read_sentinel(self, session: Session, sentinel: InstanceMarker) -> float:
        """Read until the sentinel has arrived; return how many seconds that took."""
        began = time.monotonic()
        self._read_until_sentinel(session, sentinel, MISSING_S)
        return (self._sentinel_at or began) - began

    def _read_until_sentinel(self, session: Session, sentinel: InstanceMarker, silence_s: float) -> bool:
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

    def _read_until_silence(self, session: Session, silence_s: float) -> bool:
        """Read until nothing has arrived for this long; return whether that was before the deadline."""
        session.heard_at = time.monotonic()
        while not self._stop.is_set() and (silent_s := time.monotonic() - session.heard_at) < silence_s:
            remaining = min(silence_s - silent_s, self._deadline - time.monotonic())
            if remaining <= 0:
                return False
            session.loop_once(min(LOOP_S, remaining))
        return True


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
    reader = RetainedReader(topic_filters, deadline_s=deadline_s, stop=stop)
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

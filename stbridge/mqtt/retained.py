"""Reads and clears retained messages."""

import logging
import threading
import time
from collections.abc import Sequence

from stbridge.core.messages import Message, Received
from stbridge.core.wording import counted
from stbridge.errors import BrokerRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.session import LOOP_S, Session, beside, open_session
from stbridge.settings import MqttSettings

LARGEST_KEPT = 512 * 1024
"""In bytes; no payload of ours is larger, so of a larger one only its existence is remembered."""

MOST_KEPT = 128 * 1024 * 1024
"""How large everything that is read may be, with its topics, in bytes."""

_MORE = 100  # about what an entry takes beside its topic and payload

QUIET_S = 0.15
"""Silence after the sentinel that ends the reading: a broker that delivered it at once has nothing left by then."""

LATENESS = 1.0
"""A broker that delivered the sentinel late may deliver other topics in another order (clusters deliver what several
nodes keep): the silence must last so many times as long as the sentinel took."""

EXPECTED_S = 0.3
"""A broker that keeps the sentinel and is not late has delivered it by then. One that keeps nothing has not: so much
longer takes a start on an empty broker, where `online` waits for the reading."""

MISSING_S = 5.0
"""Silence that ends the reading if the sentinel never arrives: the broker is very late, or does not let us read it."""

UNKNOWN_S = 2.5
"""Silence that ends the reading if there can be no sentinel."""

DEADLINE_S = 30.0
"""The longest reading in all, on a line that is slow, or where other clients publish all the time."""

_log = logging.getLogger(__name__)


class RetainedReader:
    """Reads the retained messages under some filters, over an open session.

    MQTT does not tell where they end, and some brokers (NATS, clusters) deliver them seconds after SUBACK. So the topic
    of the sentinel is subscribed to last: what the broker keeps is complete soon after the sentinel was delivered. If
    the broker keeps no sentinel, it is published, and asked for again. Without one, only a long silence is left.

    A broker may also drop what a subscriber does not read at once (Mosquitto: all beyond `max_queued_messages`, 1000,
    and what the socket holds), so one filter is read after the other: name many narrow ones, and first those that
    matter most.

    Args:
        topic_filters: which topics to read.
        sentinel: a retained message that this bridge has published before, or will publish anyway.
        deadline_s: the longest reading in all.
        stop: ends it early.
    """

    def __init__(
        self,
        topic_filters: Sequence[str],
        *,
        sentinel: InstanceMarker | None = None,
        deadline_s: float = DEADLINE_S,
        stop: threading.Event | None = None,
    ) -> None:
        self._topic_filters = topic_filters
        self._sentinel = sentinel
        self._deadline_s = deadline_s
        self._stop = stop or threading.Event()
        self._deadline = 0.0
        self._payloads: dict[str, bytes] = {}
        self._size = 0  # of everything that arrived; anybody may have published it
        self._sentinel_at: float | None = None

    def take(self, message: Received) -> None:
        """Take a message that the session has received."""
        if message.payload and message.retained:
            if self._sentinel and message.topic == self._sentinel.topic:
                self._sentinel_at = self._sentinel_at or time.monotonic()
            payload = message.payload if len(message.payload) <= LARGEST_KEPT else message.payload[:1]
            self._size += len(message.topic) + len(payload) + _MORE
            if self._has_room:
                self._payloads[message.topic] = payload
        elif not message.payload:
            self._payloads.pop(message.topic, None)  # cleared while we read
        message.acknowledge()

    @property
    def _has_room(self) -> bool:
        return self._size <= MOST_KEPT

    def read(self, session: Session) -> dict[str, bytes]:
        """Read; this thread runs the session meanwhile, which passes what it receives to `take`.

        Args:
            session: an open session. Its subscriptions to the filters are removed at the end.

        Returns:
            payloads by topic, without the sentinel.

        Raises:
            BrokerUnavailable: the connection has ended.
        """
        self._deadline = time.monotonic() + self._deadline_s
        self._payloads, self._size = {}, 0  # an earlier connection may have ended in between
        # The answer to a subscription comes after the retained messages of the one before, on most brokers.
        refused: dict[str, str] = {}
        for topic_filter in self._topic_filters:
            if time.monotonic() < self._deadline:
                refused |= session.subscribe([_reading(topic_filter)])
        if refused:
            _log.error("%s", subscriptions_refused(refused))
        silence_s = self._read_sentinel(session, self._sentinel) if self._sentinel else UNKNOWN_S
        if not self._read_until_silence(session, silence_s) and not self._stop.is_set():
            _log.warning("reading retained messages took more than %.0f s: the rest was not read", self._deadline_s)
        if not self._has_room:
            _log.warning("more than %s MB of retained messages: the rest was not read", MOST_KEPT >> 20)
        session.unsubscribe(self._topic_filters)
        if self._sentinel:
            self._payloads.pop(self._sentinel.topic, None)
        return self._payloads

    def _read_sentinel(self, session: Session, sentinel: InstanceMarker) -> float:
        """Read until the sentinel has arrived; return how long the silence after it has to last, in seconds."""
        self._sentinel_at = None  # one of the filters may have covered its topic
        asked_at = time.monotonic()
        session.subscribe([_reading(sentinel.topic)])
        if not self._read_until_sentinel(session, EXPECTED_S):
            reason = session.publish_now(sentinel.message(session.protocol.value))
            session.subscribe([_reading(sentinel.topic)])
            self._read_until_sentinel(session, UNKNOWN_S if reason.is_failure else MISSING_S)
        return max(QUIET_S, LATENESS * ((self._sentinel_at or asked_at) - asked_at))

    def _read_until_sentinel(self, session: Session, silence_s: float) -> bool:
        """Read until the sentinel has arrived, or nothing has for so long; return whether it has."""
        session.heard_at = time.monotonic()
        while self._sentinel_at is None and not self._stop.is_set():
            remaining = min(session.heard_at + silence_s, self._deadline) - time.monotonic()
            if remaining <= 0:
                return False
            session.loop_once(min(LOOP_S, remaining))
        return True

    def _read_until_silence(self, session: Session, silence_s: float) -> bool:
        """Read until nothing has arrived for so long; return whether that was before the deadline."""
        session.heard_at = time.monotonic()
        while not self._stop.is_set() and (silent_s := time.monotonic() - session.heard_at) < silence_s:
            remaining = min(silence_s - silent_s, self._deadline - time.monotonic())
            if remaining <= 0:
                return False
            session.loop_once(min(LOOP_S, remaining))
        return True


def _reading(topic_filter: str) -> Subscription:
    """Return a subscription to stored messages, also to those that the same client ID has published.

    Only stored ones count: a live one tells nothing of what is still to be delivered.
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
    """Return the retained messages under some filters, read over a connection of its own.

    Args:
        settings: the broker's.
        topic_filters: which topics to read.
        client_id: the client ID; None derives one from that of the bridge.
        deadline_s: the longest reading in all.
        stop: ends it early.

    Raises:
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    reader = RetainedReader(topic_filters, deadline_s=deadline_s, stop=stop)
    with open_session(settings, client_id or beside(settings, "reader"), reader.take, stop=stop) as session:
        return reader.read(session)


def clear_retained(settings: MqttSettings, topics: Sequence[str], *, client_id: str | None = None) -> None:
    """Clear the retained messages of some topics, and wait until the broker has acknowledged it.

    Args:
        settings: the broker's.
        topics: the topics.
        client_id: the client ID; None derives one from that of the bridge.

    Raises:
        BrokerRefused: the broker does not let us clear them.
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

"""Reads and clears retained messages, over a connection of its own."""

import logging
import threading
import time
from collections.abc import Sequence

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import ProtocolChoice
from stbridge.mqtt.session import LOOP_S, Session, open_session
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


class _Found:
    """The messages that arrived, up to a total size; anybody may have published them."""

    def __init__(self, sentinel: str | None) -> None:
        self.payloads: dict[str, bytes] = {}
        self.sentinel_at: float | None = None
        self._sentinel = sentinel
        self._size = 0

    @property
    def complete(self) -> bool:
        """Whether there was room for everything."""
        return self._size <= MOST_KEPT

    def take(self, message: Received) -> None:
        if message.payload and message.retained:
            if message.topic == self._sentinel:
                self.sentinel_at = self.sentinel_at or time.monotonic()
            payload = message.payload if len(message.payload) <= LARGEST_KEPT else message.payload[:1]
            self._size += len(message.topic) + len(payload) + _MORE
            if self.complete:
                self.payloads[message.topic] = payload
        elif not message.payload:
            self.payloads.pop(message.topic, None)  # cleared while we read


def read_retained(
    settings: MqttSettings,
    topic_filters: Sequence[str],
    *,
    sentinel: InstanceMarker | None = None,
    deadline_s: float = DEADLINE_S,
    stop: threading.Event | None = None,
    choice: ProtocolChoice | None = None,
) -> dict[str, bytes]:
    """Return the retained messages under some filters.

    MQTT does not tell where they end, and some brokers (NATS, clusters) deliver them seconds after SUBACK. So the topic
    of the sentinel is subscribed to last: what the broker keeps is complete soon after the sentinel was delivered. If
    the broker keeps no sentinel, it is published, and asked for again. Without one, only a long silence is left.

    A broker may also drop what a subscriber does not read at once (Mosquitto: all beyond `max_queued_messages`, 1000,
    and what the socket holds), so one filter is read after the other: name many narrow ones, and first those that
    matter most.

    Args:
        settings: the broker's.
        topic_filters: which topics to read.
        sentinel: a retained message that this bridge has published before, or will publish anyway.
        deadline_s: the longest reading in all.
        stop: ends it early.
        choice: the version of MQTT, if it is known already.

    Returns:
        payloads by topic, without the sentinel.

    Raises:
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    stop = stop or threading.Event()
    found = _Found(sentinel.topic if sentinel else None)
    forbidden: list[str] = []
    outbox = Outbox(on_refused=lambda _, reason: forbidden.append(reason))
    with open_session(settings, "reader", found.take, outbox=outbox, stop=stop, choice=choice) as session:
        deadline = time.monotonic() + deadline_s
        # The answer to a subscription comes after the retained messages of the one before, on most brokers.
        refused: dict[str, str] = {}
        for topic_filter in topic_filters:
            if time.monotonic() < deadline:
                refused |= session.subscribe([Subscription(topic_filter, qos=0)])
        if refused:
            _log.error("%s", subscriptions_refused(refused))
        silence_s = UNKNOWN_S
        if sentinel:
            found.sentinel_at = None  # one of the filters may have covered its topic
            asked_at = time.monotonic()
            # Only stored messages count: a live one tells nothing of what is still to be delivered.
            last = [Subscription(sentinel.topic, qos=0, no_local=False, retain_as_published=False)]
            session.subscribe(last)
            if not _read_until_sentinel(session, found, EXPECTED_S, deadline, stop):
                outbox.put(sentinel.message(session.protocol.value))
                while not outbox.wait_until_empty(0) and not stop.is_set():
                    session.loop_once()
                session.subscribe(last)
                _read_until_sentinel(session, found, UNKNOWN_S if forbidden else MISSING_S, deadline, stop)
            silence_s = max(QUIET_S, LATENESS * ((found.sentinel_at or asked_at) - asked_at))
        complete = _read_until_silence(session, silence_s, deadline, stop)
        if sentinel:
            found.payloads.pop(sentinel.topic, None)
        if not complete and not stop.is_set():
            _log.warning("reading retained messages took more than %.0f s: the rest is not known", deadline_s)
        if not found.complete:
            _log.warning("more than %s MB of retained messages: the rest is not known", MOST_KEPT >> 20)
    return found.payloads


def _read_until_sentinel(
    session: Session, found: _Found, silence_s: float, deadline: float, stop: threading.Event
) -> bool:
    """Read until the sentinel has arrived, or nothing has for so long; return whether it has."""
    session.heard_at = time.monotonic()
    while found.sentinel_at is None and not stop.is_set():
        remaining = min(session.heard_at + silence_s, deadline) - time.monotonic()
        if remaining <= 0:
            return False
        session.loop_once(min(LOOP_S, remaining))
    return True


def _read_until_silence(session: Session, silence_s: float, deadline: float, stop: threading.Event) -> bool:
    """Read until nothing has arrived for so long; return whether that was before the deadline."""
    session.heard_at = time.monotonic()
    while not stop.is_set() and (silent_s := time.monotonic() - session.heard_at) < silence_s:
        remaining = min(silence_s - silent_s, deadline - time.monotonic())
        if remaining <= 0:
            return False
        session.loop_once(min(LOOP_S, remaining))
    return True


def clear_retained(settings: MqttSettings, topics: Sequence[str]) -> None:
    """Clear the retained messages of some topics, and wait until the broker has acknowledged it.

    Args:
        settings: the broker's.
        topics: the topics.

    Raises:
        BrokerRefused: the broker does not let us clear them.
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    refused: dict[str, str] = {}
    outbox = Outbox(on_refused=lambda message, reason: refused.setdefault(message.topic, reason))
    for topic in topics:
        outbox.put_state(Message(topic=topic, payload=b"", retain=True))
    with open_session(settings, "purge", outbox=outbox) as session:
        while not outbox.wait_until_empty(0):
            session.loop_once()
    if refused:
        topic, reason = next(iter(refused.items()))
        raise BrokerRefused(
            f"the broker does not let the bridge clear {len(refused)} topics, such as {topic} ({reason}): "
            "allow it in the broker's ACL"
        )

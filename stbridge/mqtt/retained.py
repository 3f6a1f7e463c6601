"""Reads what the broker keeps, and clears it, through a connection of its own that leaves no trace."""

import logging
import threading
import time
from collections.abc import Sequence

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.link import Link
from stbridge.mqtt.protocol import Protocol, ProtocolChoice
from stbridge.settings import MqttSettings

LARGEST_KEPT = 512 * 1024
"""In bytes; no payload of ours is larger, so of such a one it is only known that it is there."""

MOST_KEPT = 128 * 1024 * 1024
"""How large everything that is read may be, with its topics, in bytes."""

_MORE = 100  # about what an entry takes beside its topic and payload

_log = logging.getLogger(__name__)


class _Found:
    """What has been read: no more of it than memory is meant for, whoever put it there."""

    def __init__(self) -> None:
        self.payloads: dict[str, bytes] = {}
        self.last_at = 0.0
        self._size = 0

    @property
    def complete(self) -> bool:
        """Whether there was room for everything."""
        return self._size <= MOST_KEPT

    def take(self, message: Received) -> None:
        self.last_at = time.monotonic()
        if message.payload and message.retained:
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
    quiet_s: float = 0.15,
    deadline_s: float = 5.0,
    stop: threading.Event | None = None,
    choice: ProtocolChoice | None = None,
) -> dict[str, bytes]:
    """Return the retained messages under some filters.

    MQTT does not tell where they end: they have when the subscription is acknowledged and nothing came for
    a while. A broker may drop what a subscriber does not take in at once (Mosquitto: all beyond
    `max_queued_messages`, 1000, and what the socket holds), so one filter is read after the other: name
    many narrow ones, and first those that matter most.

    Args:
        settings: the broker's.
        topic_filters: which topics to read.
        quiet_s: how long nothing must come.
        deadline_s: when to stop although more keeps coming.
        stop: ends it early.
        choice: the version of MQTT, if it is known already.

    Returns:
        payloads by topic.

    Raises:
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    found = _Found()
    stop = stop or threading.Event()

    def opened(protocol: Protocol) -> Link:
        link = Link(settings, protocol, client_id=f"{settings.client_id}-reader", received=found.take)
        link.open(stop)
        return link

    link = (choice or ProtocolChoice(settings.protocol)).open(opened)
    deadline = time.monotonic() + deadline_s
    try:
        # The answer to a subscription comes after the retained messages of the one before.
        refused: dict[str, str] = {}
        for topic_filter in topic_filters:
            refused |= link.subscribe([Subscription(topic_filter, qos=0)])
        if refused:
            _log.error("%s", subscriptions_refused(refused))
        found.last_at = time.monotonic()
        while not stop.is_set() and (remaining := min(found.last_at + quiet_s, deadline) - time.monotonic()) > 0:
            link.turn(remaining)
        if found.last_at + quiet_s > deadline:
            _log.warning("more than %s s of retained messages: what came later is not known", deadline_s)
        if not found.complete:
            _log.warning("more than %s MB of retained messages: what came later is not known", MOST_KEPT >> 20)
    finally:
        link.close(say_goodbye=True)
    return found.payloads


def clear_retained(settings: MqttSettings, topics: Sequence[str]) -> None:
    """Make the broker keep nothing on some topics any more, and wait until it has answered for all of them.

    Args:
        settings: the broker's.
        topics: the topics.

    Raises:
        BrokerRefused: the broker does not let us clear them.
        BrokerUnavailable: the broker cannot be used.
        SettingsError: the files for TLS cannot be used.
    """
    waiting: dict[int, str] = {}
    refused: dict[str, str] = {}
    stop = threading.Event()

    def answered(packet_id: int, refusal: str | None) -> None:
        topic = waiting.pop(packet_id)
        if refusal is not None:
            refused[topic] = refusal

    def opened(protocol: Protocol) -> Link:
        client_id = f"{settings.client_id}-purge"
        link = Link(settings, protocol, client_id=client_id, received=_ignore, answered=answered)
        link.open(stop)
        return link

    link = ProtocolChoice(settings.protocol).open(opened)
    try:
        for topic in topics:
            waiting[link.publish(Message(topic=topic, payload=b"", retain=True))] = topic
            while len(waiting) >= link.window:
                link.turn()
        while waiting:
            link.turn()
    finally:
        link.close(say_goodbye=True)
    if refused:
        topic, reason = next(iter(refused.items()))
        raise BrokerRefused(
            f"the broker does not let the bridge clear {len(refused)} topics, such as {topic} ({reason.lower()}): "
            "allow it in the broker's access list"
        )


def _ignore(_received: Received) -> None:
    """Take no notice of what arrives: nothing was subscribed to."""

"""Decides which topics of an instance are rendered, and when."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from stbridge.core.messages import Message
from stbridge.core.outcome import CONNECTION, STATE
from stbridge.core.payloads import render
from stbridge.core.slow_topics import SLOW, SlowTopics, slow
from stbridge.core.state import State
from stbridge.core.topic_rate import TopicRateLimiter
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.mqtt.outbox import Outbox

AVAILABILITY = (CONNECTION, STATE)
"""Topics that are published immediately, even while everything else is still being read."""


class Publisher:
    """Renders changed topics with their latest values and puts them into the outbox, each topic at a limited rate.

    Args:
        name: the name of the instance.
        topics: builds the topics.
        outbox: receives the rendered messages.
        discovery: generates the discovery messages for Home Assistant; None if discovery is off.
        updates_per_second: maximum rate at which a changing topic is published; 0 is no limit.
    """

    def __init__(
        self, name: str, topics: Topics, outbox: Outbox, discovery: DiscoveryPublisher | None, updates_per_second: float
    ) -> None:
        self._name = name
        self._topics = topics
        self._outbox = outbox
        self._discovery = discovery
        self._changed: dict[Address, None] = {}
        self._not_compared: list[Address] = []  # published topics whose discovery messages may have changed
        self._rate = TopicRateLimiter(updates_per_second)
        self._slow = SlowTopics() if discovery else None
        self._offered: list[tuple[Address, bytes]] = []  # published, but not compared with the copies yet

    @property
    def next(self) -> float | None:
        """When the next topic that is waiting may be published, by the monotonic clock; None if no topic is waiting."""
        times = (self._rate.next, self._slow.next if self._slow else None)
        return min((at for at in times if at is not None), default=None)

    def change(self, addresses: Iterable[Address]) -> None:
        """Mark topics as possibly changed."""
        self._changed.update(dict.fromkeys(addresses))

    def forget(self) -> None:
        """Clear the marks of all topics."""
        self._changed.clear()
        self._not_compared.clear()
        self._rate.release()

    def publish(self, state: State, now: float, limit: int, *, unlimited_rate: bool = False) -> bool:
        """Put changed topics into the outbox; while the instance is not live, only its availability.

        Args:
            state: the state of the instance.
            now: the time of the monotonic clock.
            limit: maximum number of topics to render, so that the caller holds the state's lock for a short time.
            unlimited_rate: ignore the rate limit.

        Returns:
            whether more can be published now, so that the caller has to call it again.
        """
        # A client that receives `online` relies on all other topics being current.
        unlimited_rate = unlimited_rate or (STATE in self._changed and state.online)
        self._offer_slow(now)
        self.change(self._rate.release() if unlimited_rate else self._rate.due(now))
        if not state.may_publish:
            for address in [one for one in AVAILABILITY if one in self._changed]:
                del self._changed[address]
                self._put(address, render(state, address), now)
            self._put_slow(now)
            return False
        self._compare_discovery(state)
        payloads = {
            address: render(state, address)
            for address in self._next(limit)
            if unlimited_rate or _is_urgent(state, address) or not self._rate.is_limited(address, now)
        }
        for address, payload in payloads.items():
            self._put_discovery_first(state, address, exists=payload is not None)
        if self._discovery:
            self._put_discovery(self._discovery.describe_all())
        for address, payload in payloads.items():
            self._put(address, payload, now)
        self._put_slow(now, everything=unlimited_rate)
        if not self._changed and self._discovery:
            self._put_discovery(self._discovery.clear_leftovers())
        return bool(self._changed or self._not_compared or self._offered)

    def _put_discovery_first(self, state: State, address: Address, *, exists: bool) -> None:
        """Publish the discovery messages that must precede a topic, which add a new entity or clear a removed one.

        Home Assistant cannot parse the empty payload of a cleared topic.
        """
        if self._discovery and exists and self._discovery.knows(address):
            self._not_compared.append(address)
        elif self._discovery:
            self._put_discovery(self._discovery.follow(state, address))

    def _compare_discovery(self, state: State) -> None:
        """Publish discovery messages with changed names and types after the states, which change more often."""
        addresses, self._not_compared = self._not_compared, []
        for address in addresses:
            self._put_discovery(self._discovery.follow(state, address) if self._discovery else ())

    def _next(self, limit: int) -> list[Address]:
        """Remove and return the topics to render next; `state` comes after all others."""
        if STATE in self._changed:
            del self._changed[STATE]
            self._changed[STATE] = None
        if len(self._changed) <= limit:
            addresses, self._changed = list(self._changed), {}
            return addresses
        addresses = list(islice(self._changed, limit))
        for address in addresses:
            del self._changed[address]
        return addresses

    def restore_discovery(
        self, announced: Mapping[str, bytes], listed: Collection[str] | None, *, complete: bool
    ) -> None:
        """Continue the discovery messages of the previous run.

        Args:
            announced: the messages of this instance, by topic.
            listed: the topics in the list of this instance; None if the broker has no list.
            complete: whether everything was read, so that the broker has no other message on one of these topics.
        """
        if self._discovery:
            self._discovery.topic_list.restore(listed, () if complete else listed or ())
            self._discovery.remember(announced)
            self._put_topic_list()

    def _put_topic_list(self) -> None:
        """Put the list of discovery topics into the outbox if it has changed.

        The broker must have it before it has messages on these topics, unless it has no list at all: then the next run
        reads the messages of all bridges.
        """
        if self._discovery and (message := self._discovery.topic_list.take()):
            self._outbox.put_prerequisite(message, replaces=self._discovery.topic_list.exceeds_stored)

    def _put_discovery(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._put_topic_list()
            self._outbox.put_state(message, first=True)

    def _put(self, address: Address, payload: bytes | None, now: float) -> None:
        message = Message(
            topic=self._topics.build(self._name, address),
            payload=payload or b"",
            retain=True,
            json=address != STATE,
        )
        if self._outbox.put_state(message, last=address == STATE) and address not in AVAILABILITY:
            self._rate.take(address, now)
        if self._slow and address.kind in SLOW:
            if payload is None:
                self._slow.remove(address)
                self._put_copy(address, b"")
            else:
                self._offered.append((address, payload))

    def _offer_slow(self, now: float) -> None:
        """Compare published payloads with the slow copies; parsing them before would delay their publication."""
        offered, self._offered = self._offered, []
        if self._slow:
            for address, payload in offered:
                self._slow.offer(address, payload, now)

    def _put_slow(self, now: float, *, everything: bool = False) -> None:
        """Put the slow copies that are due, or all that are out of date."""
        if everything:
            self._offer_slow(now)
        if self._slow:
            for address, payload in self._slow.release(now) if everything else self._slow.due(now):
                self._put_copy(address, payload)

    def _put_copy(self, address: Address, payload: bytes) -> None:
        topic = self._topics.build(self._name, slow(address))
        self._outbox.put_state(Message(topic=topic, payload=payload, retain=True, json=True))


def _is_urgent(state: State, address: Address) -> bool:
    """Return whether a topic has no rate limit: the availability, and completions that precede their removed device."""
    return address in AVAILABILITY or (address.kind == "completion" and address.device not in state.device_ids)

"""Decides which topics of an instance are rendered, and when."""

from collections.abc import Iterable
from itertools import islice

from stbridge.core.messages import Message
from stbridge.core.outcome import CONNECTION, STATE
from stbridge.core.payloads import render
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

    @property
    def next(self) -> float | None:
        """When the next rate-limited topic may be published, by the monotonic clock; None if no topic is waiting."""
        return self._rate.next

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
            whether more topics can be rendered now.
        """
        # A client that receives `online` relies on all other topics being current.
        unlimited_rate = unlimited_rate or (STATE in self._changed and state.online)
        self.change(self._rate.release() if unlimited_rate else self._rate.due(now))
        if not state.may_publish:
            for address in [one for one in AVAILABILITY if one in self._changed]:
                del self._changed[address]
                self._put(address, render(state, address), now)
            return False
        self._compare_discovery(state)
        for address in self._next(limit):
            if unlimited_rate or address in AVAILABILITY or not self._rate.is_limited(address, now):
                payload = render(state, address)
                self._put_discovery_first(state, address, exists=payload is not None)
                self._put(address, payload, now)
        if not self._changed and self._discovery:
            self._put_discovery(self._discovery.clear_leftovers())
        return bool(self._changed or self._not_compared)

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

    def _put_discovery(self, messages: Iterable[Message]) -> None:
        for message in messages:
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

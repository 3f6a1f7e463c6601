"""Decides which topics of one instance are rendered, and when."""

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
"""Topics that are published at once, also while everything else is being read."""


class Publisher:
    """Renders changed topics and puts them into the outbox: the latest value, and each topic at a limited rate.

    Args:
        name: the name of the instance.
        topics: builds the topics.
        outbox: what is to be sent.
        discovery: the discovery messages for Home Assistant; None for none.
        updates_per_second: how often a topic is published while it keeps changing; 0 is no limit.
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
        """When a rate-limited topic may be published, by the monotonic clock."""
        return self._rate.next

    def change(self, addresses: Iterable[Address]) -> None:
        """Note topics that may have changed."""
        self._changed.update(dict.fromkeys(addresses))

    def forget(self) -> None:
        """Forget which topics may have changed."""
        self._changed.clear()
        self._not_compared.clear()
        self._rate.release()

    def publish(self, state: State, now: float, limit: int, *, unlimited_rate: bool = False) -> bool:
        """Put changed topics into the outbox; while the instance is not live, only its availability.

        Args:
            state: the state of the instance.
            now: the time of the monotonic clock.
            limit: how many topics are rendered at most, so that the caller holds the state's lock for a short time.
            unlimited_rate: also publish what is rate limited.

        Returns:
            whether more topics are left to be rendered now.
        """
        # A client that sees `online` relies on every other topic.
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
        """Publish what has to go before a topic: what describes a new thing, and what clears a removed one.

        Home Assistant cannot read the empty payload of a cleared topic.
        """
        if self._discovery and exists and self._discovery.knows(address):
            self._not_compared.append(address)
        elif self._discovery:
            self._put_discovery(self._discovery.follow(state, address))

    def _compare_discovery(self, state: State) -> None:
        """Publish changed names and types after the state, which changes more often."""
        addresses, self._not_compared = self._not_compared, []
        for address in addresses:
            self._put_discovery(self._discovery.follow(state, address) if self._discovery else ())

    def _next(self, limit: int) -> list[Address]:
        """Take the topics that are rendered next; `state` comes after all others."""
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

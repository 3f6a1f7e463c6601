"""Publishes the discovery messages of one instance and keeps them up to date with its State."""

from collections.abc import Iterable, Iterator

from stbridge.core.json_text import as_json
from stbridge.core.messages import Message
from stbridge.core.state import State
from stbridge.core.topics import Address
from stbridge.homeassistant.discovered import DiscoveredDevice, discovered_device
from stbridge.homeassistant.discovery import Site, config


class DiscoveryPublisher:
    """Keeps the discovery messages of one instance up to date with its State.

    Args:
        site: the values that all of them share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._announced: dict[Address, DiscoveredDevice] = {}
        self._leftovers: set[str] = set()

    def remember(self, topics: Iterable[str]) -> None:
        """Add discovery topics that the previous run of the bridge published for this instance."""
        self._leftovers.update(topics)

    def knows(self, address: Address) -> bool:
        """Return whether a discovery message about this address has been published."""
        return address in self._announced

    def follow(self, state: State, address: Address) -> Iterator[Message]:
        """Yield the discovery messages that a change requires; only a changed name or type requires any.

        Args:
            state: a complete state.
            address: the changed address; after a start, this is called once for every address.
        """
        found = discovered_device(state, address)
        if found is not None:
            yield from self._compare(*found)

    def clear_leftovers(self) -> Iterator[Message]:
        """Yield messages that clear topics of the previous run whose folder or device was removed."""
        if self._announced and self._leftovers:
            kept = {self._topic(one) for one in self._announced.values()}
            yield from (_cleared(topic) for topic in sorted(self._leftovers - kept))
            self._leftovers.clear()

    def _compare(self, address: Address, now: DiscoveredDevice | None) -> Iterator[Message]:
        before = self._announced.get(address)
        if now == before:
            return
        if before is not None and (now is None or now.object_id != before.object_id):
            yield _cleared(self._topic(before))
            del self._announced[address]
        if now is not None:
            self._announced[address] = now
            yield Message(topic=self._topic(now), payload=as_json(config(now, self._site)), retain=True)

    def _topic(self, one: DiscoveredDevice) -> str:
        return self._site.topics.discovery(one.object_id)


def _cleared(topic: str) -> Message:
    return Message(topic=topic, payload=b"", retain=True)

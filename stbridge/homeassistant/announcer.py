"""What Home Assistant has been told of one instance, and what it has to be told when the State changes."""

from collections.abc import Iterable, Iterator

from stbridge.core.json_text import as_json
from stbridge.core.messages import Message
from stbridge.core.state import State
from stbridge.core.topics import Address
from stbridge.homeassistant.discovery import Site, config
from stbridge.homeassistant.subjects import Subject, subject


class Announcer:
    """Keeps the discovery messages of one instance in step with its State.

    Args:
        site: what all of them have in common.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._announced: dict[Address, Subject] = {}
        self._leftovers: set[str] = set()

    def remember(self, topics: Iterable[str]) -> None:
        """Take the discovery topics of this instance that the broker has kept from an earlier life of the bridge."""
        self._leftovers.update(topics)

    def follow(self, state: State, address: Address) -> Iterator[Message]:
        """Yield the messages that follow from a change; what changes no one's name or type yields none.

        Args:
            state: a state in which everything is known.
            address: what has changed; at first, everything does, one after the other.
        """
        found = subject(state, address)
        if found is not None:
            yield from self._compare(*found)

    def clear_leftovers(self) -> Iterator[Message]:
        """Yield what clears the topics that are remembered and about nothing any more; everything has been followed."""
        if self._announced and self._leftovers:
            kept = {self._topic(one) for one in self._announced.values()}
            yield from (_cleared(topic) for topic in sorted(self._leftovers - kept))
            self._leftovers.clear()

    def _compare(self, address: Address, now: Subject | None) -> Iterator[Message]:
        before = self._announced.get(address)
        if now == before:
            return
        if before is not None and (now is None or now.object_id != before.object_id):
            yield _cleared(self._topic(before))
            del self._announced[address]
        if now is not None:
            self._announced[address] = now
            yield Message(topic=self._topic(now), payload=as_json(config(now, self._site)), retain=True)

    def _topic(self, one: Subject) -> str:
        return self._site.topics.discovery(one.object_id)


def _cleared(topic: str) -> Message:
    return Message(topic=topic, payload=b"", retain=True)

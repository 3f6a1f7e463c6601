"""Publishes the discovery messages of one instance and keeps them up to date with its State."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from stbridge.core.json_text import as_json
from stbridge.core.messages import Message
from stbridge.core.outcome import SYSTEM, folder_address
from stbridge.core.state import State
from stbridge.core.topics import Address
from stbridge.homeassistant.discovered import DiscoveredDevice, discovered_device
from stbridge.homeassistant.discovery import Config, Site, config, config_of_all
from stbridge.homeassistant.listed import TopicList
from stbridge.homeassistant.removal import Parts, parts_of, read_parts, remove_missing

WITH_CHILDREN = "_with_children"
"""The end of the ID of a message with child devices.

With another topic than that of the message without them, one can be cleared before the other is published. Otherwise,
Home Assistant would refuse entities that it still has from the other message.
"""


class DiscoveryPublisher:
    """Keeps the discovery messages of one instance up to date with its State.

    There is one message for each device, or one for all of them if folders and remote devices are child devices.

    Args:
        site: the values that all of them share.
    """

    def __init__(self, site: Site) -> None:
        self.topic_list = TopicList(site.instance, site.topics)
        """The topics of all messages, including those of the previous run; it is up to date before they are yielded."""
        self._site = site
        self._announced: dict[Address, DiscoveredDevice] = {}
        self._all_changed = False
        self._all_topic = ""
        self._leftovers: set[str] = set()
        self._parts: dict[str, Parts] = {}  # entities of the last message on a topic, if the next may have fewer

    def remember(self, messages: Mapping[str, bytes]) -> None:
        """Add discovery messages, by topic, that the previous run of the bridge published for this instance."""
        self.topic_list.add(messages)
        self._leftovers.update(messages)
        self._parts.update({topic: read_parts(payload) for topic, payload in messages.items()})

    def knows(self, address: Address) -> bool:
        """Return whether a discovery message about this address has been published."""
        return address in self._announced

    def follow(self, state: State, address: Address) -> Iterator[Message]:
        """Yield the discovery messages that a change requires; only a changed name or type requires any.

        Args:
            state: a complete state.
            address: the changed address; after a start, this is called once for every address.
        """
        found = self._discovered(state, address)
        if found is not None:
            if not self._announced:
                self._list_all(state)
            yield from self._clear_other_shape()
            yield from self._compare(*found)

    def describe_all(self) -> Iterator[Message]:
        """Yield the message with all child devices if one of them has changed; `follow` only notes the changes."""
        instance = self._announced.get(SYSTEM)
        if not self._all_changed or instance is None:
            return
        self._all_changed = False
        topic = self._topic(instance)
        if self._all_topic not in ("", topic):
            yield _cleared(self._all_topic)
        self._all_topic = topic
        children = [one for address, one in self._announced.items() if address != SYSTEM]
        yield self._message(topic, config_of_all(instance, children, self._site), keep=True)

    def clear_leftovers(self) -> Iterator[Message]:
        """Yield messages that clear topics of the previous run whose folder or device was removed."""
        if self._announced and self._leftovers:
            kept = {self._topic(one) for one in self._announced.values()}
            yield from (_cleared(topic) for topic in sorted(self._leftovers - kept))
            for topic in self._leftovers - kept:
                self._parts.pop(topic, None)
            self._leftovers.clear()

    def _discovered(self, state: State, address: Address) -> tuple[Address, DiscoveredDevice | None] | None:
        """Return the address and the new value of the device that a changed address belongs to."""
        found = discovered_device(state, address)
        if found is None:
            return None
        where, now = found
        return where, None if now is None or self._site.excludes(now) else now

    def _list_all(self, state: State) -> None:
        """List the topics of all devices at once, so that the list is not published again for each of them."""
        addresses = [SYSTEM, *map(folder_address, state.folders), *map(state.address_of, state.devices)]
        found = (self._discovered(state, address) for address in addresses)
        self.topic_list.add(self._topic(one[1]) for one in found if one is not None and one[1] is not None)

    def _clear_other_shape(self) -> Iterator[Message]:
        """Yield messages that clear what the previous run published with another `homeassistant.child_devices`."""
        end = self._site.topics.discovery(WITH_CHILDREN).rpartition(WITH_CHILDREN)[2]
        other = {
            topic for topic in self._leftovers if topic.endswith(WITH_CHILDREN + end) is not self._site.child_devices
        }
        self._leftovers -= other
        for topic in other:
            self._parts.pop(topic, None)
        yield from (_cleared(topic) for topic in sorted(other))

    def _compare(self, address: Address, now: DiscoveredDevice | None) -> Iterator[Message]:
        before = self._announced.get(address)
        if before and now and not now.version:
            now = replace(now, version=before.version)  # a device that disconnects keeps its last known version
        if now == before:
            return
        replaced = before is not None and (now is None or now.object_id != before.object_id)
        if before is not None and replaced:
            del self._announced[address]
        if now is not None:
            self._announced[address] = now
        if self._site.child_devices:
            self._all_changed = True
            return
        if before is not None and replaced:
            yield _cleared(self._topic(before))
        if now is not None:
            yield self._message(self._topic(now), config(now, self._site), keep=address == SYSTEM)

    def _message(self, topic: str, described: Config, *, keep: bool) -> Message:
        """Return a discovery message, which removes entities of the previous message that it does not have.

        Args:
            topic: its topic.
            described: its content.
            keep: whether entities may be missing from the next message.
        """
        self.topic_list.add([topic])
        before = self._parts.pop(topic, {})
        remove_missing(described, before)
        if keep:
            self._parts[topic] = parts_of(described)
        return Message(topic=topic, payload=as_json(described, whole="child_devices" in described), retain=True)

    def _topic(self, one: DiscoveredDevice) -> str:
        if not self._site.child_devices:
            return self._site.topics.discovery(one.object_id)
        instance = DiscoveredDevice(own_id=one.own_id, address=SYSTEM)
        return self._site.topics.discovery(instance.object_id + WITH_CHILDREN)


def _cleared(topic: str) -> Message:
    return Message(topic=topic, payload=b"", retain=True)

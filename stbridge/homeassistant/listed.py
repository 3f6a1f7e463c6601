"""The list of the discovery topics of an instance, which the bridge publishes in its own tree and reads back at start.

A wildcard of MQTT matches a whole level, so no topic filter matches only the discovery messages of one bridge. With the
filter that matches all of them, each bridge of a fleet would read the messages of all others.

The list is correct after a crash at any time, because it contains a topic before the broker has a message there. It may
contain topics without a message. Without a list, the bridge reads the messages of all bridges.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from stbridge.core.json_text import as_json, read_json
from stbridge.core.messages import Message
from stbridge.core.topics import Topics, is_publishable
from stbridge.homeassistant.discovered import OBJECT_ID_PREFIX, bridge_object_id

_FORM = re.compile(rf"(?!\$)([^/]{{0,200}}/){{1,20}}device/{OBJECT_ID_PREFIX}[A-Za-z0-9_-]{{1,200}}/config")
"""The form of a discovery topic of a bridge, with any discovery prefix.

Brokers close the connection over a filter with too many levels (Mosquitto: `TOPIC_HIERARCHY_LIMIT`, 200).
"""


class TopicList:
    """The list of the discovery topics that the broker may have for one instance; it only grows.

    Args:
        instance: the name of the instance.
        topics: builds the topics.
    """

    def __init__(self, instance: str, topics: Topics) -> None:
        self._topic = topics.discovery_list(instance)
        self._listed = {topics.discovery(bridge_object_id(topics.base))}
        self._stored: frozenset[str] | None = None
        self._changed = True

    def restore(self, stored: Iterable[str] | None, found: Iterable[str]) -> None:
        """Continue the list of the previous run.

        Args:
            stored: the topics in the list on the broker; None if there is none.
            found: the topics that the broker may still have.
        """
        self._stored = None if stored is None else frozenset(stored)
        self.add(found)

    def add(self, topics: Iterable[str]) -> None:
        """Add topics that are going to be published."""
        before = len(self._listed)
        self._listed.update(topics)
        self._changed = self._changed or len(self._listed) > before

    def take(self) -> Message | None:
        """Return the message with the list if it has changed since the last call."""
        if not self._changed:
            return None
        self._changed = False
        return _message(self._topic, self._listed)

    @property
    def exceeds_stored(self) -> bool:
        """Whether the broker has a list of the previous run that does not contain all of these topics."""
        return self._stored is not None and not self._listed <= self._stored


def read_list(payload: bytes) -> tuple[str, ...] | None:
    """Return the topics in a list on the broker; None if the payload is no list. Any client may have published it."""
    try:
        found: Any = read_json(payload)["topics"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(found, list):
        return None
    return tuple(one for one in found if isinstance(one, str) and _FORM.fullmatch(one) and is_publishable(one))


def stored_lists(payloads: Mapping[str, bytes], topics: Topics) -> dict[str, tuple[str, ...]]:
    """Return the lists of the previous run by the name of the instance.

    Args:
        payloads: retained messages, by topic.
        topics: the topics of this bridge.
    """
    lists = ((topics.listed_instance(topic), read_list(payload)) for topic, payload in payloads.items())
    return {instance: listed for instance, listed in lists if instance is not None and listed is not None}


def empty_list(instance: str, topics: Topics) -> Message:
    """Return the message with the list of an instance without discovery messages."""
    return _message(topics.discovery_list(instance), ())


def filters(payloads: Mapping[str, bytes], topics: Topics, instances: Collection[str]) -> list[str]:
    """Return the filters of the discovery messages that a previous run of this bridge may have published.

    Args:
        payloads: retained messages by topic, including the lists.
        topics: the topics of this bridge.
        instances: the names of its instances.
    """
    lists = stored_lists(payloads, topics)
    listed = sorted({topic for one in lists.values() for topic in one})
    if lists.keys() >= set(instances):
        return listed
    # It is the first run, or one of an earlier version was before, or the list was lost.
    return [topics.discovery_filter, *(topic for topic in listed if not topics.is_discovery(topic))]


def _message(topic: str, listed: Iterable[str]) -> Message:
    return Message(topic=topic, payload=as_json({"topics": sorted(listed)}, whole=True), retain=True)

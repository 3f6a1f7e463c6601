"""Finds the discovery messages on a broker that this bridge published, in this run or a previous one."""

import json
from collections.abc import Container, Mapping
from typing import Any

from stbridge.core.json_text import read_json
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.homeassistant.discovered import OBJECT_ID_PREFIX, bridge_object_id
from stbridge.homeassistant.discovery import ORIGIN


def may_be_owned(topics: Topics, topic: str, payload: bytes) -> bool:
    """Return whether `owned` may accept a message, without decoding it: a fleet has many messages of other bridges."""
    if not topics.is_discovery(topic):
        return True
    state = topics.build(BRIDGE, Address("bridge_state"))
    return any(json.dumps(state, ensure_ascii=one).encode("utf-8", "replace") in payload for one in (False, True))


def owned(payloads: Mapping[str, bytes], topics: Topics, listed: Container[str] = ()) -> dict[str, str]:
    """Return the discovery topics that belong to this bridge, each with the name of its instance, or `bridge`.

    A topic belongs to this bridge if its ID has the bridge's form, its origin is stbridge, and its availability depends
    on this bridge's `bridge/state`; another bridge has another base topic. A client that can forge all of this could
    also clear the topic.

    Args:
        payloads: retained messages, by topic; other programs may have published some of them.
        topics: the topics of this bridge.
        listed: discovery topics of the previous run; it may have had another discovery prefix.
    """
    ours = topics.discovery(OBJECT_ID_PREFIX).removesuffix("/config")
    of_bridge = f"/device/{bridge_object_id(topics.base)}/config"
    found = {
        topic: _instance(payload, topics, of_bridge=topic.endswith(of_bridge))
        for topic, payload in payloads.items()
        if (topics.is_discovery(topic) and topic.startswith(ours)) or topic in listed
    }
    return {topic: instance for topic, instance in found.items() if instance is not None}


def _instance(payload: bytes, topics: Topics, *, of_bridge: bool) -> str | None:
    try:
        value: Any = read_json(payload)
        if value["origin"]["name"] != ORIGIN:
            return None
        available = [topics.parse(entry["topic"]) for entry in value["availability"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # any client may publish there
    if (BRIDGE, Address("bridge_state")) not in available:
        return None
    if of_bridge:
        return BRIDGE
    return next((one[0] for one in available if one is not None and one[1] == Address("state")), None)

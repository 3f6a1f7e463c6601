"""Entities that an earlier discovery message had and a later one has not.

Home Assistant keeps an entity that is missing from a message. It removes one that is listed with only its platform.
"""

from collections.abc import Mapping
from typing import Any, get_args

from stbridge.core.json_text import read_json
from stbridge.homeassistant.entity import Platform

Parts = Mapping[tuple[str, str], str]
"""The platform of each entity in a message, by the identifier of its child device, or an empty text, and its key."""

_PLATFORMS = frozenset(get_args(Platform))


def parts_of(message: Mapping[str, Any]) -> Parts:
    """Return the entities in a message."""
    return {
        (child, key): component["platform"]
        for child, components in _components(message)
        for key, component in components.items()
    }


def read_parts(payload: bytes) -> Parts:
    """Return the entities in a message on the broker, where any client may have published it."""
    try:
        found = parts_of(read_json(payload))
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {part: platform for part, platform in found.items() if platform in _PLATFORMS}


def remove_missing(message: dict[str, Any], before: Parts) -> None:
    """Add the entities that are missing from a message with only their platform."""
    now = parts_of(message)
    children = {child["identifiers"][0]: child["components"] for child in message.get("child_devices", ())}
    for (child, key), platform in before.items():
        if (child, key) in now:
            continue
        if child and child not in children:
            children[child] = {}
            message.setdefault("child_devices", []).append({"identifiers": [child], "components": children[child]})
        (children[child] if child else message["components"])[key] = {"platform": platform}


def _components(message: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    children = message.get("child_devices", ())
    return [("", message["components"]), *((one["identifiers"][0], one["components"]) for one in children)]

"""Entities that an earlier discovery message had and a later one has not.

Home Assistant keeps an entity that is missing from a message. It removes one that is listed with only its platform. It
may be stopped while that message is published, so later messages list the removed entity, too.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from stbridge.core.json_text import read_json
from stbridge.homeassistant.entity import Platform


class Part(NamedTuple):
    """An entity in a message.

    Attributes:
        platform: its platform.
        removed: whether it is listed with only its platform.
    """

    platform: str
    removed: bool


Parts = Mapping[tuple[str, str], Part]
"""The entities in a message, by the identifier of the child device, or an empty text, and the key of the entity."""

MOST_REMOVED = 200
"""Maximum number of entities that a message still lists although an earlier one has removed them. Other devices can
request anything, and each request has entities: the message would become longer and longer."""

_PLATFORMS = frozenset(get_args(Platform))


def parts_of(message: Mapping[str, Any]) -> Parts:
    """Return the entities in a message."""
    return {
        (child, key): Part(component["platform"], removed=component.keys() == {"platform"})
        for child, components in _components(message)
        for key, component in components.items()
    }


def read_parts(payload: bytes) -> Parts:
    """Return the entities in a message on the broker, where any client may have published it."""
    try:
        found = parts_of(read_json(payload))
        return {which: part for which, part in found.items() if part.platform in _PLATFORMS}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def remove_missing(message: dict[str, Any], before: Parts) -> None:
    """Add the entities that are missing from a message with only their platform.

    Args:
        message: the message.
        before: the entities in the previous message on the same topic.
    """
    now = parts_of(message)
    missing = {which: part for which, part in before.items() if which not in now}
    newly = [which for which, part in missing.items() if not part.removed]
    earlier = [which for which, part in missing.items() if part.removed]
    earlier.sort(key=lambda which: not which[0])  # first those of child devices, which no other device can add
    children = {child["identifiers"][0]: child["components"] for child in message.get("child_devices", ())}
    for child, key in [*newly, *earlier[: max(0, MOST_REMOVED - len(newly))]]:
        if child and child not in children:
            children[child] = {}
            message.setdefault("child_devices", []).append({"identifiers": [child], "components": children[child]})
        (children[child] if child else message["components"])[key] = {"platform": missing[child, key].platform}


def _components(message: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    children = message.get("child_devices", ())
    return [("", message["components"]), *((one["identifiers"][0], one["components"]) for one in children)]

"""Reads the devices and entities of Home Assistant from the discovery messages on a broker."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from stbridge.core.entity_ids import entity_id, is_certain
from stbridge.core.json_text import read_json
from stbridge.core.topics import BRIDGE, Topics
from stbridge.homeassistant.discovered import OBJECT_ID_PREFIX
from stbridge.homeassistant.entity import Platform
from stbridge.homeassistant.ownership import owned

_KINDS = re.compile(rf"{OBJECT_ID_PREFIX}(?:(bridge)_|.+?_(folder|device)_|)")
_TEXT_AND_NUMBER = re.compile(r"(\D*)(\d{0,9})", re.ASCII)
_PLATFORMS = frozenset(get_args(Platform))
_REQUEST = re.compile(r"(accept|dismiss)_(device|folder)_.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEntity:
    """An entity of a discovery message that is enabled by default.

    Attributes:
        entity_id: the ID that Home Assistant gives it.
        name: its name; empty if Home Assistant names it after its device class or its device.
    """

    entity_id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDevice:
    """A Home Assistant device of a bridge.

    Attributes:
        kind: `bridge`, `instance`, `folder` or `device`.
        instance: the name of its Syncthing instance; `bridge` for the bridge.
        name: the label or name in Syncthing; the name of the instance, if it is an instance.
        entities: its entities that are enabled by default, by key.
        requests: the buttons that accept and dismiss pending devices and folders, if their entity IDs are known.
        certain: whether the entity IDs are known: Home Assistant replaces letters of other scripts.
    """

    kind: str
    instance: str
    name: str
    entities: Mapping[str, PublishedEntity]
    requests: tuple[PublishedEntity, ...] = ()
    certain: bool = True


def published_devices(payloads: Mapping[str, bytes], topics: Topics) -> list[PublishedDevice]:
    """Return the devices in the discovery messages of a bridge, in the order of their instances and names.

    Args:
        payloads: retained messages by topic; other programs may have published some of them.
        topics: the topics of the bridge.
    """
    taken: Counter[str] = Counter()
    found = [
        device
        for topic, instance in sorted(owned(payloads, topics).items())
        for device in _devices(payloads[topic], instance, taken)
    ]
    return sorted(found, key=lambda one: (one.instance, _natural(one.name), one.name))


def _natural(name: str) -> list[tuple[str, int]]:
    """Return a key that sorts `Folder 9` before `Folder 10`."""
    return [(text, int(number or 0)) for text, number in _TEXT_AND_NUMBER.findall(name.casefold())]


def _devices(payload: bytes, instance: str, taken: Counter[str]) -> Iterator[PublishedDevice]:
    message: Any = read_json(payload)
    described = [(message.get("device"), message.get("components"))]
    described += [
        (one, one.get("components")) for one in _listed(message.get("child_devices")) if isinstance(one, dict)
    ]
    for device, components in described:
        try:
            yield _device(device["identifiers"][0], device["name"], components, instance, taken)
        except (LookupError, TypeError, AttributeError):
            continue  # any client may publish there


def _device(
    identifier: str, name: str, components: Mapping[str, Any], instance: str, taken: Counter[str]
) -> PublishedDevice:
    kind = _KINDS.match(identifier)
    given = {
        key.removeprefix(f"{identifier}_"): component
        for key, component in components.items()
        if "default_entity_id" in component
        and component["platform"] in _PLATFORMS
        and component.get("enabled_by_default", True)
    }
    entities = {key: _entity(component, taken) for key, component in given.items()}
    return PublishedDevice(
        kind=BRIDGE if instance == BRIDGE else (kind and kind[2]) or "instance",
        instance=instance,
        name=name.removeprefix(f"{instance} ") if kind and kind[2] else instance,
        entities={key: one for key, one in entities.items() if not _REQUEST.fullmatch(key)},
        requests=tuple(
            one
            for key, one in entities.items()
            if _REQUEST.fullmatch(key) and is_certain(given[key]["default_entity_id"])
        ),
        certain=all(
            is_certain(component["default_entity_id"])
            for key, component in given.items()
            if not _REQUEST.fullmatch(key)
        ),
    )


def _entity(component: Mapping[str, Any], taken: Counter[str]) -> PublishedEntity:
    """Return an entity; Home Assistant numbers entity IDs that already exist."""
    wanted = entity_id(component["platform"], component["default_entity_id"].partition(".")[2])
    taken[wanted] += 1
    number = f"_{taken[wanted]}" if taken[wanted] > 1 else ""
    name = component.get("name")
    return PublishedEntity(entity_id=wanted + number, name=name if isinstance(name, str) else "")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""The devices of Home Assistant: the bridge, and from the State one for each instance, folder and remote device."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from stbridge.core.json_text import cut
from stbridge.core.model import short_id
from stbridge.core.outcome import PENDING, SYSTEM, device_address, folder_address
from stbridge.core.payloads import LISTED_ITEMS, RENDERED, render
from stbridge.core.state import State
from stbridge.core.topics import Address
from stbridge.homeassistant.bridges import BRIDGE_ENTITIES
from stbridge.homeassistant.devices import DEVICE_ENTITIES
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.folders import FOLDER_ENTITIES
from stbridge.homeassistant.instances import INSTANCE_ENTITIES

OBJECT_ID_PREFIX = "stbridge_"

LONGEST_NAME = 60
"""Maximum length of the name of a pending device or folder, which another device has chosen."""

_HASH_LENGTH = 12
_FIT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pending device or folder.

    Attributes:
        kind: `device` or `folder`.
        key: identifies it; made of its IDs.
        name: the name or label that the other device sent, cut.
        arguments: the arguments of the commands that accept and dismiss it.
    """

    kind: str
    key: str
    name: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)  # without slots, for cached_property
class DiscoveredDevice:
    """A Home Assistant device: the values that its discovery message depends on.

    Attributes:
        own_id: the device ID of the instance that it represents or belongs to; empty for the bridge.
        address: the address of its topic; its kind is `bridge_info`, `system`, `folder` or `device`.
        name: its label or name in Syncthing; may be empty.
        id: the ID of the folder or device; the base topic of the bridge.
        type: the type of the folder.
        version: the version of Syncthing, or of the bridge.
        published: the topics of optional entities that are published.
        pending: the pending devices and folders of the instance.
    """

    own_id: str = ""
    address: Address
    name: str = ""
    id: str = ""
    type: str = ""
    version: str = ""
    published: frozenset[str] = frozenset()
    pending: tuple[Request, ...] = ()

    @cached_property
    def object_id(self) -> str:
        """Its ID at Home Assistant: made only of IDs, so that it survives renaming, and valid in a topic."""
        if self.address.kind == "bridge_info":
            return bridge_object_id(self.id)
        instance = instance_object_id(self.own_id)
        if self.address.kind == "folder":
            return f"{instance}_folder_{_hash(self.id)}"
        return f"{instance}_device_{_device(self.address.device)}" if self.address.kind == "device" else instance


def bridge_object_id(base_topic: str) -> str:
    """Return the ID of a bridge at Home Assistant; two bridges on one broker have different base topics."""
    return f"{OBJECT_ID_PREFIX}bridge_{_hash(base_topic)}"


def instance_object_id(own_id: str) -> str:
    """Return the ID of an instance at Home Assistant."""
    return f"{OBJECT_ID_PREFIX}{_device(short_id(own_id))}"


def _device(short: str) -> str:
    """Return the part of an object ID for a device; a hash if the ID, which may be invalid, does not fit in a topic."""
    return short if _FIT.fullmatch(short) else _hash(short)


def _hash(identifier: str) -> str:
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


TABLES: Mapping[str, tuple[Entity, ...]] = {
    "bridge_info": BRIDGE_ENTITIES,
    "system": INSTANCE_ENTITIES,
    "folder": FOLDER_ENTITIES,
    "device": DEVICE_ENTITIES,
}
"""The entities of each kind of subject."""

OPTIONAL = frozenset(row.topic for rows in TABLES.values() for row in rows if row.optional)


def discovered_device(state: State, address: Address) -> tuple[Address, DiscoveredDevice | None] | None:
    """Return the Home Assistant device that a changed address belongs to.

    Args:
        state: a complete state.
        address: the changed address.

    Returns:
        its address and its new value, or None for the value if it was removed; None if no discovery message depends on
        the address.
    """
    kind = "system" if address.kind in OPTIONAL or address.kind == PENDING.kind else address.kind
    if kind not in _SUBJECTS or state.process is None:
        return None
    return _SUBJECTS[kind](state, address, state.process.device_id)


_Found = tuple[Address, DiscoveredDevice | None]


def _instance(state: State, _: Address, own_id: str) -> _Found:
    published = frozenset(kind for kind in OPTIONAL if kind in RENDERED and render(state, Address(kind)) is not None)
    version = state.version.version if state.version else ""
    return SYSTEM, DiscoveredDevice(
        own_id=own_id, address=SYSTEM, version=version, published=published, pending=tuple(_requests(state))
    )


def _requests(state: State) -> Iterator[Request]:
    """Yield the pending devices and folders; at most as many as their topic lists."""
    for device in (state.pending_devices or ())[:LISTED_ITEMS]:
        name = cut(device.name or device.id, LONGEST_NAME)
        yield Request(kind="device", key=_hash(device.id), name=name, arguments=(("device", device.id),))
    for folder in (state.pending_folders or ())[:LISTED_ITEMS]:
        name = cut(folder.label or folder.id, LONGEST_NAME)
        arguments = (("folder", folder.id), ("device", folder.device))
        yield Request(kind="folder", key=_hash(f"{folder.id}\n{folder.device}"), name=name, arguments=arguments)


def _folder(state: State, address: Address, own_id: str) -> _Found:
    where, folder = folder_address(address.folder), state.folders.get(address.folder)
    if folder is None:
        return where, None
    config = folder.config
    return where, DiscoveredDevice(own_id=own_id, address=where, name=config.label, id=config.id, type=config.type)


def _remote(state: State, address: Address, own_id: str) -> _Found:
    device = state.devices.get(state.device_ids.get(address.device, ""))
    if device is None:
        return address, None
    where = device_address(address.device)
    version = device.connection.client_version or ""
    return where, DiscoveredDevice(
        own_id=own_id, address=where, name=device.config.name, id=device.config.id, version=version
    )


_SUBJECTS: Mapping[str, Callable[[State, Address, str], _Found]] = {
    "system": _instance,
    "folder": _folder,
    "device": _remote,
}

"""The devices of Home Assistant, derived from the State: one for each instance, folder and remote device."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stbridge.core.model import short_id
from stbridge.core.outcome import SYSTEM, device_address, folder_address
from stbridge.core.payloads import RENDERED, render
from stbridge.core.state import State
from stbridge.core.topics import Address
from stbridge.homeassistant.devices import DEVICE_ENTITIES
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.folders import FOLDER_ENTITIES
from stbridge.homeassistant.instances import INSTANCE_ENTITIES

OBJECT_ID_PREFIX = "stbridge_"

_HASH_LENGTH = 12
_FIT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredDevice:
    """A Home Assistant device: the values that its discovery message depends on.

    Attributes:
        own_id: the device ID of the instance that it represents or belongs to.
        address: the address of its topic; its kind is `system`, `folder` or `device`.
        name: its label or name in Syncthing; may be empty.
        id: the ID of the folder or device.
        type: the type of the folder.
        version: the version of Syncthing.
        published: the topics of optional entities that are published.
    """

    own_id: str
    address: Address
    name: str = ""
    id: str = ""
    type: str = ""
    version: str = ""
    published: frozenset[str] = frozenset()

    @property
    def object_id(self) -> str:
        """Its ID at Home Assistant: made only of IDs, so that it survives renaming, and valid in a topic."""
        instance = instance_object_id(self.own_id)
        if self.address.kind == "folder":
            return f"{instance}_folder_{_hash(self.id)}"
        return f"{instance}_device_{_device(self.address.device)}" if self.address.kind == "device" else instance


def instance_object_id(own_id: str) -> str:
    """Return the ID of an instance at Home Assistant."""
    return f"{OBJECT_ID_PREFIX}{_device(short_id(own_id))}"


def _device(short: str) -> str:
    """Return the part of an object ID for a device; a hash if the ID, which may be invalid, does not fit in a topic."""
    return short if _FIT.fullmatch(short) else _hash(short)


def _hash(identifier: str) -> str:
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


TABLES: Mapping[str, tuple[Entity, ...]] = {
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
    kind = "system" if address.kind in OPTIONAL else address.kind
    if kind not in _SUBJECTS or state.process is None:
        return None
    return _SUBJECTS[kind](state, address, state.process.device_id)


_Found = tuple[Address, DiscoveredDevice | None]


def _instance(state: State, _: Address, own_id: str) -> _Found:
    published = frozenset(kind for kind in OPTIONAL if kind in RENDERED and render(state, Address(kind)) is not None)
    version = state.version.version if state.version else ""
    return SYSTEM, DiscoveredDevice(own_id=own_id, address=SYSTEM, version=version, published=published)


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
    return where, DiscoveredDevice(own_id=own_id, address=where, name=device.config.name, id=device.config.id)


_SUBJECTS: Mapping[str, Callable[[State, Address, str], _Found]] = {
    "system": _instance,
    "folder": _folder,
    "device": _remote,
}

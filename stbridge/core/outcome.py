"""The consequences of an observation: topics to render, reads to do, events to emit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stbridge.core.observations import Read
from stbridge.core.topics import Address

STATE = Address("state")
CONNECTION = Address("connection")
SYSTEM = Address("system")
METRICS = Address("metrics")
ERRORS = Address("errors")
PENDING = Address("pending")
UPGRADE = Address("upgrade")


def folder_address(folder: str) -> Address:
    """Return the address of a folder."""
    return Address("folder", folder=folder)


def failed_address(folder: str) -> Address:
    """Return the address of a folder's failed items."""
    return Address("failed", folder=folder)


def conflicts_address(folder: str) -> Address:
    """Return the address of a folder's conflict files."""
    return Address("conflicts", folder=folder)


def device_address(device: str) -> Address:
    """Return the address of a device, given by its short ID in `State.short_ids`."""
    return Address("device", device=device)


def share_address(device: str, folder: str) -> Address:
    """Return the address of the completion of a folder on a device, given by its short ID."""
    return Address("completion", folder=folder, device=device)


@dataclass(frozen=True, slots=True)
class BridgeEvent:
    """An event that is published on `event/NAME`."""

    event_type: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(slots=True)
class Outcome:
    """The consequences of one or more observations, each once and in order."""

    changed: dict[Address, None] = field(default_factory=dict)
    reads: dict[Read, None] = field(default_factory=dict)
    events: list[BridgeEvent] = field(default_factory=list)

    def change(self, *addresses: Address) -> None:
        """Note that the payloads of these addresses may have changed."""
        self.changed.update(dict.fromkeys(addresses))

    def change_last(self, address: Address) -> None:
        """Note that the payload of this address may have changed; it follows those of all addresses so far."""
        self.changed.pop(address, None)
        self.changed[address] = None

    def read(self, *reads: Read) -> None:
        """Note that these reads are required."""
        self.reads.update(dict.fromkeys(reads))

    def emit(self, event_type: str, at: datetime, **data: Any) -> None:
        """Emit an event."""
        self.events.append(BridgeEvent(event_type, at, data))

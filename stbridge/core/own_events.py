"""The events of a single folder or device, on a topic of its own, with names that are clear without the subject."""

from collections.abc import Mapping

from stbridge.core.outcome import BridgeEvent
from stbridge.core.topics import Address

FOLDER_EVENTS: Mapping[str, str] = {
    "folder_synced": "synced",
    "folder_error": "error",
    "scan_finished": "scan_finished",
    "conflict": "conflict",
    "item_failed": "item_failed",
    "folder_paused": "paused",
    "folder_resumed": "resumed",
}
"""The events of a folder, and their `event_type` on its own topic."""

DEVICE_EVENTS: Mapping[str, str] = {
    "device_connected": "connected",
    "device_disconnected": "disconnected",
    "device_synced": "synced",
    "device_paused": "paused",
    "device_resumed": "resumed",
}
"""The events of a remote device, and their `event_type` on its own topic."""

EVERY_FOLDER = "all"
"""In `scan_finished`, it replaces the ID of a folder."""


def own_event(event: BridgeEvent) -> tuple[Address, BridgeEvent] | None:
    """Return the topic of the folder or device that an event is about, and the event with its name there.

    None if the event is about neither a single folder nor a single device.
    """
    for kind, names in (("folder", FOLDER_EVENTS), ("device", DEVICE_EVENTS)):
        subject = event.data.get(kind)
        if event.event_type in names and subject and subject != EVERY_FOLDER:
            address = Address(f"{kind}_event", **{kind: subject})
            return address, BridgeEvent(names[event.event_type], event.at, event.data)
    return None

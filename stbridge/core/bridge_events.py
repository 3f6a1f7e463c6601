"""The table of the events on `event/NAME`; a test compares it with the code that emits them."""

from collections.abc import Mapping
from dataclasses import dataclass

COMMON_KEYS: Mapping[str, str] = {
    "event_type": "the name of the event, as in the topic",
    "time": "when it occurred; if that is not known for a late event, when the bridge noticed it",
    "late": "`true` if it may have occurred while the bridge or Syncthing was stopped, or while the bridge could not "
    "reach Syncthing; otherwise the key is missing",
}
"""The keys that every event may have, with the text of the documentation."""

USUAL_KEYS: Mapping[str, str] = {
    "folder": "ID of the folder",
    "label": "its label",
    "device": "short ID of the device",
    "name": "its name",
    "path": "path of the item in the folder",
    "error": "the reason, in Syncthing's words; `null` if there is none",
    "address": "the address that the request came from",
    "version": "version of Syncthing",
    "transaction": "the `transaction` of the command",
    "code": "code of the [problem](problems.md)",
    "message": "its message",
    "since": "when its condition began",
}
"""The usual meaning of each key, for the documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One row of the table of events.

    Attributes:
        name: the last level of its topic.
        meaning: when it is published, for the documentation.
        keys: its keys besides COMMON_KEYS.
        special: the meaning of keys that differs from USUAL_KEYS.
        has_subject: whether an event about a folder also has FOLDER_KEYS, and one about a device DEVICE_KEYS.
    """

    name: str
    meaning: str
    keys: tuple[str, ...] = ()
    special: Mapping[str, str] | None = None
    has_subject: bool = False


FOLDER_KEYS = ("folder", "label")
DEVICE_KEYS = ("device", "name")
_PROBLEM = ("code", "message", "since")

EVENTS = (
    EventRow(name="folder_synced", meaning="A folder that was out of sync is in sync.", keys=FOLDER_KEYS),
    EventRow(name="device_synced", meaning="A remote device that was out of sync is in sync.", keys=DEVICE_KEYS),
    EventRow(name="folder_error", meaning="A folder stopped because of an error.", keys=(*FOLDER_KEYS, "error")),
    EventRow(
        name="item_failed",
        meaning="An item failed that had not failed before. If many fail at once, 50 are published.",
        keys=(*FOLDER_KEYS, "path", "error"),
    ),
    EventRow(
        name="conflict",
        meaning="A conflict file appeared; it may have been created on another device.",
        keys=(*FOLDER_KEYS, "path", "original", *DEVICE_KEYS),
        special={
            "path": "path of the conflict file",
            "original": "path of the file that it conflicts with",
            "device": "first 7 characters of the ID of the device whose change won",
            "name": "the name of that device; `null` if this instance does not know it",
        },
    ),
    EventRow(name="folder_paused", meaning="A folder was paused.", keys=FOLDER_KEYS),
    EventRow(name="folder_resumed", meaning="A folder was resumed.", keys=FOLDER_KEYS),
    EventRow(
        name="folder_pending",
        meaning="A device offers a folder that this instance does not share with it.",
        keys=(*FOLDER_KEYS, *DEVICE_KEYS),
        special={"label": "the label that the device sent", "device": "short ID of the device that offers it"},
    ),
    EventRow(name="device_connected", meaning="A device connected: its first connection was opened.", keys=DEVICE_KEYS),
    EventRow(
        name="device_disconnected",
        meaning="A device disconnected: its last connection was closed.",
        keys=(*DEVICE_KEYS, "error"),
    ),
    EventRow(name="device_paused", meaning="A device was paused.", keys=DEVICE_KEYS),
    EventRow(name="device_resumed", meaning="A device was resumed.", keys=DEVICE_KEYS),
    EventRow(
        name="device_pending",
        meaning="An unknown device asks to connect.",
        keys=(*DEVICE_KEYS, "address"),
        special={"device": "full ID of the device", "name": "the name that it sent"},
    ),
    EventRow(name="config_changed", meaning="A changed configuration was saved."),
    EventRow(
        name="login_failed",
        meaning="A login to Syncthing's GUI failed.",
        keys=("username", "address"),
        special={"username": "the user name if it is the configured one, otherwise `null`"},
    ),
    EventRow(
        name="syncthing_started",
        meaning="Syncthing restarted: its process is not the previous one.",
        keys=("version",),
    ),
    EventRow(
        name="problem_raised",
        meaning="A folder, a device or the instance has a new [problem](problems.md).",
        keys=_PROBLEM,
        has_subject=True,
    ),
    EventRow(
        name="problem_cleared",
        meaning="A problem no longer exists.",
        keys=_PROBLEM,
        has_subject=True,
    ),
    EventRow(
        name="scan_finished",
        meaning="A scan finished whose command had been answered with `accepted` while the scan was still running.",
        keys=(*FOLDER_KEYS, "error", "transaction"),
        special={"folder": "ID of the folder; `all` for every folder", "label": "its label; empty for every folder"},
    ),
)
"""Every event, in the order of the documentation."""

"""The words of Syncthing's own page for the status of folders, devices and instances, and which ones need attention."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from stbridge.core.alerts import FOLDER
from stbridge.homeassistant import devices, folders
from stbridge.watch.board import InstanceBoard, Place
from stbridge.watch.units import count, text

Payload = Mapping[str, Any]


class Tone(Enum):
    """How a status is emphasized."""

    GOOD = "good"
    BUSY = "busy"
    PAUSED = "paused"
    AWAY = "away"
    NOTE = "note"
    BAD = "bad"
    UNKNOWN = "unknown"


class Status(NamedTuple):
    """A status: its word, and how it is emphasized."""

    word: str
    tone: Tone


_TONES: Mapping[str, Tone] = {
    "up_to_date": Tone.GOOD,
    "local_additions": Tone.GOOD,
    "connected": Tone.GOOD,
    "idle": Tone.GOOD,
    "syncing": Tone.BUSY,
    "sync-preparing": Tone.BUSY,
    "scanning": Tone.BUSY,
    "cleaning": Tone.BUSY,
    "starting": Tone.BUSY,
    "sync-waiting": Tone.NOTE,
    "scan-waiting": Tone.NOTE,
    "clean-waiting": Tone.NOTE,
    "unshared": Tone.NOTE,
    "unused": Tone.NOTE,
    "paused": Tone.PAUSED,
    "disconnected": Tone.AWAY,
    "disconnected_inactive": Tone.AWAY,
    "out_of_sync": Tone.BAD,
    "failed_items": Tone.BAD,
    "unexpected_items": Tone.BAD,
    "stopped": Tone.BAD,
}
"""The emphasis of each status on Syncthing's page."""

_WORDS: Mapping[str, str] = {
    **devices.STATUS,
    **folders.STATUS,
    "connected": "Connected",
    "idle": "Idle",
    "unknown": "Unknown",
}

_OF_STATE = {"error": "stopped"}
"""The status of a state; the other states are used as they are."""


def status_of(place: Place, payload: Payload) -> Status:
    """Return the status of a folder or a device; bridges that do not publish `status` publish at least its state."""
    found = text(payload.get("status"))
    if found:
        return _status(found)
    if place.kind == FOLDER:
        state = text(payload.get("state")) or "unknown"
        return _status(_OF_STATE.get(state, state))
    if payload.get("paused"):
        return _status("paused")
    return _status("connected" if payload.get("connected") else "disconnected")


def status_of_instance(board: InstanceBoard) -> Status:
    """Return the status of an instance."""
    if board.state != "online":
        return Status("Offline" if board.state == "offline" else "Unknown", Tone.BAD)
    system = board.system or {}
    state = text(system.get("state")) or "unknown"
    if state == "error":
        return Status("Folder stopped", Tone.BAD)
    if state == "idle" and isinstance(system.get("in_sync"), bool):
        state = "up_to_date" if system["in_sync"] else "out_of_sync"
    return _status(state)


def needs_attention(place: Place, payload: Payload) -> bool:
    """Return whether a folder or a device has a problem, or a status that does not go away without help."""
    if payload.get("problem") or status_of(place, payload).tone is Tone.BAD:
        return True
    return any(count(payload.get(key)) for key in ("failed", "conflicts"))


def _status(key: str) -> Status:
    return Status(_WORDS.get(key) or key.replace("_", " ").capitalize(), _TONES.get(key, Tone.UNKNOWN))

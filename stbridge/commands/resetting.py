"""The command `reset`: Syncthing wants its folders paused for it, restarts, and leaves them paused."""

from collections.abc import Mapping
from typing import Any

from stbridge.core.command import ALL_FOLDERS
from stbridge.errors import SyncthingError, TimedOut
from stbridge.syncthing import SyncthingClient

BACK_S = 90.0
"""How long Syncthing may take to be back after it restarted."""


def reset(client: SyncthingClient, arguments: Mapping[str, Any]) -> Any:
    """Pause what is not paused, reset, wait for the restart, and resume what was paused for it.

    Args:
        client: the way to Syncthing.
        arguments: `folder`, an ID or ALL_FOLDERS.

    Raises:
        SyncthingError: Syncthing cannot be reached, refuses it, or does not come back.
    """
    folder = arguments["folder"]
    concerned = [one for one in client.get_config()["folders"] or () if folder in (ALL_FOLDERS, one["id"])]
    running = [one["id"] for one in concerned if not one["paused"]]
    try:
        for one in running:
            client.patch_folder(one, {"paused": True})
        started_at = client.get_status()["startTime"]
        client.reset(None if folder == ALL_FOLDERS else folder)
    except BaseException as error:  # whatever it was: no folder may stay paused because of it
        left = _resume(client, running)
        if isinstance(error, SyncthingError):
            error.args = (f"{error}{left}",)  # it stays the error that it is: whether it arrived is known by it
        raise
    _wait_for_restart(client, started_at, running)
    if left := _resume(client, running):
        raise TimedOut(f"Syncthing was reset{left}")
    return {"reset": [one["id"] for one in concerned], "resumed": running}


def _resume(client: SyncthingClient, folders: list[str]) -> str:
    """Resume folders; return what to tell about those that it cannot be done for, which is nothing if all went well."""
    for number, folder in enumerate(folders):
        try:
            client.patch_folder(folder, {"paused": False})
        except SyncthingError as error:
            return f"; {error}{_still_paused(folders[number:])}"
    return ""


def _still_paused(folders: list[str]) -> str:
    return f"; these folders are still paused: {', '.join(folders)}" if folders else ""


def _wait_for_restart(client: SyncthingClient, started_at: str, paused: list[str]) -> None:
    try:
        client.wait_for_restart(started_at, BACK_S)
    except TimedOut as error:
        raise TimedOut(f"Syncthing was reset and is not back after {BACK_S:.0f} s{_still_paused(paused)}") from error

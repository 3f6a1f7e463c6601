"""How commands are carried out: a method of the client, unless a row here says more."""

from collections.abc import Callable, Mapping
from typing import Any

from stbridge.commands import accepting, configuring, resetting
from stbridge.core.command import ALL_FOLDERS
from stbridge.core.envelope import Request
from stbridge.core.secrets import without_secrets
from stbridge.errors import NotApplicable
from stbridge.syncthing import SyncthingClient

Arguments = Mapping[str, Any]

LONGEST_SCAN_S = 24 * 3600.0
"""Syncthing answers a scan only when it has ended."""


def carry_out(client: SyncthingClient, request: Request) -> Any:
    """Carry out a command and return its data, without secrets.

    Args:
        client: the way to Syncthing.
        request: what to do; folders and devices are given by their full IDs.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses it.
        CommandError: it must not be done like that.
    """
    operation = OPERATIONS.get(request.command.operation)
    if operation is not None:
        return without_secrets(operation(client, request.arguments))
    return without_secrets(getattr(client, request.command.operation)(**request.arguments))


def _set_paused(client: SyncthingClient, arguments: Arguments) -> None:
    if "folder" in arguments:
        client.patch_folder(arguments["folder"], {"paused": arguments["paused"]})
    elif arguments["paused"]:
        client.pause_device(arguments["device"])
    else:
        client.resume_device(arguments["device"])


def _pause(client: SyncthingClient, arguments: Arguments) -> None:
    _set_paused(client, {**arguments, "paused": True})


def _resume(client: SyncthingClient, arguments: Arguments) -> None:
    _set_paused(client, {**arguments, "paused": False})


def _get_pending(client: SyncthingClient, _: Arguments) -> Any:
    return {"devices": client.get_pending_devices(), "folders": client.get_pending_folders()}


def _scan(client: SyncthingClient, arguments: Arguments) -> None:
    folder = arguments["folder"]
    client.scan(None if folder == ALL_FOLDERS else folder, arguments.get("sub"), timeout_s=LONGEST_SCAN_S)


def _upgrade(client: SyncthingClient, _: Arguments) -> Any:
    client.check_upgrade()  # a build that cannot says so here; asked to do it, it may look for versions in vain
    result = client.upgrade()
    if result is None:
        raise NotApplicable("there is no newer version to upgrade to")
    return result


OPERATIONS: Mapping[str, Callable[[SyncthingClient, Arguments], Any]] = {
    "set_paused": _set_paused,
    "pause": _pause,
    "resume": _resume,
    "get_pending": _get_pending,
    "scan": _scan,
    "reset": resetting.reset,
    "upgrade": _upgrade,
    "new_config": configuring.new_config,
    "accept_device": accepting.accept_device,
    "dismiss_device": accepting.dismiss_device,
    "accept_folder": accepting.accept_folder,
    "dismiss_folder": accepting.dismiss_folder,
}

"""Executes commands: by a method of the client, or by the function in a row of the table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from stbridge.commands.paths import PathRules, is_directory_name
from stbridge.core.command import EVERY_FOLDER
from stbridge.core.config_changes import Change, changes
from stbridge.core.envelope import CommandError, Request
from stbridge.core.secrets import with_secrets, without_secrets
from stbridge.errors import NotApplicable, NotFound, Rejected, SyncthingError, TimedOut
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.calls.base import completed

Arguments = Mapping[str, Any]

MAX_SCAN_S = 24 * 3600.0
"""Timeout of a scan, in seconds: Syncthing answers the request only when the scan has finished."""

RESTART_S = 90.0
"""Maximum seconds that Syncthing may take to restart after a reset."""

RESET_PAUSE_S = 300.0
"""Seconds after which the bridge resumes folders that a reset has paused and not resumed itself."""

TimePauses = Callable[[Sequence[str], float | None], None]
"""Schedules that the bridge resumes folders (by ID) after some seconds, even if it restarts; None cancels that."""


def execute(client: SyncthingClient, request: Request, time_pauses: TimePauses = lambda _folders, _s: None) -> Any:
    """Execute a command and return its data, without secrets.

    Args:
        client: the client for Syncthing.
        request: the command with its arguments; folders and devices are given by their full IDs.
        time_pauses: turns the pauses of a reset into timed pauses; does nothing without a running bridge.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses the command.
        CommandError: the arguments are invalid.
    """
    if request.command.operation == "reset":
        return _reset(client, request.arguments["folder"], time_pauses)
    operation = OPERATIONS.get(request.command.operation)
    if operation is not None:
        return without_secrets(operation(client, request.arguments))
    found = getattr(client, request.command.operation)(**request.arguments)
    return None if found == completed() else without_secrets(found)


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


def _pause_all(client: SyncthingClient, _: Arguments) -> None:
    client.pause_device()


def _resume_all(client: SyncthingClient, _: Arguments) -> None:
    client.resume_device()


def _get_pending(client: SyncthingClient, _: Arguments) -> Any:
    return {"devices": client.get_pending_devices(), "folders": client.get_pending_folders()}


def _browse_database(client: SyncthingClient, arguments: Arguments) -> Any:
    # here a level of 0 means only the top; in the client, as in the old bindings, 0 means the whole tree
    return client.browse_database(arguments["folder"], prefix=arguments.get("prefix"), levels=arguments.get("level"))


def _scan(client: SyncthingClient, arguments: Arguments) -> None:
    folder = arguments["folder"]
    client.scan(None if folder == EVERY_FOLDER else folder, arguments.get("sub"), timeout_s=MAX_SCAN_S)


def _upgrade(client: SyncthingClient, _: Arguments) -> Any:
    client.check_upgrade()  # fails for builds that cannot upgrade; POST may check for a version first
    result = client.upgrade()
    if result == completed():
        raise NotApplicable("there is no newer version to upgrade to")
    return result


# --- old versions of files


def _restore_version(client: SyncthingClient, arguments: Arguments) -> None:
    """Restore an old version that exists: Syncthing would move the current file away before it looks for it."""
    folder, file, version = arguments["folder"], arguments["file"], _instant(arguments["version"])
    kept = client.get_versions(folder).get(file) or ()
    found = next((one["versionTime"] for one in kept if _instant(one["versionTime"]) == version), None)
    if found is None:
        raise NotFound(f"{file!r} has no version {arguments['version']!r}: get_versions lists its {len(kept)} versions")
    if reason := client.restore_versions(folder, {file: found}).get(file):
        raise Rejected(str(reason))


def _instant(text: str) -> datetime | None:
    """Return the time of a version; None if it is not the time of any, such as one without a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError("invalid_arguments", f"version must be the time of a version: {error}") from error
    return at if at.tzinfo else None


# --- reset: Syncthing refuses it while folders are running; it then restarts and leaves them paused


def _reset(client: SyncthingClient, folder: str, time_pauses: TimePauses) -> Any:
    """Pause the running folders, reset, wait for the restart, and resume the folders.

    The timed pauses are recorded first, so that the next run of the bridge resumes the folders if this one is killed.
    """
    selected = [one for one in client.get_config()["folders"] or () if folder in (EVERY_FOLDER, one["id"])]
    running = [one["id"] for one in selected if not one["paused"]]
    time_pauses(running, RESET_PAUSE_S)
    try:
        for one in running:
            client.patch_folder(one, {"paused": True})
        started_at = client.get_status()["startTime"]
        client.reset(None if folder == EVERY_FOLDER else folder)
    except BaseException as error:  # the folders must be resumed after any failure, including an interrupt
        left = _resume_folders(client, running, time_pauses)
        if isinstance(error, SyncthingError):
            error.args = (f"{error}{left}",)  # the type is kept, because it shows whether the call may have arrived
        raise
    try:
        client.wait_for_restart(started_at, RESTART_S)
    except TimedOut as error:
        why = f"Syncthing was reset, but has not restarted after {RESTART_S:.0f} s"
        raise TimedOut(why + _still_paused(running)) from error
    if left := _resume_folders(client, running, time_pauses):
        raise TimedOut(f"Syncthing was reset{left}")
    return {"reset": [one["id"] for one in selected], "resumed": running}


def _resume_folders(client: SyncthingClient, folders: list[str], time_pauses: TimePauses) -> str:
    """Resume folders; return the text to append to the reply if some cannot be resumed, else an empty string."""
    for number, folder in enumerate(folders):
        try:
            client.patch_folder(folder, {"paused": False})
        except SyncthingError as error:
            time_pauses(folders[:number], None)
            return f"; {error}{_still_paused(folders[number:])}"
    time_pauses(folders, None)
    return ""


def _still_paused(folders: list[str]) -> str:
    return f"; these folders are still paused: {', '.join(folders)}" if folders else ""


# --- new_config: merges the parts of a configuration one by one, or replaces the whole


def _new_config(client: SyncthingClient, arguments: Arguments) -> Any:
    """Change the configuration and return which parts were changed.

    Syncthing has no transaction for this: if a part fails, earlier parts stay changed, and the error names them.
    """
    document, current = arguments["config"], client.get_config()
    if arguments.get("replace"):
        # If the document leaves the API key out, keep it: Syncthing would generate a new one and lock the bridge out.
        client.new_config(with_secrets({"gui": {}, **document}, current))
        return {"changed": ["everything"]}
    # PATCH replaces nested values as a whole; keys of `gui` and `ldap` that are not given stay unchanged
    nested = {part: value for part, value in document.items() if part not in ("gui", "ldap")}
    done: list[str] = []
    for change in changes({**document, **with_secrets(nested, current)}, current):
        try:
            _change(client, change)
        except SyncthingError as error:
            before = f" (changed before it: {', '.join(done)})" if done else ""
            error.args = (f"{change.shown}: {error}{before}",)  # the type, and the error code with it, is kept
            raise
        done.append(change.shown)
    return {"changed": done}


_PATCHES: Mapping[str, Callable[[SyncthingClient, Change], object]] = {
    "folders": lambda client, change: client.patch_folder(change.id, change.value),
    "devices": lambda client, change: client.patch_device(change.id, change.value),
    "defaults/ignores": lambda client, change: client.new_default_ignores(change.value),
}
_ADDITIONS: Mapping[str, Callable[[SyncthingClient, Change], object]] = {
    "folders": lambda client, change: client.add_folder(change.value),
    "devices": lambda client, change: client.add_device(change.value),
}


def _change(client: SyncthingClient, change: Change) -> None:
    if not change.known:
        _ADDITIONS[change.part](client, change)
    elif change.part in _PATCHES:
        _PATCHES[change.part](client, change)
    else:
        client.patch_config(change.part, change.value)


# --- pending devices and folders


def _accept_device(client: SyncthingClient, arguments: Arguments) -> Any:
    device = arguments["device"]
    offered = client.get_pending_devices().get(device)
    if offered is None:
        raise NotFound(f"there is no pending device {device!r}")
    config = {"deviceID": device, "name": arguments.get("name") or offered.get("name") or ""}
    client.add_device({**config, "addresses": ["dynamic"]})
    return config


def _dismiss_device(client: SyncthingClient, arguments: Arguments) -> None:
    client.dismiss_pending_device(arguments["device"])


def _dismiss_folder(client: SyncthingClient, arguments: Arguments) -> None:
    client.dismiss_pending_folder(arguments["folder"], arguments.get("device"))


def _accept_folder(client: SyncthingClient, arguments: Arguments) -> Any:
    """Share a folder with the devices that offer it; add it first if this device does not have it yet."""
    folder = arguments["folder"]
    offers = _offers(client, folder, arguments.get("device"))
    folders = client.get_config()["folders"] or ()
    existing = next((one for one in folders if one["id"] == folder), None)
    if existing is not None:
        shared = {one["deviceID"] for one in existing["devices"]}
        added = [{"deviceID": device} for device in offers if device not in shared]
        client.patch_folder(folder, {"devices": [*existing["devices"], *added]})
        return {"id": folder, "path": existing["path"]}
    config = _new_folder(client, arguments, list(offers.values()))
    if not arguments.get("existing"):
        _check_path(client, config["path"], {one["id"]: one["path"] for one in folders})
    client.add_folder({**config, "devices": [{"deviceID": device} for device in offers]})
    return config


def _offers(client: SyncthingClient, folder: str, device: str | None) -> Mapping[str, Any]:
    offers = (client.get_pending_folders().get(folder) or {}).get("offeredBy") or {}
    found = {one: offer for one, offer in offers.items() if device in (None, one)}
    if not found:
        raise NotFound(f"there is no pending folder {folder!r}")
    return found


def _new_folder(client: SyncthingClient, arguments: Arguments, offers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    folder = arguments["folder"]
    if arguments.get("existing") and "path" not in arguments:
        raise CommandError("invalid_arguments", "existing needs path: name the existing directory")
    label = arguments.get("label") or next((offer["label"] for offer in offers if offer.get("label")), "")
    # `receiveEncrypted` (since 1.18): the other devices trust this one only with encrypted data
    default_type = "receiveencrypted" if any(offer.get("receiveEncrypted") for offer in offers) else "sendreceive"
    return {
        "id": folder,
        "label": label,
        "path": arguments.get("path") or _default_path(client, label, folder),
        "type": arguments.get("type") or default_type,
    }


def _default_path(client: SyncthingClient, label: str, folder: str) -> str:
    """Return the path that Syncthing's own GUI suggests: below the default path, named after the label.

    The peer chooses the label and the ID, so neither may lead to a directory elsewhere.
    """
    name = next((one for one in (label, folder) if is_directory_name(one)), None)
    if name is None:
        raise CommandError("invalid_arguments", f"neither {label!r} nor {folder!r} can be a directory name: give path")
    separator = client.get_status().get("pathSeparator") or "/"
    default: str = client.get_folder_defaults().get("path") or "~"
    return f"{default.rstrip(separator)}{separator}{name}"


def _check_path(client: SyncthingClient, path: str, folders: Mapping[str, str]) -> None:
    """Refuse the path of a new folder if existing files would be shared with its devices.

    Syncthing lists only directories, so an existing directory counts as one that contains files.
    """
    status = client.get_status()
    rules = PathRules(home=status.get("tilde") or "~", separator=status.get("pathSeparator") or "/")
    absolute = rules.absolute(path)
    if absolute is None:
        raise CommandError("invalid_arguments", f"path must be absolute, or begin with ~: {path!r} is relative")
    for folder, other in folders.items():
        if (known := rules.absolute(other)) is not None and rules.overlap(absolute, known):
            raise NotApplicable(f"the path {path!r} overlaps with the path of folder {folder!r}: {_OTHER_PATH}")
    if any(rules.same(absolute, rules.absolute(one) or "") for one in client.browse_directories(absolute)):
        raise NotApplicable(f"the directory {path!r} exists: {_OTHER_PATH}")


_OTHER_PATH = 'give another path, or "existing": true with this path to share the files in it'


OPERATIONS: Mapping[str, Callable[[SyncthingClient, Arguments], Any]] = {
    "set_paused": _set_paused,
    "pause": _pause,
    "resume": _resume,
    "pause_all": _pause_all,
    "resume_all": _resume_all,
    "restore_version": _restore_version,
    "get_pending": _get_pending,
    "browse_database": _browse_database,
    "scan": _scan,
    "upgrade": _upgrade,
    "new_config": _new_config,
    "accept_device": _accept_device,
    "dismiss_device": _dismiss_device,
    "accept_folder": _accept_folder,
    "dismiss_folder": _dismiss_folder,
}

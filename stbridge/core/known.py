"""Resolves names of folders and devices in commands to IDs, and refuses commands that do not apply."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stbridge.core.command import EVERY_FOLDER, Type
from stbridge.core.envelope import CommandError, Request
from stbridge.core.model import (
    Config,
    DeviceConfig,
    FolderConfig,
    PendingDevice,
    PendingFolder,
    first_groups,
    normalized_device_id,
    short_ids,
)
from stbridge.core.timed_pauses import Paused

_NO_VERSIONS = {
    "": "no file versioning: it keeps no old versions",
    "external": "external file versioning: Syncthing neither lists nor restores its old versions",
}
"""Why old versions cannot be used, by the type of file versioning."""

Named = Mapping[str, tuple[str, ...]]
"""The other names of each ID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The folders and devices that exist; None means not known yet, so that only IDs are accepted."""

    config: Config | None
    pending_devices: tuple[PendingDevice, ...] | None = None
    pending_folders: tuple[PendingFolder, ...] | None = None
    timed_pauses: frozenset[Paused] = frozenset()
    """The folders and devices that the bridge will resume."""

    def named(self, kind: Type) -> tuple[str, Named | None]:
        """Return the name of a type of argument in messages, and the folders or devices that it may name.

        Only this type is looked at, because the cost grows with the number of folders and devices.
        """
        what, names, candidates = _KINDS.get(kind, ("", named_folders, lambda _: None))
        found = candidates(self)
        return what, None if found is None else names(found)


def named_folders(folders: Iterable[FolderConfig | PendingFolder]) -> Named:
    """Return the IDs of folders with their labels."""
    return {one.id: (one.label,) for one in folders}


def named_devices(devices: Iterable[DeviceConfig | PendingDevice]) -> Named:
    """Return the IDs of devices with, in this order: the short ID, all prefixes of complete groups, and the name.

    A prefix shorter than the short ID matches several IDs. A longer one was the short ID while another device had the
    same first groups.
    """
    known = {one.id: one.name for one in devices}
    return {one: (short, *first_groups(one), known[one]) for one, short in short_ids(known).items()}


_KINDS: Mapping[Type, tuple[str, Callable[[Any], Named], Callable[[Known], Iterable[Any] | None]]] = {
    "folder": ("folder", named_folders, lambda known: known.config.folders.values() if known.config else None),
    "device": ("device", named_devices, lambda known: known.config.devices.values() if known.config else None),
    "pending_folder": ("pending folder", named_folders, lambda known: known.pending_folders),
    "pending_device": ("pending device", named_devices, lambda known: known.pending_devices),
}
"""For each type of argument that names something: its name in messages, its names, and where they come from."""


def find(names: Collection[str], named: Named, *, devices: bool) -> dict[str, tuple[str, ...]]:
    """Return the IDs that each name matches: none, one, or several if the name is not unique.

    An ID takes precedence over equal names of other folders or devices.

    Args:
        names: names as users write them.
        named: the existing folders or devices.
        devices: whether these are devices, whose IDs have several spellings.
    """
    found = {name: [name] if name in named else list[str]() for name in names}
    missing = {name: identifiers for name, identifiers in found.items() if name and not identifiers}
    for identifier, others in named.items() if missing else ():
        for name in missing.keys() & set(others):
            missing[name].append(identifier)
    if devices:
        _add_other_spellings({name: one for name, one in missing.items() if not one}, named)
    return {name: tuple(identifiers) for name, identifiers in found.items()}


def _add_other_spellings(missing: Mapping[str, list[str]], named: Named) -> None:
    """Find device IDs and short IDs in other spellings: in lower case, or without dashes or check digits."""
    spelled: dict[str, list[str]] = {}
    for name in missing:
        spelled.setdefault(normalized_device_id(name), []).append(name)
    for identifier, others in named.items() if missing else ():
        for spelling in spelled.keys() & {normalized_device_id(one) for one in (identifier, *others[:-1])}:
            for name in spelled[spelling]:
                missing[name].append(identifier)


def with_ids(request: Request, known: Known) -> Request:
    """Replace the names of folders and devices by their IDs.

    Args:
        request: the request, with folders given by ID or label, and devices by ID, short ID or name.
        known: the existing folders and devices.

    Raises:
        CommandError: not_found, or invalid_arguments if the name is not unique.
    """
    arguments = dict(request.arguments)
    for row in request.command.arguments:
        what, candidates = known.named(row.type)
        given = arguments.get(row.name)
        if row.special and _means_every_folder(arguments, row.special, given, candidates):
            arguments[row.name] = EVERY_FOLDER
        elif candidates is not None and given is not None:
            arguments[row.name] = _resolve(given, candidates, what)
            if row.own_label:
                _check_label(given, arguments[row.name], known.config)
    return replace(request, arguments=arguments)


def _means_every_folder(arguments: dict[str, object], special: str, given: str | None, named: Named | None) -> bool:
    """Return whether a command is for every folder, and remove the argument `all`.

    The special word for every folder does not count if it is also the ID or label of one folder.
    """
    if (every := arguments.pop("all", None)) is not None:
        if every is not True:
            raise CommandError("invalid_arguments", "all must be true, or be left out")
        return True
    return given == special and not any(special in (one, *names) for one, names in (named or {}).items())


def _resolve(name: str, named: Named, what: str) -> str:
    found = find([name], named, devices=what.endswith("device"))[name]
    if not found:
        raise CommandError("not_found", f"there is no {what} {name!r}")
    if len(found) > 1:
        raise CommandError("invalid_arguments", f"the name {name!r} is not unique, give the ID of the {what}")
    return found[0]


def _check_label(given: str, folder: str, config: Config | None) -> None:
    """Refuse an offered label if the folder exists here with another label: the peer chooses ID and label."""
    existing = config and config.folders.get(folder)
    if existing and given not in (folder, existing.label):
        raise CommandError(
            "invalid_arguments",
            f"{given!r} is offered under the ID of a folder that exists here, {folder!r} with the label "
            f"{existing.label!r}: give the ID to share that folder",
        )


def check_applicable(request: Request, config: Config | None) -> None:
    """Refuse commands that Syncthing would silently ignore, or that could only cause damage.

    Args:
        request: the request, with IDs.
        config: the configuration; None if it is unknown.

    Raises:
        CommandError: not_applicable.
    """
    if config is None:
        return
    named = request.arguments.get("folder")
    if named == EVERY_FOLDER and request.command.running and all(one.paused for one in config.folders.values()):
        raise CommandError("not_applicable", "every folder is paused: resume one first")
    folder = config.folders.get(str(named))
    if folder and (reason := _why_not(request, folder)):
        raise CommandError("not_applicable", reason)


def _why_not(request: Request, folder: FolderConfig) -> str | None:
    command = request.command
    if command.folder_types and folder.type not in command.folder_types:
        types = " or ".join(command.folder_types)
        return f"{command.name} is for folders of the type {types}: {folder.id!r} is {folder.type}"
    if command.running and folder.paused:
        return f"the folder {folder.id!r} is paused: resume it first"
    if command.versioned and (reason := _NO_VERSIONS.get(folder.versioning)):
        return f"the folder {folder.id!r} has {reason}"
    return None

"""A part of Syncthing's configuration, as a command brings it, becomes the changes that merge it into what there is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stbridge.core.envelope import CommandError

Json = Mapping[str, Any]


class Change(NamedTuple):
    """One change: `part` is a path below /rest/config, `id` the folder or device in it, `known` whether it exists."""

    part: str
    value: Any
    id: str = ""
    known: bool = True

    @property
    def shown(self) -> str:
        """What was changed, for people."""
        return f"{self.part}/{self.id}" if self.id else self.part


_IDS = {"devices": "deviceID", "folders": "id"}
_DEFAULTS = ("folder", "device", "ignores")
_ONLY_BY_REPLACING = ("version", "remoteIgnoredDevices")
_KNOWN = ("devices", "folders", "options", "ldap", "defaults", "gui")
"""In the order in which they are changed: folders name devices, and the GUI restarts when it is changed."""


def changes(document: Json, current: Json) -> list[Change]:
    """Return what has to be changed so that a document is merged into the configuration.

    Args:
        document: any part of the configuration; lists hold entries with their ID, those not in them stay.
        current: the configuration as it is, with its secrets.

    Raises:
        CommandError: invalid_arguments, if the document is none, or would lock everybody out.
    """
    _check(document, current)
    planned: list[Change] = []
    for part in _KNOWN:
        if part in _IDS and part in document:
            planned += _listed(part, document[part], current)
        elif part == "defaults" and part in document:
            planned += [Change(f"defaults/{name}", value) for name, value in document[part].items()]
        elif part in document:
            planned.append(Change(part, document[part]))
    return planned


def _listed(part: str, entries: list[Json], current: Json) -> list[Change]:
    key = _IDS[part]
    known = {entry[key] for entry in current.get(part) or ()}
    return [Change(part, entry, entry[key], known=entry[key] in known) for entry in entries]


def _check(document: Json, current: Json) -> None:
    for part, value in document.items():
        if part in _ONLY_BY_REPLACING:
            if value != current.get(part):
                raise _wrong(f"{part} can only be changed with replace: true")
        elif part not in _KNOWN:
            raise _wrong(f"config has no part {part!r}, only {', '.join(_KNOWN)}")
        elif part in _IDS:
            _check_list(part, value, current)
        elif not isinstance(value, dict):
            raise _wrong(f"{part} must be an object")
    if unknown := [name for name in document.get("defaults", ()) if name not in _DEFAULTS]:
        raise _wrong(f"defaults has no part {unknown[0]!r}, only {', '.join(_DEFAULTS)}")
    _check_way_in(document.get("gui", {}), current.get("gui", {}))


def _check_list(part: str, value: object, current: Json) -> None:
    key = _IDS[part]
    entries = value if isinstance(value, list) else [None]
    if not all(isinstance(entry, dict) and isinstance(entry.get(key), str) and entry[key] for entry in entries):
        raise _wrong(f"{part} must be a list of objects, each with its {key}")
    if not value and current.get(part):
        raise _wrong(f"an empty list would drop all {part}: leave it out, or give replace: true")


def _check_way_in(gui: Json, current: Json) -> None:
    """The API is a part of the GUI: without it, or with another key, nobody gets in any more.

    Syncthing does not care for the case of keys (Go's encoding/json folds it), and takes the last of several.
    """
    meant = {key.casefold(): value for key, value in gui.items()}
    if meant.get("enabled") is False or meant.get("address") == "":
        raise _wrong("that would turn off the GUI, and the API with it: give replace: true if it is meant")
    if "apikey" in meant and meant["apikey"] != current.get("apiKey"):
        raise _wrong("that would drop the API key, which the bridge uses: give replace: true if it is meant")


def _wrong(message: str) -> CommandError:
    return CommandError("invalid_arguments", message)

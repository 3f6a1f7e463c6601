"""Computes the changes that merge a given part of Syncthing's configuration into the current configuration."""

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
        """What was changed, as text for users."""
        return f"{self.part}/{self.id}" if self.id else self.part


_IDS = {"devices": "deviceID", "folders": "id"}
_DEFAULTS = ("folder", "device", "ignores")
_ONLY_BY_REPLACING = ("version", "remoteIgnoredDevices")
_KNOWN = ("devices", "folders", "options", "ldap", "defaults", "gui")
"""The order of the changes: folders name devices, and the GUI restarts when it is changed."""


def changes(document: Json, current: Json) -> list[Change]:
    """Return the changes that merge a document into the configuration.

    Args:
        document: any part of the configuration; its lists contain entries with IDs, and other entries stay unchanged.
        current: the configuration as it is, with its secrets.

    Raises:
        CommandError: invalid_arguments, if the document is invalid, or would lock every client out.
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
        raise _wrong(f"an empty list would remove all {part}: leave it out, or give replace: true")


def _check_way_in(gui: Json, current: Json) -> None:
    """Refuse to turn off the GUI or to change the API key: the API is a part of the GUI, and the bridge needs both.

    Syncthing ignores the case of keys (Go's encoding/json folds it), and uses the last of several equal keys.
    """
    meant = {key.casefold(): value for key, value in gui.items()}
    if meant.get("enabled") is False or meant.get("address") == "":
        raise _wrong("this would turn off the GUI, and the API with it: give replace: true if you intend that")
    if "apikey" in meant and meant["apikey"] != current.get("apiKey"):
        raise _wrong("this would drop the API key, which the bridge uses: give replace: true if you intend that")


def _wrong(message: str) -> CommandError:
    return CommandError("invalid_arguments", message)

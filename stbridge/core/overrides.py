"""Finds the folders and devices that have their own thresholds: `alerts.folder.X`, with X as the user writes it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stbridge.core.alerts import DEVICE, FOLDER, Alerts, Subject
from stbridge.core.known import Named, find, named_devices, named_folders
from stbridge.core.model import Config
from stbridge.core.suggestion import did_you_mean

Key = tuple[str, str]
"""The kind of a subject, and its name in the settings."""

_NAMES: Mapping[str, tuple[str, str]] = {
    FOLDER: ("ID or label", "label"),
    DEVICE: ("ID, short ID or name", "short ID or name"),
}
"""The names that the user may write for each kind of subject, and those of them that may not be unique."""

_MOST_NAMED = 3
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Matches:
    """The folders and devices of one instance that the settings name.

    Attributes:
        found: for each subject that has the name, a unique name: the ID of a folder, the short ID of a device.
        names: all names that would match, by kind.
    """

    found: Mapping[Key, tuple[str, ...]]
    names: Mapping[str, tuple[str, ...]]


def thresholds_by_subject(alerts: Alerts, config: Config) -> dict[Subject, Mapping[str, float]]:
    """Return all thresholds of each subject that has its own.

    Args:
        alerts: the settings; a table named by the ID of a subject overrides a table named by another name.
        config: the folders and devices of an instance.
    """
    own: dict[Subject, dict[str, float]] = {}
    for kind, tables, named in _kinds(alerts, config):
        found = find(tables, named, devices=kind == DEVICE)
        for name in sorted(tables, key=named.__contains__):  # IDs last
            if len(found[name]) == 1:
                own.setdefault(Subject(kind, found[name][0]), {}).update(tables[name])
    return {subject: {**alerts.thresholds, **tables} for subject, tables in own.items()}


def matches(alerts: Alerts, config: Config) -> Matches:
    """Find the folders and devices of an instance that the settings name."""
    found: dict[Key, tuple[str, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for kind, tables, named in _kinds(alerts, config):
        for name, identifiers in find(tables, named, devices=kind == DEVICE).items():
            found[kind, name] = tuple(named[one][0] if kind == DEVICE else one for one in identifiers)
        known = (name for identifier, others in named.items() for name in (identifier, *others))
        names[kind] = tuple(dict.fromkeys(filter(None, known)))
    return Matches(found, names)


def without_effect(alerts: Alerts, instances: Mapping[str, Matches | None]) -> list[str]:
    """Return a message for each table of thresholds that has no effect on an instance, or on any instance.

    Args:
        alerts: the settings.
        instances: the matches on each instance; None while its configuration is unknown, so that the name may exist
            there.
    """
    return [
        message
        for kind, tables in ((FOLDER, alerts.folders), (DEVICE, alerts.devices))
        for name in tables
        if (message := _not_unique(kind, name, instances) or _not_found(kind, name, instances))
    ]


def _kinds(alerts: Alerts, config: Config) -> Iterator[tuple[str, Mapping[str, Mapping[str, float]], Named]]:
    """Yield the tables of each kind of subject that has any, with the existing folders or devices."""
    if alerts.folders:
        yield FOLDER, alerts.folders, named_folders(config.folders.values())
    if alerts.devices:
        yield DEVICE, alerts.devices, named_devices(config.devices.values())


def _not_unique(kind: str, name: str, instances: Mapping[str, Matches | None]) -> str | None:
    several = {
        one: known.found[kind, name] for one, known in instances.items() if known and len(known.found[kind, name]) > 1
    }
    if not several:
        return None
    first, found = next(iter(several.items()))
    more = f" (also {', '.join(list(several)[1:])})" if len(several) > 1 else ""
    instead = " or ".join(_path(kind, one) for one in found[:_MOST_NAMED])
    return (
        f"{_path(kind, name)}: {first} has {len(found)} {kind}s with this {_NAMES[kind][1]}{more}, "
        f"so it has no effect there: write {instead}"
    )


def _not_found(kind: str, name: str, instances: Mapping[str, Matches | None]) -> str | None:
    known: Sequence[Matches] = [one for one in instances.values() if one is not None]
    if len(known) < len(instances) or any(one.found[kind, name] for one in known):
        return None
    names = dict.fromkeys(_key(other) for one in known for other in one.names[kind])
    fix = did_you_mean(_key(name), names, prefix=f"alerts.{kind}.") or ": correct or remove it"
    return f"{_path(kind, name)}: no instance has a {kind} with this {_NAMES[kind][0]}, so it has no effect{fix}"


def _path(kind: str, name: str) -> str:
    return f"alerts.{kind}.{_key(name)}"


def _key(name: str) -> str:
    """Return a name as a key of TOML."""
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)

"""The matrix of folders and devices: one byte for each, how complete the folder is on the device.

A machine is one column, whether its own instance publishes it or others do: short device IDs identify it. Its own
instance knows best; otherwise the reports of other instances count.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WHOLE = 100
OLD = 128
"""Is added to a percentage that may have changed since: the device or its instance is offline."""
ATTENTION, WRONG, NOT_ACCEPTED, PAUSED, UNKNOWN, NOT_SHARED = range(250, 256)

MOST_CELLS = 1_000_000
"""Maximum size of the matrix; it is empty if there are more folders and devices."""

OWN_STATUS: Mapping[str, int] = {
    "paused": PAUSED,
    "stopped": WRONG,
    "failed_items": WRONG,
    "local_additions": ATTENTION,
    "unexpected_items": ATTENTION,
}
"""The values of folders for which the status matters more than the percentage."""

REMOTE_STATE: Mapping[str, int] = {"paused": PAUSED, "notSharing": NOT_ACCEPTED}
"""The values of folders that a remote device does not sync; see `remoteState` in Syncthing's API."""

_FEW_CHANGES = 10
"""If more than one of this many cells has changed, the whole matrix is sent."""


def percentage(value: object) -> int:
    """Return a completion without its fraction, never rounded up; UNKNOWN without one."""
    return int(value) if isinstance(value, int | float) else UNKNOWN


def own_value(folder: Mapping[str, Any]) -> int:
    """Return the value of a folder on the device of its own instance."""
    return OWN_STATUS.get(folder.get("status", ""), percentage(folder.get("completion")))


def reported_value(completion: Mapping[str, Any]) -> int:
    """Return the value of a folder on a remote device."""
    return REMOTE_STATE.get(completion.get("remote_state", ""), percentage(completion.get("completion")))


@dataclass(slots=True)
class _Source:
    """What one instance publishes: its own device, its own folders, and the folders of remote devices."""

    online: bool = False
    device: str = ""
    own: dict[str, int] = field(default_factory=dict)
    reports: dict[str, dict[str, int]] = field(default_factory=dict)
    connected: set[str] = field(default_factory=set)


class Matrix:
    """Folders by devices, computed from what all instances publish."""

    def __init__(self) -> None:
        self.version = 0
        """Changes whenever the lists of folders and devices do; positions are valid for one version."""
        self.folders: list[str] = []
        self.devices: list[str] = []
        self.reports = 0
        """The number of reports of all instances."""
        self._cells = bytearray()
        self._sources: dict[str, _Source] = {}
        self._rows: dict[str, int] = {}
        self._columns: dict[str, int] = {}
        self._by_device: dict[str, list[_Source]] = {}
        self._dirty_cells: set[tuple[str, str]] = set()
        self._dirty = False

    # --- changes

    def set_instance(self, instance: str, *, online: bool, device: str) -> None:
        """Note whether what an instance publishes is up to date, and its own short device ID, which may be unknown."""
        source = self._source(instance)
        if (source.online, source.device) != (online, device):
            source.online, source.device = online, device
            self._dirty = True

    def set_folder(self, instance: str, folder: str, value: int | None) -> None:
        """Note a folder of an instance; None if it does not exist."""
        source = self._source(instance)
        self._dirty |= (value is None) != (folder not in source.own)
        if value is None:
            source.own.pop(folder, None)
        else:
            source.own[folder] = value
        self._dirty_cells.add((source.device, folder))

    def set_connected(self, instance: str, device: str, *, connected: bool) -> None:
        """Note whether an instance is connected to a device."""
        source = self._source(instance)
        if connected != (device in source.connected):
            (source.connected.add if connected else source.connected.discard)(device)
            self._dirty_cells.update((device, folder) for folder in source.reports.get(device, ()))

    def set_report(self, instance: str, device: str, folder: str, value: int | None) -> None:
        """Note what an instance reports about a folder on a device; None if it does not share it."""
        source = self._source(instance)
        reports = source.reports.setdefault(device, {})
        self._dirty |= (value is None) != (folder not in reports)
        self.reports -= folder in reports
        if value is None:
            reports.pop(folder, None)
            if not reports:
                del source.reports[device]
        else:
            reports[folder] = value
            self.reports += 1
        self._dirty_cells.add((device, folder))

    def has_report(self, instance: str, device: str, folder: str) -> bool:
        """Return whether an instance reports something about a folder on a device."""
        source = self._sources.get(instance)
        return source is not None and folder in source.reports.get(device, _NONE)

    def reports_of(self, instance: str) -> Iterator[tuple[str, str]]:
        """Yield device and folder of every report of an instance."""
        reports = self._source(instance).reports
        return ((device, folder) for device, folders in reports.items() for folder in folders)

    def __contains__(self, instance: str) -> bool:
        return instance in self._sources

    @property
    def instances(self) -> int:
        """The number of instances."""
        return len(self._sources)

    def add(self, instance: str) -> None:
        """Note that an instance exists."""
        self._source(instance)

    def remove(self, instance: str) -> None:
        """Forget an instance."""
        if source := self._sources.pop(instance, None):
            self.reports -= sum(map(len, source.reports.values()))
            self._dirty = True

    def _source(self, instance: str) -> _Source:
        return self._sources.setdefault(instance, _Source())

    # --- results

    def whole(self) -> dict[str, Any]:
        """Return the matrix as JSON; the cells are row by row, in base64."""
        return {
            "version": self.version,
            "folders": self.folders,
            "devices": self.devices,
            "cells": base64.b64encode(self._cells).decode(),
        }

    def take_changes(self) -> dict[str, Any]:
        """Return the matrix, or only its changed cells as `changed`, with their positions; empty if nothing changed."""
        if self._dirty:
            self._lay_out()
            return self.whole()
        changed = [found for pair in self._dirty_cells if (found := self._updated(*pair))]
        self._dirty_cells.clear()
        if len(changed) * _FEW_CHANGES > len(self._cells):
            return self.whole()
        return {"version": self.version, "changed": changed} if changed else {}

    def _lay_out(self) -> None:
        """Compute everything from scratch."""
        sources = self._sources.values()
        devices = {one.device for one in sources if one.device and one.own}
        folders: set[str] = set()
        self._by_device = {}
        for source in sources:
            folders.update(source.own)
            for device, reports in source.reports.items():
                devices.add(device)
                folders.update(reports)
                self._by_device.setdefault(device, []).append(source)
            if source.device and source.device not in source.reports:
                self._by_device.setdefault(source.device, []).append(source)
        if len(devices) * len(folders) > MOST_CELLS:
            devices, folders = set(), set()
        self.folders, self.devices = sorted(folders), sorted(devices)
        self._rows = {folder: row for row, folder in enumerate(self.folders)}
        self._columns = {device: column for column, device in enumerate(self.devices)}
        self._cells = bytearray([NOT_SHARED]) * (len(self.folders) * len(self.devices))
        self._dirty_cells = {
            (device, folder) for one in sources for device, reports in one.reports.items() for folder in reports
        } | {(one.device, folder) for one in sources for folder in one.own}
        for pair in self._dirty_cells:
            self._updated(*pair)
        self._dirty_cells.clear()
        self._dirty = False
        self.version += 1

    def _updated(self, device: str, folder: str) -> tuple[int, int] | None:
        """Compute a cell, and return its position and value if that has changed."""
        row, column = self._rows.get(folder), self._columns.get(device)
        if row is None or column is None:
            return None
        position = row * len(self.devices) + column
        value = self._value(device, folder)
        if self._cells[position] == value:
            return None
        self._cells[position] = value
        return position, value

    def _value(self, device: str, folder: str) -> int:
        sources = self._by_device.get(device, ())
        own = [one for one in sources if one.device == device and folder in one.own]
        if fresh := [one.own[folder] for one in own if one.online]:
            return min(fresh)
        reports = [
            _aged(value, old=not one.online or device not in one.connected)
            for one in sources
            if (value := one.reports.get(device, _NONE).get(folder)) is not None
        ]
        aged = [_aged(one.own[folder], old=True) for one in own]
        # Current percentages are the smallest numbers. The lowest is right: that instance knows of the newest changes.
        return min(reports or aged, default=NOT_SHARED)


_NONE: Mapping[str, int] = {}


def _aged(value: int, *, old: bool) -> int:
    return value + OLD if old and value <= WHOLE else value

"""The types of problems and of their thresholds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

FOLDER = "folder"
DEVICE = "device"
INSTANCE = "instance"

STALE = "stale"
"""The code of the only problem of a folder that depends on its devices."""

CONFLICT_INVENTORY = 20_000
FLAPPING_S = 10.0


EXPECTED_ERRORS = (re.compile("Syncthing should not run as a privileged or system user"),)
"""Notices in Syncthing's error list that are not problems. Syncthing writes this one at each start if it runs as root,
as it does in Home Assistant's add-on and in many containers."""

FOLDER_ERRORS = tuple(
    re.compile(beginning)
    for beginning in (
        r"Error on folder ",  # lib/model/folder.go; 2.x logs it as a warning, which is not in the list
        r"Failed initial scan \(",  # lib/model/folder.go, 2.x
        r"Failed to create folder (root directory|marker)\b",  # lib/model/model.go
        r"Loading ignores: |Failed to load ignores \(",  # lib/model/model.go; the folder stops with the same error
    )
)
"""The beginnings of entries in Syncthing's error list that repeat the error of a folder. The folder has the problem
`folder_error` as long as the error lasts, but the entry stays in the list when the folder is fixed."""


class Subject(NamedTuple):
    """The subject of a problem: a folder, a device (by its full ID), or the instance itself (without an ID)."""

    kind: str
    id: str = ""


THE_INSTANCE = Subject(INSTANCE)


@dataclass(frozen=True, slots=True)
class Problem:
    """A raised problem; `since` is when its condition began, or when the bridge first observed it."""

    code: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """The settings of alerts.

    Attributes:
        thresholds: by code of the problem; a missing one has the default of its row; 0 turns the problem off.
        folders: thresholds for single folders, by ID or label.
        devices: thresholds for single devices, by ID, short ID or name.
        own: all thresholds of each folder and device that has its own, once the configuration is known.
        flapping: a connection that changes again within this time is published only once it is stable.
        conflict_inventory: folders with more files than this are not searched for conflict files at the start.
        ignored_errors: entries of Syncthing's error list that match one of these are not problems.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    folders: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    own: Mapping[Subject, Mapping[str, float]] = field(default_factory=dict)
    flapping: timedelta = timedelta(seconds=FLAPPING_S)
    conflict_inventory: int = CONFLICT_INVENTORY
    ignored_errors: tuple[re.Pattern[str], ...] = ()

    def thresholds_of(self, subject: Subject) -> Mapping[str, float]:
        """Return the thresholds of a folder, a device or the instance, by code."""
        return self.own.get(subject, self.thresholds)

    def ignores(self, message: str) -> bool:
        """Return whether an entry of Syncthing's error list is ignored, so that it is not a problem."""
        return any(expression.match(message) for expression in FOLDER_ERRORS) or any(
            expression.search(message) for expression in (*EXPECTED_ERRORS, *self.ignored_errors)
        )

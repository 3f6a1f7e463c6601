"""The types of the table of commands."""

from dataclasses import dataclass
from typing import Literal

Type = Literal[
    "folder",
    "device",
    "pending_folder",
    "pending_device",
    "folder_type",
    "text",
    "integer",
    "boolean",
    "texts",
    "object",
    "duration",
]
ALL_FOLDERS = "all"
"""The word for every folder, unless it is the ID or label of a folder."""

EVERY_FOLDER = ""
"""Stands for every folder in a command whose names are resolved; the ID of a folder is never empty."""

Group = Literal["read", "operate", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a command.

    Attributes:
        name: its key in the payload.
        type: a key of `arguments.TYPES`; folders and devices may be given by name.
        meaning: the text of the documentation.
        required: whether it must be given.
        special: a value that stands for every folder, unless it is the ID or label of a folder.
        needs_bridge: whether only a running bridge supports it.
        largest: the maximum of a number.
        own_label: whether a pending folder that already exists here may be named by its label here, but not by a
            different label that another device offers it with.
    """

    name: str
    type: Type
    meaning: str
    required: bool = False
    special: str | None = None
    needs_bridge: bool = False
    largest: int | None = None
    own_label: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row of the table of commands.

    Attributes:
        name: the last level of its topic.
        group: the group on the allow-list.
        meaning: the text of the documentation.
        arguments: its arguments.
        main: the argument whose value may be sent alone, without JSON.
        either: arguments of which exactly one must be given.
        any_of: arguments of which at least one must be given.
        call: the operation that executes it; a method of SyncthingClient unless `operations` has one.
        repeatable: whether it is safe to execute it twice.
        changes: the reads that follow the command, because no event reports the change.
        every_s: the minimum interval between two executions, in seconds; 0 is no limit.
        folder_types: the types of folder that it applies to; empty for all.
        running: whether the folder must not be paused.
        versioned: whether the folder must keep old versions of files that Syncthing itself can restore.
        lane: commands of a lane run one after the other. `ordered` commands change the same data, so the last one sent
            must win; the responses to `large` commands take much memory.
        example: a payload for the documentation.
    """

    name: str
    group: Group
    meaning: str
    arguments: tuple[Argument, ...] = ()
    main: str | None = None
    either: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    call: str = ""
    repeatable: bool = True
    changes: tuple[str, ...] = ()
    every_s: float = 0
    folder_types: tuple[str, ...] = ()
    running: bool = False
    versioned: bool = False
    lane: Literal["", "ordered", "large"] = ""
    example: str = "{}"

    @property
    def operation(self) -> str:
        """The operation that executes it; by default it has the command's name."""
        return self.call or self.name


def folder_argument(*, required: bool = True) -> Argument:
    """Return the argument that names a folder."""
    return Argument(name="folder", type="folder", required=required, meaning="ID or label of the folder")


def device_argument(*, required: bool = True) -> Argument:
    """Return the argument that names a remote device."""
    return Argument(name="device", type="device", required=required, meaning="ID, short ID or name of the device")


FOLDER_OR_ALL = (
    Argument(
        name="folder",
        type="folder",
        special=ALL_FOLDERS,
        meaning="ID or label of the folder; `all` for every folder, unless it is the ID or label of a folder",
    ),
    Argument(name="all", type="boolean", meaning="`true` for every folder"),
)
"""The arguments that name one folder, or every folder."""


def pending_device_argument() -> Argument:
    """Return the argument that names a pending device."""
    return Argument(
        name="device", type="pending_device", required=True, meaning="ID, short ID or name, as `pending` shows it"
    )


def pending_folder_argument(*, own_label: bool = False) -> Argument:
    """Return the argument that names a pending folder."""
    return Argument(
        name="folder",
        type="pending_folder",
        required=True,
        own_label=own_label,
        meaning="ID or label, as `pending` shows it",
    )


def file_argument() -> Argument:
    """Return the argument that names a file in the folder."""
    return Argument(name="file", type="text", required=True, meaning="path of the file in the folder")

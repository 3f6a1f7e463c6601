"""What a command is: one row of the table of commands, and its arguments."""

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

Group = Literal["read", "operate", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a command.

    Attributes:
        name: its key in the payload.
        type: what it must be; folders and devices may be given by name.
        meaning: for the documentation.
        required: whether it must be given.
        special: a value that stands for no folder or device of that name.
        needs_bridge: whether it asks for something that only a running bridge can do.
    """

    name: str
    type: Type
    meaning: str
    required: bool = False
    special: str | None = None
    needs_bridge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row of the table of commands.

    Attributes:
        name: the last level of its topic.
        group: the group on the allow-list.
        meaning: for the documentation.
        arguments: what it takes.
        main: the argument whose value may be sent bare.
        either: arguments of which exactly one must be given.
        call: the operation that carries it out; a method of SyncthingClient unless `operations` has one.
        repeatable: whether it does no harm to carry it out twice.
        changes: what has to be read afterwards, because no event tells it.
        every_s: it is carried out at most once in so many seconds; 0 is as often as one likes.
        folder_types: the types of folder that it makes sense for; none means all.
        running: whether the folder must not be paused.
        in_order: whether it changes what others of its kind change too, so that the last one sent has to win.
    """

    name: str
    group: Group
    meaning: str
    arguments: tuple[Argument, ...] = ()
    main: str | None = None
    either: tuple[str, ...] = ()
    call: str = ""
    repeatable: bool = True
    changes: tuple[str, ...] = ()
    every_s: float = 0
    folder_types: tuple[str, ...] = ()
    running: bool = False
    in_order: bool = False

    @property
    def operation(self) -> str:
        """The operation that carries it out, named like the command where nothing else is said."""
        return self.call or self.name


def folder_argument(*, required: bool = True) -> Argument:
    """Name one of this Syncthing's folders."""
    return Argument(name="folder", type="folder", required=required, meaning="ID or label of the folder")


def device_argument(*, required: bool = True) -> Argument:
    """Name one of the remote devices."""
    return Argument(name="device", type="device", required=required, meaning="ID, short ID or name of the device")


def folder_or_all_argument() -> Argument:
    """Name a folder, or every one."""
    return Argument(
        name="folder",
        type="folder",
        required=True,
        special=ALL_FOLDERS,
        meaning="ID or label of the folder; `all` for every folder",
    )


def pending_device_argument() -> Argument:
    """Name a device that waits to be accepted."""
    return Argument(
        name="device", type="pending_device", required=True, meaning="ID, short ID or name, as `pending` shows it"
    )


def pending_folder_argument() -> Argument:
    """Name a folder that waits to be accepted."""
    return Argument(name="folder", type="pending_folder", required=True, meaning="ID or label, as `pending` shows it")


def file_argument() -> Argument:
    """Name a file in the folder."""
    return Argument(name="file", type="text", required=True, meaning="path of the file in the folder")

"""Every command, as a table: subscriptions, checks, `stbridge call` and the documentation come from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Type = Literal["folder", "device", "text", "integer", "boolean", "texts", "object"]
Group = Literal["read", "operate", "admin"]
ALL_FOLDERS = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a command; `special` is a value that stands for no folder or device of that name."""

    name: str
    type: Type
    meaning: str
    required: bool = False
    special: str | None = None


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

    @property
    def operation(self) -> str:
        """The operation that carries it out, named like the command where nothing else is said."""
        return self.call or self.name


def _folder(*, required: bool = True) -> Argument:
    return Argument(name="folder", type="folder", required=required, meaning="ID or label of the folder")


def _device(*, required: bool = True) -> Argument:
    return Argument(name="device", type="device", required=required, meaning="ID, short ID or name of the device")


def _file() -> Argument:
    return Argument(name="file", type="text", required=True, meaning="path of the file in the folder")


_PAGES = (
    Argument(name="page", type="integer", meaning="which page, from 1"),
    Argument(name="perpage", type="integer", meaning="items per page"),
)
_EITHER = (_folder(required=False), _device(required=False))

COMMANDS = (
    Command(name="get_version", group="read", meaning="version, operating system, architecture"),
    Command(name="get_status", group="read", meaning="status of the process"),
    Command(name="get_ping", group="read", meaning="a sign of life"),
    Command(name="get_connections", group="read", meaning="connections and byte counters"),
    Command(name="get_config", group="read", meaning="the whole configuration, without secrets"),
    Command(name="get_insync", group="read", meaning="whether the running configuration is the saved one"),
    Command(name="get_errors", group="read", meaning="Syncthing's error list"),
    Command(name="get_discovery", group="read", meaning="addresses found by discovery"),
    Command(name="get_device_statistics", group="read", meaning="when each device was last seen"),
    Command(name="get_folder_statistics", group="read", meaning="last scan and last file of each folder"),
    Command(
        name="get_folder_status",
        group="read",
        meaning="state and counts of a folder",
        arguments=(_folder(),),
        main="folder",
    ),
    Command(
        name="get_completion",
        group="read",
        meaning="how far a device is, or this machine, with one folder or all",
        arguments=(_device(required=False), _folder(required=False)),
    ),
    Command(
        name="browse_database",
        group="read",
        meaning="the tree of a folder",
        arguments=(
            _folder(),
            Argument(name="level", type="integer", meaning="how deep, from 0; all levels if not given"),
            Argument(name="prefix", type="text", meaning="below which directory"),
        ),
        main="folder",
    ),
    Command(
        name="get_file",
        group="read",
        meaning="what is known of a file, here and on other devices",
        arguments=(_folder(), _file()),
    ),
    Command(
        name="get_ignores",
        group="read",
        meaning="ignore patterns of a folder",
        arguments=(_folder(),),
        main="folder",
    ),
    Command(
        name="get_need",
        group="read",
        meaning="what this machine lacks of a folder",
        arguments=(_folder(), *_PAGES),
        main="folder",
    ),
    Command(
        name="get_remote_need",
        group="read",
        meaning="what a device lacks of a folder",
        arguments=(_device(), _folder(), *_PAGES),
    ),
    Command(
        name="get_local_changes",
        group="read",
        meaning="local changes of a receive-only folder",
        arguments=(_folder(), *_PAGES),
        main="folder",
    ),
    Command(
        name="get_folder_errors",
        group="read",
        meaning="items of a folder that failed",
        arguments=(_folder(), *_PAGES),
        main="folder",
    ),
    Command(name="get_pending", group="read", meaning="devices and folders that wait to be accepted"),
    Command(name="check_upgrade", group="read", meaning="whether there is a newer version"),
    Command(
        name="scan",
        group="operate",
        meaning="scan a folder, or with `all` every folder; `accepted` if that takes longer than 2 s",
        arguments=(
            Argument(
                name="folder",
                type="folder",
                required=True,
                special=ALL_FOLDERS,
                meaning="ID or label of the folder; `all` for every folder",
            ),
            Argument(name="sub", type="text", meaning="only what is below this path"),
            Argument(name="wait", type="boolean", meaning="reply only when the scan has ended"),
        ),
        main="folder",
    ),
    Command(
        name="priority",
        group="operate",
        meaning="move a file to the front of the queue",
        arguments=(_folder(), _file()),
        call="assign_priority",
    ),
    Command(
        name="assign_priority",
        group="operate",
        meaning="the same as `priority`",
        arguments=(_folder(), _file()),
    ),
    Command(
        name="new_error",
        group="operate",
        meaning="add an entry to Syncthing's error list",
        arguments=(Argument(name="message", type="text", required=True, meaning="the text"),),
        main="message",
        repeatable=False,
        changes=("errors",),
    ),
    Command(name="clear_errors", group="operate", meaning="empty Syncthing's error list", changes=("errors",)),
    Command(
        name="pause",
        group="operate",
        meaning="pause a folder or a device",
        arguments=_EITHER,
        either=("folder", "device"),
    ),
    Command(
        name="resume",
        group="operate",
        meaning="resume a folder or a device",
        arguments=_EITHER,
        either=("folder", "device"),
    ),
    Command(
        name="set_paused",
        group="operate",
        meaning="pause or resume a folder or a device",
        arguments=(
            *_EITHER,
            Argument(name="paused", type="boolean", required=True, meaning="true to pause, false to resume"),
        ),
        either=("folder", "device"),
    ),
    Command(name="restart", group="admin", meaning="restart Syncthing", repeatable=False, every_s=60),
)

BRIDGE_COMMANDS = (Command(name="republish", group="operate", meaning="publish everything again"),)


def allowed(allow: Iterable[str]) -> frozenset[str]:
    """Return the names of the commands that an allow-list of groups and names admits.

    Raises:
        ValueError: for what is neither a group nor a command.
    """
    names: set[str] = set()
    for entry in allow:
        found = {command.name for command in COMMANDS if entry in (command.group, command.name)}
        if not found:
            raise ValueError(f"{entry!r} is neither a group (read, operate, admin) nor a command")
        names |= found
    return frozenset(names)

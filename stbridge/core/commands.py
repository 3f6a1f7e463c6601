"""Every command, as a table: subscriptions, checks, `stbridge call` and the documentation come from it."""

from collections.abc import Iterable

from stbridge.core.command import (
    Argument,
    Command,
    device_argument,
    file_argument,
    folder_argument,
    folder_or_all_argument,
)
from stbridge.core.commands_admin import ADMIN_COMMANDS

_PAGES = (
    Argument(name="page", type="integer", meaning="which page, from 1"),
    Argument(name="perpage", type="integer", meaning="items per page"),
)
_EITHER = (folder_argument(required=False), device_argument(required=False))

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
        arguments=(folder_argument(),),
        main="folder",
    ),
    Command(
        name="get_completion",
        group="read",
        meaning="how far a device is, or this machine, with one folder or all",
        arguments=(device_argument(required=False), folder_argument(required=False)),
    ),
    Command(
        name="browse_database",
        group="read",
        meaning="the tree of a folder",
        arguments=(
            folder_argument(),
            Argument(name="level", type="integer", meaning="how deep, from 0; all levels if not given"),
            Argument(name="prefix", type="text", meaning="below which directory"),
        ),
        main="folder",
    ),
    Command(
        name="get_file",
        group="read",
        meaning="what is known of a file, here and on other devices",
        arguments=(folder_argument(), file_argument()),
    ),
    Command(
        name="get_ignores",
        group="read",
        meaning="ignore patterns of a folder",
        arguments=(folder_argument(),),
        main="folder",
    ),
    Command(
        name="get_need",
        group="read",
        meaning="what this machine lacks of a folder",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
    ),
    Command(
        name="get_remote_need",
        group="read",
        meaning="what a device lacks of a folder",
        arguments=(device_argument(), folder_argument(), *_PAGES),
    ),
    Command(
        name="get_local_changes",
        group="read",
        meaning="local changes of a receive-only folder",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
    ),
    Command(
        name="get_folder_errors",
        group="read",
        meaning="items of a folder that failed",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
    ),
    Command(name="get_pending", group="read", meaning="devices and folders that wait to be accepted"),
    Command(name="check_upgrade", group="read", meaning="whether there is a newer version"),
    Command(
        name="scan",
        group="operate",
        meaning="scan a folder, or with `all` every folder; `accepted` if that takes longer than 2 s",
        arguments=(
            folder_or_all_argument(),
            Argument(name="sub", type="text", meaning="only what is below this path"),
            Argument(name="wait", type="boolean", meaning="reply only when the scan has ended"),
        ),
        main="folder",
        running=True,
    ),
    Command(
        name="priority",
        group="operate",
        meaning="move a file to the front of the queue",
        arguments=(folder_argument(), file_argument()),
        call="assign_priority",
        running=True,
    ),
    Command(
        name="assign_priority",
        group="operate",
        meaning="the same as `priority`",
        arguments=(folder_argument(), file_argument()),
        running=True,
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
        meaning="pause a folder or a device, for a while or until it is resumed",
        arguments=(
            *_EITHER,
            Argument(
                name="for",
                type="duration",
                needs_bridge=True,
                meaning="how long, as `30m`, `2h`, `1d` or seconds; then it is resumed, at `resume_at`",
            ),
        ),
        either=("folder", "device"),
        in_order=True,
    ),
    Command(
        name="resume",
        group="operate",
        meaning="resume a folder or a device",
        arguments=_EITHER,
        either=("folder", "device"),
        in_order=True,
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
        in_order=True,
    ),
    *ADMIN_COMMANDS,
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

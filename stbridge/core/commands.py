"""The table of commands; subscriptions, checks, `stbridge call` and the documentation are derived from it."""

from collections.abc import Iterable

from stbridge.core.command import (
    FOLDER_OR_ALL,
    Argument,
    Command,
    device_argument,
    file_argument,
    folder_argument,
    pending_device_argument,
    pending_folder_argument,
)
from stbridge.core.suggestion import did_you_mean

# Syncthing allocates memory for `perpage` items; with 2^31 its process crashes. If `page` times `perpage` overflows its
# `int`, which has 32 bits on small machines, it closes the connection.
_PAGES = (
    Argument(name="page", type="integer", largest=32_767, meaning="number of the page, from 1, at most 32767"),
    Argument(name="perpage", type="integer", largest=65_536, meaning="items per page, at most 65536 (default)"),
)
_FOR = Argument(
    name="for",
    type="duration",
    needs_bridge=True,
    meaning="duration, as `30m`, `2h`, `1d` or seconds; the bridge resumes it at `resume_at`",
)
_EITHER = (folder_argument(required=False), device_argument(required=False))

MOST_KBPS = 2_147_483_647
"""The largest limit of a rate: Syncthing's `int` has 32 bits on small machines, and it refuses larger numbers."""

COMMANDS = (
    Command(name="get_version", group="read", meaning="version, operating system, architecture"),
    Command(name="get_status", group="read", meaning="status of the process"),
    Command(name="get_ping", group="read", meaning="whether Syncthing answers"),
    Command(name="get_connections", group="read", meaning="connections and byte counters"),
    Command(name="get_config", group="read", meaning="the whole configuration, without secrets"),
    Command(name="get_insync", group="read", meaning="whether the running configuration equals the saved one"),
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
        example="photos",
    ),
    Command(
        name="get_completion",
        group="read",
        meaning="how complete one folder or all folders are on a remote device or on this device",
        arguments=(device_argument(required=False), folder_argument(required=False)),
        example='{"device": "phone", "folder": "photos"}',
    ),
    Command(
        name="browse_database",
        group="read",
        meaning="the tree of a folder",
        arguments=(
            folder_argument(),
            Argument(
                name="level",
                type="integer",
                largest=1000,
                meaning="number of levels, from 0, at most 1000; all levels by default",
            ),
            Argument(name="prefix", type="text", meaning="only below this directory"),
        ),
        main="folder",
        lane="large",
        example='{"folder": "photos", "level": 1, "prefix": "2026"}',
    ),
    Command(
        name="get_file",
        group="read",
        meaning="versions of a file on this device and on other devices",
        arguments=(folder_argument(), file_argument()),
        example='{"folder": "photos", "file": "2026/11/sunset.jpg"}',
    ),
    Command(
        name="get_ignores",
        group="read",
        meaning="ignore patterns of a folder",
        arguments=(folder_argument(),),
        main="folder",
        example="photos",
    ),
    Command(
        name="get_need",
        group="read",
        meaning="items of a folder that this device needs",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
        lane="large",
        example='{"folder": "photos", "perpage": 100}',
    ),
    Command(
        name="get_remote_need",
        group="read",
        meaning="items of a folder that a remote device needs",
        arguments=(device_argument(), folder_argument(), *_PAGES),
        lane="large",
        example='{"device": "phone", "folder": "photos"}',
    ),
    Command(
        name="get_local_changes",
        group="read",
        meaning="local changes of a receive-only folder",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
        lane="large",
        example="camera",
    ),
    Command(
        name="get_folder_errors",
        group="read",
        meaning="items of a folder that failed",
        arguments=(folder_argument(), *_PAGES),
        main="folder",
        lane="large",
        example="documents",
    ),
    Command(
        name="get_versions",
        group="read",
        meaning="old versions of files that a folder keeps",
        arguments=(folder_argument(),),
        main="folder",
        running=True,
        versioned=True,
        lane="large",
        example="photos",
    ),
    Command(name="get_pending", group="read", meaning="pending devices and folders"),
    Command(name="check_upgrade", group="read", meaning="whether a newer version exists"),
    Command(
        name="scan",
        group="operate",
        meaning="scan a folder, or with `all` every folder; `accepted` if that takes longer than 2 s",
        arguments=(
            *FOLDER_OR_ALL,
            Argument(name="sub", type="text", meaning="scan only below this path"),
            Argument(name="wait", type="boolean", meaning="reply only when the scan has finished"),
        ),
        main="folder",
        either=("folder", "all"),
        running=True,
        example="photos",
    ),
    Command(
        name="priority",
        group="operate",
        meaning="move a file to the front of the queue",
        arguments=(folder_argument(), file_argument()),
        call="assign_priority",
        running=True,
        lane="large",
        example='{"folder": "photos", "file": "2026/11/sunset.jpg"}',
    ),
    Command(
        name="assign_priority",
        group="operate",
        meaning="the same as `priority`",
        arguments=(folder_argument(), file_argument()),
        running=True,
        lane="large",
        example='{"folder": "photos", "file": "2026/11/sunset.jpg"}',
    ),
    Command(
        name="new_error",
        group="operate",
        meaning="add an entry to Syncthing's error list",
        arguments=(Argument(name="message", type="text", required=True, meaning="the text"),),
        main="message",
        repeatable=False,
        changes=("errors",),
        example="The disk is almost full",
    ),
    Command(name="clear_errors", group="operate", meaning="clear Syncthing's error list", changes=("errors",)),
    Command(
        name="pause",
        group="operate",
        meaning="pause a folder or a device, for a while or until it is resumed",
        arguments=(
            *_EITHER,
            _FOR,
        ),
        either=("folder", "device"),
        lane="ordered",
        example='{"folder": "photos", "for": "30m"}',
    ),
    Command(
        name="resume",
        group="operate",
        meaning="resume a folder or a device",
        arguments=_EITHER,
        either=("folder", "device"),
        lane="ordered",
        example='{"folder": "photos"}',
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
        lane="ordered",
        example='{"device": "laptop", "paused": true}',
    ),
    Command(
        name="pause_all",
        group="operate",
        meaning="pause every remote device, for a while or until it is resumed: nothing is sent or received",
        arguments=(_FOR,),
        lane="ordered",
        example='{"for": "2h"}',
    ),
    Command(
        name="resume_all",
        group="operate",
        meaning="resume every remote device, also those that were paused one by one",
        lane="ordered",
    ),
    Command(
        name="set_limits",
        group="operate",
        meaning="limit the rates of all connections together",
        arguments=(
            Argument(
                name="send_kbps",
                type="integer",
                largest=MOST_KBPS,
                meaning="KiB per second that are sent; 0 is unlimited; not changed if it is missing",
            ),
            Argument(
                name="recv_kbps",
                type="integer",
                largest=MOST_KBPS,
                meaning="the same for what is received",
            ),
        ),
        any_of=("send_kbps", "recv_kbps"),
        lane="ordered",
        example='{"send_kbps": 500, "recv_kbps": 0}',
    ),
    Command(
        name="restart",
        group="admin",
        meaning="restart Syncthing",
        repeatable=False,
        every_s=60,
    ),
    Command(
        name="shutdown",
        group="admin",
        meaning="stop Syncthing; the bridge cannot start it again",
        repeatable=False,
        every_s=60,
    ),
    Command(
        name="reset",
        group="admin",
        meaning="delete the index of a folder, or with `all` of every folder, and scan from scratch; restarts "
        "Syncthing. Folders are paused before the reset and resumed after it; no file is deleted",
        arguments=FOLDER_OR_ALL,
        either=("folder", "all"),
        repeatable=False,
        every_s=60,
        example='{"folder": "photos"}',
    ),
    Command(
        name="upgrade",
        group="admin",
        meaning="install the newest version and restart Syncthing",
        repeatable=False,
        every_s=60,
    ),
    Command(
        name="new_config",
        group="admin",
        meaning="change the configuration: given keys are merged into it, folders and devices by their ID",
        arguments=(
            Argument(
                name="config",
                type="object",
                required=True,
                meaning="any part of the document that `get_config` returns",
            ),
            Argument(
                name="replace",
                type="boolean",
                meaning="true replaces the whole configuration: missing keys are lost, except secrets",
            ),
        ),
        lane="ordered",
        example='{"config": {"options": {"maxSendKbps": 1000}}}',
    ),
    Command(
        name="new_ignores",
        group="admin",
        meaning="replace the ignore patterns of a folder",
        arguments=(
            folder_argument(),
            Argument(name="ignore", type="texts", required=True, meaning="the list of patterns"),
        ),
        running=True,
        lane="ordered",
        example='{"folder": "photos", "ignore": ["*.tmp", ".DS_Store"]}',
    ),
    Command(
        name="override",
        group="admin",
        meaning="discard changes of a send-only folder made on other devices; this device's version wins",
        arguments=(folder_argument(),),
        main="folder",
        folder_types=("sendonly",),
        running=True,
        example="music",
    ),
    Command(
        name="revert",
        group="admin",
        meaning="discard local changes of a receive-only folder; files added on this device are deleted",
        arguments=(folder_argument(),),
        main="folder",
        folder_types=("receiveonly", "receiveencrypted"),
        running=True,
        example="camera",
    ),
    Command(
        name="restore_version",
        group="admin",
        meaning="replace a file by an old version of it; the current file becomes an old version itself",
        arguments=(
            folder_argument(),
            file_argument(),
            Argument(
                name="version",
                type="text",
                required=True,
                meaning="the `versionTime` of the version, as `get_versions` returns it",
            ),
        ),
        running=True,
        versioned=True,
        repeatable=False,
        lane="ordered",
        example='{"folder": "photos", "file": "2026/11/sunset.jpg", "version": "2026-11-20T18:30:00Z"}',
    ),
    Command(
        name="accept_device",
        group="admin",
        meaning="add a pending device",
        arguments=(
            pending_device_argument(),
            Argument(name="name", type="text", meaning="name for the device; by default the name that it sent"),
        ),
        changes=("pending_devices",),
        lane="ordered",
        example='{"device": "tablet"}',
    ),
    Command(
        name="dismiss_device",
        group="admin",
        meaning="remove a pending device from the list until it connects again",
        arguments=(pending_device_argument(),),
        changes=("pending_devices",),
        lane="ordered",
        example='{"device": "tablet"}',
    ),
    Command(
        name="accept_folder",
        group="admin",
        meaning="add a pending folder; a folder that already exists here is shared with the device that offers it",
        arguments=(
            pending_folder_argument(own_label=True),
            device_argument(required=False),
            Argument(name="path", type="text", meaning="path of the folder; by default below the default path"),
            Argument(
                name="existing",
                type="boolean",
                meaning="`true` if the directory at `path` may exist, or may overlap with the path of another folder",
            ),
            Argument(name="label", type="text", meaning="label of the folder; by default the offered one"),
            Argument(
                name="type",
                type="folder_type",
                meaning="`sendreceive` (default), `sendonly`, `receiveonly` or `receiveencrypted`",
            ),
        ),
        changes=("pending_folders",),
        lane="ordered",
        example='{"folder": "recipes", "path": "/volume1/recipes"}',
    ),
    Command(
        name="dismiss_folder",
        group="admin",
        meaning="remove a pending folder, of one device or of all, from the list until it is offered again",
        arguments=(pending_folder_argument(), device_argument(required=False)),
        changes=("pending_folders",),
        lane="ordered",
        example='{"folder": "recipes"}',
    ),
)

BRIDGE_COMMANDS = (Command(name="republish", group="operate", meaning="publish all retained topics again", every_s=30),)


def allowed(allow: Iterable[str]) -> frozenset[str]:
    """Return the names of the commands that an allow-list of groups and names allows.

    Raises:
        ValueError: an entry is neither a group nor a command.
    """
    names: set[str] = set()
    every = (*COMMANDS, *BRIDGE_COMMANDS)
    for entry in allow:
        found = {command.name for command in every if entry in (command.group, command.name)}
        if not found:
            suggestion = did_you_mean(entry, [name for command in every for name in (command.group, command.name)])
            raise ValueError(f"{entry!r} is neither a group (read, operate, admin) nor a command{suggestion}")
        names |= found
    return frozenset(names)

"""The commands of the group `admin`: what can lose data, end Syncthing, or change who takes part."""

from stbridge.core.command import (
    Argument,
    Command,
    device_argument,
    folder_argument,
    folder_or_all_argument,
    pending_device_argument,
    pending_folder_argument,
)

ADMIN_COMMANDS = (
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
        meaning="end Syncthing; nothing here can start it again",
        repeatable=False,
        every_s=60,
    ),
    Command(
        name="reset",
        group="admin",
        meaning="forget the index of a folder, or with `all` of every folder, and scan anew; restarts Syncthing. "
        "Folders are paused for it and resumed after it; no file is deleted",
        arguments=(folder_or_all_argument(),),
        repeatable=False,
        every_s=60,
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
        meaning="change the configuration: what is given is merged into what there is, folders and devices by their ID",
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
                meaning="true replaces everything: what is not given is lost, except secrets",
            ),
        ),
        in_order=True,
    ),
    Command(
        name="new_ignores",
        group="admin",
        meaning="replace the ignore patterns of a folder",
        arguments=(
            folder_argument(),
            Argument(name="ignore", type="texts", required=True, meaning="the patterns, one text each"),
        ),
        running=True,
        in_order=True,
    ),
    Command(
        name="override",
        group="admin",
        meaning="make the state of a send-only folder on this machine the one that counts everywhere",
        arguments=(folder_argument(),),
        main="folder",
        folder_types=("sendonly",),
        running=True,
    ),
    Command(
        name="revert",
        group="admin",
        meaning="undo local changes of a receive-only folder: what was added here is deleted",
        arguments=(folder_argument(),),
        main="folder",
        folder_types=("receiveonly", "receiveencrypted"),
        running=True,
    ),
    Command(
        name="accept_device",
        group="admin",
        meaning="add a device that waits to be accepted",
        arguments=(
            pending_device_argument(),
            Argument(name="name", type="text", meaning="what to call it; its own name if not given"),
        ),
        changes=("pending",),
        in_order=True,
    ),
    Command(
        name="dismiss_device",
        group="admin",
        meaning="forget a device that waits to be accepted, until it asks again",
        arguments=(pending_device_argument(),),
        changes=("pending",),
        in_order=True,
    ),
    Command(
        name="accept_folder",
        group="admin",
        meaning="take part in a folder that a device offers; one that exists here already is shared with the device",
        arguments=(
            pending_folder_argument(),
            device_argument(required=False),
            Argument(name="path", type="text", meaning="where to keep it; below the default path if not given"),
            Argument(name="label", type="text", meaning="what to call it; as it is offered if not given"),
            Argument(
                name="type",
                type="folder_type",
                meaning="`sendreceive` (default), `sendonly`, `receiveonly` or `receiveencrypted`",
            ),
        ),
        changes=("pending",),
        in_order=True,
    ),
    Command(
        name="dismiss_folder",
        group="admin",
        meaning="forget a folder that is offered, by one device or by all, until it is offered again",
        arguments=(pending_folder_argument(), device_argument(required=False)),
        changes=("pending",),
        in_order=True,
    ),
)

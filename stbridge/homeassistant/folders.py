"""The table of Home Assistant entities of a folder."""

from stbridge.homeassistant.entity import CONFIG, DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import completion, count, in_sync, moment, paused, problem, size, text

STATES = (
    "idle",
    "scanning",
    "scan-waiting",
    "sync-waiting",
    "sync-preparing",
    "syncing",
    "cleaning",
    "clean-waiting",
    "starting",
    "error",
    "paused",
)
"""Syncthing's states, and `paused`; any other is shown as unknown, because Home Assistant would log a warning."""

FOLDER_ENTITIES = (
    problem("the folder has a problem; the problems are attributes"),
    Entity(
        key="state",
        platform="sensor",
        name="State",
        meaning="Syncthing's state of the folder",
        value="state",
        device_class="enum",
        options=STATES,
        icon="mdi:folder-sync-outline",
    ),
    in_sync("the folder is complete on this device, and no sync is running"),
    completion("how complete the folder is on this device"),
    count("need_items", "Out of sync items", "files, directories and links that are needed", "items", "mdi:file-sync"),
    size("need_bytes", "Out of sync data", "amount of data that is needed", "MB"),
    count(
        "failed",
        "Failed items",
        "items that could not be synced; the first items are attributes",
        "items",
        "mdi:file-remove-outline",
        topic="failed",
        value="count",
        lists=("items",),
    ),
    count(
        "conflicts",
        "Conflicts",
        "conflict files; the first files are attributes",
        "files",
        "mdi:file-alert-outline",
        lists=("items",),
        lists_topic="conflicts",
    ),
    count(
        "local_changes",
        "Locally changed items",
        "items that were added or changed in a receive-only folder",
        "items",
        "mdi:file-plus-outline",
        folder_types=("receiveonly", "receiveencrypted"),
    ),
    moment("last_scan_at", "Last scan", "when it was last scanned"),
    text(
        "last_file",
        "Latest change",
        "the item that changed last; when, and whether it was deleted, are attributes",
        "mdi:file-clock-outline",
        keep="end",
        attributes=("last_file_at", "last_file_deleted"),
    ),
    *paused("folder"),
    Entity(
        key="scan",
        platform="button",
        name="Scan",
        meaning="scans the folder",
        command="scan",
        icon="mdi:folder-search-outline",
    ),
    Entity(
        key="override",
        platform="button",
        name="Override changes",
        meaning="discards changes made on other devices; this device's version wins",
        command="override",
        folder_types=("sendonly",),
        category=CONFIG,
        icon="mdi:folder-arrow-up-outline",
    ),
    Entity(
        key="revert",
        platform="button",
        name="Revert local changes",
        meaning="discards local changes; the version of the other devices wins",
        command="revert",
        folder_types=("receiveonly", "receiveencrypted"),
        category=CONFIG,
        icon="mdi:folder-arrow-down-outline",
    ),
    text("error", "Error", "why the folder has stopped", "mdi:alert-circle-outline", category=DIAGNOSTIC),
    moment("out_of_sync_since", "Out of sync since", "when it became out of sync", category=DIAGNOSTIC),
    text(
        "watch_error",
        "Filesystem watcher error",
        "why Syncthing cannot watch it for changes",
        "mdi:eye-off-outline",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    moment("state_changed_at", "State changed", "when its state last changed", category=DIAGNOSTIC, enabled=False),
    count(
        "scan_progress",
        "Scan progress",
        "progress of a scan that hashes files",
        "%",
        "mdi:progress-clock",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    count(
        "need_deletes",
        "Out of sync deletions",
        "deletions that have not been applied yet",
        "items",
        "mdi:file-minus-outline",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        count(key, name, meaning, "files", "mdi:file-multiple-outline", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("global_files", "Global files", "number of files in the global state of the folder"),
            ("local_files", "Local files", "number of files on this device"),
        )
    ),
    *(
        size(key, name, meaning, "GB", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("global_bytes", "Global data", "amount of data in the global state of the folder"),
            ("local_bytes", "Local data", "amount of data on this device"),
        )
    ),
    *(
        text(key, name, meaning, icon, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("id", "Folder ID", "its ID", "mdi:identifier"),
            ("label", "Label", "its label", "mdi:label-outline"),
            ("path", "Path", "its path on this device", "mdi:folder-marker-outline"),
            ("type", "Type", "its type, as Syncthing names it", "mdi:swap-vertical"),
        )
    ),
)

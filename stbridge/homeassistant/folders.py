"""The table of Home Assistant entities of a folder."""

from stbridge.core.own_events import FOLDER_EVENTS
from stbridge.homeassistant.entity import CONFIG, DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import completion, count, in_sync, moment, paused, problem, rate, size, status, text

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

STATUS = {
    "up_to_date": "Up to date",
    "syncing": "Syncing",
    "sync-preparing": "Preparing to sync",
    "sync-waiting": "Waiting to sync",
    "scanning": "Scanning",
    "scan-waiting": "Waiting to scan",
    "cleaning": "Cleaning versions",
    "clean-waiting": "Waiting to clean",
    "starting": "Starting",
    "out_of_sync": "Out of sync",
    "failed_items": "Failed items",
    "local_additions": "Local additions",
    "unexpected_items": "Unexpected items",
    "unshared": "Unshared",
    "stopped": "Stopped",
    "paused": "Paused",
}
"""The words of Syncthing's web page for each status."""

FOLDER_ENTITIES = (
    problem("the folder has a problem; the problems are attributes"),
    status("the status of the folder on Syncthing's web page", STATUS, "mdi:folder-sync-outline"),
    Entity(
        key="state",
        platform="sensor",
        name="State",
        meaning="Syncthing's state of the folder",
        value="state",
        device_class="enum",
        options=STATES,
        enabled=False,
        icon="mdi:folder-sync-outline",
    ),
    Entity(
        key="event",
        platform="event",
        name="",
        meaning="what happened last in the folder",
        topic="folder_event",
        types=tuple(FOLDER_EVENTS.values()),
        icon="mdi:folder-clock-outline",
    ),
    in_sync("the folder is complete on this device, and no sync is running"),
    completion(
        "how complete the folder is on this device; the expected end of a sync in progress is an attribute",
        attributes=("sync_ends_at",),
    ),
    count(
        "need_items",
        "Out of sync items",
        "files, directories and links that are needed, and deletions that have not been applied yet",
        "items",
        "mdi:file-sync",
        value="need_total_items",
    ),
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
    moment("last_scan_at", "Last scan", "when it was last scanned", category=DIAGNOSTIC, enabled=False),
    text(
        "last_file",
        "Latest change",
        "the item that was last received from another device; when, and whether it was deleted, are attributes",
        "mdi:file-clock-outline",
        keep="end",
        attributes=("last_file_at", "last_file_deleted"),
        enabled=False,
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
    *(
        text(key, name, meaning, icon, otherwise="none", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("error", "Error", "why the folder has stopped", "mdi:alert-circle-outline"),
            (
                "watch_error",
                "Filesystem watcher error",
                "why Syncthing cannot watch it for changes",
                "mdi:eye-off-outline",
            ),
        )
    ),
    *(
        moment(key, name, meaning, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("out_of_sync_since", "Out of sync since", "when it became out of sync"),
            ("state_changed_at", "State changed", "when its state last changed"),
            ("resume_at", "Resumes at", "when a pause of limited duration ends"),
            ("sync_ends_at", "Sync finished at", "when the sync in progress is expected to be finished"),
            ("scan_ends_at", "Scan finished at", "when the scan in progress is expected to be finished"),
        )
    ),
    rate("sync_rate", "Sync rate", "rate of the sync in progress", "mdi:download", category=DIAGNOSTIC, enabled=False),
    *(
        count(key, name, meaning, "%", "mdi:progress-clock", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("sync_progress", "Sync progress", "progress of a sync"),
            ("scan_progress", "Scan progress", "progress of a scan that hashes files"),
        )
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

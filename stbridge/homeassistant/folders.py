"""The entities of a folder."""

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
"""Syncthing's words, and `paused`; any other is shown as unknown, or Home Assistant would warn each time."""

FOLDER_ENTITIES = (
    problem("something is wrong with the folder; the reasons are attributes"),
    Entity(
        key="state",
        platform="sensor",
        name="State",
        meaning="what the folder does, in Syncthing's words",
        value="state",
        device_class="enum",
        options=STATES,
        icon="mdi:folder-sync-outline",
    ),
    in_sync("everything is here, and no sync is under way"),
    completion("how much of it is here"),
    count("need_items", "Out of sync items", "files, directories and links that are lacking", "items", "mdi:file-sync"),
    size("need_bytes", "Out of sync data", "how much is lacking", "MB"),
    count(
        "failed",
        "Failed items",
        "items that could not be synced; the first are attributes",
        "items",
        "mdi:file-remove-outline",
        topic="failed",
        value="count",
        lists=("items",),
    ),
    count(
        "conflicts",
        "Conflicts",
        "conflict files; the first are attributes",
        "files",
        "mdi:file-alert-outline",
        lists=("items",),
        lists_topic="conflicts",
    ),
    count(
        "local_changes",
        "Local additions",
        "additions and changes in a receive-only folder",
        "items",
        "mdi:file-plus-outline",
        folder_types=("receiveonly", "receiveencrypted"),
    ),
    moment("last_scan_at", "Last scan", "when it was scanned"),
    text(
        "last_file",
        "Last file",
        "the last item that changed; when, and whether it was deleted, are attributes",
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
        meaning="makes the others' changes undone: what is here wins",
        command="override",
        folder_types=("sendonly",),
        category=CONFIG,
        icon="mdi:folder-arrow-up-outline",
    ),
    Entity(
        key="revert",
        platform="button",
        name="Revert local changes",
        meaning="makes local changes undone: what the others have wins",
        command="revert",
        folder_types=("receiveonly", "receiveencrypted"),
        category=CONFIG,
        icon="mdi:folder-arrow-down-outline",
    ),
    text("error", "Error", "why the folder does not work", "mdi:alert-circle-outline", category=DIAGNOSTIC),
    moment("out_of_sync_since", "Out of sync since", "since when something is lacking", category=DIAGNOSTIC),
    text(
        "watch_error",
        "Watch error",
        "why watching it for changes does not work",
        "mdi:eye-off-outline",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    moment("state_changed_at", "State changed", "since when it is in its state", category=DIAGNOSTIC, enabled=False),
    count(
        "scan_progress",
        "Scan progress",
        "during a scan that hashes",
        "%",
        "mdi:progress-clock",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    count(
        "need_deletes",
        "Out of sync deletions",
        "deletions that are yet to be made",
        "items",
        "mdi:file-minus-outline",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        count(key, name, meaning, "files", "mdi:file-multiple-outline", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("global_files", "Global files", "files that there are"),
            ("local_files", "Local files", "files that are here"),
        )
    ),
    *(
        size(key, name, meaning, "GB", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("global_bytes", "Global data", "how much there is"),
            ("local_bytes", "Local data", "how much is here"),
        )
    ),
    *(
        text(key, name, meaning, icon, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("id", "Folder ID", "its ID", "mdi:identifier"),
            ("label", "Label", "its label", "mdi:label-outline"),
            ("path", "Path", "where it is", "mdi:folder-marker-outline"),
            ("type", "Type", "its type, in Syncthing's words", "mdi:swap-vertical"),
        )
    ),
)

"""The event entities of an instance: every event that the bridge publishes belongs to one of them."""

from stbridge.homeassistant.entity import DIAGNOSTIC, Entity

EVENT_ENTITIES = (
    Entity(
        key="conflict_event",
        platform="event",
        name="Conflict found",
        meaning="a conflict file was created; folder and path are attributes",
        types=("conflict",),
        enabled=False,
        icon="mdi:file-alert-outline",
    ),
    Entity(
        key="folder_event",
        platform="event",
        name="Folder activity",
        meaning="a folder was synced, scanned, paused or resumed, or stopped with an error; the folder is an attribute",
        types=("folder_synced", "folder_error", "folder_paused", "folder_resumed", "scan_finished"),
        enabled=False,
        icon="mdi:folder-outline",
    ),
    Entity(
        key="item_event",
        platform="event",
        name="Item failed",
        meaning="an item could not be synced; folder and path are attributes",
        types=("item_failed",),
        enabled=False,
        icon="mdi:file-remove-outline",
    ),
    Entity(
        key="device_event",
        platform="event",
        name="Device activity",
        meaning="a device connected, disconnected, was synced, paused or resumed; the device is an attribute",
        types=("device_connected", "device_disconnected", "device_synced", "device_paused", "device_resumed"),
        enabled=False,
        icon="mdi:laptop",
    ),
    Entity(
        key="pending_event",
        platform="event",
        name="Pending request",
        meaning="a device or a folder is pending; the device or folder is an attribute",
        types=("device_pending", "folder_pending"),
        icon="mdi:account-question-outline",
    ),
    Entity(
        key="problem_event",
        platform="event",
        name="Problem raised or cleared",
        meaning="a problem was raised or cleared; the problem is an attribute",
        types=("problem_raised", "problem_cleared"),
        icon="mdi:alert-outline",
    ),
    Entity(
        key="syncthing_event",
        platform="event",
        name="Syncthing event",
        meaning="Syncthing started, its configuration changed, or a login to its GUI failed",
        types=("syncthing_started", "config_changed", "login_failed"),
        category=DIAGNOSTIC,
        icon="mdi:cog-outline",
    ),
)

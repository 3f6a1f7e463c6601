"""The table of Home Assistant entities of a remote device."""

from stbridge.core.own_events import DEVICE_EVENTS
from stbridge.homeassistant.entity import DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import completion, count, in_sync, moment, paused, problem, rate, size, status, text

STATUS = {
    "up_to_date": "Up to date",
    "syncing": "Syncing",
    "disconnected": "Disconnected",
    "disconnected_inactive": "Disconnected (inactive)",
    "unused": "Unused",
    "paused": "Paused",
}
"""The words of Syncthing's web page for each status."""

DEVICE_ENTITIES = (
    problem("the device has a problem; the problems are attributes"),
    status("the status of the device on Syncthing's web page", STATUS, "mdi:laptop"),
    Entity(
        key="connected",
        platform="binary_sensor",
        meaning="the device is connected",
        value="connected",
        device_class="connectivity",
    ),
    Entity(
        key="event",
        platform="event",
        name="",
        meaning="what happened last with the device",
        topic="device_event",
        types=tuple(DEVICE_EVENTS.values()),
        icon="mdi:laptop",
    ),
    in_sync("the device is in sync in all folders that it shares"),
    completion("how complete its shared folders are on the device"),
    count(
        "need_items",
        "Out of sync items",
        "files, directories, links and deletions that it needs",
        "items",
        "mdi:file-sync",
        value="need_total_items",
        enabled=False,
    ),
    size("need_bytes", "Out of sync data", "amount of data that it needs", "MB", enabled=False),
    moment("last_seen_at", "Last seen", "when it was last connected", category=DIAGNOSTIC, enabled=False),
    rate("in_rate", "Download rate", "current rate from the device", "mdi:download", enabled=False),
    rate("out_rate", "Upload rate", "current rate to the device", "mdi:upload", enabled=False),
    *paused("device"),
    *(
        size(
            key,
            name,
            "since it connected",
            "GB",
            state_class="total_increasing",
            category=DIAGNOSTIC,
            enabled=False,
        )
        for key, name in (("in_bytes", "Downloaded"), ("out_bytes", "Uploaded"))
    ),
    Entity(
        key="is_local",
        platform="binary_sensor",
        name="Local connection",
        meaning="it is connected over the local network",
        value="is_local",
        category=DIAGNOSTIC,
        enabled=False,
        icon="mdi:lan",
    ),
    *(
        moment(key, name, meaning, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning in (
            ("unseen_since", "Disconnected since", "since when it has been disconnected"),
            ("out_of_sync_since", "Out of sync since", "when it became out of sync"),
            ("resume_at", "Resumes at", "when a pause of limited duration ends"),
        )
    ),
    text(
        "connection_error",
        "Connection error",
        "why the last attempt to connect to it failed, if that is known",
        "mdi:lan-disconnect",
        otherwise="none",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        text(key, name, meaning, icon, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("address", "Address", "address that it is connected from", "mdi:ip-network-outline"),
            ("client_version", "Version", "version of Syncthing on the device", "mdi:tag-outline"),
            ("connection_type", "Connection type", "type of the connection, as Syncthing names it", "mdi:connection"),
            ("crypto", "Encryption", "how the connection is encrypted", "mdi:lock-outline"),
            ("id", "Device ID", "its device ID", "mdi:identifier"),
        )
    ),
)

"""The table of Home Assistant entities of a remote device."""

from stbridge.homeassistant.entity import DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import completion, count, in_sync, moment, paused, problem, rate, size, text

DEVICE_ENTITIES = (
    problem("the device has a problem; the problems are attributes"),
    Entity(
        key="connected",
        platform="binary_sensor",
        meaning="the device is connected",
        value="connected",
        device_class="connectivity",
    ),
    in_sync("the device is in sync in all folders that it shares"),
    completion("how complete its shared folders are on the device"),
    count("need_items", "Out of sync items", "files, directories and links that it needs", "items", "mdi:file-sync"),
    size("need_bytes", "Out of sync data", "amount of data that it needs", "MB"),
    moment("last_seen_at", "Last seen", "when it was last connected"),
    rate("in_rate", "Download rate", "current rate from the device", "mdi:download"),
    rate("out_rate", "Upload rate", "current rate to the device", "mdi:upload"),
    *paused("device"),
    text("address", "Address", "address that it is connected from", "mdi:ip-network-outline", category=DIAGNOSTIC),
    text("client_version", "Version", "version of Syncthing on the device", "mdi:tag-outline", category=DIAGNOSTIC),
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
    moment(
        "unseen_since",
        "Disconnected since",
        "since when it has been disconnected",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        text(key, name, meaning, icon, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("connection_type", "Connection type", "type of the connection, as Syncthing names it", "mdi:connection"),
            ("crypto", "Encryption", "how the connection is encrypted", "mdi:lock-outline"),
            ("id", "Device ID", "its device ID", "mdi:identifier"),
        )
    ),
)

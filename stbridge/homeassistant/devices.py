"""The entities of a remote device."""

from stbridge.homeassistant.entity import DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import completion, count, in_sync, moment, paused, problem, rate, size, text

DEVICE_ENTITIES = (
    problem("something is wrong with the device; the reasons are attributes"),
    Entity(
        key="connected",
        platform="binary_sensor",
        meaning="it is connected",
        value="connected",
        device_class="connectivity",
    ),
    in_sync("it has everything that it shares"),
    completion("how much it has of everything that it shares"),
    count("need_items", "Out of sync items", "files, directories and links that it lacks", "items", "mdi:file-sync"),
    size("need_bytes", "Out of sync data", "how much it lacks", "MB"),
    moment("last_seen_at", "Last seen", "when it was connected last"),
    rate("in_rate", "Download rate", "what comes from it now"),
    rate("out_rate", "Upload rate", "what goes to it now"),
    *paused("device"),
    text("address", "Address", "where it is connected from", "mdi:ip-network-outline", category=DIAGNOSTIC),
    text("client_version", "Version", "version of its Syncthing", "mdi:tag-outline", category=DIAGNOSTIC),
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
        name="Local",
        meaning="it is connected over the local network",
        value="is_local",
        category=DIAGNOSTIC,
        enabled=False,
        icon="mdi:lan",
    ),
    moment(
        "unseen_since",
        "Unseen since",
        "since when it has not been connected",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        text(key, name, meaning, icon, category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, icon in (
            ("connection_type", "Connection type", "how it is connected, in Syncthing's words", "mdi:connection"),
            ("crypto", "Encryption", "how the connection is encrypted", "mdi:lock-outline"),
            ("id", "Device ID", "its device ID", "mdi:identifier"),
        )
    ),
)

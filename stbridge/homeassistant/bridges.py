"""The table of Home Assistant entities of the bridge itself."""

from stbridge.homeassistant.entity import CONFIG, DIAGNOSTIC, Entity
from stbridge.homeassistant.shapes import count, moment, text

BRIDGE_ENTITIES = (
    Entity(
        key="connected",
        platform="binary_sensor",
        meaning="the bridge is running and connected to the broker; never unavailable",
        topic="bridge_state",
        device_class="connectivity",
        on="online",
        off="offline",
        always=True,
    ),
    text("version", "Version", "version of the bridge", "mdi:tag-outline", topic="bridge_info", category=DIAGNOSTIC),
    count(
        "instances",
        "Instances",
        "number of Syncthing instances that it follows; their names are an attribute",
        "instances",
        "mdi:server-network",
        topic="bridge_info",
        length=True,
        attributes=("instances",),
        category=DIAGNOSTIC,
    ),
    Entity(
        key="republish",
        platform="button",
        name="Republish",
        meaning="publishes every retained topic again",
        command="republish",
        category=CONFIG,
        icon="mdi:publish",
    ),
    moment("started_at", "Started", "when the bridge started", topic="bridge_info", category=DIAGNOSTIC, enabled=False),
    text(
        "mqtt_protocol",
        "MQTT version",
        "version of MQTT that it uses",
        "mdi:protocol",
        topic="bridge_info",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    text(
        "message",
        "Broker connection",
        "what is wrong with the connection to the broker; `none` if nothing is wrong",
        "mdi:lan-connect",
        topic="bridge_health",
        otherwise="none",
        category=DIAGNOSTIC,
        enabled=False,
    ),
    *(
        count(key, name, meaning, unit, icon, topic="bridge_health", category=DIAGNOSTIC, enabled=False)
        for key, name, meaning, unit, icon in (
            ("queued", "Queued messages", "messages that wait to be sent", "messages", "mdi:tray-full"),
            ("sent", "Sent messages", "messages that the broker has acknowledged", "messages", "mdi:send-outline"),
            ("dropped", "Dropped messages", "messages that the bridge has dropped", "messages", "mdi:tray-remove"),
            ("failed", "Refused messages", "messages that the broker has refused", "messages", "mdi:cancel"),
            ("reconnects", "Reconnects", "reconnects to the broker", "reconnects", "mdi:lan-pending"),
            ("restarts", "Restarted threads", "threads that were restarted after a fault", "threads", "mdi:restart"),
        )
    ),
)

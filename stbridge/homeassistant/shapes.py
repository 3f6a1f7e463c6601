"""Functions that make the kinds of entities that several tables use."""

from collections.abc import Mapping
from typing import Any

from stbridge.homeassistant.entity import CONFIG, Entity

PRECISIONS = {"kB/s": 1, "MB": 2, "GB": 2}


def size(key: str, name: str, meaning: str, unit: str, **more: Any) -> Entity:
    """Return a sensor that shows a number of bytes.

    Args:
        key: the key of the entity and of its value.
        name: the name that users see.
        meaning: the text of the documentation.
        unit: MB or GB, which Home Assistant converts to the unit that the user chooses.
        more: other attributes of the row.
    """
    row = {"device_class": "data_size", "state_class": "measurement", "precision": PRECISIONS[unit], **more}
    return Entity(key=key, platform="sensor", name=name, meaning=meaning, value=key, unit=unit, **row)


def rate(key: str, name: str, meaning: str, icon: str, **more: Any) -> Entity:
    """Return a sensor of bytes per second; arguments as for `count`, without a unit.

    The default icon of the device class is a transmission tower.
    """
    return size(key, name, meaning, "kB/s", **{"device_class": "data_rate", "icon": icon, **more})


def count(key: str, name: str, meaning: str, unit: str, icon: str, **more: Any) -> Entity:
    """Return a sensor that shows a count, without long-term statistics; arguments as for `size`, with an icon."""
    row = {"value": key, **more}
    return Entity(key=key, platform="sensor", name=name, meaning=meaning, unit=unit, icon=icon, **row)


def completion(meaning: str, **more: Any) -> Entity:
    """Return the sensor that shows the completion; arguments as for `size`."""
    return count("completion", "Completion", meaning, "%", "mdi:progress-check", precision=1, **more)


def moment(key: str, name: str, meaning: str, **more: Any) -> Entity:
    """Return a sensor that shows a time; arguments as for `size`, without a unit."""
    row = {"device_class": "timestamp", **more}
    return Entity(key=key, platform="sensor", name=name, meaning=meaning, value=key, **row)


def text(key: str, name: str, meaning: str, icon: str, **more: Any) -> Entity:
    """Return a sensor that shows a text; arguments as for `count`, without a unit."""
    row = {"value": key, "keep": "start", **more}
    return Entity(key=key, platform="sensor", name=name, meaning=meaning, icon=icon, **row)


def problem(meaning: str) -> Entity:
    """Return the binary sensor that is on if there is a problem; the problems are its attributes."""
    return Entity(
        key="problem",
        platform="binary_sensor",
        meaning=meaning,
        value="problem",
        device_class="problem",
        lists=("problems",),
    )


def status(meaning: str, words: Mapping[str, str], icon: str) -> Entity:
    """Return the sensor that shows the status in the words of Syncthing's web page."""
    return Entity(
        key="status",
        platform="sensor",
        name="Status",
        meaning=meaning,
        value="status",
        device_class="enum",
        words=words,
        icon=icon,
    )


def in_sync(meaning: str) -> Entity:
    """Return the binary sensor that is on if everything is in sync."""
    return Entity(
        key="in_sync",
        platform="binary_sensor",
        name="In sync",
        meaning=meaning,
        value="in_sync",
        enabled=False,
        icon="mdi:check-circle-outline",
    )


def paused(what: str) -> tuple[Entity, Entity]:
    """Return the switch that pauses a folder or device, and the sensor that replaces it if it is not allowed.

    The category keeps voice assistants from using the switch: "turn on the switches" would stop all syncing.
    """
    return (
        Entity(
            key="paused",
            platform="switch",
            name="Paused",
            meaning=f"pauses the {what}",
            value="paused",
            command="set_paused",
            argument="paused",
            category=CONFIG,
            icon="mdi:pause-circle-outline",
        ),
        Entity(
            key="is_paused",
            platform="binary_sensor",
            name="Paused",
            meaning=f"the {what} is paused; replaces the switch if `set_paused` is not allowed",
            value="paused",
            instead_of="set_paused",
            icon="mdi:pause-circle-outline",
        ),
    )

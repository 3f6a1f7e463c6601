"""The discovery message of a subject: one message for the Home Assistant device, with all its entities.

Home Assistant drops the whole message if the root holds an unknown key. In an entity it silently drops unknown keys,
so keys are written out in full and tested against a real Home Assistant.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stbridge.core.entity_ids import entity_id
from stbridge.core.envelope import PRESS
from stbridge.core.exclusions import NOTHING, Exclusions
from stbridge.core.slow_topics import SLOW
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice, bridge_object_id, instance_object_id
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.templates import attributes_template, value_template

ORIGIN = "stbridge"
SUPPORT_URL = "https://github.com/stbridge/stbridge"

DEFAULT_BASE_TOPIC = "syncthing"
LONGEST_NAME = 100
"""Maximum length of the part of an entity ID that is the name of the device; Home Assistant allows 255 in total."""

COMMAND_EXPIRY_S = 60
"""How long the broker keeps a press while the bridge is disconnected: it is executed soon or not at all."""

CONTROLS = ("button", "switch", "number")
"""Platforms that do nothing without their command."""

LARGEST_NUMBER = 2_147_483_647
"""Syncthing's limits of rates are 32-bit numbers on small machines."""

_MODELS = {"bridge_info": "Bridge", "system": "Syncthing", "folder": "Folder", "device": "Remote device"}

Config = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The values that all discovery messages of an instance share.

    Attributes:
        instance: the name of the instance.
        topics: builds the topics.
        allowed: the names of the allowed commands.
        link: the address of its GUI that users can open, http or https; None if there is none.
        version: the version of the bridge.
        exclusions: what Home Assistant does not show.
        child_devices: whether one message describes the instance with its folders and devices as child devices.
    """

    instance: str
    topics: Topics
    allowed: frozenset[str]
    link: str | None
    version: str
    exclusions: Exclusions = NOTHING
    child_devices: bool = False

    def topic(self, subject: DiscoveredDevice, kind: str) -> str:
        """Return the topic of the given kind for a subject, or for the whole instance: the slow copy, if it has one."""
        address = subject.address
        kind = SLOW.get(kind, kind)
        return self.topics.build(self.instance, Address(kind, folder=address.folder, device=address.device))

    def available(self, kind: str) -> Config:
        """Return an entry of the availability list."""
        return {"topic": self.topics.build(BRIDGE if kind == "bridge_state" else self.instance, Address(kind))}

    def excludes(self, subject: DiscoveredDevice) -> bool:
        """Return whether Home Assistant does not show a folder or device."""
        return self.exclusions.exclude(subject.address.kind, (subject.id, subject.name, subject.address.device))

    @property
    def bridge(self) -> DiscoveredDevice:
        """The bridge as a device of Home Assistant."""
        return DiscoveredDevice(address=Address("bridge_info"), id=self.topics.base, version=self.version)


def config(subject: DiscoveredDevice, site: Site) -> Config:
    """Return the discovery message of a subject.

    Entities that do not apply are listed with only their platform. Home Assistant then removes them if it has them,
    for example after the type of a folder was changed, or a command is not allowed any more, or they are excluded.
    """
    of_bridge = subject.address.kind == "bridge_info"
    return {
        "device": _device(subject, site),
        "origin": {"name": ORIGIN, "sw_version": site.version, "support_url": SUPPORT_URL},
        "availability": [site.available("bridge_state"), *(() if of_bridge else (site.available("state"),))],
        "availability_mode": "all",
        "state_topic": site.topic(subject, subject.address.kind),
        "qos": 1,
        "components": {
            row.key: _component(row, subject, site) if _applies(row, subject, site) else {"platform": row.platform}
            for row in TABLES[subject.address.kind]
        }
        | _request_buttons(subject, site),
    }


def _request_buttons(subject: DiscoveredDevice, site: Site) -> Config:
    """Return the buttons that accept and dismiss each pending device and folder, if that is allowed."""
    return {
        f"{command}_{request.key}": {
            "platform": "button",
            "unique_id": f"{subject.object_id}_{command}_{request.key}",
            "default_entity_id": f"button.{_name(subject, site)} {word} {request.kind} {request.name}",
            "name": f"{word} {request.kind} {request.name}",
            "icon": icon,
            "command_topic": site.topics.build(site.instance, Address("command", name=command)),
            "payload_press": json.dumps(dict(request.arguments)),
            "message_expiry_interval": COMMAND_EXPIRY_S,
        }
        for request in subject.pending
        for word, icon in (("Accept", "mdi:check"), ("Dismiss", "mdi:close"))
        if (command := f"{word.lower()}_{request.kind}") in site.allowed
    }


def config_of_all(instance: DiscoveredDevice, children: Iterable[DiscoveredDevice], site: Site) -> Config:
    """Return the discovery message of an instance that has its folders and remote devices as child devices.

    Home Assistant 2026.9 and later accept it. Child devices have only a name and identifiers of their own.

    Args:
        instance: the instance.
        children: its folders and remote devices.
        site: the values that all discovery messages of the instance share.
    """
    devices = [_child(one, site, config(one, site)["components"]) for one in children]
    return {**config(instance, site), "child_devices": devices}


def _child(subject: DiscoveredDevice, site: Site, components: Config) -> Config:
    """Return a child device; the IDs of its components are unique in the message."""
    state_topic = site.topic(subject, subject.address.kind)
    return {
        "identifiers": [subject.object_id],
        "name": _name(subject, site),
        "components": {
            f"{subject.object_id}_{key}": one if len(one) == 1 else {"state_topic": state_topic, **one}
            for key, one in components.items()
        },
    }


def _device(subject: DiscoveredDevice, site: Site) -> Config:
    device: Config = {
        "identifiers": [subject.object_id],
        "name": _name(subject, site),
        "manufacturer": "Syncthing" if subject.own_id else ORIGIN,
        "model": _MODELS[subject.address.kind],
    }
    if subject.version:
        device["sw_version"] = subject.version
    if subject.own_id:
        device["serial_number"] = subject.id or subject.own_id
        of_instance = subject.address.kind == "system"
        device["via_device"] = bridge_object_id(site.topics.base) if of_instance else instance_object_id(subject.own_id)
    if site.link:
        device["configuration_url"] = site.link
    return device


def _name(subject: DiscoveredDevice, site: Site) -> str:
    """Return a name that starts with the instance, because several instances can have the same folder or device."""
    if subject.address.kind == "bridge_info":
        return f"Syncthing bridge{'' if subject.id == DEFAULT_BASE_TOPIC else f' {subject.id}'}"
    if subject.address.kind == "system":
        return f"Syncthing {site.instance}"
    return f"{site.instance} {subject.name or subject.id}"


def _full_name(row: Entity, subject: DiscoveredDevice, site: Site) -> str:
    """Return the text that Home Assistant makes an entity ID of, by replacing unfit characters.

    The names of folders and devices in Home Assistant do not begin with `Syncthing`, but their entity IDs do.
    """
    name = _name(subject, site)[:LONGEST_NAME]
    device = name if subject.address.kind in ("bridge_info", "system") else f"syncthing {name}"
    return f"{device} {row.device_class if row.name is None else row.name}".rstrip()


def _applies(row: Entity, subject: DiscoveredDevice, site: Site) -> bool:
    needs_leave = row.platform in CONTROLS
    return (
        (not needs_leave or row.command in site.allowed)
        and (not row.instead_of or row.instead_of not in site.allowed)
        and (not row.folder_types or subject.type in row.folder_types)
        and (not row.optional or row.topic in subject.published)
        and not site.exclusions.exclude("entity", _entity_ids(row, subject, site))
    )


def _entity_ids(row: Entity, subject: DiscoveredDevice, site: Site) -> Iterator[str]:
    """Yield the entity ID, which nothing needs if no entity is excluded."""
    yield entity_id(row.platform, _full_name(row, subject, site))


def _component(row: Entity, subject: DiscoveredDevice, site: Site) -> Config:
    component: Config = {
        "platform": row.platform,
        "unique_id": f"{subject.object_id}_{row.key}",
        "default_entity_id": f"{row.platform}.{_full_name(row, subject, site)}",
    }
    if row.name is not None:
        component["name"] = row.name or None
    given = {
        "device_class": row.device_class,
        "state_class": row.state_class,
        "unit_of_measurement": row.unit,
        "suggested_display_precision": row.precision,
        "options": list(row.options) or list(row.words.values()) or None,
        "entity_category": row.category,
        "icon": row.icon,
        "entity_picture": row.picture,
        "enabled_by_default": None if row.enabled else False,
        "availability": _always_available(subject, site) if row.always else None,
        **_reading(row, subject, site),
        **_commanding(row, subject, site),
    }
    return component | {key: value for key, value in given.items() if value is not None}


def _always_available(subject: DiscoveredDevice, site: Site) -> list[Config]:
    """Return the topics that a row depends on that must not become unavailable with its device.

    An empty list overrides the availability of the device, too: the entity is always available.
    """
    return [] if subject.address.kind == "bridge_info" else [site.available("bridge_state")]


def _reading(row: Entity, subject: DiscoveredDevice, site: Site) -> Config:
    reading: Config = {"value_template": value_template(row), "json_attributes_template": attributes_template(row)}
    if row.topic:
        reading["state_topic"] = site.topic(subject, row.topic)
    if row.attributes or row.lists:
        topic = row.lists_topic or row.topic or subject.address.kind
        reading["json_attributes_topic"] = site.topic(subject, topic)
    if row.platform == "binary_sensor":
        reading |= {"payload_on": row.on, "payload_off": row.off}
    if row.platform == "switch":
        reading |= {"state_on": row.on, "state_off": row.off}
    if row.types:
        reading["event_types"] = list(row.types)
    if row.types and not row.topic:
        only = row.types[0] if len(row.types) == 1 else None
        topics = site.topics
        reading["state_topic"] = (
            topics.build(site.instance, Address("event", name=only)) if only else topics.event_filter(site.instance)
        )
    return reading


def _commanding(row: Entity, subject: DiscoveredDevice, site: Site) -> Config:
    if not row.command or row.command not in site.allowed:
        return {}
    of = site.instance if subject.own_id else BRIDGE
    command: Config = {
        "command_topic": site.topics.build(of, Address("command", name=row.command)),
        "message_expiry_interval": COMMAND_EXPIRY_S,
    }
    match row.platform:
        case "switch":
            command["payload_on"] = _payload(row, subject, {row.argument: True})
            command["payload_off"] = _payload(row, subject, {row.argument: False})
        case "number":
            command["command_template"] = f"{{{{ {{'{row.argument}': value | int}} | to_json }}}}"
            command |= {"min": 0, "max": LARGEST_NUMBER, "mode": "box"}
        case "update":
            command["payload_install"] = _payload(row, subject, {})
        case _:
            command["payload_press"] = _payload(row, subject, {})
    return command


def _payload(row: Entity, subject: DiscoveredDevice, more: Mapping[str, bool]) -> str:
    target = {subject.address.kind: subject.id} if subject.address.kind in ("folder", "device") else {}
    arguments = {**target, **row.arguments, **more}
    return json.dumps(arguments) if arguments else PRESS

"""The discovery message of a subject: one message for the Home Assistant device, with all its entities.

Home Assistant drops the whole message if the root holds an unknown key. In an entity it silently drops unknown keys,
so keys are written out in full and tested against a real Home Assistant.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stbridge.core.envelope import PRESS
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice, instance_object_id
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.templates import attributes_template, value_template

ORIGIN = "stbridge"

COMMAND_EXPIRY_S = 60
"""How long the broker keeps a press while the bridge is disconnected: it is executed soon or not at all."""

_MODELS = {"system": "Syncthing", "folder": "Folder", "device": "Remote device"}

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
    """

    instance: str
    topics: Topics
    allowed: frozenset[str]
    link: str | None
    version: str

    def topic(self, subject: DiscoveredDevice, kind: str) -> str:
        """Return the topic of the given kind for a subject, or for the whole instance."""
        address = subject.address
        return self.topics.build(self.instance, Address(kind, folder=address.folder, device=address.device))

    def available(self, kind: str) -> Config:
        """Return an entry of the availability list."""
        return {"topic": self.topics.build(BRIDGE if kind == "bridge_state" else self.instance, Address(kind))}


def config(subject: DiscoveredDevice, site: Site) -> Config:
    """Return the discovery message of a subject.

    Entities that do not apply are listed with only their platform. Home Assistant then removes them if it has them,
    for example after the type of a folder was changed or a command is not allowed any more.
    """
    return {
        "device": _device(subject, site),
        "origin": {"name": ORIGIN, "sw_version": site.version},
        "availability": [site.available("bridge_state"), site.available("state")],
        "availability_mode": "all",
        "state_topic": site.topic(subject, subject.address.kind),
        "qos": 1,
        "components": {
            row.key: _component(row, subject, site) if _applies(row, subject, site) else {"platform": row.platform}
            for row in TABLES[subject.address.kind]
        },
    }


def _device(subject: DiscoveredDevice, site: Site) -> Config:
    device: Config = {
        "identifiers": [subject.object_id],
        "name": _name(subject, site),
        "manufacturer": "Syncthing",
        "model": _MODELS[subject.address.kind],
        "serial_number": subject.id or subject.own_id,
    }
    if subject.version:
        device["sw_version"] = subject.version
    if subject.address.kind != "system":
        device["via_device"] = instance_object_id(subject.own_id)
    if site.link:
        device["configuration_url"] = site.link
    return device


def _name(subject: DiscoveredDevice, site: Site) -> str:
    """Return a name that starts with the instance, because several instances can have the same folder or device."""
    if subject.address.kind == "system":
        return f"Syncthing {site.instance}"
    return f"{site.instance} {subject.name or subject.id}"


def _applies(row: Entity, subject: DiscoveredDevice, site: Site) -> bool:
    needs_leave = row.platform in ("button", "switch")
    return (
        (not needs_leave or row.command in site.allowed)
        and (not row.instead_of or row.instead_of not in site.allowed)
        and (not row.folder_types or subject.type in row.folder_types)
        and (not row.optional or row.topic in subject.published)
    )


def _component(row: Entity, subject: DiscoveredDevice, site: Site) -> Config:
    component: Config = {"platform": row.platform, "unique_id": f"{subject.object_id}_{row.key}"}
    if row.name is not None:
        component["name"] = row.name
    given = {
        "device_class": row.device_class,
        "state_class": row.state_class,
        "unit_of_measurement": row.unit,
        "suggested_display_precision": row.precision,
        "options": list(row.options) or None,
        "entity_category": row.category,
        "icon": row.icon,
        "enabled_by_default": None if row.enabled else False,
        "availability": [site.available("bridge_state")] if row.always else None,
        **_reading(row, subject, site),
        **_commanding(row, subject, site),
    }
    return component | {key: value for key, value in given.items() if value is not None}


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
        only = row.types[0] if len(row.types) == 1 else None
        topics = site.topics
        reading["state_topic"] = (
            topics.build(site.instance, Address("event", name=only)) if only else topics.event_filter(site.instance)
        )
        reading["event_types"] = list(row.types)
    return reading


def _commanding(row: Entity, subject: DiscoveredDevice, site: Site) -> Config:
    if not row.command or row.command not in site.allowed:
        return {}
    command: Config = {
        "command_topic": site.topics.build(site.instance, Address("command", name=row.command)),
        "message_expiry_interval": COMMAND_EXPIRY_S,
    }
    match row.platform:
        case "switch":
            command["payload_on"] = _payload(row, subject, {row.argument: True})
            command["payload_off"] = _payload(row, subject, {row.argument: False})
        case "update":
            command["payload_install"] = _payload(row, subject, {})
        case _:
            command["payload_press"] = _payload(row, subject, {})
    return command


def _payload(row: Entity, subject: DiscoveredDevice, more: Mapping[str, bool]) -> str:
    target = {} if subject.address.kind == "system" else {subject.address.kind: subject.id}
    arguments = {**target, **row.arguments, **more}
    return json.dumps(arguments) if arguments else PRESS

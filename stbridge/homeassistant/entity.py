"""One row of a table of entities; a new entity is a new row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Platform = Literal["sensor", "binary_sensor", "switch", "button", "update", "event"]

DIAGNOSTIC = "diagnostic"
CONFIG = "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity of Home Assistant.

    Attributes:
        key: names it in its device; a part of its unique ID, so never to be changed.
        platform: Home Assistant's word for what it is.
        meaning: for the documentation.
        name: what people read; None for the name that Home Assistant itself has, and translates, for its class.
        topic: the kind of topic that tells its state; empty for the topic of the device that it belongs to.
        value: the key of its value in the payload, dots lead deeper; empty for the payload as it is.
        device_class: Home Assistant's device class.
        state_class: how its history is reckoned.
        unit: its unit; bytes are converted where it is a multiple of bytes.
        precision: how many decimals are shown.
        options: all states that it can have, if they are words.
        keep: which end of a text that is too long for a state is kept.
        on: what the value is written as when it is on.
        off: what the value is written as when it is off.
        attributes: keys of the payload that become attributes.
        lists: keys of lists in the payload, whose first items become attributes.
        lists_topic: the kind of topic that tells attributes and lists, where that is another one.
        types: the events that it tells.
        command: what a press carries out; without leave to do so there is no such entity.
        arguments: of the command, beside the folder or device.
        argument: the argument that a switch sets to true and false.
        folder_types: the types of folders that have it; empty for all.
        instead_of: there only while this command may not be carried out.
        optional: there only while its topic is published.
        always: available also while the Syncthing cannot be reached.
        category: `diagnostic`, `config` or None.
        enabled: whether it is on before somebody turns it on.
        icon: where no device class brings one.
    """

    key: str
    platform: Platform
    meaning: str
    name: str | None = None
    topic: str = ""
    value: str = ""
    device_class: str | None = None
    state_class: str | None = None
    unit: str | None = None
    precision: int | None = None
    options: tuple[str, ...] = ()
    keep: Literal["start", "end"] | None = None
    on: str = "True"
    off: str = "False"
    attributes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    lists_topic: str = ""
    types: tuple[str, ...] = ()
    command: str = ""
    arguments: Mapping[str, str | bool] = field(default_factory=dict)
    argument: str = ""
    folder_types: tuple[str, ...] = ()
    instead_of: str = ""
    optional: bool = False
    always: bool = False
    category: str | None = None
    enabled: bool = True
    icon: str | None = None

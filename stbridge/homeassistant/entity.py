"""The type of a row in a table of entities; to add an entity, add a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Platform = Literal["sensor", "binary_sensor", "switch", "button", "number", "update", "event"]

DIAGNOSTIC = "diagnostic"
CONFIG = "config"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # hashable, for the caches of what is derived from a row
class Entity:
    """One entity of Home Assistant.

    Attributes:
        key: identifies it in its device; part of its unique ID, so it must never change.
        platform: its Home Assistant platform.
        meaning: the text of the documentation.
        name: the name that users see; None for the translated name that Home Assistant has for its device class; empty
            for the name of the device, for its main entity.
        topic: the kind of topic that holds its state; empty for the topic of the device that it belongs to.
        value: the key of its value in the payload, with dots for nested keys; empty for the whole payload.
        device_class: Home Assistant's device class.
        state_class: Home Assistant's state class, for its statistics.
        unit: its unit; a multiple of bytes is computed from bytes.
        precision: number of decimals shown.
        length: the value is a list, and its length is the state.
        options: all possible states of an enum sensor.
        words: instead of options, the word that is shown for each value; any other value is shown as unknown.
        otherwise: what a text sensor shows for null, if that is no unknown value.
        keep: the end that is kept of a text that is too long for a state.
        on: the rendered value that means on.
        off: the rendered value that means off.
        attributes: keys of the payload that become attributes.
        lists: keys of lists in the payload, whose first items become attributes.
        lists_topic: the kind of topic that holds attributes and lists, if it differs from the topic of the state.
        types: the event types of an event entity.
        command: the command that it sends; buttons, switches and numbers exist only if the command is allowed.
        arguments: arguments of the command, in addition to the folder or device.
        argument: the argument that a switch sets to true and false, and a number to its value.
        folder_types: the types of folders that have it; empty for all.
        instead_of: it exists only if this command is not allowed.
        optional: it exists only while its topic is published.
        always: it is available also while Syncthing cannot be reached; that of a bridge, also while it is stopped.
        category: `diagnostic`, `config` or None.
        enabled: whether it is enabled by default.
        icon: its icon, if the default icon of its device class does not fit or does not exist.
        picture: the address of a picture that replaces the icon.
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
    length: bool = False
    options: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
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
    picture: str | None = None

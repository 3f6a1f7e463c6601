"""Keeps the messages received from the broker: the newest payload of every topic, and the last events.

It contains no text of a program that shows it, so that each of them can use it.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from stbridge.core.alerts import DEVICE, FOLDER
from stbridge.core.json_text import cut, on_one_line, read_json
from stbridge.core.messages import Received
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.watch.lines import LONGEST_SHOWN
from stbridge.watch.units import text

KEPT_EVENTS = 100

MOST_INSTANCES = 100
MOST_ENTRIES = 10_000
"""Maximum number of folders, and of devices, that are shown per instance: any client may publish any number."""

MOST_PAIRS = 100_000
"""Maximum number of pairs of a device and a folder per instance."""

MOST_ITEMS = 50

Payload = Mapping[str, Any]
Key = TypeVar("Key", bound=Hashable)

_BY_ID = {"folder": "folders", "device": "devices", "failed": "failed", "conflicts": "conflicts"}
"""The topics of which an instance has one for each folder or device, and their attribute of the board."""


class SeenEvent(NamedTuple):
    """An event or a reply, and when it was received."""

    at: datetime
    instance: str
    address: Address
    payload: Payload


class Place(NamedTuple):
    """A folder or a device of an instance; `kind` is FOLDER or DEVICE."""

    instance: str
    kind: str
    identifier: str


@dataclass(slots=True)
class InstanceBoard:
    """The last payloads of one instance; None if there was none."""

    state: str | None = None
    connection: Payload | None = None
    system: Payload | None = None
    metrics: Payload | None = None
    errors: Payload | None = None
    upgrade: Payload | None = None
    pending: Payload | None = None
    folders: dict[str, Payload] = field(default_factory=dict)
    devices: dict[str, Payload] = field(default_factory=dict)
    failed: dict[str, Payload] = field(default_factory=dict)
    """The failed items, by folder."""
    conflicts: dict[str, Payload] = field(default_factory=dict)
    """The conflict files, by folder."""
    completions: dict[tuple[str, str], Payload] = field(default_factory=dict)
    """How complete a folder is on a device, by the IDs of the device and the folder."""

    def entries(self, kind: str) -> dict[str, Payload]:
        """Return the folders or the devices, by ID; `kind` is that of a place."""
        return self.folders if kind == FOLDER else self.devices


class Board:
    """The messages received so far.

    Args:
        topics: the topics of the bridge.
    """

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.bridge_state: str | None = None
        self.bridge_info: Payload | None = None
        self.bridge_health: Payload | None = None
        self.instances: dict[str, InstanceBoard] = {}
        self.events: deque[SeenEvent] = deque(maxlen=KEPT_EVENTS)

    def places(self) -> list[Place]:
        """Return every folder and device: by instance, folders first, sorted by name."""
        return [
            Place(name, kind, identifier)
            for name, board in sorted(self.instances.items())
            for kind in (FOLDER, DEVICE)
            for identifier in by_name(kind, board.entries(kind))
        ]

    def payload(self, place: Place) -> Payload:
        """Return the payload of a folder or a device; empty if it does not exist any more."""
        board = self.instances.get(place.instance)
        return {} if board is None else board.entries(place.kind).get(place.identifier, {})

    def take(self, received: Received, now: datetime) -> SeenEvent | None:
        """Process a message.

        Args:
            received: the message; it is ignored if it is not a valid message of a bridge.
            now: the current time.

        Returns:
            the event, if the message is an event or a reply.
        """
        parsed = self.topics.parse(received.topic)
        if parsed is None:
            return None
        instance, address = parsed
        if instance == BRIDGE:
            self._take_from_bridge(address, received.payload)
            return None
        if instance not in self.instances and (len(self.instances) >= MOST_INSTANCES or not received.payload):
            return None
        board = self.instances.setdefault(instance, InstanceBoard())
        if address.kind in ("event", "response"):
            if (payload := _object(received.payload)) is None:
                return None
            self.events.append(SeenEvent(now, instance, address, payload))
            return self.events[-1]
        if address.kind == "state":
            board.state = _word(received.payload) or None
        else:
            _put(board, address, _object(received.payload))
        if not received.payload and board == InstanceBoard():  # all its topics are cleared
            del self.instances[instance]
        return None

    def _take_from_bridge(self, address: Address, payload: bytes) -> None:
        if address.kind == "bridge_state":
            self.bridge_state = _word(payload) or None
        elif address.kind in ("bridge_info", "bridge_health"):
            setattr(self, address.kind, _object(payload))


def name_of(place: Place, payload: Payload) -> str:
    """Return the label of a folder or the name of a device; its ID if it has none."""
    return _name(place.kind, place.identifier, payload)


def _name(kind: str, identifier: str, payload: Payload) -> str:
    return text(payload.get("label" if kind == FOLDER else "name")) or on_one_line(identifier)


def by_name(kind: str, entries: Mapping[str, Payload]) -> list[str]:
    """Return the IDs of folders or devices, sorted by name."""
    return sorted(entries, key=lambda one: (_name(kind, one, entries[one]).casefold(), one))


def _put(board: InstanceBoard, address: Address, payload: Payload | None) -> None:
    """Keep the newest payload of a topic; an empty payload clears it."""
    if address.kind in ("connection", "system", "metrics", "errors", "upgrade", "pending"):
        setattr(board, address.kind, payload)
    elif address.kind == "completion":
        _keep(board.completions, (address.device, address.folder), payload, MOST_PAIRS)
    elif address.kind in _BY_ID:
        _keep(getattr(board, _BY_ID[address.kind]), address.folder or address.device, payload, MOST_ENTRIES)


def _keep(entries: dict[Key, Payload], key: Key, payload: Payload | None, most: int) -> None:
    if payload is None:
        entries.pop(key, None)
    elif key in entries or len(entries) < most:
        entries[key] = payload


def _word(payload: bytes) -> str:
    return on_one_line(cut(payload.decode("utf-8", "replace"), LONGEST_SHOWN))


def _object(payload: bytes) -> Payload | None:
    try:
        value = read_json(payload)
        return _plain(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Replace control characters in texts, and truncate texts and lists to the length that is shown."""
    if isinstance(value, str):
        return on_one_line(cut(value, LONGEST_SHOWN))
    if isinstance(value, dict):
        return {on_one_line(cut(key, LONGEST_SHOWN)): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value[:MOST_ITEMS]] if isinstance(value, list) else value

"""Keeps the messages received from the broker: the newest payload of every topic, and the last events."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from stbridge.core.json_text import cut, on_one_line, read_json
from stbridge.core.messages import Received
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.watch.lines import LONGEST_SHOWN

KEPT_EVENTS = 100

MOST_INSTANCES = 100
MOST_ENTRIES = 10_000
"""Maximum number of folders, and of devices, that are shown per instance: any client may publish any number."""

MOST_ITEMS = 50

Payload = Mapping[str, Any]


class SeenEvent(NamedTuple):
    """An event or a reply, and when it was received."""

    at: datetime
    instance: str
    address: Address
    payload: Payload


class Place(NamedTuple):
    """A folder of an instance."""

    instance: str
    folder: str


@dataclass(slots=True)
class InstanceBoard:
    """The last payloads of one instance; None if there was none."""

    state: str | None = None
    system: Payload | None = None
    metrics: Payload | None = None
    connection: Payload | None = None
    folders: dict[str, Payload] = field(default_factory=dict)
    devices: dict[str, Payload] = field(default_factory=dict)


class Board:
    """The messages received so far.

    Args:
        topics: the topics of the bridge.
    """

    def __init__(self, topics: Topics) -> None:
        self.bridge_state: str | None = None
        self.instances: dict[str, InstanceBoard] = {}
        self.events: deque[SeenEvent] = deque(maxlen=KEPT_EVENTS)
        self._topics = topics

    def places(self) -> list[Place]:
        """Return every folder, in the order on the screen."""
        return [
            Place(name, folder) for name, board in sorted(self.instances.items()) for folder in sorted(board.folders)
        ]

    def take(self, received: Received, now: datetime) -> SeenEvent | None:
        """Process a message.

        Args:
            received: the message; it is ignored if it is not a valid message of a bridge.
            now: the current time.

        Returns:
            the event, if the message is an event or a reply.
        """
        parsed = self._topics.parse(received.topic)
        if parsed is None:
            return None
        instance, address = parsed
        if instance == BRIDGE:
            if address.kind == "bridge_state":
                self.bridge_state = _word(received.payload)
            return None
        if instance not in self.instances and len(self.instances) >= MOST_INSTANCES:
            return None
        board = self.instances.setdefault(instance, InstanceBoard())
        if address.kind == "state":
            board.state = _word(received.payload) or None
            return None
        payload = _object(received.payload)
        if address.kind in ("event", "response") and payload is not None:
            self.events.append(SeenEvent(now, instance, address, payload))
            return self.events[-1]
        _put(board, address, payload)
        return None


def _put(board: InstanceBoard, address: Address, payload: Payload | None) -> None:
    """Keep the newest payload of a topic; an empty payload clears it."""
    if address.kind in ("system", "metrics", "connection"):
        setattr(board, address.kind, payload)
    elif address.kind in ("folder", "device"):
        entries = board.folders if address.kind == "folder" else board.devices
        identifier = address.folder or address.device
        if payload is None:
            entries.pop(identifier, None)
        elif identifier in entries or len(entries) < MOST_ENTRIES:
            entries[identifier] = payload


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

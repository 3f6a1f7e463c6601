"""What the page shows: the newest payloads of all bridges and instances, and what has changed since the last tick.

It is not thread-safe, and reads no clock.
"""

from array import array
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from stbridge.core.timing import in_utc
from stbridge.core.topics import BRIDGE, Address
from stbridge.web import reading
from stbridge.web.bases import BaseTopics
from stbridge.web.matrix import Matrix, own_value, reported_value
from stbridge.web.tree import Path, Tree

MOST_INSTANCES = 1000
MOST_REPORTS = 1_000_000
"""Maximum number of completions of all instances together."""

MOST_BYTES = 200_000_000
"""Maximum size of the other payloads together; each topic counts for at least LEAST_BYTES."""

LEAST_BYTES = 500

MOST_EVENTS = 200
"""How many events the page shows."""

RATE_POINTS = 360
"""Number of points of the graphs: one hour, with one point every 10 s."""

SHORT_ID = 7

_ROOTS: Mapping[str, tuple[str, str]] = {
    "bridge_state": ("bridges", "state"),
    "bridge_info": ("bridges", "info"),
    "bridge_health": ("bridges", "health"),
    "state": ("instances", "state"),
    "connection": ("instances", "connection"),
    "system": ("instances", "system"),
    "metrics": ("instances", "metrics"),
    "errors": ("instances", "errors"),
    "pending": ("instances", "pending"),
    "upgrade": ("instances", "upgrade"),
    "folder": ("instances", "folders"),
    "failed": ("instances", "failed"),
    "conflicts": ("instances", "conflicts"),
    "device": ("instances", "devices"),
}
"""Where the payload of each kind of topic is in the tree; those of folders and devices are below their ID."""

_OF_BRIDGES = frozenset(("event", *(kind for kind, (root, _) in _ROOTS.items() if root == "bridges")))
"""The kinds of topics that a bridge has itself."""


class Place(NamedTuple):
    """What a retained topic is about; for a completion, `kind` is `completion`."""

    base: str
    instance: str
    address: Address


class Fleet:
    """The state of every bridge below some base topics.

    Args:
        bases: the base topics.
    """

    def __init__(self, bases: BaseTopics) -> None:
        self.bases = bases
        """The base topics."""
        self.tree = Tree()
        self.matrix = Matrix()
        self.events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self._new_events: list[dict[str, Any]] = []
        self._rates: dict[str, tuple[array[float], array[float]]] = {}
        self._unconfirmed: set[Place] | None = None
        self._sizes: dict[Path, int] = {}
        self._bytes = 0

    # --- messages

    def take(self, topic: str, payload: bytes, now: datetime) -> None:
        """Process a message; one that no bridge publishes is ignored.

        Args:
            topic: its topic.
            payload: its payload.
            now: the current time.
        """
        parsed = self.bases.parse(topic)
        if parsed is None:
            return
        place = Place(*parsed)
        if place.instance == BRIDGE and place.address.kind not in _OF_BRIDGES:
            return  # no instance has this name
        if self._unconfirmed:
            self._unconfirmed.discard(place)
        try:
            if place.address.kind == "event":
                self._take_event(place, payload, now)
            elif place.address.kind == "completion":
                self._take_completion(place, payload)
            elif place.address.kind in _ROOTS:
                self._take_state(place, payload)
        except ValueError:
            return

    def _take_event(self, place: Place, payload: bytes, now: datetime) -> None:
        event = reading.read_event(payload)
        event.setdefault("time", in_utc(now))
        entry = {**event, "instance": _key(place), "event_type": reading.shown(place.address.name)}
        self.events.append(entry)
        self._new_events.append(entry)
        del self._new_events[:-MOST_EVENTS]

    def _take_completion(self, place: Place, payload: bytes) -> None:
        key, address = _key(place), place.address
        value = reported_value(reading.read("completion", payload)) if payload else None
        if value is None and key not in self.matrix:
            return
        known = self.matrix.has_report(key, address.device, address.folder)
        if value is None or known or (self.matrix.reports < MOST_REPORTS and self._has_room(key)):
            self.matrix.set_report(key, address.device, address.folder, value)
        if self.tree.get("instances", key) is None and not any(self.matrix.reports_of(key)):
            self.matrix.remove(key)

    def _take_state(self, place: Place, payload: bytes) -> None:
        kind, key = place.address.kind, _key(place)
        value: Any = None
        if kind in ("bridge_state", "state"):
            value = reading.word(payload) or None
        elif payload:
            value = reading.read(kind, payload)
        path = _path(place)
        if not self._reserve(path, 0 if value is None else len(payload) + LEAST_BYTES):
            value = None
        if self.tree.put(path, value):
            self._changed(key, place, value)

    def _reserve(self, path: Path, size: int) -> bool:
        """Return whether there is room for a payload, and count its size."""
        self._bytes -= self._sizes.pop(path, 0)
        fits = self._bytes + size <= MOST_BYTES and (path[0] == "bridges" or self._has_room(path[1]))
        if size and fits:
            self._sizes[path] = size
            self._bytes += size
        return fits

    def _has_room(self, key: str) -> bool:
        return key in self.matrix or self.matrix.instances < MOST_INSTANCES

    def _changed(self, key: str, place: Place, value: Any) -> None:
        """Update the matrix after a change of the tree."""
        match place.address.kind:
            case "bridge_state":
                prefix = f"{place.base}/"
                for one in self.tree.get("instances") or ():
                    if one.startswith(prefix) and "/" not in one[len(prefix) :]:
                        self._note_instance(one)
            case "state" | "system":
                self._note_instance(key)
            case "folder":
                self.matrix.set_folder(key, place.address.folder, None if value is None else own_value(value))
            case "device":
                connected = value is not None and value.get("connected") is True
                self.matrix.set_connected(key, place.address.device, connected=connected)
        if value is None and place.instance != BRIDGE and self.tree.get("instances", key) is None:
            self.matrix.remove(key)
        elif place.instance != BRIDGE:
            self.matrix.add(key)

    def _note_instance(self, key: str) -> None:
        device = self.tree.get("instances", key, "system", "device_id") or ""
        self.matrix.set_instance(key, online=self.is_online(key), device=device[:SHORT_ID])

    def is_online(self, key: str) -> bool:
        """Return whether what an instance publishes is up to date."""
        base, _, _name = key.rpartition("/")
        states = (self.tree.get("bridges", base, "state"), self.tree.get("instances", key, "state"))
        return states == ("online", "online")

    # --- topics that were cleared while there was no connection

    def expect_again(self) -> None:
        """Note that the broker sends every retained message again."""
        self._unconfirmed = set(self._places())

    @property
    def topics(self) -> int:
        """The number of topics that are kept."""
        return len(self._sizes) + self.matrix.reports

    def unconfirmed(self) -> int | None:
        """Return how many topics the broker has not sent again yet; None if none is expected."""
        return None if self._unconfirmed is None else len(self._unconfirmed)

    def unconfirmed_topics(self) -> list[str]:
        """Return the topics that the broker has not sent again yet."""
        return self.bases.topics_of(self._unconfirmed or ())

    def confirm(self, found: Mapping[str, bytes], now: datetime) -> None:
        """Process the messages that the page has asked for, except where the broker has sent a newer one.

        Args:
            found: payloads by topic.
            now: the current time.
        """
        for topic, payload in found.items():
            parsed = self.bases.parse(topic)
            if parsed and self._unconfirmed and Place(*parsed) in self._unconfirmed:
                self.take(topic, payload, now)

    def remove_unconfirmed(self) -> None:
        """Remove the topics that the broker has not sent again."""
        for place in self._unconfirmed or ():
            if place.address.kind == "completion":
                self._take_completion(place, b"")
            else:
                self._take_state(place, b"")
        self._unconfirmed = None

    def _places(self) -> list[Place]:
        places = [
            Place(base, BRIDGE, Address(kind))
            for base, bridge in (self.tree.get("bridges") or {}).items()
            for kind, (root, branch) in _ROOTS.items()
            if root == "bridges" and branch in bridge
        ]
        for key, instance in (self.tree.get("instances") or {}).items():
            base, _, name = key.rpartition("/")
            for kind, (root, branch) in _ROOTS.items():
                if root != "instances" or branch not in instance:
                    continue
                if kind == "device":
                    places += (Place(base, name, Address(kind, device=one)) for one in instance[branch])
                elif kind in ("folder", "failed", "conflicts"):
                    places += (Place(base, name, Address(kind, one)) for one in instance[branch])
                else:
                    places.append(Place(base, name, Address(kind)))
            places += (Place(base, name, Address("completion", *pair[::-1])) for pair in self.matrix.reports_of(key))
        return places

    # --- results

    def sample_rates(self) -> dict[str, list[int]]:
        """Add a point to each graph, and return the points: bytes per second received and sent, -1 if unknown."""
        points: dict[str, list[int]] = {}
        for key, instance in (self.tree.get("instances") or {}).items():
            metrics = instance.get("metrics", {}) if self.is_online(key) else {}
            points[key] = [_whole(metrics.get(name)) for name in ("in_rate", "out_rate")]
        self._rates = {key: self._rates.get(key, (array("f"), array("f"))) for key in points}
        for key, values in points.items():
            for series, value in zip(self._rates[key], values, strict=True):
                series.append(value)
                del series[:-RATE_POINTS]
        return points

    def take_changes(self) -> dict[str, Any]:
        """Return what has changed since the last call, without keys for what has not."""
        events, self._new_events = self._new_events, []
        changes = {"patch": self.tree.take_patch(), "events": events, "matrix": self.matrix.take_changes()}
        return {key: value for key, value in changes.items() if value}

    def whole(self) -> dict[str, Any]:
        """Return everything; changes that `take_changes` has not returned yet are in it, too."""
        rates = {key: [[round(value) for value in series] for series in both] for key, both in self._rates.items()}
        return {"tree": self.tree.root, "events": list(self.events), "matrix": self.matrix.whole(), "rates": rates}


def _key(place: Place) -> str:
    """Return the name of an instance among all bridges, or of a bridge: its base topic."""
    return place.base if place.instance == BRIDGE else f"{place.base}/{place.instance}"


def _path(place: Place) -> Path:
    root, branch = _ROOTS[place.address.kind]
    entry = place.address.folder or place.address.device
    return (root, _key(place), branch, entry) if entry else (root, _key(place), branch)


def _whole(value: object) -> int:
    return round(value) if isinstance(value, int | float) else -1

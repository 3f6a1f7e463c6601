"""Finds a bridge's own retained messages below a base topic, which other programs may use, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stbridge.core.json_text import read_json
from stbridge.core.payloads import OFFLINE, ONLINE
from stbridge.core.slow_topics import SLOW
from stbridge.core.topics import BRIDGE, Address, Topics

_AVAILABILITY = frozenset({ONLINE.encode(), OFFLINE.encode()})

_OF_KIND: dict[str, frozenset[str]] = {
    "bridge_info": frozenset({"version", "started_at", "instances", "commands"}),
    "bridge_health": frozenset({"uptime_s", "queued", "sent"}),
    "bridge_discovery": frozenset({"topics"}),
    "bridge_sentinel": frozenset({"started_at"}),
    "connection": frozenset({"status", "message", "since"}),
    "system": frozenset({"device_id", "in_sync", "all_in_sync", "folders", "devices"}),
    "metrics": frozenset({"in_bytes", "in_bytes_lifetime", "goroutines"}),
    "errors": frozenset({"count", "items"}),
    "upgrade": frozenset({"installed_version", "latest_version"}),
    "pending": frozenset({"devices", "folders"}),
    "folder": frozenset({"id", "label", "paused", "completion", "need_bytes", "global_bytes"}),
    "failed": frozenset({"count", "items"}),
    "conflicts": frozenset({"count", "items"}),
    "device": frozenset({"id", "name", "paused", "connected", "completion", "need_bytes"}),
    "completion": frozenset({"completion", "need_bytes", "remote_state"}),
}

_KEYS = _OF_KIND | {copy: _OF_KIND[kind] for kind, copy in SLOW.items()}
"""Keys that every version publishes in the payloads of a kind; missing kinds have no JSON object as payload."""

_PROOF = frozenset({"connection", "system", "metrics", "folder", "device", "completion"})
"""Kinds whose keys no other program is likely to use; they prove that an instance belongs to the bridge."""

_LAST = ("connection", "bridge_health", "bridge_state", "bridge_info")
"""These topics prove the ownership of the others; clearing them last lets an interrupted purge be repeated."""


def _keys(payload: bytes) -> frozenset[str]:
    try:
        value = read_json(payload)
    except ValueError:
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _instances(info: bytes) -> list[str]:
    try:
        named = read_json(info)["instances"]
    except (ValueError, LookupError, TypeError):
        return []
    return [one for one in named if isinstance(one, str)] if isinstance(named, list) else []


@dataclass(slots=True)
class OwnTopics:
    """Finds the bridge's own topics, in one or more reads of the retained messages of a broker.

    Attributes:
        topics: the topics of the bridge.
        instances: instances that provably belong to the bridge: by `bridge/info`, by a payload, or by the caller.
    """

    topics: Topics
    instances: set[str] = field(default_factory=set)
    _has_bridge: bool = False

    def find(self, payloads: Mapping[str, bytes]) -> list[str]:
        """Return the bridge's own topics, in the order in which to clear them.

        Args:
            payloads: retained messages by topic; other programs may have published some of them.
        """
        found = {topic: one for topic in payloads if (one := self.topics.parse(topic)) is not None}
        fitting = {topic: one for topic, one in found.items() if _fits(one[1], payloads[topic])}
        for topic, (instance, address) in fitting.items():
            if address.kind == "bridge_info":
                self._has_bridge = True
                self.instances.update(_instances(payloads[topic]))
            elif address.kind in _PROOF:
                self.instances.add(instance)
        foreign_info = any(one[1].kind == "bridge_info" and topic not in fitting for topic, one in found.items())
        ours = [topic for topic, (instance, _) in fitting.items() if self._is_ours(instance, foreign_info=foreign_info)]
        return sorted(ours, key=lambda topic: _LAST.index(kind) if (kind := found[topic][1].kind) in _LAST else -1)

    def _is_ours(self, instance: str, *, foreign_info: bool) -> bool:
        """Return whether an instance belongs to the bridge; Zigbee2MQTT, too, may publish a `bridge/info`."""
        if instance == BRIDGE:
            return self._has_bridge or (bool(self.instances) and not foreign_info)
        return instance in self.instances


def _fits(address: Address, payload: bytes) -> bool:
    if address.kind in ("state", "bridge_state"):
        return payload in _AVAILABILITY
    required = _KEYS.get(address.kind)
    return required is not None and required <= _keys(payload)

"""Which of the retained messages below a base topic are a bridge's own: other programs may use the base topic, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stbridge.core.json_text import read_json
from stbridge.core.payloads import OFFLINE, ONLINE
from stbridge.core.topics import BRIDGE, Address, Topics

_AVAILABILITY = frozenset({ONLINE.encode(), OFFLINE.encode()})

_KEYS: Mapping[str, frozenset[str]] = {
    "bridge_info": frozenset({"version", "started_at", "instances", "commands"}),
    "bridge_health": frozenset({"uptime_s", "queued", "sent"}),
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
"""Keys that every version publishes in the payloads of a kind; that of the missing kinds is availability."""

_PROOF = frozenset({"connection", "system", "metrics", "folder", "device", "completion"})
"""The kinds whose keys no other program is likely to have: they prove whose the instance is."""

_LAST = ("connection", "bridge_health", "bridge_state", "bridge_info")
"""The proof of the others is cleared last, so that a purge that is interrupted can be repeated."""


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
    """Finds the bridge's own topics, in one or more readings of what the broker keeps.

    Attributes:
        topics: the topics of the bridge.
        instances: the instances that are proven to be the bridge's: by `bridge/info`, by a payload, or by the caller.
    """

    topics: Topics
    instances: set[str] = field(default_factory=set)
    _has_bridge: bool = False

    def find(self, payloads: Mapping[str, bytes]) -> list[str]:
        """Return the topics that are the bridge's own, in the order in which to clear them.

        Args:
            payloads: retained messages by topic; anything may be among them.
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
        """Tell whether the topics of an instance are ours; `bridge/info` may be another program's (Zigbee2MQTT)."""
        if instance == BRIDGE:
            return self._has_bridge or (bool(self.instances) and not foreign_info)
        return instance in self.instances


def _fits(address: Address, payload: bytes) -> bool:
    if address.kind in ("state", "bridge_state"):
        return payload in _AVAILABILITY
    required = _KEYS.get(address.kind)
    return required is not None and required <= _keys(payload)

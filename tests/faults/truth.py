"""What a bridge that was just started would publish: to be compared with what one publishes that has seen a lot."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stbridge.core.observations import Restored, SnapshotComplete, SnapshotStarted
from stbridge.core.payloads import render
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Topics
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.reads import Reader

TOPICS = Topics("syncthing")

MOVING: Mapping[str, frozenset[str]] = {
    "connection": frozenset({"since"}),
    "metrics": frozenset(
        f"{way}_{what}" for way in ("in", "out") for what in ("bytes", "rate", "bytes_lifetime")
    ) | {"memory_bytes", "goroutines", "uptime_s"},
    "folder": frozenset({"state_changed_at", "last_scan_at", "out_of_sync_since", "scan_progress"}),
    "device": frozenset({"in_bytes", "out_bytes", "in_rate", "out_rate", "last_seen_at", "unseen_since"}),
}  # fmt: skip
"""Keys, by kind of topic, that move by themselves, or tell when the bridge saw something."""

Tree = Mapping[str, Any]


def fixed(tree: Mapping[str, bytes]) -> Tree:
    """Return what there is below the instances in a tree of retained topics, without the keys that move."""
    found: dict[str, Any] = {}
    for topic, payload in tree.items():
        parsed = TOPICS.parse(topic)
        if parsed is None or parsed[0] == "bridge":
            continue
        kind = parsed[1].kind
        moving = MOVING.get(kind, frozenset())
        found[topic] = (
            payload.decode()
            if kind == "state"
            else {key: _kept(key, value) for key, value in json.loads(payload).items() if key not in moving}
        )
    return found


def _kept(key: str, value: Any) -> Any:
    """Leave out since when something is amiss, and its words, which may tell numbers; and which item came first."""
    if key == "out_of_sync_since":
        return value is not None
    if key == "items":
        return sorted(value, key=str)
    return [one["code"] for one in value or ()] if key == "problems" else value


def truth(instance: str, node: SyncthingNode) -> Tree:
    """Read a Syncthing as a fresh bridge does, and return what that would publish.

    Args:
        instance: the name of the instance.
        node: the Syncthing.
    """
    state, now = State(), datetime.now(UTC)
    with SyncthingClient(node.api_key, node.url) as client:
        reader = Reader(client, instance)
        *found, left = reader.snapshot()
        observations = [Restored(payloads={}), SnapshotStarted(), *found, SnapshotComplete(), left]
        while observations:
            for observation in observations:
                apply(state, observation, now)
            conclude(state, now)
            asked = [read for read in state.take_outcome().reads if read.what != "upgrade"]
            observations = [observation for read in asked for observation in reader.read(read)]
    rendered = {TOPICS.build(instance, address): render(state, address) for address in state.everything()}
    return fixed({topic: payload for topic, payload in rendered.items() if payload})


def differences(tree: Tree, true: Tree) -> list[str]:
    """Return where a tree is not what it should be, a line for each topic or key."""
    lines = [f"{topic} is left" for topic in tree.keys() - true.keys()]
    lines += [f"{topic} is missing" for topic in true.keys() - tree.keys()]
    for topic in sorted(tree.keys() & true.keys()):
        is_, should = tree[topic], true[topic]
        if isinstance(is_, dict) and isinstance(should, dict):
            keys = sorted(is_.keys() | should.keys())
            lines += [f"{topic} {key}: {is_.get(key)!r} should be {should.get(key)!r}"
                      for key in keys if is_.get(key) != should.get(key)]  # fmt: skip
        elif is_ != should:
            lines.append(f"{topic}: {is_!r} should be {should!r}")
    return lines

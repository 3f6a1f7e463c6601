"""The topics that a newly started bridge would publish, for comparison with those of a long-running bridge."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stbridge.core.observations import Restored, SnapshotComplete, SnapshotStarted
from stbridge.core.payloads import render
from stbridge.core.rules import apply, conclude
from stbridge.core.slow_topics import copies
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
"""Keys by kind of topic that change without an event, or contain a time at which the bridge saw something."""

Tree = Mapping[str, Any]


def fixed(tree: Mapping[str, bytes]) -> Tree:
    """Return the retained topics of the instances, without the keys that change by themselves."""
    found: dict[str, Any] = {}
    originals = copies(TOPICS, tree)
    for topic, payload in tree.items():
        if originals.get(topic) in tree:
            continue  # a slow copy, which may be older
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
    """Reduce values that differ between correct bridges: start times, problem texts, the order of items."""
    if key == "out_of_sync_since":
        return value is not None
    if key == "items":
        return sorted(value, key=str)
    return [one["code"] for one in value or ()] if key == "problems" else value


def truth(instance: str, node: SyncthingNode) -> Tree:
    """Read a Syncthing instance as a new bridge does, and return the topics that it would publish.

    Args:
        instance: the name of the instance.
        node: the Syncthing instance.
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
    """Return the differences from the expected topics, one line for each topic or key."""
    lines = [f"{topic} is left over" for topic in tree.keys() - true.keys()]
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

"""Topics of made-up bridges, for the tests of the web page."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stbridge.web.bases import BaseTopics
from stbridge.web.fleet import Fleet

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NAS, LAPTOP, PHONE = "NASNASN", "LAPTOP1", "PHONE11"

FOLDER: Mapping[str, Any] = {
    "id": "photos",
    "label": "Photos",
    "path": "/data/photos",
    "type": "sendreceive",
    "paused": False,
    "state": "idle",
    "status": "up_to_date",
    "completion": 100,
    "in_sync": True,
    "global_bytes": 3_000_000,
    "need_bytes": 0,
    "need_total_items": 0,
    "failed": 0,
    "conflicts": 0,
    "problem": False,
    "problems": [],
}
DEVICE: Mapping[str, Any] = {
    "id": LAPTOP,
    "name": "laptop",
    "paused": False,
    "status": "up_to_date",
    "connected": True,
    "completion": 100,
    "last_seen_at": "2026-11-28T11:59:00Z",
    "in_rate": 0,
    "out_rate": 12_500,
}
SYSTEM: Mapping[str, Any] = {
    "name": "nas",
    "device_id": f"{NAS}-AAAAAAA-BBBBBBB",
    "version": "v2.1.3",
    "state": "idle",
    "in_sync": True,
    "all_in_sync": True,
    "need_bytes": 0,
    "folders": {"total": 1, "paused": 0, "syncing": 0, "out_of_sync": 0, "error": 0},
    "devices": {"total": 1, "connected": 1, "paused": 0, "out_of_sync": 0},
    "problem": False,
    "problems": [],
}
INFO: Mapping[str, Any] = {
    "version": "0.1.0",
    "started_at": "2026-11-28T08:00:00Z",
    "mqtt_protocol": "5",
    "broker": "localhost:1883",
    "instances": ["nas"],
    "commands": ["clear_errors", "pause", "resume", "scan"],
}

TREE: Mapping[str, Any] = {
    "bridge/state": "online",
    "bridge/info": INFO,
    "nas/state": "online",
    "nas/connection": {"status": "online", "message": "", "since": "2026-11-28T08:00:00Z"},
    "nas/system": SYSTEM,
    "nas/metrics": {"in_rate": 250_000, "out_rate": 0},
    "nas/folder/photos": FOLDER,
    f"nas/device/{LAPTOP}": DEVICE,
    f"nas/completion/{LAPTOP}/photos": {"completion": 100, "need_bytes": 0, "remote_state": "valid"},
}
"""The topics of a bridge below its base topic."""


def payload_of(value: Any) -> bytes:
    """Return a payload in the format of the bridge."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def fleet_with(
    tree: Mapping[str, Any], *, base: str = "syncthing", patterns: tuple[str, ...] = ("syncthing",)
) -> Fleet:
    """Return a fleet that has received these topics."""
    fleet = Fleet(BaseTopics(patterns, strict=False))
    feed(fleet, tree, base=base)
    return fleet


def feed(fleet: Fleet, tree: Mapping[str, Any], *, base: str = "syncthing") -> None:
    """Let a fleet receive these topics."""
    for topic, value in tree.items():
        fleet.take(f"{base}/{topic}", payload_of(value), NOW)

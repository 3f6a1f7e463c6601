"""Syncthing 2.x migrates the 1.x database without its timestamps; the bridge restores them from the broker."""

import json
from pathlib import Path
from typing import Any

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance, newest_syncthing


def _migrated(home: Path, old: SyncthingNode) -> SyncthingNode:
    """Return a node of the newest Syncthing that uses an existing home directory."""
    new = SyncthingNode(old.name, home, newest_syncthing("2"))
    new.gui_port, new.sync_port = old.gui_port, old.sync_port
    return new


def test_last_seen_survives_the_migration_to_syncthing_2(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Syncthing 2.x has no last-seen times; the broker keeps them, also over a restart of the bridge."""
    alpha = SyncthingNode("alpha", tmp_path / "a", newest_syncthing("1"))
    beta = SyncthingNode("beta", tmp_path / "b", newest_syncthing("1"))
    nodes = [alpha, beta]
    bridge: BridgeProcess | None = None
    try:
        for node in nodes:
            node.start()
        alpha.link(beta)
        for here, there in ((alpha, beta), (beta, alpha)):
            here.share("docs", tmp_path / here.name, devices=[there])
        alpha.wait_for(lambda: alpha.is_connected(beta) and alpha.is_idle("docs") and beta.is_idle("docs"))
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", alpha)}
        bridge = BridgeProcess(tmp_path, variables).start()
        device = f"syncthing/alpha/device/{short_id(beta.device_id)}"
        (tmp_path / "beta" / "report.txt").write_bytes(b"from beta")
        subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["last_file"] == "report.txt")
        beta.stop()
        subscriber.wait_for_json(device, lambda one: not one["connected"] and one["last_seen_at"])
        bridge.stop()
        subscriber.wait_for_payload("syncthing/bridge/state", b"offline")
        before = json.loads(subscriber.latest()[device])
        folder = subscriber.latest()["syncthing/alpha/folder/docs"]
        alpha.stop()

        nodes[0] = _migrated(tmp_path / "a", alpha)
        nodes[0].start()
        statistics = nodes[0].request("GET", "/rest/stats/device")[beta.device_id]
        assert statistics["lastSeen"].startswith("1970"), "else there is nothing to be remembered"
        since = subscriber.count
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
        after = subscriber.wait_for_json(device, since=since)
        assert (after["last_seen_at"], after["unseen_since"]) == (before["last_seen_at"], before["unseen_since"])
        assert eventually(lambda: _file(subscriber)) == _file_of(json.loads(folder))
    finally:
        if bridge is not None:
            bridge.stop()
        for node in nodes:
            node.stop()


def _file(subscriber: Subscriber) -> Any:
    return _file_of(json.loads(subscriber.latest()["syncthing/alpha/folder/docs"]))


def _file_of(folder: dict[str, Any]) -> Any:
    return [folder[key] for key in ("last_file", "last_file_at", "last_file_deleted")]

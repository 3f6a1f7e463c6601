"""Features of brokers other than Mosquitto, and behavior of the bridge with each of them."""

import itertools
import json
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import stage
from benchmarks.other_brokers import Start, brokers
from benchmarks.peer import PATIENCE_S, Peer
from benchmarks.section import Section, Table
from stbridge.demo.node import SyncthingNode
from tests.servers import ROOT

YES, NO, NOTHING = "yes", "no", "-"
FOLDER, ODD_FOLDER = "docs", "my photos 2.0"
"""The second ID contains characters that not every broker supports in a topic."""

QUIET_S = 1.5
ONLINE_S = 15.0
ANY_PORT = re.compile(r"127\.0\.0\.1:\d+")


def run(_quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Test every broker; there is no quick variant."""
    subprocess.run([ROOT / "scripts/brokers"], check=False)
    tried = {name: _try(name, start) for name, start in brokers().items()}
    names = list(tried)
    rows = [[what, *(tried[name].get(what, NOTHING) for name in names)] for what in next(iter(tried.values()))]
    supports, does = rows[: len(SUPPORTS) + 1], rows[len(SUPPORTS) + 1 :]
    return Section(
        title="Other brokers",
        summary=[
            (
                "Broker features, tested with a plain MQTT client, and the bridge with a real Syncthing instance."
                " `scripts/brokers` installs the brokers; [Brokers](../docs/brokers.md) explains the results."
            ),
        ],
        tables=[
            Table(title="Features of the brokers", head=["", *names], rows=supports),
            Table(title="The bridge with these brokers", head=["", *names], rows=does),
        ],
    )


def _try(name: str, start: Start) -> Mapping[str, str]:
    """Return the results for a broker; failures are results too."""
    print(f"brokers: {name}", flush=True)  # noqa: T201 - progress
    found: dict[str, str] = {}
    with stage.directory() as where, start(where) as port:
        version = "5" if _speaks(port, "5") else "3.1.1"
        found["MQTT"] = version
        for what, (least, probe) in SUPPORTS.items():
            found[what] = NOTHING if least == "5" != version else YES if probe(port, version) else NO
        with stage.syncthing(where) as node:
            node.share(FOLDER, where / FOLDER)
            bridge = Bridge(where, port, version, node)
            for what, look in DOES.items():
                try:
                    found[what] = look(bridge)
                except AssertionError as error:
                    found[what] = f"**fails** ({error})"
            bridge.stop()
    return found


# --- features of a broker


def _speaks(port: int, version: str) -> bool:
    one = Peer(port, version, "asks")
    try:
        return one.connect()
    finally:
        one.__exit__()


def _keeps(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        one.publish("probe/kept/here", b"kept", retain=True)
    with Peer(port, version, "b") as one:
        one.subscribe("probe/kept/#")
        return one.hears(lambda message: message.retain and message.payload == b"kept") is not None


def _has_wills(port: int, version: str) -> bool:
    with Peer(port, version, "a") as witness:
        witness.subscribe("probe/will")
        mortal = Peer(port, version, "b", will="probe/will")
        mortal.connect()
        mortal.drop()
        if witness.hears(lambda message: message.payload == b"gone") is None:
            return False
    with Peer(port, version, "c") as one:
        one.subscribe("probe/will")
        return one.hears(lambda message: message.retain and message.payload == b"gone") is not None


def _keeps_sessions(port: int, version: str) -> bool:
    with Peer(port, version, "returns", kept=True) as one:
        one.subscribe("probe/session")
    with Peer(port, version, "a") as other:
        other.publish("probe/session", b"meanwhile")
    with Peer(port, version, "returns", kept=True) as one:
        return one.hears(lambda message: message.payload == b"meanwhile") is not None


def _asks_for_replies(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        one.subscribe("probe/asked")
        one.publish("probe/asked", b"?", ResponseTopic="probe/reply", CorrelationData=b"17")
        message = one.hears(lambda message: message.payload == b"?")
    given = message.properties if message else None
    return [getattr(given, name, None) for name in ("ResponseTopic", "CorrelationData")] == ["probe/reply", b"17"]


def _lets_expire(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        one.publish("probe/expires", b"old", retain=True, MessageExpiryInterval=1)
        threading.Event().wait(2.5)
        one.subscribe("probe/expires")
        return one.hears(lambda message: message.payload == b"old", 1) is None


def _shares(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        granted = one.subscribe("$share/group/probe/shared")
        one.publish("probe/shared", b"one of us")
        return granted and one.hears(lambda message: message.payload == b"one of us") is not None


def _keeps_retain_flag(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        one.subscribe("probe/flag", as_published=True)
        one.publish("probe/flag", b"flagged", retain=True)
        return one.hears(lambda message: message.retain and message.payload == b"flagged") is not None


def _takes_any_topic(port: int, version: str) -> bool:
    with Peer(port, version, "a") as one:
        one.subscribe("probe/any/#")
        one.publish(f"probe/any/{ODD_FOLDER}", b"odd")
        return one.hears(lambda message: message.topic == f"probe/any/{ODD_FOLDER}") is not None


SUPPORTS: Mapping[str, tuple[str, Callable[[int, str], bool]]] = {
    "retained messages, found by wildcards": ("3.1.1", _keeps),
    "retained last wills": ("3.1.1", _has_wills),
    "QoS 1 to the session of a disconnected client": ("3.1.1", _keeps_sessions),
    "topics with a space and a dot": ("3.1.1", _takes_any_topic),
    "shared subscriptions": ("3.1.1", _shares),
    "response topic, correlation data": ("5", _asks_for_replies),
    "message expiry, also of retained messages": ("5", _lets_expire),
    "retain as published": ("5", _keeps_retain_flag),
}
"""Tested features, each with its minimum MQTT version."""


# --- the bridge


class Bridge:
    """The bridge and its test clients.

    Args:
        where: the directory of the test.
        port: of the broker.
        version: the MQTT version of the test clients.
        node: the Syncthing instance.
    """

    def __init__(self, where: Path, port: int, version: str, node: SyncthingNode) -> None:
        self.node = node
        self.where = where
        self._port = port
        self._version = version
        self._process = stage.new_bridge(where, port, node)
        self._names = itertools.count(1)
        self._log = where / "bridge/stbridge.log"

    def start(self) -> None:
        """Start it, and wait until it is online."""
        with self.client() as one:
            one.subscribe("syncthing/bridge/state")
            self._process.start()
            assert one.hears(lambda message: message.payload == b"online" and not message.retain, ONLINE_S), (
                self._last_words()
            )

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8").splitlines()
        warnings = [line.partition(" WARNING ")[2].strip() for line in lines if " WARNING " in line]
        return ANY_PORT.sub("the broker", warnings[-1]) if warnings else "it is not online"

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()

    def client(self) -> Peer:
        """Return a client that is not connected."""
        return Peer(self._port, self._version, f"beside-{next(self._names)}")

    def retained(self) -> Mapping[str, bytes]:
        """Return the retained messages of the broker."""
        with self.client() as one:
            one.subscribe("syncthing/#")
            one.hears(lambda _: False, QUIET_S)
            return {message.topic: bytes(message.payload) for message in one.messages if message.retain}

    def ask(self, one: Peer, command: str) -> None:
        """Send a command."""
        one.publish(f"syncthing/alpha/command/{command}", b"{}", ResponseTopic="probe/replies")

    def is_answered(self, one: Peer) -> bool:
        """Return whether a reply arrives, with MQTT 5 on the response topic."""
        topic = "probe/replies" if one.modern else "syncthing/alpha/response/get_ping"
        return one.hears(lambda message: message.topic == topic, PATIENCE_S) is not None


def _publishes(bridge: Bridge) -> str:
    bridge.start()
    tree = bridge.retained()
    assert f"syncthing/alpha/folder/{FOLDER}" in tree, "the folder is missing"
    return f"{len(tree)} topics by MQTT {json.loads(tree['syncthing/bridge/info'])['mqtt_protocol']}"


def _carries_out(bridge: Bridge) -> str:
    with bridge.client() as one:
        one.subscribe("syncthing/alpha/response/#")
        one.subscribe("probe/replies")
        bridge.ask(one, "get_ping")
        return YES if bridge.is_answered(one) else NO


def _returns(bridge: Bridge) -> str:
    bridge.stop()
    bridge.node.request("DELETE", f"/rest/config/folders/{FOLDER}")
    with bridge.client() as one:
        one.subscribe("syncthing/alpha/response/#")
        one.subscribe("probe/replies")
        bridge.ask(one, "get_ping")
        bridge.start()
        carried_out = bridge.is_answered(one)
    cleared = not [topic for topic in bridge.retained() if topic.startswith(f"syncthing/alpha/folder/{FOLDER}")]
    return f"{'executed' if carried_out else 'lost'}; {'cleared' if cleared else 'not cleared'}"


def _leaves_a_will(bridge: Bridge) -> str:
    bridge.kill()
    with bridge.client() as one:
        one.subscribe("syncthing/bridge/state")
        return YES if one.hears(lambda message: message.payload == b"offline") else NO


def _carries_odd_folders(bridge: Bridge) -> str:
    bridge.node.share(ODD_FOLDER, bridge.where / "odd")
    bridge.start()
    return YES if f"syncthing/alpha/folder/{ODD_FOLDER}" in bridge.retained() else NO


DOES: Mapping[str, Callable[[Bridge], str]] = {
    "publishes": _publishes,
    "answers a command": _carries_out,
    "restarts: a command sent and a folder removed while it was stopped": _returns,
    "is killed: `offline`": _leaves_a_will,
    f'has a folder "{ODD_FOLDER}"': _carries_odd_folders,
}

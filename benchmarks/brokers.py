"""Features of brokers, and what the bridge does with each of them."""

import itertools
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import stage
from benchmarks.other_brokers import Start, brokers
from benchmarks.peer import Peer
from benchmarks.section import Section, Table
from stbridge.core.topics import encode
from stbridge.demo.node import SyncthingNode
from tests.faults.truth import differences, fixed, truth
from tests.servers import ROOT

RESULTS = ROOT / "benchmarks/brokers.json"
"""The kept results, from which `scripts/tables` writes the tables of docs/brokers.md."""

YES, NO, NOTHING = "yes", "no", "-"
FOLDER, ODD_FOLDER = "docs", "my photos 2.0"
"""The second ID contains characters that not every broker supports in a topic."""

ONLINE_S = 30.0
TOTAL = 10**12
LARGE = 15_000
ANY_PORT = re.compile(r"127\.0\.0\.1:\d+")

Result = dict[str, Any]


def run(_quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Test every broker, and keep the results; there is no quick variant."""
    subprocess.run([ROOT / "scripts/brokers"], check=False)
    results = [_try(name, version, start) for (name, version), start in brokers().items()]
    kept = {"without": {check.what: check.without for check in CHECKS}, "brokers": results}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return Section(
        title="Brokers",
        summary=[
            (
                "Features of brokers, tested with a plain MQTT client, and the bridge with a real Syncthing instance."
                " `scripts/brokers` installs the brokers; [Brokers](../docs/brokers.md) explains the results."
            ),
        ],
        tables=[
            _table("Features of the brokers", results, "supports"),
            _table("The bridge with these brokers", results, "does"),
        ],
    )


def _table(title: str, results: Sequence[Result], part: str) -> Table:
    rows = [[what, *(one[part][what] for one in results)] for what in results[0][part]]
    return Table(title=title, head=["", *(f"{one['name']} {one['version']}" for one in results)], rows=rows)


def _try(name: str, number: str, start: Start) -> Result:
    """Return the results for a broker; failures are results too."""
    print(f"brokers: {name} {number}", flush=True)  # noqa: T201 - progress
    with stage.directory() as where:
        (where / "broker").mkdir()
        with start(where / "broker") as port, stage.syncthing(where) as node:
            version = "5" if _speaks(port, "5") else "3.1.1"
            node.share(FOLDER, where / FOLDER)
            bridge = Bridge(where, port, version, node)
            try:
                does = {CHECKS[0].what: _checked(CHECKS[0], bridge)}
                works = NO not in does.values()
                does |= {check.what: _checked(check, bridge) if works else NOTHING for check in CHECKS[1:]}
            finally:
                bridge.stop()
            supports = {what: _supported(probe, port, version) for what, probe in SUPPORTS.items()}
    words = bridge.last_words() if NO in does.values() else ""
    return {"name": name, "version": number, "mqtt": version, "supports": supports, "does": does, "log": words}


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


@dataclass(frozen=True, slots=True)
class Probe:
    """A test of a broker's feature.

    Attributes:
        least: the minimum MQTT version.
        look: returns whether a broker supports it.
    """

    least: str
    look: Callable[[int, str], bool]


SUPPORTS: Mapping[str, Probe] = {
    "retained messages, with the retain flag, also found by wildcards": Probe("3.1.1", _keeps),
    "retained last will": Probe("3.1.1", _has_wills),
    "QoS 1 to a session whose client is disconnected": Probe("3.1.1", _keeps_sessions),
    "topics with a space and a dot": Probe("3.1.1", _takes_any_topic),
    "shared subscriptions": Probe("3.1.1", _shares),
    "response topic, correlation data": Probe("5", _asks_for_replies),
    "message expiry, also of retained messages": Probe("5", _lets_expire),
    "retain as published": Probe("5", _keeps_retain_flag),
}


def _supported(probe: Probe, port: int, version: str) -> str:
    if probe.least == "5" != version:
        return NOTHING
    return YES if probe.look(port, version) else NO


# --- the bridge


STRICT = ('mqtt.topic_encoding = "strict"', {"STBRIDGE_MQTT__TOPIC_ENCODING": "strict"})
OLDER = ('mqtt.protocol = "3.1.1"', {"STBRIDGE_MQTT__PROTOCOL": "3.1.1"})
"""Settings of the bridge that may help, and their environment variables."""


class Bridge:
    """The bridge with a real Syncthing instance, and its test clients.

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
        self.version = version
        self.variables: Mapping[str, str] = {}
        self._process = stage.new_bridge(where, port, node)
        self._names = itertools.count(1)
        self._log = where / "bridge/stbridge.log"

    def use(self, variables: Mapping[str, str]) -> None:
        """Stop it, and use these environment variables from its next start on."""
        self.stop()
        self.variables = variables
        self._process = stage.new_bridge(self.where, self._port, self.node, **variables)

    def start(self) -> None:
        """Start it unless it runs, and wait until it is online."""
        if not self._process.running:
            with self.client("syncthing/bridge/state") as one:
                self._process.start()
                since = len(one.messages)  # some brokers set the retain flag of live messages, too
                assert one.hears(lambda message: message.payload == b"online", ONLINE_S, since=since)

    def last_words(self) -> str:
        """Return its last warning."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.is_file() else []
        warnings = [line.partition(" WARNING ")[2].strip() for line in lines if " WARNING " in line]
        return ANY_PORT.sub("the broker", warnings[-1]) if warnings else ""

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()

    @contextmanager
    def client(self, *topic_filters: str) -> Iterator[Peer]:
        """Run a client that has subscribed."""
        with Peer(self._port, self.version, f"beside-{next(self._names)}") as one:
            for topic_filter in topic_filters:
                one.subscribe(topic_filter)
            yield one

    @contextmanager
    def witness(self) -> Iterator[Peer]:
        """Run a client that receives everything that the bridge publishes, which starts again for it."""
        self.stop()
        with self.client("syncthing/#", "homeassistant/#") as one:
            self.start()
            yield one

    def share(self, folder: str) -> None:
        """Add a folder."""
        self.node.share(folder, self.where / "folders" / folder)

    def remove(self, folder: str) -> None:
        """Remove a folder."""
        self.node.request("DELETE", f"/rest/config/folders/{folder}")


def _has(folder: str) -> Callable[[Mapping[str, bytes]], bool]:
    return lambda tree: any(f"/{folder}" in topic for topic in tree)


def _lacks(folder: str) -> Callable[[Mapping[str, bytes]], bool]:
    return lambda tree: not _has(folder)(tree)


def _is_right(node: SyncthingNode) -> Callable[[Mapping[str, bytes]], bool]:
    return lambda tree: not differences(fixed(tree), truth("alpha", node))


def _publishes_all(bridge: Bridge) -> None:
    with bridge.witness() as one:
        assert one.sees(_is_right(bridge.node))


def _is_retained(bridge: Bridge) -> None:
    bridge.start()
    with bridge.client("syncthing/#", "homeassistant/#") as one:
        assert one.sees(_is_right(bridge.node))


def _publishes_large_messages(bridge: Bridge) -> None:
    with bridge.witness() as one:
        assert one.sees(lambda tree: any(len(payload) > LARGE for payload in tree.values()))


def _answers(bridge: Bridge) -> None:
    bridge.start()
    with bridge.client("syncthing/alpha/response/#") as one:
        one.publish("syncthing/alpha/command/get_ping", b"{}")
        assert one.hears(lambda message: message.topic == "syncthing/alpha/response/get_ping")


def _answers_on_the_response_topic(bridge: Bridge) -> None:
    bridge.start()
    with bridge.client("probe/replies") as one:
        one.publish("syncthing/alpha/command/get_ping", b"{}", ResponseTopic="probe/replies", CorrelationData=b"17")
        message = one.hears(lambda message: message.topic == "probe/replies")
    assert getattr(message and message.properties, "CorrelationData", None) == b"17"


def _clears(bridge: Bridge) -> None:
    with bridge.witness() as one:
        bridge.share("gone")
        assert one.sees(_has("gone"))
        bridge.remove("gone")
        assert one.sees(_lacks("gone"))


def _clears_after_a_stop(bridge: Bridge) -> None:
    with bridge.witness() as one:
        bridge.share("left")
        assert one.sees(_has("left"))
        bridge.stop()
        bridge.remove("left")
        bridge.start()
        assert one.sees(_lacks("left"))


def _executes_after_a_stop(bridge: Bridge) -> None:
    bridge.start()
    bridge.stop()
    with bridge.client("syncthing/alpha/response/#") as one:
        one.publish("syncthing/alpha/command/get_ping", b"{}")
        bridge.start()
        assert one.hears(lambda message: message.topic == "syncthing/alpha/response/get_ping")


def _restores(bridge: Bridge) -> None:
    bridge.stop()
    earlier = {"in_bytes_lifetime": TOTAL, "in_bytes": 5, "started_at": "2001-01-01T00:00:00Z"}
    with bridge.client("syncthing/alpha/metrics") as one:
        one.publish("syncthing/alpha/metrics", json.dumps(earlier).encode(), retain=True)
        since = len(one.messages)
        bridge.start()
        assert one.hears(lambda message: _total(message.payload) >= TOTAL, since=since)


def _total(payload: bytes | bytearray) -> int:
    return json.loads(payload).get("in_bytes_lifetime") or 0 if payload else 0


def _leaves_a_will(bridge: Bridge) -> None:
    bridge.start()
    with bridge.client("syncthing/bridge/state") as one:
        bridge.kill()
        assert one.hears(lambda message: message.payload == b"offline")
    with bridge.client("syncthing/bridge/state") as one:
        assert one.hears(lambda message: message.payload == b"offline")


def _publishes_odd_folders(bridge: Bridge) -> None:
    bridge.share(ODD_FOLDER)
    with bridge.witness() as one:
        assert one.sees(lambda tree: any(topic in tree for topic in ODD_TOPICS))


ODD_TOPICS = [f"syncthing/alpha/folder/{encode(ODD_FOLDER, strict=strict)}" for strict in (False, True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that users expect of the bridge.

    Attributes:
        what: what the bridge does.
        without: the consequence for users if it does not.
        look: raises AssertionError if the bridge does not do it.
        settings: settings that may help.
        least: the minimum MQTT version.
    """

    what: str
    without: str
    look: Callable[[Bridge], None]
    settings: Sequence[tuple[str, Mapping[str, str]]] = ()
    least: str = "3.1.1"


CHECKS = (
    Check(
        what="publishes every topic",
        without="the bridge cannot be used",
        look=_publishes_all,
        settings=(OLDER, STRICT),
    ),
    Check(
        what="new subscribers get every topic",
        without="new subscribers do not get the current state",
        look=_is_retained,
    ),
    Check(
        what="publishes discovery messages of Home Assistant, which have up to 16 kB",
        without="Home Assistant does not find all devices",
        look=_publishes_large_messages,
        settings=(OLDER,),
    ),
    Check(
        what="answers a command",
        without="commands are not answered",
        look=_answers,
        settings=(OLDER,),
    ),
    Check(
        what="answers on the response topic of a command",
        without="replies do not go to the response topic of a command",
        look=_answers_on_the_response_topic,
        least="5",
    ),
    Check(
        what="clears the topics of a removed folder",
        without="topics of removed folders and devices remain",
        look=_clears,
    ),
    Check(
        what="clears the topics of a folder that was removed while the bridge was stopped",
        without="topics of folders and devices that were removed while the bridge was stopped remain",
        look=_clears_after_a_stop,
    ),
    Check(
        what="executes a command that was sent while the bridge was stopped",
        without="commands that are sent while the bridge is stopped are lost",
        look=_executes_after_a_stop,
    ),
    Check(
        what="restores the lifetime totals after a restart",
        without="lifetime totals start at 0 when the bridge restarts",
        look=_restores,
    ),
    Check(
        what="is `offline` after a crash",
        without="`bridge/state` remains `online` for new subscribers after a crash",
        look=_leaves_a_will,
    ),
    Check(
        what="publishes a folder whose ID contains a space and a dot",
        without="folders whose ID contains a space or a dot are not published",
        look=_publishes_odd_folders,
        settings=(STRICT,),
    ),
)


def _checked(check: Check, bridge: Bridge) -> str:
    """Return whether a check passes, or with which setting; the next checks then run with it."""
    if check.least == "5" != bridge.version:
        return NOTHING
    if _passes(check, bridge):
        return YES
    usual = bridge.variables
    for setting, variables in check.settings:
        bridge.use({**usual, **variables})
        if _passes(check, bridge):
            return f"with `{setting}`"
        bridge.use(usual)
    return NO


def _passes(check: Check, bridge: Bridge) -> bool:
    try:
        check.look(bridge)
    except AssertionError:
        return False
    return True

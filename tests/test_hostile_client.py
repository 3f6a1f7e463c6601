"""A malicious client that may publish to the broker: the bridge keeps running, and does nothing except reply."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stbridge.core.json_text import read_json
from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from stbridge.homeassistant.discovery import ORIGIN
from tests.bridges import bridges_to
from tests.servers import ANONYMOUS, PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, eventually, instance, manifest
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import Answer, ScriptedServer

COMMAND, RESPONSE = "syncthing/alpha/command/get_ping", "syncthing/alpha/response/get_ping"
BOM = "\ufeff"
"""MQTT 5 allows it in strings (1.5.4-3), and paho raises an exception for it."""

MOST_MEMORY = 300 * 1024 * 1024


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """A node of the newest available version: the tests of this module do not depend on the version."""
    directory = tmp_path_factory.mktemp("hostile-client")
    one = SyncthingNode("alpha", directory / "home", list(manifest()["syncthing"].values())[-1])
    try:
        one.start()
        one.share("docs", directory / "docs", label="Documents")
        one.wait_for(lambda: one.is_idle("docs"))
        yield one
    finally:
        one.wake()
        one.stop()


@pytest.fixture
def broker(new_broker: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that drops no messages; otherwise a flood could make it drop a reply that a test waits for."""
    return new_broker(lines=[ANONYMOUS, "max_queued_messages 0"]).start()


class Villain:
    """A malicious client that sends any message, and receives none."""

    def __init__(self, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(
        self, topic: str, payload: bytes | str = b"{}", *, qos: int = 1, retain: bool = False, **properties: Any
    ) -> None:
        """Publish a message, and wait until the broker has received it."""
        given = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho types only some
        for name, value in properties.items():
            setattr(given, name, value)
        self._client.publish(topic, payload, qos, retain, given).wait_for_publish(PATIENCE_S)


@dataclass
class Stage:
    """A bridge, an observing client, and a malicious client."""

    broker: Mosquitto
    bridge: BridgeProcess
    replies: Subscriber
    rest: Subscriber
    villain: Villain
    numbers: list[int] = field(default_factory=list)

    def check_that_it_goes_on(self) -> None:
        """Check that a command is answered over the same connection."""
        eventually(self._is_carried_out)
        messages = [one for one in self.rest.messages if one.topic == "syncthing/bridge/state"]
        states = [one.payload for one in messages if not one.retain]  # a retained one may be forged
        assert states[-1] == b"online"
        assert b"offline" not in states[states.index(b"online") :]
        assert "Traceback" not in self.bridge.log.read_text(encoding="utf-8")
        assert self.process("VmRSS") * 1024 < MOST_MEMORY

    def _is_carried_out(self) -> bool:
        """Send a command and return whether it was executed; it is refused while too many commands are running."""
        self.numbers.append(len(self.numbers))
        mark = f"mark {self.numbers[-1]}."
        self.villain.send(COMMAND, json.dumps({"transaction": mark}))
        reply = self.replies.wait_for(lambda one: one.topic == RESPONSE and mark.encode() in one.payload)
        return bool(json.loads(reply.payload)["status"] == "ok")

    def process(self, what: str) -> int:
        """Return a value that Linux reports about the bridge's process."""
        lines = Path(f"/proc/{self.bridge.id}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1])


@pytest.fixture
def new_stage(node: SyncthingNode, broker: Mosquitto, tmp_path: Path) -> Iterator[Callable[[], Stage]]:
    """Start a bridge."""
    ends: list[Callable[[], Any]] = []

    def start(**more: str) -> Stage:
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", node), **more}
        bridge = BridgeProcess(tmp_path, variables)
        ends.append(bridge.kill)
        # Not all topics: the observing clients use paho, too, and would raise the same exceptions.
        replies, rest = Subscriber(broker.port, "syncthing/+/response/#"), Subscriber(broker.port, "syncthing/bridge/+")
        villain = Villain(broker.port)
        ends.extend((replies.close, rest.close, villain.close))
        bridge.start()
        rest.wait_for(lambda one: one.topic == "syncthing/bridge/state" and one.payload == b"online" and not one.retain)
        return Stage(broker, bridge, replies, rest, villain)

    yield start
    for end in ends:
        end()


@pytest.mark.parametrize(
    "properties",
    [
        {"ResponseTopic": f"{BOM}answers"},
        {"UserProperty": [("name", BOM)]},
        {"ContentType": BOM},
        {"CorrelationData": b"\x00" * 65_535, "ResponseTopic": "answers/" + "x" * 60_000},
        {"MessageExpiryInterval": 1, "PayloadFormatIndicator": 1},
    ],
    ids=["response topic", "user property", "content type", "all that fits", "payload format"],
)
@pytest.mark.parametrize("qos", [0, 1])
def test_no_message_disconnects_the_bridge(
    new_stage: Callable[[], Stage], properties: dict[str, Any], qos: int
) -> None:
    """MQTT allows these properties; a message that disconnected the bridge would come again on each connection."""
    stage = new_stage()
    stage.villain.send(COMMAND, b"\xff", qos=qos, **properties)
    stage.check_that_it_goes_on()
    health = stage.rest.wait_for_json("syncthing/bridge/health")
    assert health["reconnects"] == 0


FORBIDDEN = (
    *("syncthing/bridge/state", "syncthing/alpha/state", "syncthing/alpha/folder/docs", "syncthing/alpha/response/x"),
    *(COMMAND, "syncthing/alpha/command/restart", "syncthing/bridge/command/republish", "syncthing/elsewhere"),
    *("homeassistant/status", "homeassistant/device/x/config", "$SYS/broker/uptime", "$share/a/b", "x" * 1025),
)


def test_a_response_topic_cannot_write_into_protected_topics(new_stage: Callable[[], Stage]) -> None:
    """Own topics would let it send commands or forge a state; Home Assistant's topics would let it forge discovery."""
    stage = new_stage()
    before = stage.replies.count
    with_everything = Subscriber(stage.broker.port)
    try:
        stage.villain.send(COMMAND, b'{"transaction": "good"}', ResponseTopic="answers/here")
        with_everything.wait_for_json("answers/here")
        for topic in FORBIDDEN:
            stage.villain.send(COMMAND, b'{"transaction": "bad"}', ResponseTopic=topic)
        eventually(lambda: stage.replies.count == before + 1 + len(FORBIDDEN))
        stage.check_that_it_goes_on()
        said = [one.topic for one in with_everything.messages if b'"transaction":"bad"' in one.payload]
        assert set(said) == {RESPONSE}
        assert len(said) == len(FORBIDDEN)
    finally:
        with_everything.close()


def test_a_flood_of_commands_does_not_fill_the_memory(new_stage: Callable[[], Stage], node: SyncthingNode) -> None:
    """While Syncthing hangs, the queue is bounded: further commands are refused at once, and later all is as before."""
    stage = new_stage()
    node.hang()
    try:
        for number in range(3000):
            marked = json.dumps({"folder": "docs", "sub": "x" * 30_000, "wait": True, "transaction": number})
            stage.villain.send("syncthing/alpha/command/scan", marked, qos=0)
        stage.replies.wait_for_json(
            "syncthing/alpha/response/scan", lambda one: one["error"] and one["error"]["code"] == "rate_limited"
        )
        assert stage.process("VmRSS") * 1024 < MOST_MEMORY
        assert stage.process("Threads") < 100
    finally:
        node.wake()
    stage.check_that_it_goes_on()
    log = stage.bridge.log.read_text(encoding="utf-8")
    assert 0 < log.count("refused: rate_limited: too many commands are already waiting") < 50


def test_endless_repetitions_of_a_transaction_cost_nothing(new_stage: Callable[[], Stage], node: SyncthingNode) -> None:
    """Repetitions wait for the reply to the first command, and the number of waiting ones is bounded."""
    stage = new_stage()
    node.request("POST", "/rest/system/error/clear")
    node.hang()
    try:
        for _ in range(1500):
            stage.villain.send("syncthing/alpha/command/new_error", b'{"message": "once", "transaction": "t"}', qos=0)
        assert stage.process("VmRSS") * 1024 < MOST_MEMORY
    finally:
        node.wake()
    stage.check_that_it_goes_on()
    errors = node.request("GET", "/rest/system/error")["errors"]
    assert len([one for one in errors if one["message"] == "once"]) <= 1


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        ("scan", b"x" * 20_000_000),
        ("scan", b"[" * 1_000_000),
        ("get_ping", json.dumps({"transaction": "x" * 1_000_000}).encode()),
        ("get_ping", b'{"transaction": ' + b"9" * 100_000 + b"}"),
        ("x" * 60_000, b"{}"),
        ("", b"{}"),
    ],
    ids=["20 MB", "deep", "long transaction", "long number", "long name", "no name"],
)
def test_a_command_that_is_too_large_is_refused(new_stage: Callable[[], Stage], command: str, payload: bytes) -> None:
    """The broker does not deliver messages above 16 MB; the reply to others contains only the command's name."""
    stage = new_stage()
    before = stage.replies.count
    stage.villain.send(f"syncthing/alpha/command/{command}", payload)
    stage.check_that_it_goes_on()
    assert all(len(one.payload) < 100_000 for one in stage.replies.messages[before:])
    assert max(map(len, stage.bridge.log.read_text(encoding="utf-8").splitlines())) < 3000


def test_a_large_command_is_not_kept_in_memory_with_mqtt_3_1_1(new_stage: Callable[..., Stage]) -> None:
    """The bridge cannot announce a size limit in this protocol; all later commands are executed."""
    stage = new_stage(STBRIDGE_MQTT__PROTOCOL="3.1.1")
    for _ in range(2):
        stage.villain.send("syncthing/alpha/command/scan", b"x" * 150_000_000)
    reply = stage.replies.wait_for_json("syncthing/alpha/response/scan")
    assert reply["error"]["code"] == "invalid_arguments"
    stage.check_that_it_goes_on()
    assert stage.process("VmHWM") * 1024 < MOST_MEMORY


def test_any_number_of_retained_commands_is_cleared(new_stage: Callable[[], Stage]) -> None:
    """The bridge refuses each command, and the broker delivers none again."""
    stage = new_stage()
    before = stage.replies.count
    for number in range(200):
        stage.villain.send(f"syncthing/alpha/command/n{number}", b"{}", retain=True)
    eventually(lambda: stage.replies.count >= before + 200)
    stage.check_that_it_goes_on()
    latecomer = Subscriber(stage.broker.port, "syncthing/alpha/command/#")
    try:
        stage.check_that_it_goes_on()
        assert not [one for one in latecomer.messages if one.retain]
    finally:
        latecomer.close()


def test_endless_birth_messages_are_rate_limited(new_stage: Callable[[], Stage]) -> None:
    """Many birth messages together make the bridge republish everything once."""
    stage = new_stage()
    everything = Subscriber(stage.broker.port, "syncthing/alpha/folder/docs")
    try:
        everything.wait_for_json("syncthing/alpha/folder/docs")
        for _ in range(500):
            stage.villain.send("homeassistant/status", b"online")
            stage.villain.send("syncthing/bridge/command/republish", b"{}", qos=0)
        stage.check_that_it_goes_on()
        assert everything.count < 100
    finally:
        everything.close()


def test_the_cost_of_an_outage_is_bounded(new_broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """After a long outage the bridge publishes the newest events, up to the configured number, and counts others."""
    broker = new_broker().start()
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    settings = {"STBRIDGE_MQTT__QUEUED_EVENTS": "5", "STBRIDGE_EVENTS__RAW": '["StateChanged"]'}
    before = Subscriber(broker.port)
    try:
        with bridges_to(syncthing, tmp_path) as new_bridge:
            new_bridge(broker.port, **settings).start()
            before.wait_for_payload("syncthing/bridge/state", b"online")
            broker.stop()
            for _ in range(40):
                syncthing.happens("StateChanged", {"folder": "docs", "from": "idle", "to": "scanning"})
            syncthing.wait_for_poll()
            broker.start()
            after = Subscriber(broker.port)
            try:
                after.wait_for_payload("syncthing/bridge/state", b"online")
                assert after.wait_for_json("syncthing/bridge/health", lambda one: one["dropped"])["dropped"] == 35
                assert len([one for one in after.messages if "/raw/" in one.topic]) <= 5
            finally:
                after.close()
    finally:
        before.close()
        syncthing.server.stop()


# --- messages that were left on the broker before the bridge started

FAR, LONG_AGO = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"
PROBLEMS = [
    {"code": code, "message": "forged" * 200, "since": since}
    for code in ("unseen", "out_of_sync", "stuck", "made-up", "identity_changed")
    for since in (FAR, LONG_AGO, 5)
]
HUGE = int("9" * 4000)
FORGED: tuple[tuple[str, bytes], ...] = (
    ("bridge/state", b"online"),
    ("bridge/info", b"[" * 100_000),
    ("alpha/state", b"nonsense"),
    ("alpha/system", json.dumps({"problems": PROBLEMS, "device_id": {}, "name": "x"}).encode()),
    ("alpha/metrics", json.dumps({"in_bytes_lifetime": HUGE, "out_bytes_lifetime": True, "in_bytes": -1}).encode()),
    ("alpha/folder/docs", json.dumps({"problems": PROBLEMS, "out_of_sync_since": FAR, "paused": 5}).encode()),
    ("alpha/folder/docs/failed", json.dumps({"count": 1, "items": [{"path": []}]}).encode()),
    ("alpha/folder/docs/conflicts", json.dumps({"items": ["x.sync-conflict-1"] * 5000, "complete": True}).encode()),
    ("alpha/pending", json.dumps({"devices": "x", "folders": [[]]}).encode()),
    ("alpha/upgrade", json.dumps({"latest_version": "v9" * 1000}).encode()),
    ("alpha/errors", b"forged" * 500_000),
    ("bridge/discovery/x", json.dumps({"topics": [f"{'/' * 200}device/stbridge_x/config"]}).encode()),
    *((f"alpha/folder/{number}", b'{"problems": ' + b"[" * 500) for number in range(300)),
    *((f"alpha/folder/a/b/c/{number}", b"x") for number in range(20)),
)
IN_A_FOLDER = "syncthing/alpha/folder/"
UNKNOWN = {f"syncthing/{topic}" for topic, _ in FORGED if topic.startswith("alpha/folder/a/")}
"""Topics that do not belong to the bridge, whichever client publishes them."""


def test_forged_topics_below_the_base_topic_do_no_harm(new_stage: Callable[[], Stage], broker: Mosquitto) -> None:
    """The bridge overwrites them, clears topics of unknown folders and devices, and keeps topics of others."""
    forger = Villain(broker.port)
    ours = {"origin": {"name": ORIGIN}, "availability": [{"topic": "syncthing/bridge/state"}]}
    ours["availability"].append({"topic": "syncthing/alpha/state"})  # type: ignore[attr-defined]  # it is a list
    discovery = {
        "stbridge_OTHER_folder_1": (json.dumps(ours).encode(), True),
        "stbridge_x": (json.dumps({**ours, "availability": [[]]}).encode(), False),
        "zigbee2mqtt_lamp": (json.dumps(ours).encode(), False),
        "deep": (b'{"origin":' * 50_000, False),
    }
    try:
        for topic, payload in FORGED:
            forger.send(f"syncthing/{topic}", payload, retain=True)
        for name, (payload, _) in discovery.items():
            forger.send(f"homeassistant/device/{name}/config", payload, retain=True)
        stage = new_stage()
        stage.check_that_it_goes_on()
        kept = Subscriber(broker.port, "#")
        try:
            kept.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["id"] == "docs")
            eventually(lambda: {one for one in kept.latest() if IN_A_FOLDER in one and "/docs" not in one} == UNKNOWN)
            stage.check_that_it_goes_on()
            eventually(
                lambda: not any(b"forgedforged" in payload for one, payload in kept.latest().items() if "alpha" in one)
            )
            own_id = read_json(kept.latest()["syncthing/alpha/system"])["device_id"]
            own = f"homeassistant/device/stbridge_{short_id(own_id)}/config"
            eventually(lambda: own in kept.latest())
            found = kept.latest()
        finally:
            kept.close()
    finally:
        forger.close()
    for topic in ("system", "metrics", "folder/docs", "folder/docs/conflicts", "pending", "errors"):
        payload = read_json(found[f"syncthing/alpha/{topic}"])
        assert not any("forgedforged" in str(value) for value in payload.values())
    system = read_json(found["syncthing/alpha/system"])
    assert {one["code"] for one in system["problems"]} <= {"system_errors"}
    assert read_json(found["syncthing/alpha/metrics"])["in_bytes_lifetime"] < 2**63
    for name, (_, cleared) in discovery.items():
        assert (f"homeassistant/device/{name}/config" in found) is not cleared


def test_reads_with_answers_too_large_for_a_reply_do_not_fill_the_memory(broker: Mosquitto, tmp_path: Path) -> None:
    """A client may send any number of reads; the bridge reads a response only up to the size of a reply."""
    tree = json.dumps([{"name": f"file {number}", "size": number} for number in range(1_500_000)]).encode()
    assert len(tree) > 50_000_000
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(docs=False)
    syncthing.table["/rest/db/browse"] = Answer(body=tree)
    variables = {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__ALPHA__URL": syncthing.url,
        "STBRIDGE_SYNCTHING__ALPHA__API_KEY": "key",
        "STBRIDGE_ALERTS__CONFLICT_INVENTORY": "0",
    }
    bridge = BridgeProcess(tmp_path, variables)
    replies, rest = Subscriber(broker.port, "syncthing/+/response/#"), Subscriber(broker.port, "syncthing/bridge/+")
    villain = Villain(broker.port)
    stage = Stage(broker, bridge, replies, rest, villain)
    try:
        bridge.start()
        rest.wait_for_payload("syncthing/bridge/state", b"online")
        for number in range(16):
            villain.send("syncthing/alpha/command/browse_database", json.dumps({"folder": "docs", "level": number}))
        topic = "syncthing/alpha/response/browse_database"
        eventually(lambda: sum(one.topic == topic for one in replies.messages) == 16)
        codes = {json.loads(one.payload)["error"]["code"] for one in replies.messages if one.topic == topic}
        assert codes == {"too_large"}
        assert stage.process("VmHWM") * 1024 < MOST_MEMORY
    finally:
        bridge.kill()
        for one in (replies, rest, villain):
            one.close()
        syncthing.server.stop()

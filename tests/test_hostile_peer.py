"""A malicious device that shares folders: the names that it chooses are shown as plain text everywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.json_text import read_json
from stbridge.core.model import short_id
from stbridge.core.topics import Topics
from stbridge.demo.node import SyncthingNode
from tests.servers import PATIENCE_S, ROOT, BridgeProcess, Mosquitto, Subscriber, eventually, instance, manifest

TOPICS = Topics("syncthing", "homeassistant")

LABEL = "a/b/# {{ states('x') }} {% raw %} <script>alert(1)</script> \x1b]0;owned\x07\x1b[2J \u202etxt.exe \x9b2J"
NAME = "$SYS/+/# {{ 1/0 }} \x1b[31m\r\nERROR forged line \u2028"
FOLDER_ID = "{{ 7*7 }} +#%\u202e"
LONG = "\U0001f600" * 63
FILES = (
    *("two\nlines", "{{ states('x') }}", "{% raw %}", "<img src=x onerror=alert(1)>", "#", "+", "$SYS", "%2e%2e", "~"),
    *("\x1b[2J\x1b]0;owned\x07", "\u202egpj.exe", "\u2028\u2029", "\ufeffbom", "\uffff", LONG, "a" * 255, "\x7f\x9b2J"),
)
CONFLICT = "{{ 7*7 }}\n\x1b[2J#+\u202e.sync-conflict-20261101-120000-ABCDEF7.txt"
NOT_UTF8 = b"half \xed\xa0\x80 \xff"

STEERING = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E)}
RAW = '["ItemFinished", "LocalIndexUpdated", "RemoteIndexUpdated", "DeviceConnected"]'


@dataclass(frozen=True, slots=True)
class Scene:
    """A bridge to node alpha, whose peers choose their own names."""

    alpha: SyncthingNode
    peer: SyncthingNode
    stranger: SyncthingNode
    broker: Mosquitto
    subscriber: Subscriber
    bridge: BridgeProcess
    variables: dict[str, str]

    def said(self, *arguments: str) -> str:
        """Return the output of a subcommand."""
        command = [sys.executable, "-m", "stbridge", *arguments]
        environment = {**self.variables, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        result = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=True)
        assert not result.stderr
        return result.stdout.decode()


def call_itself(node: SyncthingNode, name: str) -> None:
    """Give a node a name; some names cannot be written to its configuration file."""
    node.request("PATCH", f"/rest/config/devices/{node.device_id}", body={"name": name})


def know(here: SyncthingNode, there: SyncthingNode) -> None:
    """Make a node know another one without a configured name, so that it uses the name that the other announces."""
    address = f"tcp://127.0.0.1:{there.sync_port}"
    here.request("POST", "/rest/config/devices", body={"deviceID": there.device_id, "addresses": [address]})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All hostile names at once: devices, folders, labels and files, both configured and pending."""
    directory = tmp_path_factory.mktemp("hostile-peer")
    binary = list(manifest()["syncthing"].values())[-1]
    alpha, peer, stranger = nodes = [
        SyncthingNode(name, directory / name, binary) for name in ("alpha", "peer", "stranger")
    ]
    broker = Mosquitto(directory)
    subscriber = bridge = None
    try:
        for node in nodes:
            node.start()
        for node in (peer, stranger):
            call_itself(node, NAME)
        know(peer, alpha)  # first: a Syncthing instance does not send its name to unknown devices
        know(alpha, peer)
        know(stranger, alpha)
        docs = directory / "peer-docs"
        docs.mkdir()
        for name in FILES:
            (docs / name).write_bytes(b"content")
        (docs / CONFLICT).write_bytes(b"content")
        with open(str(docs).encode() + b"/" + NOT_UTF8, "wb") as file:  # noqa: PTH123 - a Path has no such names
            file.write(b"content")
        alpha.share("docs", directory / "alpha-docs", label=LABEL, devices=[peer])
        peer.share("docs", docs, label=LABEL, devices=[alpha])
        peer.share(FOLDER_ID, directory / "peer-other", label=LABEL, devices=[alpha])
        alpha.wait_for(lambda: alpha.is_connected(peer) and alpha.is_idle("docs"))
        broker.start()
        subscriber = Subscriber(broker.port)
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", alpha)}
        bridge = BridgeProcess(directory, {**variables, "STBRIDGE_EVENTS__RAW": RAW}).start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        subscriber.wait_for_json("syncthing/alpha/pending", lambda one: one["devices"] and one["folders"])
        subscriber.wait_for_json("syncthing/alpha/folder/docs/conflicts", lambda one: one["count"])
        device = f"syncthing/alpha/device/{short_id(peer.device_id)}"
        subscriber.wait_for_json(device, lambda one: one["name"] == NAME)
        (docs / "one more\n{{ 7*7 }}\x1b[2J.sync-conflict-20261102-120000-ABCDEF7").write_bytes(b"content")
        subscriber.wait_for_json("syncthing/alpha/event/conflict")
        subscriber.wait_for_json("syncthing/alpha/raw/ItemFinished")
        yield Scene(alpha, peer, stranger, broker, subscriber, bridge, variables)
    finally:
        if bridge:
            bridge.stop()
        if subscriber:
            subscriber.close()
        for node in nodes:
            node.stop()
        broker.stop()


def test_every_topic_is_valid_and_every_payload_is_json(scene: Scene) -> None:
    """Names add no topic levels and no control characters, and every payload is strict JSON."""
    assert scene.subscriber.count > 30
    for message in scene.subscriber.messages:
        assert not set(message.topic) & STEERING, message.topic
        assert TOPICS.parse(message.topic) or TOPICS.is_discovery(message.topic), message.topic
        if message.payload and not message.topic.endswith("/state"):
            assert isinstance(read_json(bytes(message.payload).decode()), dict)
        assert len(message.payload) < 200_000


def test_names_are_published_unchanged(scene: Scene) -> None:
    """Harmless in payloads, names keep their characters: readers of a payload must escape them for display."""
    folder = scene.subscriber.wait_for_json("syncthing/alpha/folder/docs")
    assert folder["label"] == LABEL
    device = f"syncthing/alpha/device/{short_id(scene.peer.device_id)}"
    assert json.loads(scene.subscriber.latest()[device])["name"] == NAME
    pending = scene.subscriber.wait_for_json("syncthing/alpha/pending", lambda one: one["devices"] and one["folders"])
    assert [one["name"] for one in pending["devices"]] == [NAME]
    assert [(one["folder"], one["label"]) for one in pending["folders"]] == [(FOLDER_ID, LABEL)]
    conflicts = json.loads(scene.subscriber.latest()["syncthing/alpha/folder/docs/conflicts"])
    assert CONFLICT in conflicts["items"]


def test_no_name_becomes_a_template_in_home_assistant(scene: Scene) -> None:
    """Templates contain only the bridge's own tables; names occur only where Home Assistant takes plain text."""
    discovery = [json.loads(one.payload) for one in scene.subscriber.messages if TOPICS.is_discovery(one.topic)]
    assert any(LABEL in one["device"]["name"] for one in discovery)
    assert any(NAME in one["device"]["name"] for one in discovery)
    for message in discovery:
        for key, value in leaves(message):
            if any(part in value for part in ("states('x')", "1/0", "7*7", "<script>")):
                assert key in ("name", "serial_number", "default_entity_id"), (key, value)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a document with its key."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, key)
    elif isinstance(value, str):
        yield key, value


def test_no_name_controls_a_terminal(scene: Scene) -> None:
    """Neither the log nor the output of a subcommand contains control sequences, and JSON output keeps its values."""
    log = scene.bridge.log.read_text(encoding="utf-8")
    shown = [log, *(scene.said(*arguments) for arguments in (("check",), ("call", "alpha", "get_errors")))]
    tree = scene.said("call", "alpha", "browse_database", "docs")
    assert {one["name"] for one in json.loads(tree)} >= {*FILES, CONFLICT}
    assert {one["name"] for one in json.loads(scene.said("call", "alpha", "get_pending"))["devices"].values()} == {NAME}
    for text in (*shown, tree):
        assert not (set(text) - {"\n"}) & STEERING
    assert not [line for line in log.splitlines() if line.startswith("ERROR forged")]
    assert "Traceback" not in log


def test_watch_shows_names_as_plain_text(scene: Scene, tmp_path: Path) -> None:
    """Without a terminal, `watch` prints lines, and each message is one line."""
    output = tmp_path / "watch"
    command = [sys.executable, "-m", "stbridge", "watch"]
    with output.open("wb") as file:
        environment = {**scene.variables, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        eventually(lambda: "folder a/b/#" in output.read_text(encoding="utf-8"))
        eventually(lambda: "device $SYS/+/#" in output.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    text = output.read_text(encoding="utf-8")
    assert not (set(text) - {"\n"}) & STEERING
    assert all(line[2] == ":" for line in text.splitlines())


def test_a_folder_or_device_with_an_odd_name_accepts_commands(scene: Scene) -> None:
    """Any label or name can select a folder or device."""
    for command, payload in (("scan", LABEL), ("get_folder_status", LABEL), ("get_completion", {"device": NAME})):
        since = scene.subscriber.count
        text = payload if isinstance(payload, str) else json.dumps(payload)
        scene.subscriber.publish(f"syncthing/alpha/command/{command}", text)
        reply = scene.subscriber.wait_for_json(f"syncthing/alpha/response/{command}", since=since)
        assert reply["status"] in ("ok", "accepted"), reply

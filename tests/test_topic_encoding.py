"""`mqtt.topic_encoding` as users see it: the topics of folders with unusual IDs, and commands to them."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.bridges import bridges_to
from tests.nats import Nats
from tests.scripted_broker import ScriptedBroker
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

FOLDER = "my photos.2024 ü"
PLAIN = f"syncthing/nas/folder/{FOLDER}"
STRICT = "syncthing/nas/folder/my%20photos%2E2024%20%C3%BC"

Run = Callable[..., BridgeProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a bridge to a Syncthing instance with a folder whose ID some brokers cannot carry."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(**{FOLDER: False})
    with bridges_to(syncthing, tmp_path) as new_bridge:
        yield lambda port, **variables: new_bridge(port, **variables).start()
    syncthing.server.stop()


def has_odd_characters(topic: str) -> bool:
    """Return whether a topic contains characters that NATS refuses or translates."""
    return bool(set(topic) & set(" .*>$")) or not topic.isascii()


def test_strict_topics_contain_only_characters_that_every_broker_can_carry(
    broker: Mosquitto, subscriber: Subscriber, run: Run
) -> None:
    """Topics, discovery and commands are encoded; the arguments of commands contain the unencoded ID."""
    run(broker.port, STBRIDGE_MQTT__TOPIC_ENCODING="strict")
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    published = subscriber.latest()
    assert json.loads(published[STRICT])["id"] == FOLDER
    assert any(topic.startswith("syncthing/nas/completion/") for topic in published)
    assert not [topic for topic in published if has_odd_characters(topic)]
    discovery = b"".join(payload for topic, payload in published.items() if topic.startswith("homeassistant/"))
    assert STRICT.encode() in discovery
    assert FOLDER not in discovery.decode().replace(f'"{FOLDER}"', "")
    assert ask(subscriber, "get_folder_status", FOLDER, node="nas")["status"] == "ok"


TOPICS = {"mqtt": PLAIN, "strict": STRICT}


@pytest.mark.parametrize("first", TOPICS)
def test_changing_the_encoding_clears_the_old_topics(
    broker: Mosquitto, subscriber: Subscriber, run: Run, first: str
) -> None:
    """Old topics would otherwise stay on the broker forever, with old values."""
    (second,) = TOPICS.keys() - {first}
    old, new = TOPICS[first], TOPICS[second]
    bridge = run(broker.port, STBRIDGE_MQTT__TOPIC_ENCODING=first)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    assert old in subscriber.latest()
    bridge.stop()
    since = subscriber.count
    run(broker.port, STBRIDGE_MQTT__TOPIC_ENCODING=second)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
    kept = Subscriber(broker.port)
    kept.wait_for(lambda one: one.topic == new)
    eventually(lambda: kept.latest().get("syncthing/bridge/state") == b"online")
    folders = [topic for topic in kept.latest() if "photos" in topic and topic.startswith("syncthing/")]
    assert [topic for topic in folders if has_odd_characters(topic) == has_odd_characters(old)] == []
    kept.close()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """A real NATS server."""
    server = Nats(tmp_path)
    try:
        yield server.start()
    finally:
        server.stop()


def kept_by(nats: Nats) -> Mapping[str, bytes]:
    """Return the retained messages of NATS below the base topic."""
    return read_retained(MqttSettings(host="127.0.0.1", port=nats.port, protocol="3.1.1"), ["syncthing/#"])


def test_nats_carries_everything_with_the_strict_encoding(nats: Nats, run: Run) -> None:
    """A folder whose unencoded ID NATS cannot carry is published like any other."""
    bridge = run(nats.port, STBRIDGE_MQTT__TOPIC_ENCODING="strict")
    eventually(lambda: kept_by(nats).get("syncthing/bridge/state") == b"online")
    assert {STRICT, f"{STRICT}/failed", f"{STRICT}/conflicts"} <= kept_by(nats).keys()
    assert "skipped" not in bridge.log.read_text(encoding="utf-8")


def test_nats_carries_everything_else_with_the_usual_encoding(nats: Nats, run: Run) -> None:
    """Earlier, one such folder kept the whole bridge offline; now the log names the setting."""
    bridge = run(nats.port)
    eventually(lambda: kept_by(nats).get("syncthing/bridge/state") == b"online", 60)
    assert "syncthing/nas/system" in kept_by(nats)
    assert 'mqtt.topic_encoding = "strict"' in bridge.log.read_text(encoding="utf-8")


def test_a_broker_that_cannot_carry_spaces_gets_everything_with_the_strict_encoding(run: Run) -> None:
    """A broker such as NATS closes the connection when it receives any other topic."""
    broker = ScriptedBroker(lambda one: None if has_odd_characters(one.topic) else 0)
    try:
        run(broker.port, STBRIDGE_MQTT__TOPIC_ENCODING="strict")
        eventually(lambda: broker.latest().get("syncthing/bridge/state") == b"online")
        assert STRICT in broker.latest()
        assert broker.closed_over == []
    finally:
        broker.stop()


def test_a_broker_that_cannot_carry_spaces_gets_all_other_topics(run: Run) -> None:
    """With the usual encoding, one such folder kept the whole bridge offline; now the log names the setting."""
    broker = ScriptedBroker(lambda one: None if " " in one.topic else 0)
    try:
        bridge = run(broker.port)
        eventually(lambda: broker.latest().get("syncthing/bridge/state") == b"online", 60)
        assert "syncthing/nas/system" in broker.latest()
        log = bridge.log.read_text(encoding="utf-8")
        assert 'mqtt.topic_encoding = "strict"' in log
        assert len(log.splitlines()) < 20, log
    finally:
        broker.stop()

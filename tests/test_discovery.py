"""The discovery messages that the bridge publishes for Home Assistant, and how it clears them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stbridge import birth
from stbridge.birth import Births
from stbridge.core.messages import Received
from stbridge.demo.node import SyncthingNode
from stbridge.schedule import Schedule
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, eventually, manifest

STATUS = "homeassistant/status"
OURS = "homeassistant/device/stbridge_"
LEFT = f"{OURS}GONE/config"
OTHERS = "homeassistant/device/other/config"


@pytest.fixture(scope="module")
def syncthing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """A running node of the newest version, with a folder."""
    directory = tmp_path_factory.mktemp("syncthing")
    node = SyncthingNode("nas", directory / "home", list(manifest()["syncthing"].values())[-1])
    try:
        node.start()
        node.share("docs", directory / "docs", label="Papers")
        yield node
    finally:
        node.stop()


@pytest.fixture
def variables(syncthing: SyncthingNode, broker: Mosquitto) -> dict[str, str]:
    """The environment variables of a bridge."""
    return {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__NAS__URL": syncthing.url,
        "STBRIDGE_SYNCTHING__NAS__API_KEY": syncthing.api_key,
    }


@pytest.fixture
def bridge(variables: dict[str, str], subscriber: Subscriber, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge that is online."""
    process = BridgeProcess(tmp_path, variables).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        yield process
    finally:
        process.stop()


def leave_behind(subscriber: Subscriber, topic: str, *, base: str) -> None:
    """Publish a discovery message of an earlier run."""
    available = [{"topic": f"{base}/bridge/state"}, {"topic": f"{base}/nas/state"}]
    message = {"origin": {"name": "stbridge"}, "availability": available}
    subscriber.publish(topic, json.dumps(message), retain=True)


@pytest.mark.usefixtures("bridge")
def test_discovery_comes_before_every_state(subscriber: Subscriber, broker: Mosquitto) -> None:
    """Discovery is published before all states, also on a broker that has lost its retained messages."""
    broker.kill()
    broker.start()
    late = Subscriber(broker.port)
    late.wait_for_payload("syncthing/bridge/state", b"online")
    topics = [message.topic for message in late.messages if message.topic != "syncthing/bridge/health"]
    late.close()
    discovery = [topic.startswith(OURS) for topic in topics]
    assert sum(discovery) == 2
    assert discovery == sorted(discovery, reverse=True)
    assert topics[-1] == "syncthing/bridge/state"


@pytest.mark.usefixtures("bridge")
def test_a_birth_message_republishes_everything(subscriber: Subscriber) -> None:
    """When Home Assistant has started, the bridge publishes discovery, states and `online`, in this order."""
    since = subscriber.count
    subscriber.publish(STATUS, "offline")
    subscriber.publish(STATUS, "online")
    subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
    topics = [message.topic for message in subscriber.messages[since:]]
    assert sum(topic.startswith(OURS) for topic in topics) == 2
    assert topics.index("syncthing/nas/folder/docs") > topics.index(next(one for one in topics if OURS in one))


def test_birth_messages_in_a_row_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge republishes all topics once, and acknowledges every message."""
    monkeypatch.setattr(birth, "EARLIEST_S", 0.1)
    monkeypatch.setattr(birth, "LATEST_S", 0.1)
    schedule, republished, acknowledged = Schedule(), list[None](), list[None]()
    births = Births(schedule, lambda: republished.append(None))
    for payload in (b"online", b"online", b"offline"):
        births.take(Received(topic=STATUS, payload=payload, acknowledge=lambda: acknowledged.append(None)))
    schedule.start()
    try:
        eventually(lambda: bool(republished))
    finally:
        schedule.stop()
        schedule.thread.join(PATIENCE_S)
    assert (len(republished), len(acknowledged)) == (1, 3)


@pytest.mark.parametrize(("payload", "retained"), [(b"offline", False), (b"", False), (b"online", True)])
def test_a_message_that_is_not_a_birth_is_ignored(
    payload: bytes,
    retained: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Home Assistant publishes `offline` when it stops, and each connection delivers a retained birth message."""
    schedule, scheduled = Schedule(), list[str]()
    monkeypatch.setattr(schedule, "set", lambda name, _at: scheduled.append(name))
    births = Births(schedule, lambda: None)
    births.take(Received(topic=STATUS, payload=payload, retained=retained))
    assert scheduled == []


def test_only_leftovers_of_this_bridge_are_cleared(
    variables: dict[str, str], subscriber: Subscriber, tmp_path: Path
) -> None:
    """The next start clears the discovery of folders and instances that were removed while the bridge was stopped."""
    leave_behind(subscriber, LEFT, base="syncthing")
    leave_behind(subscriber, OTHERS, base="elsewhere")
    process = BridgeProcess(tmp_path, variables).start()
    try:
        subscriber.wait_for_payload(LEFT, b"")
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        assert OTHERS in subscriber.latest()
    finally:
        process.stop()


def test_without_home_assistant_no_discovery_is_published(
    variables: dict[str, str], subscriber: Subscriber, tmp_path: Path
) -> None:
    """`homeassistant.enabled = false` publishes no discovery messages, and clears existing ones."""
    leave_behind(subscriber, LEFT, base="syncthing")
    process = BridgeProcess(tmp_path, {**variables, "STBRIDGE_HOMEASSISTANT__ENABLED": "false"}).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        subscriber.wait_for_payload(LEFT, b"")
        assert not [topic for topic in subscriber.latest() if topic.startswith(OURS)]
    finally:
        process.stop()


def purge(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `stbridge purge` as users do."""
    command = [sys.executable, "-m", "stbridge", "purge"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_purge_clears_and_names_all_topics_of_the_bridge(
    bridge: BridgeProcess, variables: dict[str, str], subscriber: Subscriber
) -> None:
    """`purge` clears and names every retained topic and discovery message of the bridge, and keeps all others."""
    leave_behind(subscriber, OTHERS, base="elsewhere")
    subscriber.publish("syncthing/nas/note", "not the bridge's", retain=True)
    bridge.stop()
    kept = {topic for topic in subscriber.latest() if "/event/" not in topic} - {"syncthing/nas/note"}
    ours = {topic for topic in kept if topic.startswith((OURS, "syncthing/"))}
    done = purge(variables)
    assert done.returncode == 0, done.stderr
    assert {line.removeprefix("cleared ") for line in done.stdout.splitlines()[:-1]} == ours
    eventually(lambda: not ours & set(subscriber.latest()))
    assert {OTHERS, "syncthing/nas/note"} <= set(subscriber.latest())
    assert purge(variables).stdout == "there was nothing to clear\n"

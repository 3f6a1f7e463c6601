"""The discovery messages that the bridge publishes for Home Assistant, and how it clears them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stbridge import birth
from stbridge.birth import Births
from stbridge.bridge import Bridge
from stbridge.core.messages import Message, Received
from stbridge.demo.node import SyncthingNode
from stbridge.instance import Instance
from stbridge.schedule import Schedule
from stbridge.settings import MqttSettings, Settings, SyncthingSettings
from tests.proxy import Proxy
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, eventually, manifest

STATUS = "homeassistant/status"
OURS = "homeassistant/device/stbridge_"
LEFT = f"{OURS}GONE/config"
OTHERS = "homeassistant/device/other/config"
LIST = "syncthing/bridge/discovery/nas"


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
    assert sum(discovery) == 3
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
    assert sum(topic.startswith(OURS) for topic in topics) == 3
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


class Runs:
    """Runs of the bridge on a broker, over a proxy that sees whether it reads the messages of all bridges."""

    def __init__(self, variables: dict[str, str], subscriber: Subscriber, directory: Path, proxy: Proxy) -> None:
        self._variables = {**variables, "STBRIDGE_MQTT__PORT": str(proxy.port)}
        self._subscriber = subscriber
        self._directory = directory
        self._proxy = proxy

    def run(self, **more: str) -> bool:
        """Run the bridge until it is online, and return whether it has read the messages of all bridges."""
        since = self._subscriber.count
        self._proxy.count(b"homeassistant/device/+/config")
        process = BridgeProcess(self._directory, {**self._variables, **more}).start()
        try:
            self._subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
        finally:
            process.stop()
        return self._proxy.counted > 0

    def has(self, prefix: str) -> set[str]:
        """Return the retained topics with this prefix."""
        return {topic for topic in _retained(self._subscriber) if topic.startswith(prefix)}


@pytest.fixture
def runs(variables: dict[str, str], broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[Runs]:
    """Runs of the bridge with the same directory and broker."""
    proxy = Proxy(broker.port).start()
    try:
        yield Runs(variables, subscriber, tmp_path, proxy)
    finally:
        proxy.stop()


def test_a_restart_reads_only_the_discovery_of_this_bridge(runs: Runs, subscriber: Subscriber) -> None:
    """In a fleet, each bridge would otherwise read the messages of all others. Without its list it still does."""
    leave_behind(subscriber, OTHERS, base="elsewhere")
    assert [runs.run(), runs.run()] == [True, False]
    ours = runs.has(OURS)
    assert len(ours) == 3
    subscriber.publish(LIST, "", retain=True)
    leave_behind(subscriber, LEFT, base="syncthing")
    assert [runs.run(), runs.run()] == [True, False]
    assert runs.has("homeassistant/device/") == {*ours, OTHERS}


def test_a_removed_instance_is_cleared_with_its_list(runs: Runs, subscriber: Subscriber) -> None:
    """The list of an instance that has left the settings names its messages."""
    leave_behind(subscriber, LEFT, base="syncthing")
    subscriber.publish("syncthing/bridge/discovery/gone", json.dumps({"topics": [LEFT]}), retain=True)
    subscriber.publish("syncthing/bridge/discovery/note", "not the bridge's", retain=True)
    runs.run()
    eventually(lambda: not runs.has(LEFT))
    eventually(lambda: runs.has("syncthing/bridge/discovery/") == {LIST, "syncthing/bridge/discovery/note"})


def test_another_prefix_clears_the_messages_with_the_previous_one(runs: Runs) -> None:
    """The list contains whole topics."""
    runs.run()
    old = runs.has(OURS)
    assert not runs.run(STBRIDGE_HOMEASSISTANT__DISCOVERY_PREFIX="ha")
    eventually(lambda: not runs.has("homeassistant/"))
    assert {topic.removeprefix("ha/") for topic in runs.has("ha/")} == {
        one.removeprefix("homeassistant/") for one in old
    }


def test_without_home_assistant_the_list_is_empty(runs: Runs, subscriber: Subscriber) -> None:
    """Then no later run reads any discovery message."""
    runs.run()
    off = {"STBRIDGE_HOMEASSISTANT__ENABLED": "false"}
    assert [runs.run(**off), runs.run(**off)] == [False, False]
    assert runs.has(OURS) == set()
    assert json.loads(subscriber.latest()[LIST]) == {"topics": []}


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_slow_copies_without_a_reader_or_an_original_are_cleared(
    variables: dict[str, str], subscriber: Subscriber, tmp_path: Path, enabled: str
) -> None:
    """The copy of a removed folder is cleared, and every copy if Home Assistant is disabled."""
    for folder in ("gone", "docs"):
        subscriber.publish(f"syncthing/nas/slow/folder/{folder}", "{}", retain=True)
    subscriber.publish("syncthing/nas/folder/docs", "{}", retain=True)
    process = BridgeProcess(tmp_path, {**variables, "STBRIDGE_HOMEASSISTANT__ENABLED": enabled}).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        eventually(lambda: "syncthing/nas/slow/folder/gone" not in _retained(subscriber))
        eventually(lambda: ("syncthing/nas/slow/folder/docs" in _retained(subscriber)) == (enabled == "true"))
        eventually(lambda: ("syncthing/nas/slow/system" in _retained(subscriber)) == (enabled == "true"))
    finally:
        process.stop()


def test_a_slow_copy_that_is_published_during_the_restoring_is_kept(
    broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker has a copy without its original; the instance may publish both before all others are restored."""
    copy = Message(topic="syncthing/nas/slow/folder/docs", payload=b'{"state":"idle"}', retain=True)
    subscriber.publish(copy.topic, "{}", retain=True)
    restore = Instance.restore

    def publish_and_restore(self: Instance, *arguments: Any, **more: Any) -> None:
        self._outbox.put_state(copy)
        restore(self, *arguments, **more)

    monkeypatch.setattr(Instance, "restore", publish_and_restore)
    nowhere = SyncthingSettings(url="http://127.0.0.1:1", api_key="key")
    bridge = Bridge(Settings(mqtt=MqttSettings(host="127.0.0.1", port=broker.port), syncthing={"nas": nowhere}))
    bridge.start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        assert subscriber.latest()[copy.topic] == copy.payload
    finally:
        bridge.stop()


def _retained(subscriber: Subscriber) -> set[str]:
    return {topic for topic, payload in subscriber.latest().items() if payload}


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
    kept = subscriber.retained().keys() - {"syncthing/nas/note"}
    ours = {topic for topic in kept if topic.startswith((OURS, "syncthing/"))}
    done = purge(variables)
    assert done.returncode == 0, done.stderr
    assert {line.removeprefix("cleared ") for line in done.stdout.splitlines()[:-1]} == ours
    eventually(lambda: not ours & set(subscriber.latest()))
    assert {OTHERS, "syncthing/nas/note"} <= set(subscriber.latest())
    assert purge(variables).stdout == "there was nothing to clear\n"

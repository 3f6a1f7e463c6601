"""`stbridge purge` clears the topics of the bridge and no others, and refuses to run while the bridge is online."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bridges import bridges_to
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

Run = Callable[..., BridgeProcess]

FOREIGN = {
    "home/bridge/info": b'{"version": "2.1.1", "commit": "abc", "config": {}}',  # the payload of Zigbee2MQTT
    "home/kitchen/state": b"online",
    "home/kitchen/system": b'{"load": 0.5}',
    "home/kitchen/errors": b'{"count": 0, "items": []}',
    "home/kitchen/folder/docs": b'{"id": 1, "label": "Documents"}',
    "home/nas/errors": b"none",
    "home/nas/note": b"remember the milk",
    "home/nas/folder/docs/note": b"{}",
    "homeassistant/device/stbridge_other/config": b'{"origin": {"name": "other"}}',
}
"""Topics of other programs that look like those of a bridge with the base topic `home`."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a bridge to a Syncthing instance with a folder."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(docs=False)
    with bridges_to(syncthing, tmp_path) as new_bridge:
        yield lambda port, **variables: new_bridge(port, **variables).start()
    syncthing.server.stop()


def retained(port: int) -> dict[str, bytes]:
    """Return the retained messages of the broker."""
    fresh = Subscriber(port)
    fresh.publish("end/of/retained", b"x")
    fresh.wait_for_payload("end/of/retained", b"x")
    kept = fresh.latest()
    fresh.close()
    return {topic: payload for topic, payload in kept.items() if topic != "end/of/retained"}


def test_purge_refuses_while_the_bridge_is_online(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """`purge` would clear topics of a running bridge, which publishes only some of them again."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    before = retained(broker.port).keys()
    done = bridge.run("purge")
    assert done.returncode == 1
    assert "syncthing/bridge/state is online" in done.stderr
    assert "--force" in done.stderr
    assert done.stdout == ""
    assert retained(broker.port).keys() == before


def test_purge_with_force_clears_topics_under_a_bridge_that_is_online(
    broker: Mosquitto, subscriber: Subscriber, run: Run
) -> None:
    """A broker that was restored from a backup keeps `online` forever."""
    subscriber.publish("syncthing/bridge/state", b"online", retain=True)
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/nas/state", b"online")
    eventually(lambda: retained(broker.port).get("syncthing/bridge/state") == b"online")
    done = bridge.run("purge", "--force")
    assert done.returncode == 0, done.stderr
    assert "cleared syncthing/nas/folder/docs" in done.stdout
    eventually(lambda: subscriber.messages[-1:] and "syncthing/nas/folder/docs" not in retained(broker.port))


def test_a_dry_run_lists_topics_and_clears_nothing(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """A dry run changes nothing, so it also works while the bridge is online."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    before = retained(broker.port)
    done = bridge.run("purge", "--dry-run")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert {line.removeprefix("would clear ") for line in lines} == before.keys()
    assert last == f"{len(before)} topics would be cleared"
    assert retained(broker.port).keys() == before.keys()


@pytest.mark.parametrize("encoding", ["mqtt", "strict"])
def test_purge_keeps_similar_topics_of_other_programs(
    broker: Mosquitto, subscriber: Subscriber, run: Run, encoding: str
) -> None:
    """Several programs often share a base topic such as `home`."""
    bridge = run(broker.port, STBRIDGE_MQTT__BASE_TOPIC="home", STBRIDGE_MQTT__TOPIC_ENCODING=encoding)
    subscriber.wait_for_payload("home/bridge/state", b"online")
    bridge.stop()
    for topic, payload in FOREIGN.items():
        if topic not in ("home/bridge/info", "home/nas/errors"):
            subscriber.publish(topic, payload, retain=True)
    done = bridge.run("purge")
    assert done.returncode == 0, done.stderr
    left = {
        topic: payload for topic, payload in FOREIGN.items() if topic not in ("home/bridge/info", "home/nas/errors")
    }
    assert retained(broker.port) == left


@pytest.mark.parametrize("state", [b"online", b'{"state": "online"}'])
def test_purge_clears_nothing_below_a_wrong_base_topic(
    broker: Mosquitto, subscriber: Subscriber, run: Run, state: bytes
) -> None:
    """A wrong mqtt.base_topic must not delete the topics of another program."""
    foreign = {**FOREIGN, "home/bridge/state": state}
    for topic, payload in foreign.items():
        subscriber.publish(topic, payload, retain=True)
    bridge = run(broker.port, STBRIDGE_MQTT__BASE_TOPIC="elsewhere")
    subscriber.wait_for_payload("elsewhere/bridge/state", b"online")
    bridge.stop()
    done = bridge.run("purge", "--set", "mqtt.base_topic=home")
    assert done.stdout == "there was nothing to clear\n", done.stderr
    assert done.returncode == 0
    assert foreign.items() <= retained(broker.port).items()


def test_purge_clears_an_instance_that_was_renamed(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """`bridge/info` does not list it any more; its payloads identify it."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    bridge.stop()
    info = json.loads(retained(broker.port)["syncthing/bridge/info"])
    subscriber.publish("syncthing/bridge/info", json.dumps({**info, "instances": ["other"]}), retain=True)
    assert bridge.run("purge").returncode == 0
    assert retained(broker.port) == {}

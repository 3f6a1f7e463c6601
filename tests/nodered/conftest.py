"""Test setup for the example flows: a real broker, a Syncthing instance, the bridge and Node-RED, started once."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from stbridge.demo.node import SyncthingNode
from tests.nodered.server import EXAMPLES, NodeRed, flow
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance, manifest


@dataclass(frozen=True, slots=True)
class House:
    """All parts of the test setup."""

    broker: Mosquitto
    syncthing: SyncthingNode
    bridge: BridgeProcess
    node_red: NodeRed
    subscriber: Subscriber
    photos: Path


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Start an instance `nas` with a folder `photos`, as the examples expect, and deploy all examples."""
    directory = tmp_path_factory.mktemp("house")
    for name in ("broker", "bridge", "node-red"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        broker = Mosquitto(directory / "broker").start()
        stack.callback(broker.stop)
        newest = list(manifest()["syncthing"].values())[-1]
        syncthing = SyncthingNode("nas", directory / "syncthing", newest)
        syncthing.start()
        stack.callback(syncthing.stop)
        syncthing.share("photos", directory / "photos", label="Photos <1>", fsWatcherEnabled=False)
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.close)
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", syncthing)}
        bridge = BridgeProcess(directory / "bridge", variables).start()
        stack.callback(bridge.stop)
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        node_red = NodeRed(directory / "node-red").start()
        stack.callback(node_red.stop)
        node_red.deploy(*(flow(one.name) for one in EXAMPLES.glob("*.json")), broker_port=broker.port)
        eventually(lambda: "Connected to broker" in node_red.log.read_text(encoding="utf-8"))
        yield House(broker, syncthing, bridge, node_red, subscriber, directory / "photos")

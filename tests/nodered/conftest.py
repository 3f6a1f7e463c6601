"""Test setup for the flows: for each version of Node-RED a real broker, two Syncthing instances and the bridge."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from stbridge.demo.node import SyncthingNode
from tests.browser import Browser, chromium
from tests.nodered.server import EXAMPLES, VERSIONS, NodeRed, flow, is_installed
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance, manifest

LABEL = "Photos <1>"
"""The label of the folder; markup if a page did not escape it."""


@pytest.fixture(scope="session", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each major version of Node-RED, one after the other."""
    version: str = request.param
    if not is_installed(version):
        pytest.skip(f"Node-RED {version} is not installed: run scripts/node-red")
    return version


@dataclass(frozen=True, slots=True)
class House:
    """All parts of the test setup."""

    broker: Mosquitto
    syncthing: SyncthingNode
    laptop: SyncthingNode
    bridge: BridgeProcess
    node_red: NodeRed
    subscriber: Subscriber
    photos: Path


@pytest.fixture(scope="session")
def house(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Start an instance `nas` with a folder `photos`, as the examples expect, and deploy all examples.

    The instance shares the folder with another one, `laptop`.
    """
    directory = tmp_path_factory.mktemp("house")
    for name in ("broker", "bridge", "node-red"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        broker = Mosquitto(directory / "broker").start()
        stack.callback(broker.stop)
        newest = list(manifest()["syncthing"].values())[-1]
        nas, laptop = (SyncthingNode(name, directory / name, newest) for name in ("nas", "laptop"))
        for node in (nas, laptop):
            node.start()
            stack.callback(node.stop)
        nas.link(laptop)
        nas.share("photos", directory / "photos", label=LABEL, devices=[laptop], fsWatcherEnabled=False)
        laptop.share("photos", directory / "copy", label=LABEL, devices=[nas])
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.close)
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", nas), **instance("laptop", laptop)}
        bridge = BridgeProcess(directory / "bridge", variables).start()
        stack.callback(bridge.stop)
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        node_red = NodeRed(version, directory / "node-red").start()
        stack.callback(node_red.stop)
        node_red.deploy(*(flow(one.name) for one in EXAMPLES.glob("*.json")), broker_port=broker.port)
        eventually(lambda: "Connected to broker" in node_red.log.read_text(encoding="utf-8"))
        yield House(broker, nas, laptop, bridge, node_red, subscriber, directory / "photos")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser."""
    if chromium() is None:
        pytest.skip("Chromium is not installed: run scripts/chromium")
    one = Browser(tmp_path_factory.mktemp("chromium")).start()
    yield one
    one.stop()

"""`mqtt.hosts` with real brokers: nodes that are dead, of another version, no broker, or have no address."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import free_port
from stbridge.errors import BrokerUnreachable
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.bridges import bridges_to
from tests.scripted_broker import ScriptedBroker
from tests.servers import BridgeProcess, Mosquitto, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

MQTT_3_1_1 = 4
STATE = "syncthing/bridge/state"
NO_SUCH_NAME = "no-such-node.invalid"

Brokers = Callable[..., Mosquitto]
Run = Callable[..., BridgeProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Make a bridge to a cluster; it has to be started."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    with bridges_to(syncthing, tmp_path) as new_bridge:
        yield lambda *hosts, **variables: new_bridge(1883, STBRIDGE_MQTT__HOSTS=json.dumps(hosts), **variables)
    syncthing.server.stop()


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of a server that closes each connection: it is no broker."""
    server = ScriptedServer({}).start()
    yield int(server.url.rpartition(":")[2])
    server.stop()


@pytest.fixture
def old() -> Iterator[ScriptedBroker]:
    """A broker that supports MQTT 3.1.1 only."""
    server = ScriptedBroker(protocols=(MQTT_3_1_1,))
    yield server
    server.stop()


def at(broker: Mosquitto | ScriptedBroker) -> str:
    """Return the address of a broker."""
    return f"127.0.0.1:{broker.port}"


def tree_of(broker: Mosquitto) -> Mapping[str, bytes]:
    """Return the retained messages of a broker."""
    return read_retained(MqttSettings(host="127.0.0.1", port=broker.port, client_id="test"), ["syncthing/#"])


def is_online(broker: Mosquitto) -> bool:
    """Return whether the bridge is connected to a broker and has published everything there."""
    return tree_of(broker).get(STATE) == b"online"


def test_the_bridge_uses_the_node_that_works(broker: Mosquitto, web_server: int, run: Run) -> None:
    """`check` warns of the others, each by its name, and still succeeds."""
    dead = f"127.0.0.1:{free_port()}"
    no_broker = f"127.0.0.1:{web_server}"
    bridge = run(dead, no_broker, NO_SUCH_NAME, at(broker))
    done = bridge.run("check")
    lines = [line for line in done.stdout.splitlines() if "mqtt: " in line]
    assert done.returncode == 0, done.stdout
    assert [line.split()[0] for line in lines] == ["warn", "warn", "warn", "ok"]
    assert f"nothing listens at {dead}: check that the broker is running, mqtt.hosts" in lines[0]
    assert no_broker in lines[1]
    assert f"the host name '{NO_SUCH_NAME}' cannot be resolved: check mqtt.hosts" in lines[2]
    assert f"{at(broker)} accepts the bridge" in lines[3]
    bridge.start()
    eventually(lambda: is_online(broker))
    assert f"connected to the broker at {at(broker)}" in bridge.log.read_text(encoding="utf-8")


def test_check_fails_if_no_node_works(run: Run) -> None:
    """Each node is a problem."""
    done = run(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}").run("check")
    assert done.returncode == 1
    assert done.stdout.count("FAIL") == 2
    assert "2 problems" in done.stdout


def info(tree: Mapping[str, bytes]) -> Any:
    """Return the node and the version in `bridge/info`."""
    found = json.loads(tree["syncthing/bridge/info"])
    return found["broker"], found["mqtt_protocol"]


def test_nodes_may_speak_different_versions(new_broker: Brokers, old: ScriptedBroker, run: Run) -> None:
    """During an upgrade of a cluster, the bridge goes from a node with MQTT 3.1.1 to one with MQTT 5, and back."""
    new = new_broker()
    run(at(new), at(old)).start()
    eventually(lambda: old.latest().get(STATE) == b"online")
    assert info(old.latest()) == (at(old), "3.1.1")
    new.start()

    def has_moved() -> bool:
        old.cut()  # repeatedly, because the bridge may first come back to the node that it knows to work
        return is_online(new)

    eventually(has_moved)
    assert info(tree_of(new)) == (at(new), "5")
    connections = old.connections
    new.stop()
    eventually(lambda: old.connections > connections)


def test_a_node_without_the_only_permitted_version_is_passed_over(
    broker: Mosquitto, old: ScriptedBroker, run: Run
) -> None:
    """The message names the node and the version."""
    bridge = run(at(old), at(broker), STBRIDGE_MQTT__PROTOCOL="5")
    done = bridge.run("check")
    assert done.returncode == 0, done.stdout
    assert (
        f"{at(old)} closes the connection without an answer to MQTT 5: check mqtt.hosts, mqtt.protocol" in done.stdout
    )
    bridge.start()
    eventually(lambda: is_online(broker))


def test_the_other_subcommands_use_a_node_that_works(broker: Mosquitto, run: Run) -> None:
    """`purge` does not care which node is dead."""
    bridge = run(f"127.0.0.1:{free_port()}", at(broker))
    bridge.start()
    eventually(lambda: is_online(broker))
    bridge.stop()
    done = bridge.run("purge")
    assert done.returncode == 0, done.stderr
    assert read_retained(MqttSettings(host="127.0.0.1", port=broker.port), ["syncthing/#"]) == {}


def test_if_no_node_works_the_error_names_each() -> None:
    """There is no other place where the user could see which nodes were tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = taken.getsockname()[1]
    dead = [f"127.0.0.1:{taken_port}", f"127.0.0.1:{free_port()}"]
    with pytest.raises(BrokerUnreachable) as caught:
        read_retained(MqttSettings(hosts=tuple(dead)), ["syncthing/#"])
    assert all(f"nothing listens at {node}" in str(caught.value) for node in dead)

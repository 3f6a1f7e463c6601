"""The bridge on a real cluster of brokers: three NATS servers, one of which fails."""

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnavailable
from stbridge.mqtt.observer import Observer
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.bridges import bridges_to
from tests.nats_cluster import ClusterNode, NatsCluster
from tests.servers import BridgeProcess, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

RECOVERY_S = 60.0
"""Maximum time after a fault: the nodes elect new leaders, and the bridge may first try a node that hangs."""

FOLDERS = ("docs", "music", "photos")
INFO = "syncthing/bridge/info"
STATE = "syncthing/bridge/state"


class World:
    """A cluster, a bridge, and clients that connect to any node that works."""

    def __init__(self, cluster: NatsCluster, bridge: BridgeProcess, syncthing: PretendedSyncthing) -> None:
        self.cluster = cluster
        self.bridge = bridge
        self.syncthing = syncthing
        self.folders = set(FOLDERS)
        self._numbers = itertools.count(1)

    def tree(self) -> dict[str, bytes]:
        """Return the retained messages that the cluster has; nothing if no node answers now."""
        with suppress(BrokerUnavailable):
            return read_retained(self._client(), ["syncthing/#"])
        return {}

    def is_right(self, lost: ClusterNode | None = None) -> bool:
        """Return whether the retained messages are the truth: all folders of now, no other, and not the lost node."""
        tree = self.tree()
        folders = {topic.split("/")[3] for topic in tree if topic.startswith("syncthing/nas/folder/")}
        complete = tree.get(STATE) == b"online" and "syncthing/nas/system" in tree and folders == self.folders
        return complete and (lost is None or json.loads(tree[INFO])["broker"] != lost.address)

    def ask(self) -> Any:
        """Send a command through any node that works, and return the reply; None if there was none."""
        transaction = f"t{next(self._numbers)}"
        replies: list[bytes] = []

        def received(message: Received) -> None:
            if transaction.encode() in message.payload:
                replies.append(message.payload)

        observer = Observer(self._client(), ["syncthing/nas/response/#"], received)
        try:
            observer.start()
            text = json.dumps({"folder": "docs", "transaction": transaction}).encode()
            observer.publish(Message(topic="syncthing/nas/command/get_folder_status", payload=text))
            eventually(lambda: replies or observer.failure, 10)
        except (AssertionError, BrokerUnavailable):
            return None
        finally:
            observer.stop()
        return json.loads(replies[0])["status"] if replies else None

    def node_of_the_bridge(self) -> ClusterNode:
        """Return the node that the bridge is connected to, according to `bridge/info`."""
        return self.cluster.node_at(json.loads(eventually(lambda: self.tree().get(INFO), RECOVERY_S))["broker"])

    def other_node(self) -> ClusterNode:
        """Return a node that the bridge is not connected to."""
        ours = self.node_of_the_bridge()
        return next(node for node in self.cluster.nodes if node is not ours)

    def changes(self, *folders: str) -> None:
        """Change the folders of Syncthing; the bridge hears of it by an event."""
        self.folders = set(folders)
        self.syncthing.happens("ConfigSaved", self.syncthing.has_folders(**dict.fromkeys(folders, False)))

    def recovers(self, lost: ClusterNode | None = None) -> None:
        """Wait until a command gets its reply, and until the tree is right."""
        eventually(lambda: self.ask() == "ok", RECOVERY_S)  # first, because it is faster
        eventually(lambda: self.is_right(lost), RECOVERY_S)

    def _client(self) -> MqttSettings:
        return MqttSettings(hosts=tuple(self.cluster.hosts), protocol="3.1.1", client_id=f"test{next(self._numbers)}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A bridge that has published everything to a cluster; every test leaves it working again."""
    directory = tmp_path_factory.mktemp("cluster")
    cluster = NatsCluster(directory)
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(**dict.fromkeys(FOLDERS, False))
    try:
        cluster.start()
        with bridges_to(syncthing, directory) as new_bridge:
            bridge = new_bridge(1883, STBRIDGE_MQTT__HOSTS=json.dumps(cluster.hosts)).start()
            world = World(cluster, bridge, syncthing)
            world.recovers()
            yield world
    finally:
        syncthing.server.stop()
        cluster.stop()


def test_the_bridge_publishes_everything_and_says_where(world: World) -> None:
    """`bridge/info` and the log have the address of the node."""
    node = world.node_of_the_bridge()
    assert f"connected to the broker at {node.address} with MQTT 3.1.1" in world.bridge.log.read_text(encoding="utf-8")


def test_check_has_a_line_for_each_node(world: World) -> None:
    """All of them work."""
    done = world.bridge.run("check")
    assert done.returncode == 0, done.stdout
    assert all(f"mqtt: {host} accepts the bridge with MQTT 3.1.1" in done.stdout for host in world.cluster.hosts)


def kill(node: ClusterNode) -> Callable[[], None]:
    """Kill a server."""
    node.end()
    return node.launch


def shut_down(node: ClusterNode) -> Callable[[], None]:
    """Stop a server in the orderly way."""
    node.end(signal.SIGTERM)
    return node.launch


def hang(node: ClusterNode) -> Callable[[], None]:
    """Make a server hang: it still accepts connections of TCP, but answers nothing."""
    node.send(signal.SIGSTOP)
    return lambda: node.send(signal.SIGCONT)


def cut_off(node: ClusterNode) -> Callable[[], None]:
    """Cut a server off from its clients, but not from the cluster."""
    node.proxy.refuse()
    return node.proxy.repair


@pytest.mark.parametrize("fault", [kill, shut_down, hang, cut_off])
def test_the_loss_of_the_node_of_the_bridge_is_survived(
    world: World, fault: Callable[[ClusterNode], Callable[[], None]]
) -> None:
    """The bridge goes to another node; what has changed in the meantime is published, with the node still down."""
    lost = world.node_of_the_bridge()
    repair = fault(lost)
    try:
        world.changes("docs", "music")
        world.recovers(lost)
    finally:
        repair()
    world.changes(*FOLDERS)
    world.recovers()


def test_the_restart_of_another_node_is_survived(world: World) -> None:
    """NATS may close the connection of the bridge even then, while the nodes elect leaders."""
    kill(world.other_node())()
    world.changes("docs", "photos")
    world.recovers()
    world.changes(*FOLDERS)
    world.recovers()


def test_a_restarted_bridge_clears_the_topics_of_folders_that_are_gone(world: World) -> None:
    """It reads what it has published, which NATS delivers late, before it goes online; one node is down."""
    repair = kill(world.other_node())
    try:
        world.bridge.stop()
        world.syncthing.has_folders(docs=False)
        world.folders = {"docs"}
        world.bridge.start()
        world.recovers()
    finally:
        repair()

"""A real cluster of three NATS servers that share retained messages (JetStream, three replicas), and its faults."""

import itertools
import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stbridge.core.messages import Message, Received
from stbridge.demo.node import free_port
from stbridge.errors import BrokerUnavailable
from stbridge.mqtt.observer import Observer
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.bridges import bridges_to
from tests.nats import PROGRAM
from tests.proxy import Proxy
from tests.servers import PATIENCE_S, BridgeProcess, eventually, listens
from tests.syncthing.pretended import CONFIG, PretendedSyncthing
from tests.syncthing.server import ScriptedServer, answers

SIZE = 3

CONFIGURATION = """
server_name: {name}
listen: "127.0.0.1:{own_port}"
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "127.0.0.1:{port}", stream_replicas: 3 }}
cluster {{ name: "test", listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""


class ClusterNode:
    """One server of the cluster, and a proxy in front of its MQTT port."""

    def __init__(self, directory: Path, name: str, route: int, routes: Sequence[int]) -> None:
        directory.mkdir()
        self.name = name
        self.mqtt_port = free_port()
        self.proxy = Proxy(self.mqtt_port).start()
        self.address = f"127.0.0.1:{self.proxy.port}"
        self.log = directory / "nats.log"
        self._configuration = directory / "nats.conf"
        text = CONFIGURATION.format(
            name=name,
            own_port=free_port(),
            directory=directory / "jetstream",
            port=self.mqtt_port,
            route=route,
            routes=", ".join(f'"nats://127.0.0.1:{one}"' for one in routes),
        )
        self._configuration.write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the server."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "--config", self._configuration], stderr=log)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self._process is not None, "the server runs"
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Stop the server if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None


class NatsCluster:
    """Three servers on free ports of the loopback address."""

    def __init__(self, directory: Path) -> None:
        routes = [free_port() for _ in range(SIZE)]
        self.nodes = [
            ClusterNode(directory / f"n{number}", f"n{number}", route, routes) for number, route in enumerate(routes)
        ]

    @property
    def hosts(self) -> list[str]:
        """The value of `mqtt.hosts`."""
        return [node.address for node in self.nodes]

    def start(self) -> "NatsCluster":
        """Start all servers, and wait until each listens for MQTT."""
        for node in self.nodes:
            node.launch()
        eventually(lambda: all(listens(node.mqtt_port) for node in self.nodes))
        return self

    def node_at(self, address: str) -> ClusterNode:
        """Return the node with an address from `hosts`."""
        return next(node for node in self.nodes if node.address == address)

    def stop(self) -> None:
        """Stop everything."""
        for node in self.nodes:
            node.end()
            node.proxy.stop()


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


FAULTS = (kill, shut_down, hang, cut_off)


RECOVERY_S = 180.0
"""Maximum time after a fault: the nodes elect new leaders, and the bridge may first try a node that hangs."""

FOLDERS = ("docs", "music", "photos")
GET_DOCS = {"folder": "docs"}
FOLDER = re.compile(r"syncthing/nas/folder/")
CONNECTED = re.compile(r"connected to the broker at (\S+) with")
INFO = "syncthing/bridge/info"
STATE = "syncthing/bridge/state"


class ClusterWorld:
    """A cluster, a bridge, and clients that connect to any node that works."""

    def __init__(self, cluster: NatsCluster, bridge: BridgeProcess, syncthing: PretendedSyncthing) -> None:
        self.cluster = cluster
        self.bridge = bridge
        self.syncthing = syncthing
        self.folders = set(FOLDERS)
        self._numbers = itertools.count(1)

    def tree(self, node: ClusterNode) -> dict[str, bytes]:
        """Return the retained messages that a node delivers; nothing if it does not answer now."""
        with suppress(BrokerUnavailable):
            return read_retained(self._client(node), ["syncthing/#"])
        return {}

    def wrong(self, tree: Mapping[str, bytes]) -> list[str]:
        """Return the differences between retained messages and the truth."""
        found: dict[str, tuple[object, object]] = {
            STATE: (tree.get(STATE), b"online"),
            "folders": ({topic.split("/")[3] for topic in tree if FOLDER.match(topic)}, self.folders),
            "syncthing/nas/system": ("syncthing/nas/system" in tree, True),
            "the node": (json.loads(tree.get(INFO, b"{}")).get("broker"), self.node_of_the_bridge().address),
        }
        return [f"{what}: {is_now}, not {expected}" for what, (is_now, expected) in found.items() if is_now != expected]

    def published(self) -> dict[str, bytes]:
        """Rename every folder, and return what a subscriber at any node that works receives of it within 5 s.

        While a node is down, the retained messages of another node may be old; see the page about brokers.
        """
        live: dict[str, bytes] = {}
        label = f"renamed {next(self._numbers)}"

        def received(message: Received) -> None:
            if not message.retained:
                live[message.topic] = message.payload

        observer = Observer(self._client(), ["syncthing/nas/folder/+"], received)
        with suppress(AssertionError, BrokerUnavailable):
            try:
                observer.start()
                self.changes(*self.folders, label=label)
                eventually(lambda: observer.failure or len(live) >= len(self.folders), 5)
            finally:
                observer.stop()
        return {topic: payload for topic, payload in live.items() if label.encode() in payload}

    def ask(self, command: str = "get_folder_status", arguments: Mapping[str, str] = GET_DOCS) -> Any:
        """Send a command through any node that works, and return the status of its reply; None if there was none."""
        transaction = f"t{next(self._numbers)}"
        replies: list[bytes] = []

        def received(message: Received) -> None:
            if transaction.encode() in message.payload:
                replies.append(message.payload)

        observer = Observer(self._client(), ["syncthing/nas/response/#"], received)
        with suppress(AssertionError, BrokerUnavailable):
            try:
                observer.start()
                text = json.dumps({**arguments, "transaction": transaction}).encode()
                observer.publish(Message(topic=f"syncthing/nas/command/{command}", payload=text))
                eventually(lambda: replies or observer.failure, 10)
            finally:
                observer.stop()
        return json.loads(replies[0])["status"] if replies else None

    def node_of_the_bridge(self) -> ClusterNode:
        """Return the node that the bridge is connected to, according to its log."""
        return self.cluster.node_at(CONNECTED.findall(self.bridge.log.read_text(encoding="utf-8"))[-1])

    def changes(self, *folders: str, label: str = "Documents") -> None:
        """Change the folders of Syncthing, which reports it by an event."""
        self.folders = set(folders)
        config = dict(self.syncthing.has_folders(**dict.fromkeys(folders, False)))
        config["folders"] = [{**folder, "label": label} for folder in config["folders"]]
        self.syncthing.table[CONFIG] = answers(config)
        self.syncthing.happens("ConfigSaved", config)

    def works_without(self, lost: ClusterNode) -> None:
        """Wait until a command gets its reply, and a subscriber receives the folders; the bridge left the lost node."""
        eventually(lambda: self.ask() == "ok", RECOVERY_S)
        eventually(lambda: len(self.published()) == len(self.folders), RECOVERY_S)
        assert self.node_of_the_bridge() is not lost

    def recovers(self) -> None:
        """Wait until a command gets its reply, and the retained messages of every node are the truth."""
        eventually(lambda: self.ask() == "ok", RECOVERY_S)
        found: list[str] = []

        def right() -> bool:
            found[:] = [f"{node.name}: {wrong}" for node in self.cluster.nodes for wrong in self.wrong(self.tree(node))]
            return not found

        eventually(right, RECOVERY_S, found)

    def _client(self, node: ClusterNode | None = None) -> MqttSettings:
        """Return the settings of a client that connects to a node, or to any node that works."""
        hosts = (node.address,) if node else tuple(self.cluster.hosts)
        return MqttSettings(hosts=hosts, protocol="3.1.1", client_id=f"test{next(self._numbers)}")


@contextmanager
def cluster_world(directory: Path) -> Iterator[ClusterWorld]:
    """Start a cluster and a bridge, and wait until the bridge has published everything."""
    cluster = NatsCluster(directory)
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(**dict.fromkeys(FOLDERS, False))
    try:
        cluster.start()
        with bridges_to(syncthing, directory) as new_bridge:
            bridge = new_bridge(1883, STBRIDGE_MQTT__HOSTS=json.dumps(cluster.hosts)).start()
            world = ClusterWorld(cluster, bridge, syncthing)
            world.recovers()
            yield world
    finally:
        syncthing.server.stop()
        cluster.stop()

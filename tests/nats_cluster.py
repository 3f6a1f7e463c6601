"""A real cluster of three NATS servers that share retained messages (JetStream, three replicas)."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stbridge.demo.node import free_port
from tests.nats import PROGRAM
from tests.proxy import Proxy
from tests.servers import PATIENCE_S, eventually, listens

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

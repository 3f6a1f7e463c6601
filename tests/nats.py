"""A real NATS server, which supports MQTT 3.1.1 and allows fewer characters in topics than MQTT does."""

import subprocess
import sys
from pathlib import Path

from stbridge.demo.node import free_port
from tests.servers import PATIENCE_S, eventually, listens

PROGRAM = Path(sys.executable).with_name("nats-server")

CONFIGURATION = """
server_name: solo
listen: "127.0.0.1:{own_port}"
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "127.0.0.1:{port}" }}
"""


class Nats:
    """A NATS server on free ports of the loopback address."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Nats":
        """Start the server and wait until it listens for MQTT, which is the last port that it opens."""
        configuration = self._directory / "nats.conf"
        text = CONFIGURATION.format(own_port=free_port(), directory=self._directory / "jetstream", port=self.port)
        configuration.write_text(text, encoding="utf-8")
        with (self._directory / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "--config", configuration], stderr=log)
        eventually(lambda: listens(self.port))
        return self

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

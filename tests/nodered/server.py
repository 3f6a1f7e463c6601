"""A real Node-RED of any installed version on a free port of the loopback address, and the example flows for it."""

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import requests

from stbridge.demo.node import free_port
from tests.servers import PATIENCE_S, ROOT, eventually

VERSIONS = sorted(one.name.removeprefix("node-red-") for one in (ROOT / "requirements").glob("node-red-*"))
"""Major versions of Node-RED that scripts/node-red installs."""

CACHE = ROOT / ".cache/node-red"
EXAMPLES = ROOT / "examples/node-red"
BROKER = "mqtt-broker"
PAGES = "ui-base"

START_S = 120.0
"""Time limit of a start: Node-RED loads hundreds of modules, which takes half a minute on a busy machine."""

SETTINGS = """
module.exports = {
    uiHost: "127.0.0.1",
    flowFile: "flows.json",
    mqttReconnectTime: 1000,
    editorTheme: { tours: false },
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: "info" } },
};
"""


def flow(name: str) -> list[dict[str, Any]]:
    """Return the nodes of an example, as a user would import them."""
    nodes: list[dict[str, Any]] = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    return nodes


def is_installed(version: str) -> bool:
    """Return whether scripts/node-red has installed this major version."""
    return (CACHE / version / "ready").is_file()


def _node(version: str) -> str:
    """Return the Node.js that a version has brought, or the name of this machine's."""
    own = sorted((CACHE / version).glob("node_modules/node-linux-*/bin/node"))
    return str(own[0]) if own else "node"


class NodeRed:
    """A Node-RED process with its own user directory.

    Args:
        version: its major version.
        directory: the user directory.
        settings: the content of its settings file.
        ready: a path that answers when it has started.
    """

    def __init__(self, version: str, directory: Path, settings: str = SETTINGS, ready: str = "flows") -> None:
        self.version = version
        self.port = free_port()
        self.log = directory / "node-red.log"
        self._directory = directory
        self._settings = settings
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of its editor and of the pages of its flows."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "NodeRed":
        """Start it, and wait until it accepts flows."""
        (self._directory / "settings.js").write_text(self._settings, encoding="utf-8")
        program = CACHE / self.version / "node_modules/node-red/red.js"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [_node(self.version), program, "--userDir", self._directory, "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self._directory)},
            )
        eventually(lambda: self._answers(self._ready), START_S)
        return self

    def _answers(self, path: str) -> bool:
        assert self._process is not None
        log = self.log.read_text(encoding="utf-8")
        assert self._process.poll() is None, log
        if "Started flows" not in log:  # before, a request for the flows makes Node-RED log a TypeError
            return False
        try:
            return requests.get(f"{self.url}/{path}", timeout=PATIENCE_S).ok
        except requests.ConnectionError:
            return False

    def deploy(self, *flows: list[dict[str, Any]], broker_port: int) -> None:
        """Import and deploy flows, unchanged except for the broker's port, and wait until their pages exist."""
        nodes = {node["id"]: node for one in flows for node in one}
        deployed = [{**node, "port": str(broker_port)} if node["type"] == BROKER else node for node in nodes.values()]
        answer = requests.post(f"{self.url}/flows", json=deployed, timeout=PATIENCE_S)
        assert answer.ok, answer.text
        for path in (node["path"] for node in deployed if node["type"] == PAGES):
            eventually(partial(self._answers, path.lstrip("/")), START_S)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(PATIENCE_S)
            self._process = None

"""Two real instances that share folders, with a bridge that has both, for tests of what it publishes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stbridge.demo.node import SyncthingNode
from tests.conftest import Pair
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, instance, running


class Scene:
    """Two instances with a bridge, and the topics of both."""

    def __init__(self, pair: Pair, subscriber: Subscriber, directory: Path) -> None:
        self.pair = pair
        self.subscriber = subscriber
        self.directory = directory
        self._folders: list[tuple[SyncthingNode, str]] = []

    def latest(self, topic: str) -> Any:
        """Return the newest payload of a topic of alpha or beta; empty if there is none."""
        return json.loads(self.subscriber.latest().get(f"syncthing/{topic}", b"{}"))

    def until(self, topic: str, timeout_s: float = PATIENCE_S, **values: Any) -> Any:
        """Wait until a payload has these values, and return it."""
        return self.subscriber.until(f"syncthing/{topic}", timeout_s, **values)

    def folder(self, folder: str, *, at: SyncthingNode | None = None, **settings: Any) -> Path:
        """Add a folder to alpha, or to another node, and return its directory."""
        node = at or self.pair.a
        path = self.directory / node.name / folder
        node.share(folder, path, label=folder.title(), **settings)
        self._folders.append((node, folder))
        return path

    def scan(self, folder: str, *, at: SyncthingNode | None = None) -> None:
        """Scan a folder that may be in error."""
        with suppress(OSError):  # Syncthing answers 500 if the folder is in error
            (at or self.pair.a).request("POST", "/rest/db/scan", {"folder": folder})

    def remove(self) -> None:
        """Remove the folders that were added."""
        for node, folder in self._folders:
            node.request("DELETE", f"/rest/config/folders/{folder}")


@contextmanager
def scene_of(pair: Pair, broker: Mosquitto, subscriber: Subscriber, directory: Path) -> Iterator[Scene]:
    """Start a bridge that has both nodes as instances `alpha` and `beta`, and wait until it is online."""
    one = Scene(pair, subscriber, directory / "files")
    settings = {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_POLL__ERRORS": "1",
        "STBRIDGE_POLL__STATUS": "1",
    }
    process = BridgeProcess(directory, {**settings, **instance("alpha", pair.a), **instance("beta", pair.b)})
    for node in (pair.a, pair.b):
        node.request("POST", "/rest/system/error/clear")  # an earlier test may have left errors
    try:
        with running(process, subscriber):
            yield one
    finally:
        one.remove()

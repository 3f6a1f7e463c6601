"""Commands for old versions of files, limits and all devices, on real instances of every version."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest

from stbridge.core.model import short_id
from tests.conftest import Pair
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance, running

VERSIONING: dict[str, dict[str, Any]] = {
    "trashcan": {"type": "trashcan", "params": {"cleanoutDays": "0"}},
    "simple": {"type": "simple", "params": {"keep": "5"}},
    "staggered": {"type": "staggered", "params": {"maxAge": "0"}},
}
"""Every kind of file versioning that Syncthing can restore itself."""


class Scene:
    """Two instances with a bridge that allows every command, and the topics of both."""

    def __init__(self, pair: Pair, subscriber: Subscriber, directory: Path) -> None:
        self.pair = pair
        self.subscriber = subscriber
        self.directory = directory
        self.shared: list[str] = []

    def asks(self, command: str, payload: Any = None, *, node: str = "beta") -> Any:
        """Send a command and return its reply."""
        return ask(self.subscriber, command, json.dumps(payload or {}), node=node)

    def until(self, topic: str, **values: Any) -> Any:
        """Wait until a payload has these values, and return it."""
        return self.subscriber.until(f"syncthing/{topic}", timeout_s=90, **values)


@pytest.fixture
def scene(pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[Scene]:
    """A bridge that is online and has both nodes as instances."""
    settings = {"STBRIDGE_MQTT__PORT": str(broker.port), "STBRIDGE_COMMANDS__ALLOW": '["read", "operate", "admin"]'}
    one = Scene(pair, subscriber, tmp_path / "files")
    process = BridgeProcess(tmp_path, {**settings, **instance("alpha", pair.a), **instance("beta", pair.b)})
    try:
        with running(process, subscriber):
            yield one
    finally:
        for folder in one.shared:
            for node in (pair.a, pair.b):
                node.request("DELETE", f"/rest/config/folders/{folder}")


# --- old versions of files


class Versioned:
    """A folder that both instances share, in which beta keeps the old version of a file."""

    def __init__(self, scene: Scene, kind: str, name: str) -> None:
        pair, self._scene, self._name = scene.pair, scene, name
        self.folder = f"{kind}-{name.count('/')}"  # Syncthing keeps the index of a removed folder
        scene.shared.append(self.folder)
        paths = {node: scene.directory / node.name for node in (pair.a, pair.b)}
        self.written, self.received = paths[pair.a] / name, paths[pair.b] / name
        for here, there, versioning in ((pair.a, pair.b, {}), (pair.b, pair.a, VERSIONING[kind])):
            here.share(self.folder, paths[here], devices=[there], versioning=versioning)
        self.written.parent.mkdir(exist_ok=True)
        for content in (b"old", b"newer"):
            self.written.write_bytes(content)
            os.utime(
                self.written, (time() - 3600,) * 2
            )  # a trash can names a version after this time if it restores one
            pair.a.request("POST", "/rest/db/scan", {"folder": self.folder})
            self.until(self.received, content)
        scene.until(f"beta/folder/{self.folder}", status="up_to_date")
        (version,) = self.versions()
        assert version["size"] == 3
        self.order = {"folder": self.folder, "file": name, "version": version["versionTime"]}
        # Syncthing names a version after the second in which it is replaced, and would overwrite one of the same second
        archived_at = datetime.fromisoformat(version["versionTime"])
        eventually(lambda: datetime.now(UTC) - archived_at > timedelta(seconds=1))

    @staticmethod
    def until(file: Path, content: bytes) -> None:
        """Wait until a file has this content."""
        eventually(lambda: file.is_file() and file.read_bytes() == content, 90)

    def versions(self) -> Any:
        """Return the old versions of the file."""
        return self._scene.asks("get_versions", {"folder": self.folder})["data"][self._name]

    def restore(self) -> Any:
        """Restore the old version, and return the error."""
        return self._scene.asks("restore_version", self.order)["error"]


@pytest.mark.parametrize(
    ("kind", "name"), [("trashcan", "päper.txt"), ("simple", "sub/päper.txt"), ("staggered", "sub/päper.txt")]
)
def test_an_old_version_of_a_file_is_restored(scene: Scene, kind: str, name: str) -> None:
    """It is restored on the device that received the new version, which syncs the old one back to the other."""
    one = Versioned(scene, kind, name)
    assert one.restore() is None
    assert one.received.read_bytes() == b"old"
    scene.pair.b.request("POST", "/rest/db/scan", {"folder": one.folder})
    one.until(one.written, b"old")
    (replaced,) = one.versions()
    assert replaced["size"] == 5
    assert one.restore()["code"] == "not_found"
    assert one.received.read_bytes() == b"old"


def test_a_trash_can_restores_no_existing_file_in_a_subdirectory(scene: Scene) -> None:
    """Syncthing looks for it at a wrong path (1.19 to 2.1). It reports that, and the file and its version stay."""
    one = Versioned(scene, "trashcan", "sub/paper.txt")
    assert one.restore()["code"] == "syncthing_error"
    assert one.received.read_bytes() == b"newer"
    assert [version["size"] for version in one.versions()] == [3]


@pytest.mark.parametrize(
    ("versioning", "message"),
    [
        ({}, "no file versioning"),
        ({"type": "external", "params": {"command": "/bin/true"}}, "external file versioning"),
    ],
)
def test_a_folder_without_restorable_versions_is_refused(scene: Scene, versioning: Any, message: str) -> None:
    """Syncthing answers 500 for both; the reply names the reason."""
    scene.pair.b.share("plain", scene.directory / "plain", versioning=versioning)
    try:
        scene.until("beta/folder/plain", status="unshared")
        for command, more in (("get_versions", {}), ("restore_version", {"file": "a", "version": "2026-01-01"})):
            error = scene.asks(command, {"folder": "plain", **more})["error"]
            assert (error["code"], message in error["message"]) == ("not_applicable", True)
        with pytest.raises(OSError, match="500"):
            scene.pair.b.request("GET", "/rest/folder/versions", {"folder": "plain"})
    finally:
        scene.pair.b.request("DELETE", "/rest/config/folders/plain")


# --- limits


def test_limits_are_set_one_by_one_and_published(scene: Scene) -> None:
    """Syncthing applies them without a restart."""
    # An earlier test with the same instance may have changed something that requires a restart.
    required = scene.until("beta/system", max_send_kbps=0, max_recv_kbps=0)["restart_required"]
    try:
        assert scene.asks("set_limits", {"send_kbps": 500})["status"] == "ok"
        scene.until("beta/system", max_send_kbps=500, max_recv_kbps=0, restart_required=required)
        assert scene.asks("set_limits", {"recv_kbps": 2_147_483_647})["status"] == "ok"
        scene.until("beta/system", max_send_kbps=500, max_recv_kbps=2_147_483_647)
        options = scene.pair.b.request("GET", "/rest/config")["options"]
        assert (options["maxSendKbps"], options["maxRecvKbps"]) == (500, 2_147_483_647)
        assert scene.asks("set_limits")["error"]["code"] == "invalid_arguments"
    finally:
        assert scene.asks("set_limits", {"send_kbps": 0, "recv_kbps": 0})["status"] == "ok"
    scene.until("beta/system", max_send_kbps=0, max_recv_kbps=0, restart_required=required)


# --- all devices


def test_all_devices_are_paused_and_resumed(scene: Scene) -> None:
    """Folders are not paused, as with the button on Syncthing's page."""
    topic = f"beta/device/{short_id(scene.pair.a.device_id)}"
    scene.until(topic, status="up_to_date")
    reply = scene.asks("pause_all")
    assert (reply["status"], reply["data"]) == ("ok", None)
    assert scene.until(topic, status="paused")["resume_at"] is None
    scene.until("beta/folder/docs", status="up_to_date", paused=False)
    assert scene.asks("resume_all")["status"] == "ok"
    scene.until(topic, status="up_to_date")


def test_a_timed_pause_of_all_devices_ends(scene: Scene) -> None:
    """The reply and the topic contain the time."""
    topic = f"beta/device/{short_id(scene.pair.a.device_id)}"
    scene.until(topic, status="up_to_date")
    resume_at = scene.asks("pause_all", {"for": "6s"})["data"]["resume_at"]
    scene.until(topic, status="paused", resume_at=resume_at)
    scene.until(topic, status="up_to_date", resume_at=None)

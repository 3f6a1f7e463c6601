"""The words and numbers of Syncthing's own page, on real instances of every version."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode, free_port
from tests.conftest import Pair
from tests.scene import Scene, scene_of
from tests.secrecy import SECRECY
from tests.servers import DIALS_AGAIN_S, Mosquitto, Subscriber, eventually
from tests.syncthing.server import ScriptedServer, answers

ABSENT = "4CZBCB6-B5E4FPH-VGGX54T-OM3EJUY-NDJBNBB-3RP6I5B-2JOVHAN-ZBP47QK"
"""The ID of a device that does not exist."""


@pytest.fixture
def scene(pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[Scene]:
    """A bridge that is online and has both nodes as instances."""
    with scene_of(pair, broker, subscriber, tmp_path) as one:
        yield one


def test_a_missing_deletion_is_out_of_sync(scene: Scene) -> None:
    """Both sides count one item, as the pages of both do: Syncthing must not delete a directory with ignored files."""
    pair = scene.pair
    pair.write("kept/shared.txt")
    eventually((pair.b_files / "docs/kept/shared.txt").is_file)
    pair.b.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": ["ignored"]})
    ignored = pair.b_files / "docs/kept/ignored"
    ignored.write_bytes(b"ignored")
    shutil.rmtree(pair.a_files / "docs/kept")
    folder = scene.until("beta/folder/docs", status="out_of_sync", need_total_items=1)
    assert (folder["in_sync"], folder["need_items"], folder["need_deletes"]) == (False, 0, 1)
    assert pair.b.request("GET", "/rest/db/status", {"folder": "docs"})["needTotalItems"] == 1
    system = scene.until("beta/system", need_total_items=1, in_sync=False)
    assert (system["state"], system["need_deletes"], system["folders"]["out_of_sync"]) == ("idle", 1, 1)
    beta = short_id(pair.b.device_id)
    device = scene.until(f"alpha/device/{beta}", status="syncing", need_total_items=1)
    assert (device["in_sync"], device["need_items"], device["need_deletes"]) == (False, 0, 1)
    completion = pair.a.request("GET", "/rest/db/completion", {"device": pair.b.device_id, "folder": "docs"})
    assert completion["needItems"] + completion["needDeletes"] == 1
    assert scene.latest(f"alpha/completion/{beta}/docs")["need_total_items"] == 1
    ignored.unlink()
    pair.b.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": []})
    for paused in (True, False):  # otherwise Syncthing would wait a minute before it retries
        pair.b.request("PATCH", "/rest/config/folders/docs", body={"paused": paused})
    scene.until("beta/folder/docs", status="up_to_date", need_total_items=0, in_sync=True)
    scene.until(f"alpha/device/{beta}", status="up_to_date", need_total_items=0, in_sync=True)


def test_the_words_of_a_folder_that_stops_and_is_fixed(scene: Scene) -> None:
    """Once it is fixed, nothing is left of the problem, although Syncthing keeps the error in its list."""
    path = scene.folder("words")
    scene.until("alpha/folder/words", status="unshared")
    before = scene.until("alpha/system", problem=False)["errors"]
    shutil.rmtree(path / ".stfolder")
    scene.scan("words")
    stopped = scene.until("alpha/folder/words", status="stopped", problem=True)
    assert "marker" in stopped["error"]
    listed = before + (1 if scene.pair.version.startswith("1.") else 0)
    problems = scene.until("alpha/system", problem=True, errors=listed)["problems"]
    assert [one["code"] for one in problems] == ["folder_error"]
    (path / ".stfolder").mkdir()
    scene.scan("words")
    scene.until("alpha/folder/words", status="unshared", problem=False)
    scene.until("alpha/system", problem=False, errors=listed)
    scene.pair.a.request("PATCH", "/rest/config/folders/words", body={"paused": True})
    scene.until("alpha/folder/words", status="paused", state="paused")


def test_the_error_of_a_folder_that_cannot_start_is_one_problem(scene: Scene) -> None:
    """Syncthing writes up to three entries about it to its list."""
    scene.directory.mkdir(parents=True)
    (scene.directory / "alpha").write_bytes(b"a file, where a directory should be")
    with suppress(OSError):  # SyncthingNode.share creates the directory
        scene.folder("impossible")
    path = str(scene.directory / "alpha/impossible")
    scene.pair.a.request("POST", "/rest/config/folders", body={"id": "impossible", "path": path})
    try:
        scene.until("alpha/folder/impossible", status="stopped")
        eventually(lambda: scene.latest("alpha/system")["errors"])
        problems = scene.latest("alpha/system")["problems"]
        assert [one["code"] for one in problems] == ["folder_error"], problems
    finally:
        scene.pair.a.request("DELETE", "/rest/config/folders/impossible")
    scene.until("alpha/system", problem=False)


def test_the_words_of_folders_with_local_changes(scene: Scene) -> None:
    """A file was added on this side of a folder that only receives."""
    receiving = scene.folder("receiving", type="receiveonly")
    (receiving / "added").write_bytes(b"added")
    scene.scan("receiving")
    folder = scene.until("alpha/folder/receiving", status="local_additions", local_changes=1)
    assert folder["state"] == "idle"
    encrypted = scene.folder("encrypted", type="receiveencrypted")
    (encrypted / "added").write_bytes(b"added")
    scene.scan("encrypted")
    scene.until("alpha/folder/encrypted", status="unexpected_items", local_changes=1)


def test_the_word_of_a_folder_with_failed_items(scene: Scene) -> None:
    """The name of a file is not in the normal form of Unicode, and Syncthing must not change it."""
    path = scene.folder("failing", autoNormalize=False)
    (path / "e\u0301").write_bytes(b"decomposed")
    scene.scan("failing")
    folder = scene.until("alpha/folder/failing", status="failed_items", failed=1)
    assert (folder["in_sync"], folder["need_total_items"]) == (True, 0)


def test_nothing_is_known_of_a_device_that_was_never_connected(scene: Scene) -> None:
    """It is inactive, as on the page of 2.1, and `all_in_sync` is unknown because of it."""
    alpha, topic = scene.pair.a, f"alpha/device/{short_id(ABSENT)}"
    scene.until("alpha/system", all_in_sync=True)
    alpha.request("POST", "/rest/config/devices", body={"deviceID": ABSENT, "name": "absent"})
    try:
        scene.until(topic, status="unused", last_seen_at=None)
        scene.until("alpha/system", all_in_sync=True)
        path = scene.folder("offered")
        (path / "file").write_bytes(b"content")
        scene.scan("offered")
        devices = [{"deviceID": one} for one in (alpha.device_id, ABSENT)]
        alpha.request("PATCH", "/rest/config/folders/offered", body={"devices": devices})
        device = scene.until(topic, status="disconnected_inactive")
        unknown = ("completion", "in_sync", "need_bytes", "need_items", "need_deletes", "need_total_items")
        assert {key: device[key] for key in unknown} == dict.fromkeys(unknown)
        scene.until("alpha/system", in_sync=True, all_in_sync=None)
        assert scene.latest(f"alpha/completion/{short_id(ABSENT)}/offered")["completion"] is None
        alpha.request("PATCH", f"/rest/config/devices/{ABSENT}", body={"paused": True})
        scene.until(topic, status="paused")
        scene.until("alpha/system", all_in_sync=True)
    finally:
        alpha.request("DELETE", f"/rest/config/devices/{ABSENT}")


def test_a_device_that_refuses_connections_has_a_connection_error(scene: Scene) -> None:
    """Syncthing tries the address that is entered for it, and lists why that failed."""
    alpha, topic = scene.pair.a, f"alpha/device/{short_id(ABSENT)}"
    address = f"tcp://127.0.0.1:{free_port()}"
    scene.until(f"alpha/device/{short_id(scene.pair.b.device_id)}", connected=True, connection_error=None)
    alpha.request("POST", "/rest/config/devices", body={"deviceID": ABSENT, "name": "absent", "addresses": [address]})
    try:
        scene.until(topic, connected=False, connection_error="connection refused", timeout_s=DIALS_AGAIN_S)
        listed = alpha.request("GET", "/rest/system/status")["lastDialStatus"]
        assert listed[address]["error"].endswith(": connection refused")
        alpha.request("PATCH", f"/rest/config/devices/{ABSENT}", body={"paused": True})
        scene.until(topic, paused=True, connection_error=None)
    finally:
        alpha.request("DELETE", f"/rest/config/devices/{ABSENT}")


def test_the_connection_error_of_a_discovered_device(scene: Scene, binary: str, tmp_path: Path) -> None:
    """A discovery server knows its address; the bridge has seen the connection that Syncthing then opened."""
    alpha, gamma = scene.pair.a, SyncthingNode("gamma", tmp_path / "gamma", binary)
    keys = ("globalAnnounceEnabled", "globalAnnounceServers")
    before = {key: alpha.request("GET", "/rest/config/options")[key] for key in keys}
    discovery = ScriptedServer({"/": answers({"addresses": [f"tcp://127.0.0.1:{gamma.sync_port}"]})}).start()
    servers = [f"{discovery.url}/?insecure&noannounce"]
    try:
        gamma.start()
        SECRECY.keep(gamma.api_key, "the API key of a node")
        topic = f"alpha/device/{short_id(gamma.device_id)}"
        alpha.request("PATCH", "/rest/config/options", body=dict(zip(keys, (True, servers), strict=True)))
        gamma.request("POST", "/rest/config/devices", body={"deviceID": alpha.device_id})
        alpha.request("POST", "/rest/config/devices", body={"deviceID": gamma.device_id, "name": "gamma"})
        device = scene.until(topic, connected=True, timeout_s=DIALS_AGAIN_S)
        assert (device["connection_type"], device["connection_error"]) == ("tcp-client", None)
        gamma.stop()
        scene.until(topic, connected=False, connection_error="connection refused", timeout_s=DIALS_AGAIN_S)
    finally:
        gamma.stop()
        discovery.stop()
        alpha.request("PATCH", "/rest/config/options", body=before)
        with suppress(OSError):
            alpha.request("DELETE", f"/rest/config/devices/{gamma.device_id}")


def test_the_words_of_a_device(scene: Scene) -> None:
    """It is paused there, then here as well, and then connects again.

    In the other order, Syncthing 1.29.5 stayed connected in 1 of 468 attempts: beta connected again while it was being
    paused, and Syncthing checks for a pause before it accepts a connection, not after.
    """
    beta, alpha = scene.pair.b, scene.pair.a
    topic = f"alpha/device/{short_id(beta.device_id)}"
    scene.until(topic, status="up_to_date", connected=True)
    beta.request("PATCH", f"/rest/config/devices/{alpha.device_id}", body={"paused": True})
    device = scene.until(topic, status="disconnected", connected=False)
    assert device["in_sync"] is True
    alpha.request("PATCH", f"/rest/config/devices/{beta.device_id}", body={"paused": True})
    scene.until(topic, status="paused")
    alpha.request("PATCH", f"/rest/config/devices/{beta.device_id}", body={"paused": False})
    scene.until(topic, status="disconnected", connected=False)
    beta.request("PATCH", f"/rest/config/devices/{alpha.device_id}", body={"paused": False})
    scene.until(topic, status="up_to_date", timeout_s=90)

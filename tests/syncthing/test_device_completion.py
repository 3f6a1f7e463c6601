"""The sums over all folders of a device give the same values as the read of each folder, on real Syncthing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import Completion
from stbridge.core.rules import apply
from stbridge.core.state import State
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import reads
from stbridge.syncthing.reads import Reader
from tests.servers import eventually
from tests.syncthing.conftest import Connect

NOW = datetime(2026, 11, 23, 20, 14, 5, tzinfo=UTC)
FOLDERS = ("docs", "photos", "empty", "unwanted", "secret")
PASSWORD = {"encryptionPassword": "a password of the test"}


@pytest.fixture
def peers(tmp_path: Path, binary: str) -> Iterator[tuple[SyncthingNode, SyncthingNode]]:
    """A node, and a peer that it does not trust with one of five folders and that shares all but one."""
    nas, laptop = (SyncthingNode(name, tmp_path / name, binary) for name in ("nas", "laptop"))
    try:
        for node in (nas, laptop):
            node.start()
        nas.link(laptop)
        for folder in FOLDERS:
            path = tmp_path / "files/nas" / folder
            path.mkdir(parents=True)
            if folder != "empty":
                (path / "a.txt").write_bytes(b"a" * 1000)
            nas.share(folder, path, devices=[laptop])
            if folder == "secret":
                nas.request("PATCH", f"/rest/config/folders/{folder}", body={"devices": encrypted_for(nas, laptop)})
            if folder != "unwanted":
                kind = "receiveencrypted" if folder == "secret" else "sendreceive"
                laptop.share(folder, tmp_path / "files/laptop" / folder, devices=[nas], type=kind)
        eventually(lambda: nas.is_connected(laptop))
        eventually(lambda: all(need_of(nas, laptop, folder) == 0 for folder in FOLDERS if folder != "unwanted"))
        yield nas, laptop
    finally:
        for node in (nas, laptop):
            node.stop()


def encrypted_for(nas: SyncthingNode, laptop: SyncthingNode) -> list[dict[str, str]]:
    """Return the devices of a folder that is encrypted for the laptop."""
    return [{"deviceID": nas.device_id}, {"deviceID": laptop.device_id, **PASSWORD}]


def need_of(node: SyncthingNode, peer: SyncthingNode, folder: str) -> int:
    """Return how many items of a folder a peer needs."""
    parameters = {"device": peer.device_id, "folder": folder}
    needed: int = node.request("GET", "/rest/db/completion", parameters)["needItems"]
    return needed


def completions(reader: Reader) -> dict[tuple[str, str], Completion]:
    """Return the completions after a snapshot and the reads that the sums over folders require."""
    state = State()
    for observation in reader.snapshot():
        apply(state, observation, NOW)
        if isinstance(observation, seen.DeviceCompletionRead):
            required = state.take_outcome().reads
            for read in required:
                for found in reader.read(read):
                    apply(state, found, NOW)
        state.take_outcome()
    return state.completions


def test_sums_and_single_reads_give_the_same_completions(
    peers: tuple[SyncthingNode, SyncthingNode], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete device, also with a paused and a broken folder; then offline; then with a file that it needs."""
    nas, laptop = peers
    reader = Reader(connect(nas.url, nas.api_key), "nas")

    def both_ways() -> list[dict[tuple[str, str], Completion]]:
        found = []
        for limit in (1000, 0):
            monkeypatch.setattr(reads, "FEW_COMPLETIONS", limit)
            found.append(completions(reader))
        return found

    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert set(one_by_one) == {(laptop.device_id, folder) for folder in FOLDERS}
    nas.request("DELETE", "/rest/config/folders/unwanted")
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert all(completion.complete for completion in by_sums.values())

    nas.request("PATCH", "/rest/config/folders/photos", body={"paused": True})
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert set(one_by_one) == {(laptop.device_id, folder) for folder in ("docs", "empty", "secret")}

    laptop.stop()
    eventually(lambda: not nas.is_connected(laptop))
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one

    (nas.home.parent / "files/nas/docs/b.txt").write_bytes(b"b" * 100)
    nas.request("POST", "/rest/db/scan", {"folder": "docs"})
    eventually(lambda: need_of(nas, laptop, "docs") == 1)
    nas.request("PATCH", "/rest/config/folders/photos", body={"paused": False})
    eventually(lambda: nas.is_idle("photos"))
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert not by_sums[laptop.device_id, "docs"].complete
    assert by_sums[laptop.device_id, "photos"].complete

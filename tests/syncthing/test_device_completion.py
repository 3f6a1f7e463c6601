"""The sums over all folders of a device give the same values as the read of each folder, on real Syncthing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
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
def folders(syncthing_version: str) -> tuple[str, ...]:
    """Folders; the last is encrypted for the peer. With 1.19 an encrypted folder does not always start to sync."""
    return FOLDERS[:-1] if syncthing_version.startswith("1.19.") else FOLDERS


@pytest.fixture
def peers(tmp_path: Path, binary: str, folders: tuple[str, ...]) -> Iterator[tuple[SyncthingNode, SyncthingNode]]:
    """A node, and a peer that shares all folders but one."""
    nas, laptop = (SyncthingNode(name, tmp_path / name, binary) for name in ("nas", "laptop"))
    try:
        for node in (nas, laptop):
            node.start()
        nas.link(laptop)
        for folder in folders:
            path = tmp_path / "files/nas" / folder
            path.mkdir(parents=True)
            if folder != "empty":
                (path / "a.txt").write_bytes(b"a" * 1000)
            nas.share(folder, path, paused=folder == "secret", devices=[laptop])
            if folder != "unwanted":
                kind = "receiveencrypted" if folder == "secret" else "sendreceive"
                laptop.share(folder, tmp_path / "files/laptop" / folder, devices=[nas], type=kind)
            if folder == "secret":  # it is offered when it is encrypted
                changes = {"devices": encrypted_for(nas, laptop), "paused": False}
                nas.request("PATCH", f"/rest/config/folders/{folder}", body=changes)
        eventually(lambda: nas.is_connected(laptop))
        for folder in {"docs", "photos", "secret"} & set(folders):
            eventually(partial(has_all, nas, laptop, folder))
        yield nas, laptop
    finally:
        for node in (nas, laptop):
            node.stop()


def encrypted_for(nas: SyncthingNode, laptop: SyncthingNode) -> list[dict[str, str]]:
    """Return the devices of a folder that is encrypted for the laptop."""
    return [{"deviceID": nas.device_id}, {"deviceID": laptop.device_id, **PASSWORD}]


def completion_of(node: SyncthingNode, peer: SyncthingNode, folder: str) -> dict[str, int]:
    """Return how complete a folder is on a peer."""
    found: dict[str, int] = node.request("GET", "/rest/db/completion", {"device": peer.device_id, "folder": folder})
    return found


def has_all(node: SyncthingNode, peer: SyncthingNode, folder: str) -> bool:
    """Return whether a peer has a folder, and has sent its index: before, version 1 reports that it needs nothing."""
    found = completion_of(node, peer, folder)
    return found["sequence"] > 0 and found["needItems"] == 0


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
    peers: tuple[SyncthingNode, SyncthingNode],
    folders: tuple[str, ...],
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
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
    assert set(one_by_one) == {(laptop.device_id, folder) for folder in folders}
    nas.request("DELETE", "/rest/config/folders/unwanted")
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert all(completion.complete for completion in by_sums.values())

    nas.request("PATCH", "/rest/config/folders/photos", body={"paused": True})
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert set(one_by_one) == {(laptop.device_id, folder) for folder in {"docs", "empty", "secret"} & set(folders)}

    laptop.stop()
    eventually(lambda: not nas.is_connected(laptop))
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one

    (nas.home.parent / "files/nas/docs/b.txt").write_bytes(b"b" * 100)
    nas.request("POST", "/rest/db/scan", {"folder": "docs"})
    eventually(lambda: completion_of(nas, laptop, "docs")["needItems"] == 1)
    nas.request("PATCH", "/rest/config/folders/photos", body={"paused": False})
    eventually(lambda: nas.is_idle("photos"))
    one_by_one, by_sums = both_ways()
    assert by_sums == one_by_one
    assert not by_sums[laptop.device_id, "docs"].complete
    assert by_sums[laptop.device_id, "photos"].complete

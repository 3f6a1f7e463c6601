"""`status` is what Syncthing's own page shows: on real instances of every version, in a real browser."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from stbridge.core.entities import DeviceState, FolderState
from stbridge.core.model import Connection, DeviceConfig, FolderConfig, FolderCounts, short_id
from stbridge.core.tally import SharePart
from stbridge.demo.node import SyncthingNode, free_port
from stbridge.homeassistant.devices import STATUS as DEVICE_WORDS
from stbridge.homeassistant.folders import STATES
from stbridge.homeassistant.folders import STATUS as FOLDER_WORDS
from tests.page.gui import CODES, INACTIVE_SINCE, STARTING_SINCE, STATUSES, Page, release, shown_status
from tests.scene import Scene
from tests.secrecy import SECRECY
from tests.servers import DIALS_AGAIN_S, eventually

ABSENT = "4CZBCB6-B5E4FPH-VGGX54T-OM3EJUY-NDJBNBB-3RP6I5B-2JOVHAN-ZBP47QK"
"""The ID of a device that does not exist."""

ODD_TOPIC = "a%2Fb %2B%23%25ü"
"""The folder ODD_FOLDER of both instances in topics."""

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
SLOWLY_KIB_S = 200
A_MEGABYTE = 1_000_000
A_LONG_SCAN = 64_000 * A_MEGABYTE
"""The size of a file without content, which takes a minute to hash and no space on the disk."""


# --- words that can be provoked


def devices_with(node: SyncthingNode, folder: str, file: str) -> list[str]:
    """Return the IDs of the remote devices that have the current version of a file, as an instance knows."""
    with suppress(OSError):  # 404 until it was scanned
        found = node.request("GET", "/rest/db/file", {"folder": folder, "file": file})["availability"]
        return [one["id"] for one in found or ()]
    return []


@contextmanager
def options(node: SyncthingNode, **changes: Any) -> Iterator[None]:
    """Change options of an instance, and restore them."""
    before = node.request("GET", "/rest/config/options")
    node.request("PATCH", "/rest/config/options", body=changes)
    try:
        yield
    finally:
        node.request("PATCH", "/rest/config/options", body={key: before[key] for key in changes})


def pause(node: SyncthingNode, what: str, identifier: str, *, paused: bool) -> None:
    """Pause or resume a folder or a device."""
    node.request("PATCH", f"/rest/config/{what}s/{identifier}", body={"paused": paused})


def test_the_words_of_a_folder_that_stops_and_is_fixed(page: Page, scene: Scene) -> None:
    """It is shared with nobody, its marker is removed, and it is paused at the end."""
    path = scene.folder("words")
    page.shows_folder("words", "Words", "unshared")
    shutil.rmtree(path / ".stfolder")
    scene.scan("words")
    page.shows_folder("words", "Words", "stopped")
    (path / ".stfolder").mkdir()
    scene.scan("words")
    page.shows_folder("words", "Words", "unshared")
    pause(scene.pair.a, "folder", "words", paused=True)
    page.shows_folder("words", "Words", "paused")
    page.shows_folder("docs", "Documents", "up_to_date")


def test_the_words_of_folders_with_other_items_than_their_peers(page: Page, scene: Scene) -> None:
    """Items were added where none should be, and one cannot be scanned because of its name."""
    for folder, kind, status in (
        ("receiving", "receiveonly", "local_additions"),
        ("encrypted", "receiveencrypted", "unexpected_items"),
    ):
        (scene.folder(folder, type=kind) / "added").write_bytes(b"added")
        scene.scan(folder)
        page.shows_folder(folder, folder.title(), status)
    path = scene.folder("failing", autoNormalize=False)
    (path / "e\u0301").write_bytes(b"decomposed")
    scene.scan("failing")
    page.shows_folder("failing", "Failing", "failed_items")


def test_the_words_of_folders_that_wait(page: Page, scene: Scene) -> None:
    """One folder at a time may use the disk, and a large one is scanned; the others wait for a scan or a sync.

    A folder with old versions of files waits for the regular removal of the oldest.
    """
    beta = scene.pair.b
    page.open(beta)
    versioning = {"type": "trashcan", "params": {"cleanoutDays": "1"}, "cleanupIntervalS": 2}
    with options(beta, maxFolderConcurrency=1):
        scene.folder("versioned", at=beta, versioning=versioning)
        page.shows_folder("versioned", "Versioned", "unshared")
        large = scene.directory / "beta/large"
        large.mkdir(parents=True)
        with (large / "file").open("wb") as file:
            file.truncate(A_LONG_SCAN)
        scene.folder("large", at=beta)
        page.shows_folder("large", "Large", "scanning")
        scene.folder("next", at=beta)
        page.shows_folder("next", "Next", "scan-waiting")
        page.shows_folder("versioned", "Versioned", "clean-waiting")
        scene.pair.write("song.mp3", os.urandom(A_MEGABYTE), folder="odd")
        page.shows_folder(ODD_TOPIC, "Odd", "sync-waiting")
        page.shows_folder("large", "Large", "scanning")
    page.shows_folder(ODD_TOPIC, "Odd", "up_to_date")


def test_the_words_of_a_slow_sync(page: Page, scene: Scene) -> None:
    """The sender disappears while items are missing, and returns."""
    alpha, beta = scene.pair.a, scene.pair.b
    # Before 2.0, a device that has never had a file of a folder counts as complete while it downloads its first one.
    scene.pair.write("song.mp3")
    scene.scan("docs")
    eventually(lambda: beta.device_id in devices_with(alpha, "docs", "song.mp3"))
    with options(beta, maxRecvKbps=SLOWLY_KIB_S, limitBandwidthInLan=True):
        scene.pair.write("film.mkv", os.urandom(30 * A_MEGABYTE))
        scene.scan("docs")
        page.shows_device(beta, "syncing")
        page.open(beta).shows_folder("docs", "Documents", "syncing")
        pause(beta, "device", alpha.device_id, paused=True)
        page.shows_device(alpha, "paused")
        page.shows_folder("docs", "Documents", "out_of_sync")
        page.open(alpha).shows_device(beta, "disconnected")
    pause(beta, "device", alpha.device_id, paused=False)
    page.shows_device(beta, "up_to_date", DIALS_AGAIN_S)
    page.open(beta).shows_folder("docs", "Documents", "up_to_date")
    page.shows_device(alpha, "up_to_date")


def test_the_words_of_a_device_without_folders(page: Page, scene: Scene, binary: str) -> None:
    """It connects, disappears, and is paused."""
    alpha = scene.pair.a
    gamma = SyncthingNode("gamma", scene.directory / "gamma/home", binary)
    gamma.start()
    SECRECY.keep(gamma.api_key, "the API key of a node")
    topic = f"alpha/device/{short_id(gamma.device_id)}"
    try:
        alpha.link(gamma)
        scene.until(topic, DIALS_AGAIN_S, connected=True)
        page.shows_device(gamma, "unused")
        gamma.stop()
        scene.until(topic, connected=False)
        page.shows_device(gamma, "unused")
        pause(alpha, "device", gamma.device_id, paused=True)
        scene.until(topic, status="paused")
        eventually(lambda: page.words()["gamma"] == "Paused (Unused)")
    finally:
        gamma.stop()
        alpha.request("DELETE", f"/rest/config/devices/{gamma.device_id}")


def test_the_words_of_a_device_that_never_connects(page: Page, scene: Scene) -> None:
    """The page shows the error of its address, which the bridge publishes without the time."""
    alpha, address = scene.pair.a, f"tcp://127.0.0.1:{free_port()}"
    alpha.request("POST", "/rest/config/devices", body={"deviceID": ABSENT, "name": "absent", "addresses": [address]})
    try:
        page.shows_absent_device(ABSENT, "absent", "unused")
        scene.folder("offered")
        devices = [{"deviceID": one} for one in (alpha.device_id, ABSENT)]
        alpha.request("PATCH", "/rest/config/folders/offered", body={"devices": devices})
        page.open(alpha)  # it reads when devices were connected only when it is opened, or when one connects
        page.shows_absent_device(ABSENT, "absent", "disconnected_inactive")
        device = scene.until(f"alpha/device/{short_id(ABSENT)}", DIALS_AGAIN_S, connection_error="connection refused")
        shown = eventually(lambda: page.call("abbreviatedError", address))
        assert shown.rpartition(" (")[0] == device["connection_error"]
        pause(alpha, "device", ABSENT, paused=True)
        page.shows_absent_device(ABSENT, "absent", "paused")
    finally:
        alpha.request("DELETE", f"/rest/config/devices/{ABSENT}")


# --- all words, also those that last too briefly or too long: computed by the page and by the bridge

FOLDER_STATUS = """
return cases.map((one) => {
    scope.model.probe = {
        state: one.state, needTotalItems: one.need, errors: one.failed, receiveOnlyTotalItems: one.local,
    };
    const devices = one.shared ? [{}, {}] : [{}];
    const status = scope.folderStatus({id: "probe", paused: one.paused, type: one.type, devices: devices});
    delete scope.model.probe;
    return status;
});
"""
DEVICE_STATUS = """
const deviceFolders = scope.deviceFolders;
const found = cases.map((one) => {
    scope.deviceFolders = () => (one.unused ? [] : ["docs"]);
    scope.connections.probe = {connected: one.connected};
    scope.completion.probe = {_total: one.complete ? 100 : 95};
    scope.deviceStats.probe = one.days === null ? {} : {lastSeenDays: one.days};
    const status = scope.deviceStatus({deviceID: "probe", paused: one.paused});
    [scope.connections, scope.completion, scope.deviceStats].forEach((known) => delete known.probe);
    return status;
});
scope.deviceFolders = deviceFolders;
return found;
"""
TEXTS = """
const [status, text] = [`${kind}Status`, `${kind}StatusText`];
if (!scope[text]) return null;
const original = scope[status];
const found = codes.map((code) => { scope[status] = () => code; return scope[text]({}) || null; });
scope[status] = original;
return found;
"""

Case = Mapping[str, Any]


def cases(**values: tuple[Any, ...]) -> list[Case]:
    """Return every combination of values."""
    return [dict(zip(values, one, strict=True)) for one in product(*values.values())]


def folder_status(*, paused: bool, state: str, need: int, failed: int, local: int, type: str, shared: bool) -> str:  # noqa: A002 - keys of the API
    """Return the status that the bridge publishes."""
    counts = FolderCounts(
        global_bytes=9,
        global_files=9,
        local_bytes=9,
        local_files=9,
        need_bytes=0,
        need_items=need,
        need_deletes=0,
        failed=failed,
        local_changes=local,
    )
    devices = (ABSENT,) if shared else ()
    config = FolderConfig(id="probe", label="", path="/", type=type, paused=paused, devices=devices)
    return FolderState(config, state=state or None, counts=counts if state else None).status


def device_status(*, paused: bool, unused: bool, connected: bool, complete: bool, days: float | None) -> str:
    """Return the status that the bridge publishes."""
    device = DeviceState(
        DeviceConfig(id=ABSENT, name="", paused=paused),
        connection=Connection(connected=connected),
        last_seen_at=None if days is None else NOW - timedelta(days=days),
        folders=set() if unused else {"docs"},
    )
    device.shares.put("docs", SharePart(counted=1, known=1, incomplete=int(not complete)))
    device.note_inactive(NOW)
    return device.status


FOLDERS = [
    one
    for one in cases(
        paused=(True, False),
        state=("", *(state for state in STATES if state != "paused")),
        need=(0, 1),
        failed=(0, 1),
        local=(0, 1),
        type=("sendreceive", "sendonly", "receiveonly", "receiveencrypted"),
        shared=(True, False),
    )
    if not one["local"] or one["type"].startswith("receive")  # other types have no local changes
]
DEVICES = [
    one
    for one in cases(
        paused=(True, False),
        unused=(True, False),
        connected=(True, False),
        complete=(True, False),
        days=(None, 0.5, 6.9, 7, 8),
    )
    if one["complete"] or not one["unused"]  # a device that shares nothing needs nothing
]


def test_the_page_computes_the_same_status_of_folders(page: Page) -> None:
    """So do words that cannot be held: `unknown`, `sync-preparing`, `cleaning`, `clean-waiting` and `starting`."""
    shown = page.value(f"const cases = {json.dumps(FOLDERS)}; {FOLDER_STATUS}")
    found = [(one, STATUSES.get(code, code)) for one, code in zip(FOLDERS, shown, strict=True)]
    assert [(one, status) for one, status in found if status != folder_status(**one)] == []
    assert {status for _, status in found} == {*FOLDER_WORDS, "unknown"}


def test_the_page_computes_the_same_status_of_devices(page: Page, scene: Scene) -> None:
    """So does `disconnected_inactive` of a device that was connected, which takes a week."""
    shown = page.value(f"const cases = {json.dumps(DEVICES)}; {DEVICE_STATUS}")
    found = [(one, STATUSES.get(code, code)) for one, code in zip(DEVICES, shown, strict=True)]
    version = scene.pair.version
    expected = [shown_status(version, device_status(**one), seen=one["days"] is not None) for one in DEVICES]
    assert [(one, status) for (one, status), right in zip(found, expected, strict=True) if status != right] == []
    assert {device_status(**one) for one in DEVICES} == set(DEVICE_WORDS)


@pytest.mark.parametrize(("kind", "words"), [("folder", FOLDER_WORDS), ("device", DEVICE_WORDS)])
def test_home_assistant_shows_the_words_of_the_page(
    page: Page, scene: Scene, kind: str, words: Mapping[str, str]
) -> None:
    """Home Assistant writes only the first word with a capital letter. Version 1.19 has its words in the HTML."""
    since = {"starting": STARTING_SINCE, "disconnected_inactive": INACTIVE_SINCE}
    known = [one for one in words if one != "unused" and release(scene.pair.version) >= since.get(one, ())]
    codes = {status: CODES[kind].get(status, status) for status in known}
    texts = page.value(f"const codes = {json.dumps([*codes.values()])}, kind = {json.dumps(kind)}; {TEXTS}")
    shown = dict(zip(codes, texts, strict=True)) if texts else page.words_in_html(codes)
    assert {status: (text or "").casefold() for status, text in shown.items()} == {
        status: words[status].casefold() for status in known
    }

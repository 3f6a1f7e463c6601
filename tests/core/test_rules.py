"""The rules as a whole: any sequence of observations gives consistent payloads, at a cost independent of size."""

import sys
from datetime import datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stbridge.core import observations as seen
from stbridge.core.entities import share_part
from stbridge.core.model import FailedItem, FolderStatistics, PendingDevice, PendingFolder
from stbridge.core.observations import Observation
from stbridge.core.outcome import SYSTEM, folder_address
from stbridge.core.rules import RULES
from stbridge.core.tally import DevicePart, FolderPart, SharePart
from stbridge.core.topics import Address
from tests.core.world import (
    BETA,
    GAMMA,
    Watched,
    after,
    changed,
    completed,
    configured,
    connection,
    connections,
    device,
    device_address,
    device_id,
    folder,
    not_running,
    process,
    read,
    share_address,
    watched,
)

FOLDERS = st.sampled_from(["docs", "art", "unheard-of"])
DEVICES = st.sampled_from([BETA, GAMMA, device_id("UNHEARD")])
SMALL = st.integers(0, 2)
TIMES = st.integers(0, 100).map(after)
ERRORS = st.none() | st.just("broken")
STATES = st.sampled_from(["idle", "scanning", "scan-waiting", "syncing", "sync-preparing", "error", "cleaning"])


def shares(folder_id: str) -> st.SearchStrategy[Any]:
    """Return a strategy for configurations of a folder, None included."""
    devices = st.lists(st.sampled_from([BETA, GAMMA]), unique=True)
    return st.none() | st.builds(
        lambda devices, label, paused: folder(folder_id, *devices, label=label, paused=paused),
        devices,
        st.sampled_from(["One", "Another"]),
        st.booleans(),
    )


def peers(full_id: str) -> st.SearchStrategy[Any]:
    """Return a strategy for configurations of a device, None included."""
    return st.none() | st.builds(device, st.just(full_id), st.sampled_from("ab"), paused=st.booleans())


def _present(*values: Any) -> list[Any]:
    return [value for value in values if value is not None]


OBSERVATIONS: st.SearchStrategy[Observation] = st.one_of(
    st.builds(
        configured,
        st.builds(_present, shares("docs"), shares("art")),
        st.builds(_present, peers(BETA), peers(GAMMA)),
        st.sampled_from(["nas", "box"]),
    ),
    st.builds(
        read,
        FOLDERS,
        STATES,
        changed_at=st.none() | TIMES,
        error=ERRORS,
        watch_error=ERRORS,
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "failed", "local_changes"), SMALL),
    ),
    st.builds(not_running, FOLDERS),
    st.builds(changed, STATES, FOLDERS, at=TIMES, error=ERRORS),
    st.builds(seen.WatchErrorChanged, folder=FOLDERS, error=ERRORS),
    st.builds(
        seen.FolderErrorsRead,
        folder=FOLDERS,
        items=st.lists(st.just(FailedItem(path="a", error="b")), max_size=2).map(tuple),
    ),
    st.builds(seen.ScanProgressed, folder=FOLDERS, current=SMALL, total=SMALL),
    st.builds(seen.FolderStatisticsRead, statistics=st.dictionaries(FOLDERS, st.builds(FolderStatistics))),
    st.builds(
        completed,
        DEVICES,
        FOLDERS,
        need_bytes=SMALL,
        need_items=SMALL,
        need_deletes=SMALL,
        remote_state=st.sampled_from([None, "unknown", "valid", "paused", "notSharing"]),
    ),
    st.builds(
        connections,
        TIMES,
        SMALL,
        SMALL,
        st.dictionaries(DEVICES, st.builds(connection, connected=st.booleans(), in_bytes=SMALL)),
    ),
    st.builds(seen.DeviceConnected, device=DEVICES, at=TIMES, connection=st.just(connection())),
    st.builds(seen.DeviceDisconnected, device=DEVICES, at=TIMES, error=ERRORS),
    st.builds(seen.FolderPaused, folder=FOLDERS, paused=st.booleans()),
    st.builds(seen.DevicePaused, device=DEVICES, paused=st.booleans()),
    st.builds(seen.DeviceStatisticsRead, last_seen_at=st.dictionaries(DEVICES, st.none() | TIMES)),
    st.builds(seen.ErrorsRead, items=st.just(())),
    st.builds(process, TIMES),
    st.builds(seen.RestartRequiredRead, restart_required=st.booleans()),
    st.builds(
        seen.PendingDevicesRead,
        devices=st.lists(st.just(PendingDevice(id=BETA, name="", address="", time=None)), max_size=1).map(tuple),
    ),
    st.builds(
        seen.PendingFoldersRead,
        folders=st.lists(st.just(PendingFolder(id="new", label="", device=BETA, time=None)), max_size=1).map(tuple),
    ),
    st.builds(seen.Unavailable, status=st.just("a"), message=st.just("b")),
    st.just(seen.Suspected()),
    st.just(seen.Resumed()),
    st.builds(seen.SnapshotStarted),
    st.builds(seen.SnapshotComplete),
    st.builds(
        seen.Restored,
        payloads=st.dictionaries(
            FOLDERS.map(folder_address), st.just({"out_of_sync_since": "2024-01-01T00:00:00Z"}) | st.none()
        ),
    ),
    st.builds(seen.LoginFailed, at=TIMES, username=st.just("a"), address=st.just("b")),
    st.builds(seen.Stale, reads=st.just(())),
    st.builds(seen.VersionRead, version=st.sampled_from(["v1", "v2"]), os=st.just("linux"), arch=st.just("amd64")),
)

History = list[tuple[Observation, datetime]]

HISTORIES: st.SearchStrategy[History] = st.lists(st.tuples(OBSERVATIONS, TIMES), max_size=15)


def _published(one: Watched) -> dict[Address, Any]:
    return {address: one.shown(address) for address in one.state.everything()}


def _after(history: History) -> Watched:
    one = watched()
    for observation, now in history:
        one.see(observation, at=now)
    return one


def _sum(nothing: Any, parts: list[Any]) -> Any:
    return type(nothing)(*map(sum, zip(nothing, *parts, strict=True)))


def test_every_kind_of_observation_has_a_rule() -> None:
    """Raw events are the exception: they are passed on unchanged."""
    kinds = {kind for kind in vars(seen).values() if isinstance(kind, type) and issubclass(kind, Observation)}
    assert RULES.keys() == kinds - {Observation, seen.RawEvent}


# --- any sequence of observations


@settings(max_examples=200)
@given(HISTORIES)
def test_every_changed_payload_is_among_the_changed_addresses(history: History) -> None:
    """A payload that differs after an observation is among the changes, and so is one that no longer exists."""
    one = watched()
    before = _published(one)
    for observation, now in history:
        outcome = one.see(observation, at=now)
        published = _published(one)
        gone = {address for address in before if one.shown(address) is None}
        differing = {address for address, payload in published.items() if before.get(address) != payload}
        assert differing | gone <= outcome.changed.keys()
        before = published


@settings(max_examples=200)
@given(HISTORIES)
def test_the_tallies_equal_the_sums_of_their_parts(history: History) -> None:
    """Adding up all folders, devices and shares gives the stored sums."""
    state = _after(history).state
    assert state.folder_tally.total == _sum(FolderPart(), [one.part() for one in state.folders.values()])
    assert state.device_tally.total == _sum(DevicePart(), [one.part() for one in state.devices.values()])
    for full_id, one in state.devices.items():
        assert one.folders == {name for name, known in state.folders.items() if full_id in known.config.devices}
        parts = [share_part(state.folders[name], one, state.completions.get((full_id, name))) for name in one.folders]
        assert one.shares.total == _sum(SharePart(), parts)


@settings(max_examples=200)
@given(HISTORIES)
def test_the_payload_of_a_folder_is_consistent(history: History) -> None:
    """Complete means no needs, in sync means complete, out of sync has a time, and a paused folder has no values."""
    for payload in [payload for address, payload in _published(_after(history)).items() if address.kind == "folder"]:
        need = [payload[key] for key in ("need_bytes", "need_items", "need_deletes")]
        completion, in_sync, since = (payload[key] for key in ("completion", "in_sync", "out_of_sync_since"))
        assert completion is None or 0 <= completion <= 100
        assert (completion == 100) == (need == [0, 0, 0])
        assert (completion is None) == (in_sync is None) == (need == [None, None, None])
        assert not in_sync or (completion == 100 and payload["state"] != "error")
        assert in_sync is None or in_sync == (since is None)
        assert payload["paused"] == (payload["state"] == "paused")
        assert not payload["paused"] or in_sync is since is None


@settings(max_examples=200)
@given(HISTORIES)
def test_the_payload_of_a_device_is_consistent(history: History) -> None:
    """Complete means in sync. A device that is not connected has no rates, a connected one is not unseen."""
    for payload in [payload for address, payload in _published(_after(history)).items() if address.kind == "device"]:
        assert payload["completion"] is None or (payload["completion"] == 100) == payload["in_sync"]
        assert (payload["completion"] is None) == (payload["need_items"] is None)
        assert payload["connected"] or (payload["in_rate"], payload["out_rate"]) == (0, 0)
        assert not payload["connected"] or payload["unseen_since"] is None


# --- cost

MANY_DEVICES = [device_id(f"DEVICE{letter}") for letter in "ABCDEFGHIJKLMNOPQRST"]


def large(folders: int = 100, devices: int = 20) -> Watched:
    """Return a state that is in sync: two devices share the first folder, and all devices share the others."""
    first, others = MANY_DEVICES[:2], MANY_DEVICES[:devices]
    shared = [folder("folder0", *first), *(folder(f"folder{number}", *others) for number in range(1, folders))]
    return watched(config=configured(shared, [device(one, one[:7].lower()) for one in others]))


FOLDER = folder_address("folder0")
DEVICE = device_address(MANY_DEVICES[0])
SHARE = share_address(MANY_DEVICES[0], "folder0")
EVENTS = [
    (read("folder0", need_bytes=10, need_items=1), {FOLDER, SYSTEM}),
    (changed("syncing", "folder0"), {FOLDER, SYSTEM}),
    (changed("cleaning", "folder0"), {FOLDER}),
    (seen.WatchErrorChanged(folder="folder0", error="late"), {FOLDER}),
    (completed(MANY_DEVICES[0], "folder0", need_bytes=10), {SHARE, DEVICE, SYSTEM}),
    (seen.DeviceConnected(device=MANY_DEVICES[0], at=after(0), connection=connection()), {DEVICE, SYSTEM}),
]
every_event = pytest.mark.parametrize(("event", "touched"), EVENTS, ids=[repr(event)[:40] for event, _ in EVENTS])


@every_event
def test_an_event_changes_only_the_addresses_that_it_concerns(event: Observation, touched: set[Address]) -> None:
    """With 100 folders and 20 devices, at most the folder, the device, their share and the instance change."""
    assert large().see(event).changed.keys() == touched


@every_event
def test_the_cost_of_an_event_does_not_depend_on_the_number_of_folders(
    event: Observation, touched: set[Address]
) -> None:
    """The event and its payloads take the same number of lines of code with few and with many folders and devices."""
    assert _lines_run(large(folders=2, devices=2), event) == _lines_run(large(), event)


def _lines_run(one: Watched, event: Observation) -> int:
    lines = 0

    def count(_frame: FrameType, what: str, _argument: object) -> Any:
        nonlocal lines
        lines += what == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for address in one.see(event).changed:
            one.shown(address)
    finally:
        sys.settrace(before)
    return lines

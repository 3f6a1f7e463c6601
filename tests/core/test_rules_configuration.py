"""Rules on what is configured: what comes, goes, is renamed, shared, paused and resumed."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import (
    SYSTEM,
    conflicts_address,
    device_address,
    failed_address,
    folder_address,
    share_address,
)
from stbridge.core.timed_pauses import Paused
from stbridge.core.topics import Address
from tests.core.observed import (
    ART,
    ART_ON_BETA,
    BETA,
    DOCS,
    DOCS_ON_BETA,
    DOCS_ON_GAMMA,
    GAMMA,
    ON_BETA,
    ON_GAMMA,
    Watched,
    after,
    completed,
    configured,
    device,
    device_id,
    folder,
    names,
    read,
    watched,
)

DELTA = device_id("DELTADE")
DOCS_FOLDER, ART_FOLDER = folder("docs", BETA, GAMMA), folder("art", BETA)
BETA_DEVICE, GAMMA_DEVICE = device(BETA, "beta"), device(GAMMA, "gamma")


def about(one: Watched, folder_id: str = "", short: str = "") -> set[Address]:
    """Return every address of a folder or a device."""
    return {
        address
        for address in one.state.everything()
        if (folder_id and address.folder == folder_id) or (short and address.device == short)
    }


# --- what comes and goes


def test_a_new_folder_is_published_and_asked_for() -> None:
    """What it holds, and how far those who share it are, has to be read."""
    one = watched(config=configured(folders=[ART_FOLDER]))
    outcome = one.see(configured())
    new = {DOCS, failed_address("docs"), conflicts_address("docs"), DOCS_ON_BETA, DOCS_ON_GAMMA}
    assert outcome.changed.keys() == new | {ON_BETA, ON_GAMMA, SYSTEM, ART}
    assert all(one.shown(address) is not None for address in new)
    assert set(outcome.reads) == {
        Read("folder", "docs"),
        Read("completion", "docs", BETA),
        Read("completion", "docs", GAMMA),
        Read("restart_required"),
    }


def test_a_new_folder_that_is_paused_is_not_asked_for() -> None:
    """Syncthing refuses to tell what a paused folder holds."""
    one = watched(config=configured(folders=[ART_FOLDER]))
    outcome = one.see(configured([ART_FOLDER, folder("docs", BETA, paused=True)]))
    assert set(outcome.reads) == {Read("restart_required")}
    assert names(outcome) == ["config_changed"]


def test_a_folder_that_is_removed_clears_all_its_topics() -> None:
    """Nothing of it is left, in the instance and the devices neither."""
    one = watched(completed(BETA, "docs", need_bytes=500), read("docs", need_bytes=500))
    gone = about(one, "docs")
    outcome = one.see(configured([ART_FOLDER]))
    assert gone >= {DOCS, DOCS_ON_BETA, DOCS_ON_GAMMA}
    assert gone | {ON_BETA, ON_GAMMA, SYSTEM} <= outcome.changed.keys()
    assert [one.shown(address) for address in gone] == [None] * len(gone)
    assert not about(one, "docs")
    assert one.shown(SYSTEM)["folders"]["total"] == 1
    assert one.shown(SYSTEM)["completion"] == 100
    assert one.shown(ON_BETA)["completion"] == 100
    assert one.shown(ON_GAMMA)["completion"] is None


def test_a_device_that_is_removed_clears_all_its_topics() -> None:
    """Nothing of it is left, neither in the instance nor among those who share a folder."""
    one = watched(completed(BETA, "docs", need_bytes=500))
    gone = about(one, short=ON_BETA.device)
    outcome = one.see(configured([folder("docs", GAMMA), folder("art")], [GAMMA_DEVICE]))
    assert gone == {ON_BETA, DOCS_ON_BETA, ART_ON_BETA}
    assert gone | {SYSTEM} <= outcome.changed.keys()
    assert [one.shown(address) for address in gone] == [None] * 3
    assert one.shown(SYSTEM)["devices"] == {"total": 1, "connected": 0, "paused": 0, "out_of_sync": 0}
    assert one.shown(DOCS)["devices"] == [ON_GAMMA.device]


def test_a_folder_with_another_id_is_another_folder() -> None:
    """The topics of the old ID are cleared, those of the new one are published."""
    one = watched()
    gone = about(one, "docs")
    outcome = one.see(configured([folder("documents", BETA, GAMMA), ART_FOLDER]))
    assert gone | about(one, "documents") <= outcome.changed.keys()
    assert all(one.shown(address) is None for address in gone)
    assert folder_address("documents") in about(one, "documents")


def test_a_new_device_is_published_and_what_it_shares_asked_for() -> None:
    """It is not connected yet, and nothing is known of how far it is."""
    one = watched()
    shared = folder("docs", BETA, GAMMA, DELTA)
    outcome = one.see(configured([shared, ART_FOLDER], [BETA_DEVICE, GAMMA_DEVICE, device(DELTA, "delta")]))
    assert {device_address(DELTA), share_address(DELTA, "docs"), DOCS, SYSTEM} <= outcome.changed.keys()
    assert set(outcome.reads) == {Read("completion", "docs", DELTA), Read("restart_required")}
    payload = one.shown(device_address(DELTA))
    assert (payload["name"], payload["connected"], payload["completion"]) == ("delta", False, None)
    assert one.shown(SYSTEM)["all_in_sync"] is None


# --- what is named, and shared


@pytest.mark.parametrize(
    ("config", "address", "key", "shown"),
    [
        (configured([replace(DOCS_FOLDER, label="Papers"), ART_FOLDER]), DOCS, "label", "Papers"),
        (configured([replace(DOCS_FOLDER, path="/elsewhere"), ART_FOLDER]), DOCS, "path", "/elsewhere"),
        (configured([replace(DOCS_FOLDER, type="sendonly"), ART_FOLDER]), DOCS, "type", "sendonly"),
        (configured(devices=[device(BETA, "laptop"), GAMMA_DEVICE]), ON_BETA, "name", "laptop"),
        (configured(name="box"), SYSTEM, "name", "box"),
    ],
)
def test_a_change_of_name_touches_what_is_named(
    config: seen.ConfigRead, address: Address, key: str, shown: str
) -> None:
    """What is known of it stays as it was."""
    one = watched()
    before = one.shown(address)
    outcome = one.see(config)
    assert one.shown(address) == {**before, key: shown}
    assert address in outcome.changed
    others = {DOCS, ON_BETA} - {address}
    assert all(one.shown(other)["in_sync"] is True for other in others)


def test_a_folder_that_is_not_shared_any_more_leaves_the_device() -> None:
    """Its completion is cleared, and does not count for the device, which has not synced by that."""
    one = watched(completed(BETA, "docs", need_bytes=500))
    assert one.shown(ON_BETA)["in_sync"] is False
    outcome = one.see(configured([folder("docs", GAMMA), ART_FOLDER]))
    assert {DOCS_ON_BETA, ON_BETA, DOCS, SYSTEM} <= outcome.changed.keys()
    assert one.shown(DOCS_ON_BETA) is None
    assert one.shown(ON_BETA)["completion"] == 100
    assert one.shown(SYSTEM)["devices"]["out_of_sync"] == 0
    assert names(outcome) == ["config_changed"]


def test_a_folder_that_is_shared_with_one_more_device_makes_it_unknown() -> None:
    """How far the device is with it has to be read first."""
    one = watched()
    outcome = one.see(configured([DOCS_FOLDER, folder("art", BETA, GAMMA)]))
    assert Read("completion", "art", GAMMA) in outcome.reads
    assert one.shown(share_address(GAMMA, "art"))["completion"] is None
    assert one.shown(ON_GAMMA)["in_sync"] is None
    one.see(completed(GAMMA, "art"))
    assert one.shown(ON_GAMMA)["in_sync"] is True


def test_a_change_of_the_configuration_is_told_once() -> None:
    """It may require a restart; the first configuration, and the same one again, are no change."""
    one = Watched()
    assert names(one.see(configured())) == []
    outcome = one.see(configured())
    assert (outcome.changed, outcome.reads, outcome.happenings) == ({}, {}, [])
    outcome = one.see(configured(name="box"), at=after(4))
    assert [(happening.event_type, happening.at) for happening in outcome.happenings] == [("config_changed", after(4))]
    assert set(outcome.reads) == {Read("restart_required")}


def test_nothing_is_asked_for_while_everything_is_read() -> None:
    """A snapshot reads what a new configuration would ask for; only conflict files are looked for after it."""
    one = watched()
    assert not one.see(seen.SnapshotStarted(), configured([folder("new", BETA), DOCS_FOLDER, ART_FOLDER])).reads
    assert set(one.see(seen.SnapshotComplete()).reads) == {Read("conflicts", "docs"), Read("conflicts", "art")}
    assert one.see(configured()).reads


# --- what is paused


def folders_with(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the folder "docs" paused or not."""
    return configured([folder("docs", BETA, GAMMA, paused=paused), ART_FOLDER])


def devices_with(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the device BETA paused or not."""
    return configured(devices=[device(BETA, "beta", paused=paused), GAMMA_DEVICE])


BEHIND = (read("docs", need_bytes=500, failed=1, watch_error="w"), completed(GAMMA, "docs", need_bytes=500))
FOLDER_EVENT = {paused: seen.FolderPaused(folder="docs", paused=paused) for paused in (True, False)}
DEVICE_EVENT = {paused: seen.DevicePaused(device=BETA, paused=paused) for paused in (True, False)}
either_way = pytest.mark.parametrize("way", ["event", "configuration"])


def without(event: str, happened: list[str]) -> list[str]:
    """Return what happened beside an event."""
    assert event in happened
    return [name for name in happened if name != event]


@either_way
def test_of_a_paused_folder_nothing_is_known(way: str) -> None:
    """Neither how far this machine is, nor the devices; what was wrong with it is forgotten."""
    one = watched(*BEHIND)
    pause = FOLDER_EVENT[True] if way == "event" else folders_with(paused=True)
    outcome = one.see(pause, at=after(2))
    assert {DOCS, failed_address("docs"), DOCS_ON_BETA, DOCS_ON_GAMMA, ON_GAMMA, SYSTEM} <= outcome.changed.keys()
    payload = one.shown(DOCS)
    assert (payload["paused"], payload["state"]) == (True, "paused")
    unknown = ("completion", "in_sync", "need_bytes", "failed", "watch_error", "out_of_sync_since", "global_bytes")
    assert [payload[key] for key in unknown] == [None] * len(unknown)
    assert one.shown(failed_address("docs")) == {"count": 0, "items": []}
    assert set(one.shown(DOCS_ON_GAMMA).values()) == {None}
    paused = next(one for one in outcome.happenings if one.event_type == "folder_paused")
    assert (paused.at, paused.data) == (after(2), {"folder": "docs", "label": "Docs"})
    assert not [read for read in outcome.reads if read.folder == "docs"]


@either_way
def test_a_paused_folder_is_left_out_of_the_whole(way: str) -> None:
    """Neither this machine nor a device is behind because of it."""
    one = watched(*BEHIND)
    assert (one.shown(SYSTEM)["in_sync"], one.shown(ON_GAMMA)["in_sync"]) == (False, False)
    one.see(FOLDER_EVENT[True] if way == "event" else folders_with(paused=True))
    system = one.shown(SYSTEM)
    assert (system["in_sync"], system["all_in_sync"], system["completion"], system["need_bytes"]) == (
        True,
        True,
        100,
        0,
    )
    assert system["folders"] == {"total": 2, "paused": 1, "syncing": 0, "out_of_sync": 0, "error": 0}
    assert one.shown(ON_GAMMA)["in_sync"] is None


@either_way
def test_a_resumed_folder_is_asked_for(way: str) -> None:
    """What it holds is not known before; that it has not changed is no sync."""
    one = watched(config=folders_with(paused=True))
    outcome = one.see(FOLDER_EVENT[False] if way == "event" else folders_with(paused=False))
    assert {
        Read("folder", "docs"),
        Read("completion", "docs", BETA),
        Read("completion", "docs", GAMMA),
    } <= outcome.reads.keys()
    assert without("folder_resumed", names(outcome)) == ([] if way == "event" else ["config_changed"])
    assert (one.shown(DOCS)["paused"], one.shown(DOCS)["completion"]) == (False, None)
    assert names(one.see(read("docs"), completed(BETA, "docs"), completed(GAMMA, "docs"))) == []
    assert one.shown(DOCS)["completion"] == 100


@either_way
def test_a_paused_device_is_left_out_of_the_whole(way: str) -> None:
    """It is neither connected nor behind while it is paused, and has not synced by that."""
    one = watched(completed(BETA, "docs", need_bytes=500))
    assert one.shown(SYSTEM)["all_in_sync"] is False
    outcome = one.see(DEVICE_EVENT[True] if way == "event" else devices_with(paused=True), at=after(2))
    assert {ON_BETA, DOCS_ON_BETA, SYSTEM} <= outcome.changed.keys()
    payload, system = one.shown(ON_BETA), one.shown(SYSTEM)
    assert (payload["paused"], payload["in_sync"], payload["completion"]) == (True, None, None)
    assert system["devices"] == {"total": 2, "connected": 0, "paused": 1, "out_of_sync": 0}
    assert system["all_in_sync"] is True
    paused = next(one for one in outcome.happenings if one.event_type == "device_paused")
    assert (paused.at, paused.data) == (after(2), {"device": ON_BETA.device, "name": "beta"})


@either_way
def test_a_resumed_device_counts_again(way: str) -> None:
    """How far it was is still known."""
    one = watched(completed(BETA, "docs", need_bytes=500), config=devices_with(paused=True))
    outcome = one.see(DEVICE_EVENT[False] if way == "event" else devices_with(paused=False))
    assert without("device_resumed", names(outcome)) == ([] if way == "event" else ["config_changed"])
    assert one.shown(ON_BETA)["completion"] == 75
    assert one.shown(SYSTEM)["all_in_sync"] is False


@pytest.mark.parametrize(
    ("event", "config"),
    [(FOLDER_EVENT[True], folders_with(paused=True)), (DEVICE_EVENT[True], devices_with(paused=True))],
)
def test_a_pause_is_told_once(event: Observation, config: seen.ConfigRead) -> None:
    """The saved configuration that follows tells the same again, and so may the event."""
    one = watched()
    one.see(event)
    for again in (event, config):
        outcome = one.see(again)
        assert (outcome.changed, outcome.reads, outcome.happenings) == ({}, {}, [])


@pytest.mark.parametrize(
    "event",
    [seen.FolderPaused(folder="unheard-of", paused=True), seen.DevicePaused(device=DELTA, paused=True)],
)
def test_a_pause_of_what_is_not_configured_does_not_count(event: Observation) -> None:
    """It may just have been removed."""
    outcome = watched().see(event)
    assert (outcome.changed, outcome.reads, outcome.happenings) == ({}, {}, [])


# --- what is paused for a time

UNTIL = after(600)
SHOWN_UNTIL = "2024-05-01T12:10:00Z"
TIMED = [
    pytest.param(Paused("folder", "docs"), FOLDER_EVENT, DOCS, id="folder"),
    pytest.param(Paused("device", BETA), DEVICE_EVENT, ON_BETA, id="device"),
]


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
def test_a_pause_for_a_time_tells_when_it_ends(
    subject: Paused, events: dict[bool, Observation], address: Address
) -> None:
    """Whoever resumes it earlier ends that, and so does a pause for no time."""
    one = watched()
    shown = []
    for observation in (
        events[True],
        seen.PauseTimed(paused=subject, until=UNTIL),
        seen.PauseTimed(paused=subject, until=None),
        seen.PauseTimed(paused=subject, until=UNTIL),
        events[False],
    ):
        assert address in one.see(observation).changed
        shown.append(one.shown(address)["resume_at"])
    assert shown == [None, SHOWN_UNTIL, None, SHOWN_UNTIL, None]


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
@pytest.mark.parametrize(
    ("until", "expected"), [(SHOWN_UNTIL, SHOWN_UNTIL), (None, None), ("soon", None), (5, None), ("2024-05-01", None)]
)
@pytest.mark.parametrize("late", [False, True])
def test_a_pause_for_a_time_outlives_the_bridge(
    subject: Paused, events: Any, address: Address, until: Any, *, expected: str | None, late: bool
) -> None:
    """It ends when it was to end, whenever the broker tells of it; rubbish that anybody published does not count."""
    one = Watched()
    memory = seen.Remembered(payloads={address: {"resume_at": until}})
    paused = folders_with(paused=True) if subject.kind == "folder" else devices_with(paused=True)
    one.see(*([paused, memory] if late else [memory, paused]))
    assert one.shown(address)["resume_at"] == expected


def test_a_pause_for_a_time_of_what_is_gone_is_forgotten() -> None:
    """A folder with the same ID that is added later is not resumed by it."""
    one = watched()
    one.see(FOLDER_EVENT[True], seen.PauseTimed(paused=Paused("folder", "docs"), until=UNTIL))
    one.see(configured([ART_FOLDER]))
    assert one.state.timed_pauses.next_try is None
    assert not one.see(seen.PauseTimed(paused=Paused("folder", "docs"), until=UNTIL)).changed


# --- what an earlier life of the bridge had published

SINCE = "2024-04-01T08:00:00Z"
NOW_SINCE = "2024-05-01T12:00:00Z"


def remembered(**folder_payload: Any) -> seen.Remembered:
    """Return what was published of the folder "docs"."""
    return seen.Remembered(payloads={DOCS: folder_payload})


MEMORY = remembered(out_of_sync_since=SINCE)
LACKING = read("docs", need_bytes=500)


@pytest.mark.parametrize(
    ("observations", "since"),
    [
        ([MEMORY, configured(), LACKING], SINCE),
        ([configured(), MEMORY, LACKING], SINCE),
        ([configured(), LACKING, MEMORY], SINCE),
        ([configured(), LACKING, remembered(out_of_sync_since=None)], NOW_SINCE),
        ([configured(), LACKING, seen.Remembered(payloads={})], NOW_SINCE),
        ([configured(), LACKING, seen.Remembered(payloads={DOCS: None})], NOW_SINCE),
        ([MEMORY, configured(), read("docs")], None),
        ([configured(), read("docs"), MEMORY], None),
        ([MEMORY, configured(), read("docs"), LACKING], NOW_SINCE),
        ([MEMORY, folders_with(paused=True)], None),
        ([folders_with(paused=True), MEMORY], None),
    ],
)
def test_since_when_a_folder_is_out_of_sync_outlives_the_bridge(
    observations: list[Observation], since: str | None
) -> None:
    """Whenever the broker tells what it has kept, it holds for a folder that still is out of sync, and no other."""
    one = Watched()
    one.see(*observations)
    assert one.shown(DOCS)["out_of_sync_since"] == since


def test_a_folder_that_comes_later_has_no_earlier_life() -> None:
    """A folder that was removed and is added again is a new one."""
    one = watched(MEMORY)
    one.see(configured([ART_FOLDER]))
    one.see(configured(), LACKING)
    assert one.shown(DOCS)["out_of_sync_since"] == NOW_SINCE

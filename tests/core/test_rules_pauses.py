"""Rules on pausing and resuming, with and without a time limit."""

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import SYSTEM, failed_address
from stbridge.core.timed_pauses import Paused
from stbridge.core.topics import Address
from tests.core.world import (
    ART_FOLDER,
    BETA,
    DELTA,
    DOCS,
    DOCS_ON_BETA,
    DOCS_ON_GAMMA,
    GAMMA,
    ON_BETA,
    ON_GAMMA,
    World,
    after,
    beta_configured,
    completed,
    configured,
    connection,
    connections,
    docs_configured,
    names,
    read,
    watched,
)

BEHIND = (read("docs", need_bytes=500, failed=1, watch_error="w"), completed(GAMMA, "docs", need_bytes=500))
FOLDER_EVENT = {paused: seen.FolderPaused(folder="docs", paused=paused) for paused in (True, False)}
DEVICE_EVENT = {paused: seen.DevicePaused(device=BETA, paused=paused) for paused in (True, False)}
either_way = pytest.mark.parametrize("way", ["event", "configuration"])


def without(event: str, happened: list[str]) -> list[str]:
    """Return the names of the other events."""
    assert event in happened
    return [name for name in happened if name != event]


@either_way
def test_the_values_of_a_paused_folder_are_null(way: str) -> None:
    """The completion of this device and of remote devices is unknown, and the errors of the folder are cleared."""
    one = watched(*BEHIND)
    pause = FOLDER_EVENT[True] if way == "event" else docs_configured(paused=True)
    outcome = one.see(pause, at=after(2))
    assert {DOCS, failed_address("docs"), DOCS_ON_BETA, DOCS_ON_GAMMA, ON_GAMMA, SYSTEM} <= outcome.changed.keys()
    payload = one.shown(DOCS)
    assert (payload["paused"], payload["state"]) == (True, "paused")
    unknown = ("completion", "in_sync", "need_bytes", "failed", "watch_error", "out_of_sync_since", "global_bytes")
    assert [payload[key] for key in unknown] == [None] * len(unknown)
    assert one.shown(failed_address("docs")) == {"count": 0, "items": []}
    assert set(one.shown(DOCS_ON_GAMMA).values()) == {None}
    paused = next(one for one in outcome.events if one.event_type == "folder_paused")
    assert (paused.at, paused.data) == (after(2), {"folder": "docs", "label": "Docs"})
    assert not [read for read in outcome.reads if read.folder == "docs"]


@either_way
def test_a_paused_folder_does_not_count_for_the_instance(way: str) -> None:
    """Neither this device nor a remote one is out of sync because of it."""
    one = watched(*BEHIND)
    assert (one.shown(SYSTEM)["in_sync"], one.shown(ON_GAMMA)["in_sync"]) == (False, False)
    one.see(FOLDER_EVENT[True] if way == "event" else docs_configured(paused=True))
    system = one.shown(SYSTEM)
    assert [system[key] for key in ("in_sync", "all_in_sync", "completion", "need_bytes")] == [True, True, 100, 0]
    assert system["folders"] == {"total": 2, "paused": 1, "syncing": 0, "out_of_sync": 0, "error": 0}
    assert one.shown(ON_GAMMA)["in_sync"] is None


@either_way
def test_a_resumed_folder_is_read(way: str) -> None:
    """Its counts are unknown until then. If nothing changed meanwhile, no sync is reported."""
    one = watched(config=docs_configured(paused=True))
    outcome = one.see(FOLDER_EVENT[False] if way == "event" else docs_configured(paused=False))
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
def test_a_paused_device_does_not_count_for_the_instance(way: str) -> None:
    """It is neither connected nor out of sync while it is paused. The pause is not a sync."""
    one = watched(completed(BETA, "docs", need_bytes=500), connections(of={BETA: connection()}))
    assert one.shown(SYSTEM)["devices"] == {"total": 2, "connected": 1, "paused": 0, "out_of_sync": 1}
    assert one.shown(SYSTEM)["all_in_sync"] is False
    outcome = one.see(DEVICE_EVENT[True] if way == "event" else beta_configured(paused=True), at=after(2))
    assert {ON_BETA, DOCS_ON_BETA, SYSTEM} <= outcome.changed.keys()
    payload, system = one.shown(ON_BETA), one.shown(SYSTEM)
    assert (payload["paused"], payload["in_sync"], payload["completion"]) == (True, None, None)
    assert system["devices"] == {"total": 2, "connected": 0, "paused": 1, "out_of_sync": 0}
    assert system["all_in_sync"] is True
    paused = next(one for one in outcome.events if one.event_type == "device_paused")
    assert (paused.at, paused.data) == (after(2), {"device": ON_BETA.device, "name": "beta"})


@either_way
def test_a_resumed_device_counts_again(way: str) -> None:
    """Its last completion is still valid."""
    one = watched(completed(BETA, "docs", need_bytes=500), config=beta_configured(paused=True))
    outcome = one.see(DEVICE_EVENT[False] if way == "event" else beta_configured(paused=False))
    assert without("device_resumed", names(outcome)) == ([] if way == "event" else ["config_changed"])
    assert one.shown(ON_BETA)["completion"] == 75
    assert one.shown(SYSTEM)["all_in_sync"] is False


@pytest.mark.parametrize(
    ("event", "config"),
    [(FOLDER_EVENT[True], docs_configured(paused=True)), (DEVICE_EVENT[True], beta_configured(paused=True))],
)
def test_a_pause_is_reported_once(event: Observation, config: seen.ConfigRead) -> None:
    """The saved configuration that follows contains the same pause, and the event may be repeated."""
    one = watched()
    one.see(event)
    for again in (event, config):
        outcome = one.see(again)
        assert (outcome.changed, outcome.events) == ({}, [])
        assert set(outcome.reads) <= {Read("restart_required")}


@pytest.mark.parametrize(("event", "pauses"), [(FOLDER_EVENT[True], "folders"), (DEVICE_EVENT[True], "devices")])
def test_a_pause_changes_one_entry_of_the_configuration(event: Observation, pauses: str) -> None:
    """It does not copy the configuration, whose size has no limit, nor change the one that was read."""
    read = configured()
    one = watched(config=read)
    kept = one.state.config
    one.see(event)
    assert one.state.config is kept
    assert [entry.paused for entry in getattr(kept, pauses).values()].count(True) == 1
    assert not any(entry.paused for entry in getattr(read.config, pauses).values())


@pytest.mark.parametrize(
    "event",
    [seen.FolderPaused(folder="unheard-of", paused=True), seen.DevicePaused(device=DELTA, paused=True)],
)
def test_a_pause_of_an_unconfigured_folder_or_device_is_ignored(event: Observation) -> None:
    """It may just have been removed."""
    outcome = watched().see(event)
    assert (outcome.changed, outcome.reads, outcome.events) == ({}, {}, [])


# --- timed pauses

UNTIL = after(600)
SHOWN_UNTIL = "2024-05-01T12:10:00Z"
TIMED = [
    pytest.param(Paused("folder", "docs"), FOLDER_EVENT, DOCS, id="folder"),
    pytest.param(Paused("device", BETA), DEVICE_EVENT, ON_BETA, id="device"),
]


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
def test_a_timed_pause_publishes_its_end(subject: Paused, events: dict[bool, Observation], address: Address) -> None:
    """Resuming early removes the end once the configuration confirms it, and so does a pause without a time limit."""
    one = watched()
    shown = []
    for observation in (
        events[True],
        seen.PauseTimed(paused=subject, until=UNTIL),
        seen.PauseTimed(paused=subject, until=None),
        seen.PauseTimed(paused=subject, until=UNTIL),
        events[False],
        configured(),
    ):
        assert address in one.see(observation).changed
        shown.append(one.shown(address)["resume_at"])
    assert shown == [None, SHOWN_UNTIL, None, SHOWN_UNTIL, SHOWN_UNTIL, None]


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
def test_an_event_older_than_a_timed_pause_does_not_end_it(
    subject: Paused, events: dict[bool, Observation], address: Address
) -> None:
    """A command resumes, and the next one pauses with a time limit, before the events of both arrive."""
    one = watched()
    one.see(events[True], seen.PauseTimed(paused=subject, until=UNTIL))
    outcome = one.see(events[False], seen.ConfigSaved(config=configured().config))
    assert (one.shown(address)["resume_at"], list(outcome.reads)[:1]) == (SHOWN_UNTIL, [Read("config")])
    paused = docs_configured(paused=True) if subject.kind == "folder" else beta_configured(paused=True)
    one.see(events[True], paused)
    assert one.shown(address)["resume_at"] == SHOWN_UNTIL


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
def test_the_configuration_confirms_that_a_timed_pause_is_over(
    subject: Paused, events: dict[bool, Observation], address: Address
) -> None:
    """A later pause without a time limit is not ended by the bridge."""
    one = watched()
    one.see(events[True], seen.PauseTimed(paused=subject, until=UNTIL), events[False], configured())
    assert one.state.timed_pauses.next_try is None
    one.see(events[True])
    assert one.shown(address)["resume_at"] is None


@pytest.mark.parametrize(("subject", "events", "address"), TIMED)
def test_a_complete_read_confirms_that_a_timed_pause_is_over(
    subject: Paused, events: dict[bool, Observation], address: Address
) -> None:
    """Its own configuration may be older than the pause, so the configuration is requested once more."""
    one = watched()
    one.see(events[True], seen.PauseTimed(paused=subject, until=UNTIL))
    outcome = one.see(seen.SnapshotStarted(), configured(), seen.SnapshotComplete())
    assert (one.shown(address)["resume_at"], Read("config") in outcome.reads) == (SHOWN_UNTIL, True)
    one.see(configured())
    assert one.shown(address)["resume_at"] is None


def test_a_resume_during_an_outage_is_confirmed_after_it() -> None:
    """What is read before the instance counts as reachable again may be older than a pause."""
    one = watched()
    one.see(FOLDER_EVENT[True], seen.PauseTimed(paused=Paused("folder", "docs"), until=UNTIL))
    one.see(seen.Suspected(), FOLDER_EVENT[False], configured())
    assert Read("config") in one.see(seen.Resumed()).reads
    one.see(configured())
    assert one.state.timed_pauses.next_try is None


def test_a_timed_pause_of_a_removed_folder_is_discarded() -> None:
    """It does not resume a folder with the same ID that is added later."""
    one = watched()
    one.see(FOLDER_EVENT[True], seen.PauseTimed(paused=Paused("folder", "docs"), until=UNTIL))
    one.see(configured([ART_FOLDER]))
    assert one.state.timed_pauses.next_try is None
    assert not one.see(seen.PauseTimed(paused=Paused("folder", "docs"), until=UNTIL)).changed


def test_an_instance_whose_folders_are_all_paused_is_not_in_sync() -> None:
    """It syncs nothing, so all three values are null."""
    world = World().start()
    assert (world.system["in_sync"], world.system["all_in_sync"]) == (True, None)
    world.see(seen.FolderPaused(folder="docs", paused=True))
    assert (world.system["in_sync"], world.system["all_in_sync"], world.system["completion"]) == (None, None, None)
    world.see(seen.FolderPaused(folder="docs", paused=False), read(), completed())
    assert (world.system["in_sync"], world.system["all_in_sync"]) == (True, True)

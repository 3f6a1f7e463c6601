"""Rules on the completion of remote devices."""

from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import Connection
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import SYSTEM
from tests.core.world import (
    ART_ON_BETA,
    BETA,
    DOCS_ON_BETA,
    GAMMA,
    ON_BETA,
    Watched,
    after,
    completed,
    configured,
    connection,
    connections,
    device,
    folder,
    last_seen,
    names,
    watched,
)

AWAY = Connection(connected=False)
FROM_EVENT = connection(is_local=None, crypto=None)
"""The event does not contain these values."""


def beta(one: Watched, *keys: str) -> Any:
    """Return values from the payload of BETA."""
    payload = one.shown(ON_BETA)
    return tuple(payload[key] for key in keys) if len(keys) > 1 else payload[keys[0]]


def arrives(at: float = 0) -> seen.DeviceConnected:
    """Return the event of a connection of BETA."""
    return seen.DeviceConnected(device=BETA, at=after(at), connection=FROM_EVENT)


def leaves(at: float = 0, error: str | None = "reading length: EOF") -> seen.DeviceDisconnected:
    """Return the event of a disconnection of BETA."""
    return seen.DeviceDisconnected(device=BETA, at=after(at), error=error)


def polled(at: float = 0, **changes: Any) -> seen.ConnectionsRead:
    """Return a read of all connections, in which BETA is connected."""
    return connections(after(at), of={BETA: connection(**changes), GAMMA: AWAY})


# --- completion


def test_a_completion_changes_the_share_the_device_and_the_instance() -> None:
    """An identical completion changes nothing."""
    one = watched()
    lacking = completed(BETA, "docs", need_bytes=500, need_items=3)
    assert one.see(lacking).changed.keys() == {DOCS_ON_BETA, ON_BETA, SYSTEM}
    assert one.shown(DOCS_ON_BETA) == {
        "completion": 50,
        "need_bytes": 500,
        "need_items": 3,
        "need_deletes": 0,
        "need_total_items": 3,
        "global_bytes": 1000,
        "remote_state": "valid",
    }
    assert beta(one, "completion", "in_sync", "need_bytes", "need_items") == (75, False, 500, 3)
    assert one.shown(SYSTEM)["devices"]["out_of_sync"] == 1
    assert not one.see(lacking).changed


@pytest.mark.parametrize(
    ("docs", "art", "completion", "in_sync"),
    [
        ({}, {}, 100, True),
        ({"need_bytes": 1000}, {"need_bytes": 500}, 25, False),
        ({"need_items": 1}, {}, 95, False),
        ({"need_deletes": 1}, {}, 95, False),
        ({"need_bytes": 1000, "remote_state": "paused"}, {}, 100, True),
        ({"need_bytes": 1000, "remote_state": "notSharing"}, {}, 100, True),
        ({"need_bytes": 1000, "remote_state": "unknown"}, {}, 50, False),
        ({"need_bytes": 1000, "remote_state": None}, {}, 50, False),
        ({"remote_state": "paused"}, {"remote_state": "paused"}, None, None),
    ],
)
def test_the_completion_of_a_device_covers_all_its_shares(
    docs: dict[str, Any], art: dict[str, Any], completion: float | None, in_sync: bool | None
) -> None:
    """It is computed in bytes. Folders that the device itself paused or does not share are excluded."""
    one = watched(completed(BETA, "docs", **docs), completed(BETA, "art", **art))
    assert beta(one, "completion", "in_sync") == (completion, in_sync)


def test_a_complete_device_completes_all_its_folders() -> None:
    """Only the read of a single folder returns the remote state, which is kept meanwhile and read at a limited rate."""
    one = watched(completed(BETA, "docs", need_items=1), polled())
    reads = one.see(seen.DeviceCompletionRead(device=BETA, complete=True)).reads
    assert beta(one, "completion", "in_sync", "need_items") == (100, True, 0)
    assert one.shown(DOCS_ON_BETA)["remote_state"] == "valid"
    assert set(reads) == {Read("remote_state", folder_id, BETA) for folder_id in ("docs", "art")}


def test_a_complete_device_that_is_disconnected_has_unknown_remote_states() -> None:
    """Syncthing itself reports `unknown` for it, so no read is needed."""
    one = watched()
    assert not one.see(seen.DeviceCompletionRead(device=BETA, complete=True)).reads
    assert one.shown(DOCS_ON_BETA)["remote_state"] == "unknown"


def test_before_1_20_a_complete_device_has_no_remote_states() -> None:
    """Syncthing does not report them, so no read is needed."""
    one = watched(seen.VersionRead(version="v1.19.2", os="linux", arch="amd64"), polled())
    one.see(completed(BETA, "docs", need_items=1, remote_state=None))
    assert not one.see(seen.DeviceCompletionRead(device=BETA, complete=True)).reads
    assert one.shown(DOCS_ON_BETA)["remote_state"] is None


def test_a_complete_device_says_nothing_about_paused_and_unread_folders() -> None:
    """A paused folder has no completion; the size of a folder whose status could not be read is not known."""
    config = configured(
        [folder("docs", paused=True, devices=[BETA]), folder("art", devices=[BETA])], [device(BETA, "b")]
    )
    one = Watched()
    one.see(config)
    reads = one.see(seen.DeviceCompletionRead(device=BETA, complete=True)).reads
    assert not one.state.completions
    assert set(reads) == {Read("completion", "art", BETA)}


@pytest.mark.parametrize("complete", [False, None])
def test_an_incomplete_device_says_nothing_about_its_folders(complete: bool | None) -> None:
    """Each of its folders is read."""
    one = watched(completed(BETA, "docs", need_items=1))
    assert not one.see(seen.DeviceCompletionRead(device=BETA, complete=complete)).changed
    assert not one.see(seen.DeviceCompletionRead(device="REMOVED", complete=True)).changed


def test_a_device_without_shares_has_no_sync_state() -> None:
    """Its completion is null, and the instance does not wait for it."""
    one = watched(config=configured([folder("docs")], [device(BETA, "beta")]))
    assert beta(one, "completion", "in_sync", "need_bytes", "need_items") == (None,) * 4
    assert one.shown(SYSTEM)["all_in_sync"] is True


def test_a_device_with_unknown_shares_is_not_in_sync() -> None:
    """Its state is null until all shares are known, or false as soon as one folder needs something."""
    one = Watched()
    one.see(configured(), last_seen(), completed(BETA, "docs"))
    assert beta(one, "completion", "in_sync", "need_bytes") == (None, None, None)
    one.see(completed(BETA, "docs", need_bytes=5))
    assert beta(one, "completion", "in_sync") == (None, False)


def test_a_device_that_has_synced_is_reported_once() -> None:
    """The event is sent when the last folder is complete."""
    one = watched()
    behind = completed(BETA, "docs", need_bytes=5), completed(BETA, "art", need_items=1)
    assert names(one.see(*behind, completed(BETA, "docs"))) == []
    (event,) = one.see(completed(BETA, "art"), at=after(9)).events
    assert (event.event_type, event.at) == ("device_synced", after(9))
    assert event.data == {"device": ON_BETA.device, "name": "beta"}
    assert names(one.see(completed(BETA, "art", remote_state=None))) == []


def test_the_first_completion_of_a_device_is_no_sync() -> None:
    """The device was complete before; the bridge only reads it for the first time."""
    one = Watched()
    assert names(one.see(configured(), last_seen(), completed(BETA, "docs"), completed(BETA, "art"))) == []
    assert beta(one, "in_sync") is True


# --- the numbers of Syncthing's page


@pytest.mark.parametrize(
    ("docs", "need_items", "need_deletes", "need_total_items"),
    [
        ({"need_items": 2, "need_deletes": 3}, 2, 3, 5),
        ({"need_deletes": 1}, 0, 1, 1),
        ({"need_items": 2, "need_deletes": 3, "remote_state": "paused"}, 0, 0, 5),
        ({"need_items": 2, "need_deletes": 3, "remote_state": "notSharing"}, 0, 0, 5),
    ],
)
def test_the_total_of_needed_items_is_that_of_the_page(
    docs: dict[str, Any], need_items: int, need_deletes: int, need_total_items: int
) -> None:
    """The page counts deletions, and also folders that the device itself has paused or not accepted."""
    one = watched(completed(BETA, "docs", **docs))
    assert beta(one, "need_items", "need_deletes", "need_total_items") == (need_items, need_deletes, need_total_items)
    assert one.shown(DOCS_ON_BETA)["need_total_items"] == need_total_items


# --- a device that has never been connected

NUMBERS = ("completion", "in_sync", "need_bytes", "need_items", "need_deletes", "need_total_items")
UNKNOWN = dict.fromkeys((*(set(NUMBERS) - {"in_sync"}), "global_bytes", "remote_state"))


@pytest.mark.parametrize("found", [{}, {"need_bytes": 1000, "need_items": 1}])
def test_nothing_is_known_of_a_device_that_was_never_connected(found: dict[str, Any]) -> None:
    """Syncthing reports it as complete, or as needing everything, and knows neither."""
    one = watched(last_seen(at=None), completed(BETA, "docs", **found))
    assert beta(one, *NUMBERS) == (None,) * len(NUMBERS)
    assert one.shown(DOCS_ON_BETA) == UNKNOWN
    assert one.shown(SYSTEM)["all_in_sync"] is None
    assert one.shown(SYSTEM)["devices"]["out_of_sync"] == 0
    assert names(one.see(completed(BETA, "docs"))) == []


def test_a_device_that_is_out_of_sync_overrides_one_that_was_never_connected() -> None:
    """False beats None."""
    one = watched(seen.DeviceStatisticsRead(last_seen_at={BETA: None, GAMMA: after(0)}))
    assert one.shown(SYSTEM)["all_in_sync"] is None
    one.see(completed(GAMMA, "docs", need_deletes=1))
    assert one.shown(SYSTEM)["all_in_sync"] is False


@pytest.mark.parametrize("found", [arrives(), polled(), last_seen()])
def test_the_numbers_of_a_device_are_known_once_it_was_connected(found: Observation) -> None:
    """An event, a read of the connections, or the statistics show that it was."""
    one = watched(last_seen(at=None), completed(BETA, "docs", need_bytes=1000, need_items=3))
    outcome = one.see(found)
    assert {DOCS_ON_BETA, ON_BETA, SYSTEM} <= outcome.changed.keys()
    assert beta(one, *NUMBERS) == (50, False, 1000, 3, 0, 3)
    assert names(one.see(completed(BETA, "docs"), completed(BETA, "docs", need_bytes=1000, need_items=3))) == [
        "device_synced"
    ]
    one.see(leaves())
    assert beta(one, *NUMBERS) == (50, False, 1000, 3, 0, 3)


@pytest.mark.parametrize("leaving", [leaves(), connections(of={BETA: AWAY})])
@pytest.mark.parametrize(
    ("before", "shown"),
    [("valid", "unknown"), ("paused", "unknown"), ("notSharing", "unknown"), ("unknown", "unknown"), (None, None)],
)
def test_the_remote_state_becomes_unknown_when_a_device_disconnects(
    leaving: Observation, before: str | None, shown: str | None
) -> None:
    """Syncthing resets it as well, without an event. Up to 1.19 it was always unknown."""
    one = watched(
        polled(), completed(BETA, "docs", remote_state=before), completed(BETA, "art", remote_state="unknown")
    )
    outcome = one.see(leaving)
    assert one.shown(DOCS_ON_BETA)["remote_state"] == shown
    assert (DOCS_ON_BETA in outcome.changed) == (before != shown)
    assert ART_ON_BETA not in outcome.changed


def test_a_remotely_paused_folder_counts_again_after_a_disconnection() -> None:
    """Its needs count again, as they do in Syncthing."""
    one = watched(polled(), completed(BETA, "docs", need_bytes=1000, remote_state="paused"))
    assert beta(one, "completion") == 100
    one.see(leaves())
    assert beta(one, "completion", "in_sync") == (50, False)

"""Rules on remote devices: connections, traffic, how far they are."""

from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import Connection
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import METRICS, SYSTEM
from tests.core.observed import (
    ART_ON_BETA,
    BETA,
    DOCS_ON_BETA,
    GAMMA,
    NOW,
    ON_BETA,
    ON_GAMMA,
    Watched,
    after,
    completed,
    configured,
    connection,
    connections,
    device,
    device_id,
    folder,
    names,
    snapshot,
    watched,
)

AWAY = Connection(connected=False)
TOLD_BY_EVENT = connection(is_local=None, crypto=None)
"""An event does not tell everything."""


def beta(one: Watched, *keys: str) -> Any:
    """Return values of the payload of BETA."""
    payload = one.shown(ON_BETA)
    return tuple(payload[key] for key in keys) if len(keys) > 1 else payload[keys[0]]


def arrives(at: float = 0) -> seen.DeviceConnected:
    """Return the event that BETA connected."""
    return seen.DeviceConnected(device=BETA, at=after(at), connection=TOLD_BY_EVENT)


def leaves(at: float = 0, error: str | None = "reading length: EOF") -> seen.DeviceDisconnected:
    """Return the event that BETA disconnected."""
    return seen.DeviceDisconnected(device=BETA, at=after(at), error=error)


def polled(at: float = 0, **changes: Any) -> seen.ConnectionsRead:
    """Return a read of all connections in which BETA's is connected."""
    return connections(after(at), of={BETA: connection(**changes), GAMMA: AWAY})


# --- connections


def test_a_device_that_connects_is_told() -> None:
    """The event tells most of the connection, the rest is read."""
    one = watched()
    outcome = one.see(arrives(3))
    (happening,) = outcome.happenings
    assert (happening.event_type, happening.at) == ("device_connected", after(3))
    assert happening.data == {"device": ON_BETA.device, "name": "beta"}
    assert set(outcome.reads) == {Read("connections")}
    assert outcome.changed.keys() == {ON_BETA, SYSTEM}
    assert beta(one, "connected", "address", "client_version", "crypto") == (True, "192.0.2.1:22000", "v1.29.5", None)
    assert one.shown(SYSTEM)["devices"]["connected"] == 1
    outcome = one.see(polled(4))
    assert names(outcome) == []
    assert beta(one, "crypto", "is_local", "connection_type") == ("TLS1.3", True, "tcp-client")


def test_a_device_that_disconnects_is_told() -> None:
    """The event says why; nothing is left of the connection but when the device was seen last."""
    one = watched(polled(in_bytes=5))
    outcome = one.see(leaves(7))
    (happening,) = outcome.happenings
    assert (happening.event_type, happening.at) == ("device_disconnected", after(7))
    assert happening.data == {"device": ON_BETA.device, "name": "beta", "error": "reading length: EOF"}
    assert beta(one, "connected", "address", "crypto", "in_bytes") == (False, None, None, 0)
    assert beta(one, "last_seen_at", "unseen_since") == ("2024-05-01T12:00:07Z",) * 2
    assert one.shown(SYSTEM)["devices"]["connected"] == 0


def test_another_connection_of_a_device_hides_nothing() -> None:
    """Since 1.25 every connection is told: what is known of the first one holds until it is read again."""
    one = watched(polled(in_bytes=5))
    before = one.shown(ON_BETA)
    outcome = one.see(arrives(1))
    assert names(outcome) == []
    assert set(outcome.reads) == {Read("connections")}
    assert one.shown(ON_BETA) == before


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([arrives(1), leaves(2)], ["device_connected", "device_disconnected"]),
        ([arrives(1), arrives(2), polled(3), leaves(4), leaves(5)], ["device_connected", "device_disconnected"]),
        ([polled(1), connections(after(2), of={BETA: AWAY})], ["device_connected", "device_disconnected"]),
        ([polled(1, address="a"), polled(2, address="b")], ["device_connected"]),
        ([leaves(1)], []),
    ],
)
def test_each_change_of_a_connection_is_told_once(observations: list[Observation], expected: list[str]) -> None:
    """Whether by an event, or by a read because the event was missed."""
    one = watched()
    told = [names(one.see(observation, at=after(60 * minute))) for minute, observation in enumerate(observations)]
    assert [name for happened in told for name in happened] == expected


def test_connections_that_are_found_at_the_start_are_not_told() -> None:
    """Nor what has changed while Syncthing could not be reached: the state says it."""
    one = Watched()
    assert names(one.see(*snapshot(polled()))) == []
    one.see(seen.Unavailable(way=seen.EVENTS, status="unreachable", message="refused"))
    assert names(one.see(*snapshot(connections(of={BETA: AWAY})))) == []
    assert beta(one, "connected") is False


def test_a_device_that_is_not_configured_does_not_count() -> None:
    """It may just have been removed."""
    one = watched()
    stranger = device_id("UNHEARD")
    for observation in (
        seen.DeviceConnected(device=stranger, at=NOW, connection=connection()),
        seen.DeviceDisconnected(device=stranger, at=NOW, error=None),
        completed(stranger, "docs", need_bytes=5),
        completed(GAMMA, "art", need_bytes=5),
        completed(BETA, "unheard-of", need_bytes=5),
        seen.DeviceStatisticsRead(last_seen_at={stranger: NOW}),
    ):
        outcome = one.see(observation)
        assert (outcome.changed, outcome.reads, outcome.happenings) == ({}, {}, [])
    assert one.see(connections(of={stranger: connection()})).changed.keys() == {METRICS}


@pytest.mark.parametrize(
    ("last_seen", "shown"),
    [(after(-60), "2024-05-01T12:00:00Z"), (after(60), "2024-05-01T12:01:00Z"), (None, "2024-05-01T12:00:00Z")],
)
def test_when_a_device_was_seen_last_never_goes_back(last_seen: Any, shown: str) -> None:
    """Syncthing's statistics lag behind its events, and know nothing of a device that it has not seen yet."""
    one = watched()
    one.see(arrives(), leaves())
    outcome = one.see(seen.DeviceStatisticsRead(last_seen_at={BETA: last_seen}))
    assert beta(one, "last_seen_at") == shown
    assert (ON_BETA in outcome.changed) == (shown != "2024-05-01T12:00:00Z")


def test_since_when_a_device_is_unseen_is_told_while_it_is_away() -> None:
    """A device that is connected is seen; one that was never seen is unseen since the bridge first knew of it."""
    one = watched()
    assert one.shown(ON_GAMMA)["unseen_since"] == "2024-05-01T12:00:00Z"
    one.see(seen.DeviceStatisticsRead(last_seen_at={BETA: after(-60)}))
    assert beta(one, "unseen_since") == "2024-05-01T11:59:00Z"
    one.see(arrives())
    assert beta(one, "unseen_since") is None


# --- traffic


def test_rates_come_from_the_counters_of_a_connection() -> None:
    """They are those of the time between two reads."""
    one = watched(polled(0, in_bytes=1000, out_bytes=1000))
    outcome = one.see(polled(10, in_bytes=3000, out_bytes=2005))
    assert outcome.changed.keys() == {METRICS, ON_BETA}
    assert beta(one, "in_bytes", "out_bytes", "in_rate", "out_rate") == (3000, 2005, 200, 100.5)


def test_the_counters_of_another_connection_begin_anew() -> None:
    """What the earlier connection had counted makes no rate, in either direction."""
    one = watched(polled(0, in_bytes=1000), polled(10, in_bytes=2000))
    one.see(leaves(11))
    assert beta(one, "in_rate") == 0
    one.see(arrives(12), polled(20, in_bytes=9000))
    assert beta(one, "in_bytes", "in_rate") == (9000, 0)
    one.see(polled(30, in_bytes=14_000))
    assert beta(one, "in_rate") == 500


def test_the_rates_of_the_instance_are_those_of_all_its_connections() -> None:
    """The totals are Syncthing's own, connections that ended included."""
    one = watched(connections(after(0), 100, 1000))
    one.see(connections(after(10), 2100, 6000))
    metrics = one.shown(METRICS)
    assert [metrics[key] for key in ("in_bytes", "out_bytes", "in_rate", "out_rate")] == [2100, 6000, 200, 500]


@pytest.mark.parametrize(
    ("observations", "transferring"),
    [
        ([], False),
        ([connections(after(10), 90_000, 0)], False),
        ([connections(after(10), 110_000, 0)], True),
        ([connections(after(10), 0, 110_000)], True),
        ([completed(BETA, "docs", need_bytes=5)], False),
        ([polled(), completed(BETA, "docs", need_bytes=5)], True),
        ([polled(), completed(BETA, "docs")], False),
    ],
)
def test_a_transfer_is_worth_a_closer_look(observations: list[Observation], transferring: bool) -> None:
    """Traffic beyond chatter, or a connected device that lacks something, makes counters interesting for a while."""
    one = watched()
    one.see(*observations, at=after(10))
    assert one.state.transferring(after(24)) is transferring
    assert not one.state.transferring(after(26))


# --- how far they are


def test_a_completion_touches_the_share_the_device_and_the_whole() -> None:
    """And nothing when it is the same as before."""
    one = watched()
    lacking = completed(BETA, "docs", need_bytes=500, need_items=3)
    assert one.see(lacking).changed.keys() == {DOCS_ON_BETA, ON_BETA, SYSTEM}
    assert one.shown(DOCS_ON_BETA) == {
        "completion": 50,
        "need_bytes": 500,
        "need_items": 3,
        "need_deletes": 0,
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
def test_a_device_is_as_far_as_all_that_it_shares(
    docs: dict[str, Any], art: dict[str, Any], completion: float | None, in_sync: bool | None
) -> None:
    """In bytes; what it has chosen itself not to take part in does not count."""
    one = watched(completed(BETA, "docs", **docs), completed(BETA, "art", **art))
    assert beta(one, "completion", "in_sync") == (completion, in_sync)


def test_a_device_that_shares_nothing_is_neither_in_sync_nor_not() -> None:
    """Nothing is known of how far it is, and the whole does not wait for it."""
    one = watched(config=configured([folder("docs")], [device(BETA, "beta")]))
    assert beta(one, "completion", "in_sync", "need_bytes", "need_items") == (None,) * 4
    assert one.shown(SYSTEM)["all_in_sync"] is True


def test_a_device_of_which_not_everything_is_known_is_not_known_to_be_in_sync() -> None:
    """But it is known not to be, as soon as one folder lacks something."""
    one = Watched()
    one.see(configured(), completed(BETA, "docs"))
    assert beta(one, "completion", "in_sync", "need_bytes") == (None, None, None)
    one.see(completed(BETA, "docs", need_bytes=5))
    assert beta(one, "completion", "in_sync") == (None, False)


def test_a_device_that_has_caught_up_is_told_once() -> None:
    """It has everything again when its last folder has."""
    one = watched()
    behind = completed(BETA, "docs", need_bytes=5), completed(BETA, "art", need_items=1)
    assert names(one.see(*behind, completed(BETA, "docs"))) == []
    (happening,) = one.see(completed(BETA, "art"), at=after(9)).happenings
    assert (happening.event_type, happening.at) == ("device_synced", after(9))
    assert happening.data == {"device": ON_BETA.device, "name": "beta"}
    assert names(one.see(completed(BETA, "art", remote_state=None))) == []


def test_a_device_that_lacked_nothing_has_not_synced() -> None:
    """That it becomes known at the start is no sync."""
    one = Watched()
    assert names(one.see(configured(), completed(BETA, "docs"), completed(BETA, "art"))) == []
    assert beta(one, "in_sync") is True


@pytest.mark.parametrize("leaving", [leaves(), connections(of={BETA: AWAY})])
@pytest.mark.parametrize(
    ("before", "shown"),
    [("valid", "unknown"), ("paused", "unknown"), ("notSharing", "unknown"), ("unknown", "unknown"), (None, None)],
)
def test_what_a_device_does_with_a_folder_is_forgotten_when_it_leaves(
    leaving: Observation, before: str | None, shown: str | None
) -> None:
    """Syncthing forgets it as well, without an event; up to 1.19 nothing was ever known."""
    one = watched(
        polled(), completed(BETA, "docs", remote_state=before), completed(BETA, "art", remote_state="unknown")
    )
    outcome = one.see(leaving)
    assert one.shown(DOCS_ON_BETA)["remote_state"] == shown
    assert (DOCS_ON_BETA in outcome.changed) == (before != shown)
    assert ART_ON_BETA not in outcome.changed


def test_a_folder_that_a_device_had_paused_counts_again_when_the_device_leaves() -> None:
    """What it lacked still counts, as Syncthing counts it then."""
    one = watched(polled(), completed(BETA, "docs", need_bytes=1000, remote_state="paused"))
    assert beta(one, "completion") == 100
    one.see(leaves())
    assert beta(one, "completion", "in_sync") == (50, False)

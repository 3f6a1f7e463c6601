"""Rules on the connections to remote devices and their traffic."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import Connection, DialError
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import METRICS, SYSTEM
from tests.core.world import (
    BETA,
    BETA_DEVICE,
    GAMMA,
    GAMMA_DEVICE,
    NOW,
    ON_BETA,
    ON_GAMMA,
    Watched,
    after,
    completed,
    configured,
    connection,
    connections,
    device_id,
    last_seen,
    names,
    process,
    snapshot,
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


# --- why a device is disconnected

STATIC, REACHED, OTHER = "tcp://192.0.2.9:22000", "tcp://192.0.2.1:22000", "tcp://192.0.2.3:22000"


def refused(*addresses: str, at: float = 0, error: str = "connection refused") -> seen.StatusRead:
    """Return the status in which the last attempts to connect to these addresses have failed."""
    return process(dial_errors={one: DialError(at=after(at), error=error) for one in addresses})


def with_address(*, paused: bool = False) -> seen.ConfigRead:
    """Return a configuration with an address of BETA."""
    return configured(devices=[replace(BETA_DEVICE, addresses=(STATIC,), paused=paused), GAMMA_DEVICE])


def test_the_error_of_a_configured_address_is_shown() -> None:
    """Errors of other addresses belong to other devices."""
    one = watched(config=with_address())
    assert beta(one, "connection_error") is None
    outcome = one.see(refused(STATIC, OTHER))
    assert (ON_BETA in outcome.changed, ON_GAMMA in outcome.changed) == (True, False)
    assert beta(one, "connection_error") == "connection refused"
    assert ON_BETA not in one.see(refused(STATIC, OTHER, at=60)).changed
    assert ON_BETA in one.see(process()).changed
    assert beta(one, "connection_error") is None


def test_the_latest_error_counts() -> None:
    """A device may have several addresses."""
    one = watched(config=configured(devices=[replace(BETA_DEVICE, addresses=(STATIC, OTHER)), GAMMA_DEVICE]))
    earlier, later = (refused(STATIC, at=1), refused(OTHER, at=2, error="no route to host"))
    one.see(process(dial_errors={**later.dial_errors, **earlier.dial_errors}))
    assert beta(one, "connection_error") == "no route to host"


def test_a_device_that_is_connected_or_paused_has_no_connection_error() -> None:
    """An error from before the connection is no longer of use when the device disconnects."""
    one = watched(refused(STATIC), config=with_address())
    one.see(arrives(5))
    assert beta(one, "connection_error") is None
    one.see(leaves(6.5))
    assert beta(one, "connection_error") is None
    one.see(refused(STATIC, at=6))  # in the same second: the list has no fractions
    assert beta(one, "connection_error") == "connection refused"
    one.see(with_address(paused=True))
    assert beta(one, "connection_error") is None


@pytest.mark.parametrize(
    ("connection_type", "shown"), [("tcp-client", "connection refused"), ("tcp-server", None), ("quic-client", None)]
)
def test_the_address_of_an_outgoing_connection_is_remembered(connection_type: str, shown: str | None) -> None:
    """The other device has opened a connection of type `-server`, from a port where it does not listen."""
    one = watched()
    one.see(polled(1, connection_type=connection_type), leaves(2), refused(REACHED, at=3))
    assert beta(one, "connection_error") == shown


# --- connections


def test_a_device_that_connects_is_reported() -> None:
    """The event contains part of the connection; the rest is read."""
    one = watched()
    outcome = one.see(arrives(3))
    (event,) = outcome.events
    assert (event.event_type, event.at) == ("device_connected", after(3))
    assert event.data == {"device": ON_BETA.device, "name": "beta"}
    assert set(outcome.reads) == {Read("connections")}
    assert outcome.changed.keys() == {ON_BETA, SYSTEM}
    assert beta(one, "connected", "address", "client_version", "crypto") == (True, "192.0.2.1:22000", "v1.29.5", None)
    assert one.shown(SYSTEM)["devices"]["connected"] == 1
    outcome = one.see(polled(4))
    assert names(outcome) == []
    assert beta(one, "crypto", "is_local", "connection_type") == ("TLS1.3", True, "tcp-client")


def test_a_device_that_disconnects_is_reported() -> None:
    """The event contains the reason. Only the last-seen time of the connection is kept."""
    one = watched(polled(in_bytes=5))
    outcome = one.see(leaves(7))
    (event,) = outcome.events
    assert (event.event_type, event.at) == ("device_disconnected", after(7))
    assert event.data == {"device": ON_BETA.device, "name": "beta", "error": "reading length: EOF"}
    assert beta(one, "connected", "address", "crypto", "in_bytes") == (False, None, None, 0)
    assert beta(one, "last_seen_at", "unseen_since") == ("2024-05-01T12:00:07Z",) * 2
    assert one.shown(SYSTEM)["devices"]["connected"] == 0


def test_a_second_connection_of_a_device_keeps_the_known_values() -> None:
    """Since 1.25, every connection has an event; the values of the first one stay valid until they are read again."""
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
def test_each_change_of_a_connection_is_reported_once(observations: list[Observation], expected: list[str]) -> None:
    """An event shows the change, or a read does if the event was missed."""
    one = watched()
    emitted = [names(one.see(observation, at=after(60 * minute))) for minute, observation in enumerate(observations)]
    assert [name for happened in emitted for name in happened] == expected


def test_connections_found_at_the_start_are_not_reported() -> None:
    """Changes while Syncthing could not be reached are not reported either; the payload shows the state."""
    one = Watched()
    assert names(one.see(*snapshot(polled()))) == []
    one.see(seen.Unavailable(status="unreachable", message="refused"))
    assert names(one.see(*snapshot(connections(of={BETA: AWAY})))) == []
    assert beta(one, "connected") is False


def test_observations_of_an_unconfigured_device_are_ignored() -> None:
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
        assert (outcome.changed, outcome.reads, outcome.events) == ({}, {}, [])
    assert one.see(connections(of={stranger: connection()})).changed.keys() == {METRICS}


@pytest.mark.parametrize(
    ("last_seen", "shown"),
    [(after(-60), "2024-05-01T12:00:00Z"), (after(60), "2024-05-01T12:01:00Z"), (None, "2024-05-01T12:00:00Z")],
)
def test_the_last_seen_time_never_goes_back(last_seen: Any, shown: str) -> None:
    """Syncthing's statistics lag behind its events, and contain no time for a device that was not seen yet."""
    one = watched()
    one.see(arrives(), leaves())
    outcome = one.see(seen.DeviceStatisticsRead(last_seen_at={BETA: last_seen}))
    assert beta(one, "last_seen_at") == shown
    assert (ON_BETA in outcome.changed) == (shown != "2024-05-01T12:00:00Z")


def test_the_unseen_time_is_published_while_a_device_is_disconnected() -> None:
    """It is null for a connected device. A device that was never seen is unseen since the bridge first found it."""
    one = watched(last_seen(at=None))
    assert one.shown(ON_GAMMA)["unseen_since"] == "2024-05-01T12:00:00Z"
    one.see(seen.DeviceStatisticsRead(last_seen_at={BETA: after(-60)}))
    assert beta(one, "unseen_since") == "2024-05-01T11:59:00Z"
    one.see(arrives())
    assert beta(one, "unseen_since") is None


# --- traffic


def test_rates_come_from_the_counters_of_a_connection() -> None:
    """A rate is the difference between two reads divided by the time between them."""
    one = watched(polled(0, in_bytes=1000, out_bytes=1000))
    outcome = one.see(polled(10, in_bytes=3000, out_bytes=2005))
    assert outcome.changed.keys() == {METRICS, ON_BETA}
    assert beta(one, "in_bytes", "out_bytes", "in_rate", "out_rate") == (3000, 2005, 200, 100.5)


def test_the_counters_of_a_new_connection_start_from_scratch() -> None:
    """The bytes of an earlier connection do not count for the rate, in either direction."""
    one = watched(polled(0, in_bytes=10_000, out_bytes=1000), polled(10, in_bytes=20_000, out_bytes=3000))
    assert beta(one, "in_rate", "out_rate") == (1000, 200)
    one.see(leaves(11))
    assert beta(one, "in_rate", "out_rate") == (0, 0)
    one.see(arrives(12), polled(20, in_bytes=90_000, out_bytes=9000))
    assert beta(one, "in_bytes", "in_rate", "out_bytes", "out_rate") == (90_000, 0, 9000, 0)
    one.see(polled(30, in_bytes=95_000, out_bytes=14_000))
    assert beta(one, "in_rate", "out_rate") == (500, 500)


def test_the_rates_of_the_instance_are_those_of_all_its_connections() -> None:
    """The totals come from Syncthing and include closed connections."""
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
def test_a_transfer_is_detected_by_traffic_or_needs(observations: list[Observation], transferring: bool) -> None:
    """Traffic above a minimum, or a connected device that needs something, counts as a transfer for a while."""
    one = watched()
    one.see(*observations, at=after(10))
    assert one.state.transferring(after(24)) is transferring
    assert not one.state.transferring(after(26))

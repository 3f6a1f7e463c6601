"""Rules on whether an instance is published as online."""

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import CONNECTION, METRICS, STATE
from tests.core.world import Watched, after, snapshot, watched

UNREACHABLE = seen.Unavailable(status="unreachable", message="connection refused")
UNAUTHORIZED = seen.Unavailable(status="unauthorized", message="401")
STARTED, COMPLETE = seen.SnapshotStarted(), seen.SnapshotComplete()
SUSPECTED, RESUMED = seen.Suspected(), seen.Resumed()


@pytest.mark.parametrize(
    ("observations", "status"),
    [
        ([], "online"),
        ([SUSPECTED], "online"),
        ([SUSPECTED, RESUMED], "online"),
        ([SUSPECTED, STARTED, COMPLETE], "online"),
        ([SUSPECTED, UNREACHABLE], "unreachable"),
        ([STARTED], "online"),
        ([STARTED, UNREACHABLE], "unreachable"),
        ([UNREACHABLE], "unreachable"),
        ([UNREACHABLE, SUSPECTED], "unreachable"),
        ([UNREACHABLE, RESUMED], "online"),
        ([UNREACHABLE, STARTED], "unreachable"),
        ([UNREACHABLE, STARTED, COMPLETE], "online"),
        ([UNREACHABLE, UNAUTHORIZED], "unauthorized"),
        ([UNREACHABLE, STARTED, UNAUTHORIZED], "unauthorized"),
        ([UNAUTHORIZED, RESUMED], "online"),
    ],
)
def test_an_instance_is_online_until_the_follower_fails(observations: list[Observation], status: str) -> None:
    """Failures of other threads and missed events do not end it. After a failure, the follower must succeed first."""
    one = watched()
    one.see(*observations)
    assert one.shown(CONNECTION)["status"] == status
    assert one.shown(STATE) == ("online" if status == "online" else "offline")


def test_a_change_of_availability_is_published_with_its_time() -> None:
    """The time is that of the change of status, not of the latest message."""
    one = watched()
    refused = {"status": "unreachable", "message": "connection refused", "since": "2024-05-01T12:00:05Z"}
    assert one.see(UNREACHABLE, at=after(5)).changed.keys() == {CONNECTION, STATE, METRICS}  # the rates are null
    assert one.shown(CONNECTION) == refused
    one.see(seen.Unavailable(status="unreachable", message="timed out"), at=after(6))
    assert one.shown(CONNECTION) == {**refused, "message": "timed out"}
    one.see(RESUMED, at=after(7))
    assert one.shown(CONNECTION) == {"status": "online", "message": "", "since": "2024-05-01T12:00:07Z"}
    assert not one.see(RESUMED, SUSPECTED, RESUMED, at=after(8)).changed


@pytest.mark.parametrize("observations", [[], [SUSPECTED], [RESUMED], [UNREACHABLE], snapshot()[1:-1]])
def test_an_instance_is_not_online_before_everything_was_read(observations: list[Observation]) -> None:
    """Clients that see `online` rely on the published topics."""
    one = Watched()
    assert one.shown(CONNECTION) == {"status": "unreachable", "message": "not connected yet", "since": None}
    one.see(*observations, STARTED)
    assert one.shown(STATE) == "offline"
    one.see(COMPLETE)
    assert one.shown(STATE) == "online"


def test_a_snapshot_publishes_every_topic_before_the_state() -> None:
    """The only read left is the upgrade, which needs the Internet."""
    one = Watched()
    outcome = one.see(*snapshot())
    assert set(outcome.changed) == set(one.state.everything())
    assert list(one.state.everything())[-1] == STATE
    assert set(outcome.reads) == {Read("upgrade")}
    assert not outcome.events

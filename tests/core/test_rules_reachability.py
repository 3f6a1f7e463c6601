"""Rules on whether Syncthing can be reached."""

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import CONNECTION, METRICS, STATE
from tests.core.world import Watched, after, snapshot, watched

# --- whether it can be reached

NO_EVENTS = seen.Unavailable(status="unreachable", message="connection refused")
NO_POLLS = seen.Unavailable(status="unauthorized", message="401")
AN_EVENT, A_POLL = seen.Resumed(), seen.Resumed()
WHOLE = seen.SnapshotComplete()


@pytest.mark.parametrize(
    ("observations", "status"),
    [
        ([], "online"),
        ([NO_EVENTS], "unreachable"),
        ([NO_EVENTS, AN_EVENT], "online"),
        ([NO_EVENTS, A_POLL], "unreachable"),
        ([NO_EVENTS, WHOLE], "online"),
        ([NO_POLLS], "unauthorized"),
        ([NO_POLLS, AN_EVENT], "unauthorized"),
        ([NO_POLLS, WHOLE], "unauthorized"),
        ([NO_POLLS, A_POLL], "online"),
        ([NO_EVENTS, NO_POLLS], "unreachable"),
        ([NO_EVENTS, NO_POLLS, AN_EVENT], "unauthorized"),
        ([NO_EVENTS, NO_POLLS, A_POLL], "unreachable"),
        ([NO_EVENTS, NO_POLLS, A_POLL, AN_EVENT], "online"),
    ],
)
def test_syncthing_is_online_while_both_ways_to_it_are_open(observations: list[Observation], status: str) -> None:
    """Each way is mended on its own; a complete read mends that of the events. The first fault is told."""
    one = watched()
    one.see(*observations)
    assert one.shown(CONNECTION)["status"] == status
    assert one.shown(STATE) == ("online" if status == "online" else "offline")


def test_a_change_of_reachability_is_told_with_its_time() -> None:
    """The time is that of the change of status, not of the latest message."""
    one = watched()
    refused = {"status": "unreachable", "message": "connection refused", "since": "2024-05-01T12:00:05Z"}
    assert one.see(NO_EVENTS, at=after(5)).changed.keys() == {CONNECTION, STATE, METRICS}  # nothing flows any more
    assert one.shown(CONNECTION) == refused
    one.see(seen.Unavailable(status="unreachable", message="timed out"), at=after(6))
    assert one.shown(CONNECTION) == {**refused, "message": "timed out"}
    one.see(AN_EVENT, at=after(7))
    assert one.shown(CONNECTION) == {"status": "online", "message": "", "since": "2024-05-01T12:00:07Z"}
    assert not one.see(AN_EVENT, A_POLL, at=after(8)).changed


@pytest.mark.parametrize("observations", [[], [A_POLL], [AN_EVENT], [NO_EVENTS, AN_EVENT], snapshot()[:-1]])
def test_syncthing_is_not_online_before_everything_was_read(observations: list[Observation]) -> None:
    """Whoever sees `online` can trust what is published."""
    one = Watched()
    assert one.shown(CONNECTION) == {"status": "unreachable", "message": "not tried yet", "since": None}
    one.see(*observations)
    assert one.shown(STATE) == "offline"
    one.see(WHOLE)
    assert one.shown(STATE) == "online"


def test_a_complete_read_publishes_everything_and_then_the_state() -> None:
    """Nothing is asked for after it, since it was all read, but for what takes the Internet."""
    one = Watched()
    outcome = one.see(*snapshot())
    assert set(outcome.changed) == set(one.state.everything())
    assert list(one.state.everything())[-1] == STATE
    assert set(outcome.reads) == {Read("upgrade")}
    assert not outcome.happenings

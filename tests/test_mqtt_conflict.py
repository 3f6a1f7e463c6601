"""Whether another client has our client ID: the evidence, the hint, and the longer waits."""

import pytest

from stbridge.errors import BrokerUnreachable, TakenOver
from stbridge.mqtt.conflict import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    SHORT_LIVES,
    SUSPECT_COUNT,
    ClientIdConflict,
    InstanceMarker,
)

HINT = "set another mqtt.client_id"


def new_conflict() -> ClientIdConflict:
    """Return one that knows our marker from those of others."""
    return ClientIdConflict("stbridge", InstanceMarker("syncthing/bridge/info", lambda payload: payload == b"ours"))


def test_a_session_that_was_taken_over_is_certain() -> None:
    """An MQTT 5 broker sends the reason, and its text has the hint already."""
    conflict = new_conflict()
    conflict.ended(100, TakenOver("another client uses the client ID"))
    assert conflict.likely
    assert conflict.hint == ""


def test_several_short_connections_in_a_row_are_a_reason_to_wait_longer() -> None:
    """One that lasts ends the suspicion."""
    conflict = new_conflict()
    for _ in range(SHORT_LIVES):
        assert not conflict.likely
        conflict.ended(0.1, BrokerUnreachable("closed"))
    assert conflict.likely
    assert HINT in conflict.hint
    conflict.ended(100, BrokerUnreachable("closed"))
    assert not conflict.likely


def test_connections_that_last_longer_get_the_hint_too() -> None:
    """Of two clients that disconnect each other, one may always last for a while."""
    conflict = new_conflict()
    for _ in range(SUSPECT_COUNT):
        assert conflict.hint == ""
        conflict.ended(20, None)
    assert HINT in conflict.hint
    assert not conflict.likely


@pytest.mark.parametrize(
    ("lasted_s", "marker", "hinted"),
    [(20, b"theirs", True), (20, b"ours", False), (0.1, b"theirs", False)],
    ids=["another's in place of ours", "ours", "that of the previous run, when ours had not been left yet"],
)
def test_another_bridges_marker_in_place_of_ours_is_evidence(
    lasted_s: float, marker: bytes, hinted: bool
) -> None:
    """Even if that happens so seldom that connections last long; a broker may have lost ours once, but not twice."""
    conflict = new_conflict()
    conflict.note_marker(b"of the previous run")
    conflict.ended(lasted_s, None)
    conflict.note_marker(marker)
    conflict.ended(20, None)
    assert (HINT in conflict.hint) is hinted
    assert not conflict.likely
    conflict.note_marker(marker)
    assert conflict.likely is hinted
    conflict.note_marker(b"ours")
    assert not conflict.likely


def test_the_waits_become_longer_until_the_conflict_is_over() -> None:
    """Two bridges would otherwise disconnect each other all the time, and publish everything each time."""
    conflict = new_conflict()
    conflict.ended(100, TakenOver("taken over"))
    waits = [conflict.next_wait_s() for _ in range(10)]
    assert waits[0] <= FIRST_WAIT_S
    assert waits[-1] >= LONGEST_WAIT_S / 2
    conflict.ended(100, BrokerUnreachable("closed"))
    assert conflict.next_wait_s() <= FIRST_WAIT_S

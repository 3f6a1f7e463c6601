"""Detection of another client with the same client ID: the evidence, the hint, and the longer backoff."""

import pytest

from stbridge.core.messages import Message
from stbridge.errors import BrokerUnreachable, TakenOver
from stbridge.mqtt.conflict import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    SUSPECT_COUNT,
    ClientIdConflict,
    InstanceMarker,
)

NODE = "n1:1883"
HINT = "set another mqtt.client_id"


def new_conflict() -> ClientIdConflict:
    """Return a conflict detector that distinguishes its own marker from those of other bridges."""
    ours = Message(topic="syncthing/bridge/info", payload=b"ours", retain=True)
    return ClientIdConflict(
        "stbridge", InstanceMarker(ours.topic, lambda payload: payload == ours.payload, lambda *_: ours)
    )


def test_a_session_takeover_is_certain_evidence() -> None:
    """An MQTT 5 broker sends the reason code, whose message contains the hint already."""
    conflict = new_conflict()
    conflict.ended(100, TakenOver("another client uses the client ID"), NODE, marker_acknowledged=True)
    assert conflict.likely
    assert conflict.hint == ""


def test_an_attempt_that_was_not_answered_explains_one_takeover() -> None:
    """The network may deliver its CONNECT late; the broker then closes the session that was opened since."""
    conflict = new_conflict()
    conflict.unanswered()
    assert conflict.explains()
    assert not conflict.explains()


@pytest.mark.parametrize("lasted_s", [0.1, 15])
def test_several_short_connections_cause_a_hint(lasted_s: float) -> None:
    """Short connections do not make the backoff longer, because a network that fails a few times looks the same."""
    conflict = new_conflict()
    for _ in range(SUSPECT_COUNT):
        assert conflict.hint == ""
        conflict.ended(lasted_s, BrokerUnreachable("closed"), NODE, marker_acknowledged=True)
    assert HINT in conflict.hint
    assert not conflict.likely


@pytest.mark.parametrize(
    ("lasted_s", "marker", "hinted"),
    [(20, b"theirs", True), (20, b"ours", False), (0.1, b"theirs", False)],
    ids=["another's in place of ours", "ours", "that of the previous run, when ours had not been left yet"],
)
def test_another_bridges_marker_in_place_of_ours_is_evidence(lasted_s: float, marker: bytes, hinted: bool) -> None:
    """The evidence counts even if connections last long; a broker may lose the bridge's marker once, but not twice."""
    conflict = new_conflict()
    conflict.note_marker(b"of the previous run", NODE)
    conflict.ended(lasted_s, None, NODE, marker_acknowledged=True)
    conflict.note_marker(marker, NODE)
    conflict.ended(20, None, NODE, marker_acknowledged=True)
    assert (HINT in conflict.hint) is hinted
    assert not conflict.likely
    conflict.note_marker(marker, NODE)
    assert conflict.likely is hinted
    conflict.note_marker(b"ours", NODE)
    assert not conflict.likely


def test_an_old_marker_on_another_node_is_no_evidence() -> None:
    """A node of a cluster may have an old copy of the marker."""
    conflict = new_conflict()
    for node in ("n1", "n2", "n3"):
        conflict.note_marker(b"of the previous run", node)
        conflict.ended(20, BrokerUnreachable("closed"), node, marker_acknowledged=True)
    assert not conflict.likely


def test_a_connection_longer_than_any_backoff_ends_the_suspicion() -> None:
    """The other bridge would have come back in the meantime, so it was stopped."""
    conflict = new_conflict()
    conflict.ended(20, None, NODE, marker_acknowledged=True)
    for _ in range(2):
        conflict.note_marker(b"theirs", NODE)
        conflict.ended(20, None, NODE, marker_acknowledged=True)
    assert conflict.likely
    conflict.note_marker(b"theirs", NODE)
    conflict.ended(2 * LONGEST_WAIT_S + 1, BrokerUnreachable("closed"), NODE, marker_acknowledged=True)
    assert not conflict.likely


def test_the_backoff_grows_until_the_conflict_is_over() -> None:
    """Two bridges would otherwise disconnect each other permanently, and republish everything each time."""
    conflict = new_conflict()
    conflict.ended(100, TakenOver("taken over"), NODE, marker_acknowledged=True)
    waits = [conflict.next_wait_s() for _ in range(10)]
    assert waits[0] <= FIRST_WAIT_S
    assert waits[-1] >= LONGEST_WAIT_S / 2
    conflict.ended(100, BrokerUnreachable("closed"), NODE, marker_acknowledged=True)
    assert conflict.next_wait_s() <= FIRST_WAIT_S

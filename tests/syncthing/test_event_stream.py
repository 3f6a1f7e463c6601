"""The cursor in the events: what is seen, what is noticed to be missing, and how a restart shows."""

from collections.abc import Callable
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import BadReply, SyncthingUnavailable, Unauthorized
from stbridge.syncthing.event_stream import POLL_S, EventsLost, EventStream
from tests.syncthing.conftest import Connect, InBackground, Serve, is_up
from tests.syncthing.pretended import EVENTS, STATUS, PretendedSyncthing
from tests.syncthing.server import closes, says, stranger

MASK = ("StateChanged", "FolderSummary")
STARTED = {"myID": "DEVICE-ID", "startTime": "2024-05-01T00:00:00Z"}


@pytest.fixture
def stream(syncthing: PretendedSyncthing, connect: Connect) -> EventStream:
    """A stream that begins after three events of before."""
    for _ in range(3):
        syncthing.happens("StateChanged")
    stream = EventStream(connect(syncthing.url), MASK)
    stream.open()
    return stream


def types(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def test_what_happens_after_the_beginning_is_seen_once(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Events come in order, each one time, and none of before."""
    syncthing.happens("StateChanged")
    syncthing.happens("FolderSummary")
    assert types(stream.wait()) == ["StateChanged", "FolderSummary"]
    syncthing.happens("ConfigSaved")
    assert types(stream.wait()) == ["ConfigSaved"]


def test_every_request_has_the_same_mask(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Each mask is a ring of its own at Syncthing, with ids of its own; to find a place in it takes one event."""
    syncthing.happens()
    stream.wait()
    stream.can_resume()
    requests = [one for one in syncthing.server.requests if one.path == EVENTS]
    assert len(requests) == 3
    assert {one.parameters["events"] for one in requests} == {",".join(MASK)}
    assert [one.parameters.get("limit") for one in requests] == ["1", None, "1"]


def test_a_poll_is_short_enough_for_old_versions(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Up to 1.27.3 Syncthing makes summaries only if a request for them began within the last 60 s."""
    syncthing.happens()
    stream.wait()
    assert int(syncthing.server.requests[-1].parameters["timeout"]) == POLL_S < 60


def test_a_poll_without_events_is_nothing_special(serve: Serve, connect: Connect) -> None:
    """After a while without events the next request is made from the same place."""
    server = serve({STATUS: says(STARTED), EVENTS: [says([{"id": 7}]), says([]), says(None), says([{"id": 8}])]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    assert [stream.wait(), stream.wait(), stream.wait()] == [[], [], [{"id": 8}]]
    assert [one.parameters["since"] for one in server.requests[2:]] == ["7", "7", "7"]


@pytest.mark.parametrize("ids", [[5], [4, 6], [4, 4], [4, 3], [3], [1]])
def test_a_gap_is_noticed_wherever_it_is(serve: Serve, connect: Connect, ids: list[int]) -> None:
    """Events are lost when the ring of 1000 was overrun, and now and then one by one."""
    server = serve({STATUS: says(STARTED), EVENTS: [says([{"id": 3}]), says([{"id": one} for one in ids])]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    with pytest.raises(EventsLost):
        stream.wait()
    assert not stream.can_resume()


def test_a_stream_can_go_on_after_an_interruption(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """The same process goes on counting, so what happened meanwhile is seen."""
    syncthing.happens("FolderSummary")
    assert stream.can_resume()
    assert types(stream.wait()) == ["FolderSummary"]


def test_a_stream_that_was_never_opened_cannot_go_on(syncthing: PretendedSyncthing, connect: Connect) -> None:
    """Without a place in the events there is nothing to go on from."""
    assert not EventStream(connect(syncthing.url), MASK).can_resume()


RESTARTS: dict[str, Callable[[PretendedSyncthing], None]] = {
    "with few events since": lambda one: one.restarts(),
    "with more events than before": lambda one: one.restarts(events=20),
    "within the same second": lambda one: one.restarts(started_at="same"),
}


@pytest.mark.parametrize("restart", RESTARTS.values(), ids=RESTARTS)
def test_a_restart_is_no_interruption(
    syncthing: PretendedSyncthing, connect: Connect, restart: Callable[[PretendedSyncthing], None]
) -> None:
    """Ids begin anew: either the time of the start tells, or an id that has not been reached yet."""
    syncthing.restarts(started_at="same", events=5)
    stream = EventStream(connect(syncthing.url), MASK)
    stream.open()
    restart(syncthing)
    assert not stream.can_resume()


def test_a_poll_that_breaks_off_by_a_restart_does_not_hang(
    syncthing: PretendedSyncthing, stream: EventStream, in_background: InBackground
) -> None:
    """The same request, made again of the next process, would wait for an id that is far away."""
    waiting = in_background(stream.wait)
    syncthing.wait_for_poll()
    syncthing.restarts()
    assert isinstance(waiting.exception(30), EventsLost)
    assert not stream.can_resume()


def test_a_poll_that_breaks_off_otherwise_goes_on(
    syncthing: PretendedSyncthing, stream: EventStream, in_background: InBackground
) -> None:
    """A listener that was set anew loses nothing: Syncthing still has the events."""
    waiting = in_background(stream.wait)
    syncthing.wait_for_poll()
    syncthing.breaks_off()
    syncthing.happens("FolderSummary")
    assert types(waiting.result(30) or stream.wait()) == ["FolderSummary"]


def test_a_look_that_breaks_off_is_taken_again(serve: Serve, connect: Connect) -> None:
    """Who asks what there is, and is told nothing because the connection broke, would believe that nothing happened."""
    newest, happened = says([{"id": 3}]), says([{"id": 4}])
    server = serve({STATUS: says(STARTED), EVENTS: [newest, closes, newest, happened]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    assert stream.wait(timeout_s=0) == [{"id": 4}]


def test_a_syncthing_that_stays_away_is_told(serve: Serve, connect: Connect) -> None:
    """What the poll breaks off with is overcome or told, but not hidden."""
    server = serve({STATUS: [says(STARTED), stranger(403, "CSRF Error")], EVENTS: [says([]), closes]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    with pytest.raises(Unauthorized):
        stream.wait()


@pytest.mark.parametrize("event", [{}, {"id": "7"}, {"id": None}, {"id": 7.5}, [], None, 7, "7"])
def test_what_is_no_event_is_a_bad_reply(serve: Serve, connect: Connect, event: Any) -> None:
    """Whatever sends events without a number is no Syncthing."""
    server = serve({STATUS: says(STARTED), EVENTS: [says([event]), says([{"id": 6}]), says([event])]})
    stream = EventStream(connect(server.url), MASK)
    with pytest.raises(BadReply, match="events without an id"):
        stream.open()
    stream.open()
    with pytest.raises(BadReply, match="events without an id"):
        stream.wait()


@pytest.mark.parametrize("status", [{}, {"startTime": ""}, {"startTime": None}])
def test_a_syncthing_knows_when_it_started(serve: Serve, connect: Connect, status: Any) -> None:
    """Without the time of its start a restart could not be noticed."""
    server = serve({STATUS: says(status), EVENTS: says([])})
    with pytest.raises(BadReply, match="when it started"):
        EventStream(connect(server.url), MASK).open()


# --- real ones


def test_a_real_syncthing_tells_what_happens_and_that_it_restarted(
    expendable: SyncthingNode, connect: Connect, in_background: InBackground
) -> None:
    """Every version has the events that are waited for, and a restart during a poll is noticed."""
    client = connect(expendable.url, expendable.api_key)
    stream = EventStream(connect(expendable.url, expendable.api_key), ["ConfigSaved", "NoSuchEvent"])
    stream.open()
    client.patch_config("options", {"maxSendKbps": 1000})
    assert set(types(stream.wait())) == {"ConfigSaved"}
    assert stream.can_resume()
    waiting = in_background(lambda: until_lost(stream))
    client.restart()
    assert waiting.result(30) in ("lost", "unavailable")
    expendable.wait_for(lambda: is_up(client))
    assert not stream.can_resume()


def until_lost(stream: EventStream) -> str:
    """Follow the events to their end, and return which one it was."""
    try:
        while True:
            stream.wait()
    except EventsLost:
        return "lost"
    except SyncthingUnavailable:
        return "unavailable"

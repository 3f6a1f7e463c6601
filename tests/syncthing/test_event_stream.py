"""The event stream: its position, the detection of missed events, and the detection of restarts."""

from collections.abc import Callable
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import BadReply, SyncthingError, SyncthingUnavailable, Unauthorized
from stbridge.syncthing.event_stream import POLL_S, EventsLost, EventStream
from tests.syncthing.conftest import Connect, InBackground, Serve, is_up
from tests.syncthing.pretended import EVENTS, STATUS, PretendedSyncthing
from tests.syncthing.server import answers, closes, refuses, stranger

MASK = ("StateChanged", "FolderSummary")
STARTED = {"myID": "DEVICE-ID", "startTime": "2024-05-01T00:00:00Z"}


@pytest.fixture
def stream(syncthing: PretendedSyncthing, connect: Connect) -> EventStream:
    """A stream that is opened after three events."""
    for _ in range(3):
        syncthing.happens("StateChanged")
    stream = EventStream(connect(syncthing.url), MASK)
    stream.open()
    return stream


def types(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def test_events_after_the_start_are_received_once(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Events are received in order and once. Events from before the start are not received."""
    syncthing.happens("StateChanged")
    syncthing.happens("FolderSummary")
    assert types(stream.wait()) == ["StateChanged", "FolderSummary"]
    syncthing.happens("ConfigSaved")
    assert types(stream.wait()) == ["ConfigSaved"]


def test_every_request_has_the_same_mask(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Syncthing keeps an event buffer with its own IDs for each mask. Finding the position takes one event."""
    syncthing.happens()
    stream.wait()
    stream.can_resume()
    requests = [one for one in syncthing.server.requests if one.path == EVENTS]
    assert len(requests) == 3
    assert {one.parameters["events"] for one in requests} == {",".join(MASK)}
    assert [one.parameters.get("limit") for one in requests] == ["1", None, "1"]


def test_a_poll_is_short_enough_for_old_versions(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """Up to 1.27.3, Syncthing creates summaries only if a request for them began within the last 60 s."""
    syncthing.happens()
    stream.wait()
    assert int(syncthing.server.requests[-1].parameters["timeout"]) == POLL_S < 60


def test_a_poll_without_events_keeps_the_position(serve: Serve, connect: Connect) -> None:
    """The next request starts at the same position."""
    server = serve(
        {STATUS: answers(STARTED), EVENTS: [answers([{"id": 7}]), answers([]), answers(None), answers([{"id": 8}])]}
    )
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    assert [stream.wait(), stream.wait(), stream.wait()] == [[], [], [{"id": 8}]]
    assert [one.parameters["since"] for one in server.requests[2:]] == ["7", "7", "7"]


def test_a_process_is_known_only_after_its_events_were_found(serve: Serve, connect: Connect) -> None:
    """If the first request for events fails, the next attempt has to read everything, too."""
    failed = refuses(500, "not now")
    server = serve({STATUS: answers(STARTED), EVENTS: [failed, answers([{"id": 3}]), answers([{"id": 3}])]})
    stream = EventStream(connect(server.url), MASK)
    with pytest.raises(SyncthingError):
        stream.open()
    assert [stream.open(), stream.open()] == [False, True]


@pytest.mark.parametrize("ids", [[5], [4, 6], [4, 4], [4, 3], [3], [1]])
def test_a_gap_is_detected_at_any_position(serve: Serve, connect: Connect, ids: list[int]) -> None:
    """Events are lost if the event buffer of 1000 events overflows, and sometimes one by one."""
    server = serve({STATUS: answers(STARTED), EVENTS: [answers([{"id": 3}]), answers([{"id": one} for one in ids])]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    with pytest.raises(EventsLost):
        stream.wait()
    assert not stream.can_resume()


def test_a_stream_can_resume_after_an_interruption(syncthing: PretendedSyncthing, stream: EventStream) -> None:
    """The same process continues its IDs, so the events of the interruption are received."""
    syncthing.happens("FolderSummary")
    assert stream.can_resume()
    assert types(stream.wait()) == ["FolderSummary"]


def test_a_stream_that_was_never_opened_cannot_resume(syncthing: PretendedSyncthing, connect: Connect) -> None:
    """It has no position to resume from."""
    assert not EventStream(connect(syncthing.url), MASK).can_resume()


RESTARTS: dict[str, Callable[[PretendedSyncthing], None]] = {
    "with few events since": lambda one: one.restarts(),
    "with more events than before": lambda one: one.restarts(events=20),
    "within the same second": lambda one: one.restarts(started_at="same"),
}


@pytest.mark.parametrize("restart", RESTARTS.values(), ids=RESTARTS)
def test_a_stream_cannot_resume_after_a_restart(
    syncthing: PretendedSyncthing, connect: Connect, restart: Callable[[PretendedSyncthing], None]
) -> None:
    """IDs start again. The restart shows in the start time, or in an ID that is not reached yet."""
    syncthing.restarts(started_at="same", events=5)
    stream = EventStream(connect(syncthing.url), MASK)
    stream.open()
    restart(syncthing)
    assert not stream.can_resume()


def test_a_poll_that_a_restart_interrupts_does_not_hang(
    syncthing: PretendedSyncthing, stream: EventStream, in_background: InBackground
) -> None:
    """The same request to the new process would wait for an ID that is far away."""
    waiting = in_background(stream.wait)
    syncthing.wait_for_poll()
    syncthing.restarts()
    assert isinstance(waiting.exception(30), EventsLost)
    assert not stream.can_resume()


def test_a_poll_that_is_interrupted_otherwise_resumes(
    syncthing: PretendedSyncthing, stream: EventStream, in_background: InBackground
) -> None:
    """When Syncthing only replaces its listener, it still has the events."""
    waiting = in_background(stream.wait)
    syncthing.wait_for_poll()
    syncthing.breaks_off()
    syncthing.happens("FolderSummary")
    assert types(waiting.result(30) or stream.wait()) == ["FolderSummary"]


def test_a_poll_without_a_wait_is_repeated_after_an_interruption(serve: Serve, connect: Connect) -> None:
    """If it returned an empty list, the caller would conclude that there are no events."""
    newest, happened = answers([{"id": 3}]), answers([{"id": 4}])
    server = serve({STATUS: answers(STARTED), EVENTS: [newest, closes, newest, happened]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    assert stream.wait(timeout_s=0) == [{"id": 4}]


def test_a_failure_that_lasts_is_raised(serve: Serve, connect: Connect) -> None:
    """If the poll cannot continue after an interruption, its error must not be hidden."""
    server = serve({STATUS: [answers(STARTED), stranger(403, "CSRF Error")], EVENTS: [answers([]), closes]})
    stream = EventStream(connect(server.url), MASK)
    stream.open()
    with pytest.raises(Unauthorized):
        stream.wait()


@pytest.mark.parametrize("event", [{}, {"id": "7"}, {"id": None}, {"id": 7.5}, [], None, 7, "7"])
def test_an_invalid_event_is_a_bad_reply(serve: Serve, connect: Connect, event: Any) -> None:
    """A server that sends events without numeric IDs is not Syncthing."""
    server = serve({STATUS: answers(STARTED), EVENTS: [answers([event]), answers([{"id": 6}]), answers([event])]})
    stream = EventStream(connect(server.url), MASK)
    with pytest.raises(BadReply, match="an event without an ID"):
        stream.open()
    stream.open()
    with pytest.raises(BadReply, match="an event without an ID"):
        stream.wait()


@pytest.mark.parametrize("status", [{}, {"startTime": ""}, {"startTime": None}])
def test_a_status_without_a_start_time_is_a_bad_reply(serve: Serve, connect: Connect, status: Any) -> None:
    """Without the start time, a restart could not be detected."""
    server = serve({STATUS: answers(status), EVENTS: answers([])})
    with pytest.raises(BadReply, match="contains no start time"):
        EventStream(connect(server.url), MASK).open()


# --- real instances


def test_events_and_restarts_of_a_real_syncthing_are_detected(
    expendable: SyncthingNode, connect: Connect, in_background: InBackground
) -> None:
    """Every version sends the requested events, and a restart during a poll is detected."""
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
    """Follow the events until they end, and return the reason."""
    try:
        while True:
            stream.wait()
    except EventsLost:
        return "lost"
    except SyncthingUnavailable:
        return "unavailable"

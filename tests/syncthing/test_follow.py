"""The thread that follows the events: what it reports, in which order, and what it does when something breaks."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stbridge.backoff import Backoff
from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import follow as follow_module
from stbridge.syncthing import retry
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.follow import Follower
from tests.servers import eventually
from tests.syncthing.conftest import KEY, Connect, Serve
from tests.syncthing.pretended import CONFIG, EVENTS, FOLDER_STATISTICS, STATUS, PretendedSyncthing
from tests.syncthing.server import Behaviour, Exchange, closes, hangs, refuses, says, stranger

OTHER_DEVICE = "AIR6LPZ-7K4PTTV-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"
FAR_AWAY = {"folder": "docs", "summary": {"state": "idle", "stateChanged": "9999-12-31T23:59:59-12:00"}}
STATE_CHANGED = {"folder": "docs", "from": "idle", "to": "scanning"}
Follow = Callable[..., "Report"]


class Report(list[Observation]):
    """What a follower has reported, and the follower."""

    follower: Follower

    def __init__(self) -> None:
        super().__init__()
        self.gave_way_at: list[int] = []
        """How much had been reported each time that the follower gave way."""
        self.settled_at: list[int] = []
        """How much had been reported each time that the follower let it settle."""

    def give_way(self, _longest_s: float) -> None:
        """Note that the follower gives way."""
        self.gave_way_at.append(len(self))

    def settle(self, _longest_s: float) -> None:
        """Note that the follower lets what it has reported settle."""
        self.settled_at.append(len(self))

    def of(self, *kinds: type[Observation]) -> list[Any]:
        """Return the reports of some kinds."""
        return [one for one in self if isinstance(one, kinds)]

    def wait_for(self, kind: type[Observation], count: int = 1) -> Any:
        """Wait until there are so many reports of a kind, and return the last of these."""
        eventually(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


@pytest.fixture
def follow(connect: Connect) -> Iterator[Follow]:
    """Follow what answers at an address."""
    followers: list[Follower] = []

    def start(url: str, api_key: str = KEY, *, raw: tuple[str, ...] = ()) -> Report:
        report = Report()
        report.follower = Follower(
            "nas",
            connect(url, api_key),
            raw=raw,
            report=report.append,
            give_way=report.give_way,
            settle=report.settle,
        )
        report.follower.start()
        followers.append(report.follower)
        return report

    yield start
    for follower in followers:
        follower.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.01)


def test_everything_is_read_first(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A snapshot is told to begin, tells what is configured before what is about it, and is told to be complete."""
    report = follow(syncthing.url)
    report.wait_for(seen.Stale)
    kinds = [type(one) for one in report]
    assert kinds[:4] == [seen.SnapshotStarted, seen.VersionRead, seen.StatusRead, seen.ConfigRead]
    assert kinds[-2:] == [seen.SnapshotComplete, seen.Stale]
    assert set(kinds[4:-2]) == {
        seen.ConnectionsRead,
        seen.ErrorsRead,
        seen.PendingDevicesRead,
        seen.PendingFoldersRead,
        seen.RestartRequiredRead,
        seen.FolderRead,
        seen.DeviceStatisticsRead,
        seen.FolderStatisticsRead,
        seen.CompletionRead,
    }


def test_what_happens_while_everything_is_read_is_not_missed(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The place in the events is taken before anything is read, so what happens meanwhile comes afterwards."""
    answer = syncthing.table[CONFIG]
    assert callable(answer)

    def meanwhile(exchange: Exchange) -> None:
        syncthing.happens("StateChanged", STATE_CHANGED)
        answer(exchange)

    syncthing.table[CONFIG] = meanwhile
    report = follow(syncthing.url)
    changed = report.wait_for(seen.FolderStateChanged)
    assert (changed.folder, changed.state) == ("docs", "scanning")
    assert report.index(changed) > report.index(report.wait_for(seen.SnapshotComplete))


@pytest.mark.parametrize(("restarts", "completions"), [(False, 0), (True, 1)])
def test_after_a_flood_completions_follow_when_the_rest_is_told(
    syncthing: PretendedSyncthing, follow: Follow, restarts: bool, completions: int
) -> None:
    """Nothing is told while everything is read, and most of that is completions, which are nearly right still."""
    report = follow(syncthing.url)
    report.wait_for(seen.Stale)
    syncthing.wait_for_poll()
    del report[:]
    if restarts:
        syncthing.restarts()
    else:
        syncthing.happens(lost=1)
    asked = {read.what for read in report.wait_for(seen.Stale).reads}
    assert len(report.of(seen.CompletionRead)) == completions
    assert ("completion" in asked) is not restarts


def test_nothing_is_lost_while_everything_is_read(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More may happen meanwhile than the ring of events holds: they are fetched in between, and told afterwards."""
    monkeypatch.setattr(follow_module, "FETCH_S", 0)
    much = 600
    for path in (CONFIG, FOLDER_STATISTICS):
        answer = syncthing.table[path]
        assert callable(answer)

        def meanwhile(exchange: Exchange, answer: Behaviour = answer) -> None:
            for _ in range(much):
                syncthing.happens("StateChanged", STATE_CHANGED)
            answer(exchange)

        syncthing.table[path] = meanwhile
    report = follow(syncthing.url)
    report.wait_for(seen.FolderStateChanged, 2 * much)
    assert len(report.of(seen.SnapshotStarted)) == 1


def test_events_that_come_thick_and_fast_are_fetched_several_at_once(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """A request costs far more than an event: in a flood there are only so many of them a second."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    since, pause, flood = len(syncthing.server.requests), threading.Event(), 100
    for _ in range(flood):
        syncthing.happens("StateChanged", STATE_CHANGED)
        pause.wait(0.005)
    report.wait_for(seen.FolderStateChanged, flood)
    polls = [one for one in syncthing.server.requests[since:] if one.path == EVENTS]
    assert len(polls) < flood / 3


def test_the_next_request_for_events_waits_until_what_the_last_one_told_is_published(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """The follower gives way between what it has reported and its next request."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    told = len(report)
    eventually(lambda: told in report.gave_way_at)


def test_events_that_were_asked_for_are_handed_on_as_they_are(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """An event may be of use twice: for what it tells, and raw."""
    report = follow(syncthing.url, raw=("ItemFinished", "StateChanged"))
    report.wait_for(seen.SnapshotComplete)
    syncthing.happens("ItemFinished", {"item": "a"})
    syncthing.happens("StateChanged", STATE_CHANGED)
    assert report.wait_for(seen.RawEvent).event["data"] == {"item": "a"}
    assert report.wait_for(seen.RawEvent, 2).type == "StateChanged"
    assert len(report.of(seen.FolderStateChanged)) == 1
    mask = syncthing.server.requests[-1].parameters["events"].split(",")
    assert {"ItemFinished", "StateChanged", "ConfigSaved"} < set(mask)
    assert sorted(set(mask)) == mask


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"folder": "docs"},
        {"folder": "docs", "summary": {"state": 7}},
        {"folder": [], "summary": 1},
        FAR_AWAY,
    ],
)
def test_an_event_that_is_not_understood_is_skipped(
    syncthing: PretendedSyncthing, follow: Follow, caplog: pytest.LogCaptureFixture, data: Any
) -> None:
    """A Syncthing of tomorrow may send what is unheard of: that is logged, and the rest goes on."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            syncthing.happens("FolderSummary", data)
        syncthing.happens("StateChanged", STATE_CHANGED)
        report.wait_for(seen.FolderStateChanged)
    assert len([text for text in caplog.messages if "FolderSummary are not understood" in text]) == 1
    assert report.of(seen.FolderRead)[-1] in report[: report.index(report.wait_for(seen.SnapshotComplete))]


# --- what breaks


def test_a_short_interruption_is_overcome_without_a_word(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A connection that broke off while Syncthing is well is no news, and nothing is read again."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    syncthing.breaks_off()
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1
    assert report.of(seen.Unavailable, seen.Available) == []


def test_after_an_absence_the_same_syncthing_is_just_there_again(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The way was blocked, and is open again: as the events of meanwhile are still there, nothing is read anew."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    status = syncthing.table[STATUS]
    syncthing.table[STATUS] = closes
    syncthing.breaks_off()
    blocked = report.wait_for(seen.Unavailable)
    assert (blocked.way, blocked.status) == (seen.EVENTS, "unreachable")
    syncthing.table[STATUS] = status
    assert report.wait_for(seen.Available).way == seen.EVENTS
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1


def test_what_was_missed_is_taken_in_before_syncthing_is_there_again(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """Else it would be called online with what was before; and what has to be read because of it comes first, too."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    status = syncthing.table[STATUS]
    syncthing.table[STATUS] = closes
    syncthing.breaks_off()
    report.wait_for(seen.Unavailable)
    syncthing.happens("StateChanged", STATE_CHANGED)
    syncthing.table[STATUS] = status
    available = report.index(report.wait_for(seen.Available))
    assert report.index(report.wait_for(seen.FolderStateChanged)) < available
    assert report.settled_at == [available]


BREAKS: dict[str, Callable[[PretendedSyncthing], None]] = {
    "a restart": lambda one: one.restarts(),
    "a restart with many events since": lambda one: one.restarts(events=50),
    "a gap in the events": lambda one: one.happens(lost=1),
}


@pytest.mark.parametrize("happens", BREAKS.values(), ids=BREAKS)
def test_when_something_may_have_been_missed_everything_is_read_again(
    syncthing: PretendedSyncthing, follow: Follow, happens: Callable[[PretendedSyncthing], None]
) -> None:
    """Neither a restart nor a gap leaves anything old behind, and the events go on from there."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    happens(syncthing)
    report.wait_for(seen.SnapshotComplete, 2)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 2


def test_everything_is_read_again_on_demand(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Somebody else may see first that Syncthing restarted; the poll that is under way is not waited for."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    report.follower.read_again()
    report.wait_for(seen.SnapshotComplete, 2)
    assert not report.of(seen.Unavailable)


def test_a_poll_that_may_wait_for_ever_is_made_anew(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A connection can die without a word; whoever sees that others have, has the poll made on a new one."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    report.follower.look_again()
    syncthing.wait_for_poll()
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1
    assert [one.way for one in report.of(seen.Available)] == [seen.EVENTS, seen.POLLS]


def test_a_poll_that_began_in_the_moment_of_the_wish_for_another_is_made_anew_later(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was nothing to be broken off then, and it waits for most of a minute."""
    monkeypatch.setattr(follow_module, "REMIND_S", 0)
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    with monkeypatch.context() as missed:
        missed.setattr(SyncthingClient, "break_off", lambda _: None)
        report.follower.look_again()
    report.follower.remind()
    report.wait_for(seen.Available, 2)
    assert [one.way for one in report.of(seen.Available)] == [seen.EVENTS, seen.POLLS]


def test_events_without_order_do_not_make_it_read_in_a_hurry(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever numbers events at will causes full reads, but ever more seldom."""
    waits: list[float] = []

    def wait(_: Backoff) -> float:
        waits.append(0.0)
        return 0.0

    monkeypatch.setattr(Backoff, "next", wait)
    monkeypatch.setattr(follow_module, "FETCH_S", 60)
    syncthing.table[EVENTS] = [says([]), says([{"id": 7}]), says([]), says([{"id": 9}]), says([]), hangs]
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete, 3)
    assert len(waits) == 2


def test_a_snapshot_that_was_cut_short_is_made_again(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Half of everything is not enough, the first time and any other: it is read from the beginning."""
    answer = syncthing.table[CONFIG]
    assert callable(answer)
    refusal = stranger(403, "CSRF Error")
    syncthing.table[CONFIG] = [refusal, answer, refusal, answer]
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.happens(lost=1)
    report.wait_for(seen.SnapshotComplete, 2)
    cut_short_and_made_again = [seen.SnapshotStarted, seen.Unavailable, seen.SnapshotStarted, seen.SnapshotComplete]
    kinds = [type(one) for one in report.of(*cut_short_and_made_again)]
    assert kinds == cut_short_and_made_again * 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (closes, "unreachable"),
        (stranger(403, "CSRF Error"), "unauthorized"),
        (stranger(403, "Host check error"), "host_check"),
        (stranger(200, "*** Database migration in progress ***"), "starting"),
        (refuses(503), "starting"),
        (stranger(200, "<html>a router</html>"), "unreachable"),
        (refuses(404, "404 page not found"), "unreachable"),
        (says([]), "unreachable"),
        (says({"startTime": "2024-05-01T00:00:00Z"}), "unreachable"),
    ],
)
def test_why_no_use_can_be_made_of_syncthing_is_told(
    serve: Serve, follow: Follow, answer: Behaviour, status: str
) -> None:
    """The word for it and the cure go into the `connection` topic."""
    report = follow(serve({STATUS: answer, EVENTS: says([])}).url)
    told = report.wait_for(seen.Unavailable)
    assert (told.way, told.status) == (seen.EVENTS, status)
    assert "127.0.0.1" in told.message or told.message.startswith("url: ")
    report.wait_for(seen.Unavailable, 2)
    assert report.follower.alive


def test_a_real_syncthing_is_followed_through_a_restart(
    expendable: SyncthingNode, follow: Follow, connect: Connect
) -> None:
    """Every version tells of a change in its configuration, and is read anew when another process answers."""
    client = connect(expendable.url, expendable.api_key)
    report = follow(expendable.url, expendable.api_key)
    report.wait_for(seen.SnapshotComplete)
    client.add_device({"deviceID": OTHER_DEVICE, "name": "other"})
    assert list(report.wait_for(seen.ConfigRead, 2).config.devices) == [OTHER_DEVICE]
    client.restart()
    report.wait_for(seen.SnapshotComplete, 2)
    assert len({one.started_at for one in report if isinstance(one, seen.StatusRead)}) == 2


# --- the end


def test_a_stop_does_not_wait_for_a_poll_that_hangs(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The poll would take another minute: it is broken off, and nothing is reported any more."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    before = list(report)
    report.follower.stop()
    eventually(lambda: not report.follower.alive)
    assert report == before


def test_a_stop_ends_the_wait_for_another_try(serve: Serve, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Syncthing that is away does not keep the bridge."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 3600)
    report = follow(serve({STATUS: stranger(403, "CSRF Error")}).url)
    report.wait_for(seen.Unavailable)
    report.follower.stop()
    eventually(lambda: not report.follower.alive)


def test_a_stop_before_the_answer_ends_in_silence(serve: Serve, follow: Follow) -> None:
    """What fails because of the stop is no news of Syncthing."""
    server = serve({STATUS: hangs})
    report = follow(server.url)
    server.wait_until_hanging()
    report.follower.stop()
    server.stop()
    eventually(lambda: not report.follower.alive)
    assert report == []

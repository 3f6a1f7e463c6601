"""The thread that follows the events: its observations, their order, and what it does after a failure."""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import pytest

from stbridge.backoff import Backoff
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import follow as follow_module
from stbridge.syncthing import retry
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.follow import Follower
from tests.servers import eventually
from tests.syncthing.conftest import KEY, Connect, Serve
from tests.syncthing.pretended import BROWSE, CONFIG, EVENTS, FOLDER_STATISTICS, STATUS, PretendedSyncthing
from tests.syncthing.server import Behaviour, Exchange, closes, hangs, refuses, says, stranger

OTHER_DEVICE = "AIR6LPZ-7K4PTTV-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"
FAR_AWAY = {"folder": "docs", "summary": {"state": "idle", "stateChanged": "9999-12-31T23:59:59-12:00"}}
STATE_CHANGED = {"folder": "docs", "from": "idle", "to": "scanning"}
ERRORS = "/rest/system/error"
VERSION = "/rest/system/version"

Follow = Callable[..., "Report"]


class Report(list[Observation]):
    """What a follower has taken into the state, and the follower."""

    follower: Follower

    def __init__(self) -> None:
        super().__init__()
        self.requested: list[Read] = []
        """What the poller is to read."""
        self.waiting: list[Read] = []
        """What the poller has not read yet."""
        self.on_resumed: list[Read] = []
        """What has to be read because the instance can be used again."""

    def take(self, observations: Iterable[Observation]) -> Collection[Read]:
        """Take observations, and return what has to be read because of them."""
        new = list(observations)
        self += new
        stale = [read for one in new if isinstance(one, seen.Stale) for read in one.reads]
        return [*stale, *(read for one in new if isinstance(one, seen.Resumed) for read in self.on_resumed)]

    def request(self, reads: Collection[Read]) -> None:
        """Have something read by the poller."""
        self.requested += reads

    def withdraw(self) -> Collection[Read]:
        """Take back what the poller has not read."""
        waiting, self.waiting = self.waiting, []
        return waiting

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

    def start(url: str, api_key: str = KEY, *, raw: tuple[str, ...] = (), timeout_s: float = 10.0) -> Report:
        report = Report()
        report.follower = Follower(
            "nas",
            connect(url, api_key, timeout_s=timeout_s),
            raw=raw,
            take=report.take,
            request=report.request,
            withdraw=report.withdraw,
        )
        report.follower.start()
        followers.append(report.follower)
        return report

    yield start
    for follower in followers:
        follower.stop()


def followed(syncthing: PretendedSyncthing, follow: Follow) -> Report:
    """Follow an instance until everything is read and the long poll waits."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    return report


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat failed attempts soon."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.01)


def test_everything_is_read_first(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A snapshot begins with what is configured, and its end is reported when all of it has been taken."""
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
        seen.ReadFinished,
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
    report = followed(syncthing, follow)
    since, pause, flood = len(syncthing.server.requests), threading.Event(), 100
    for _ in range(flood):
        syncthing.happens("StateChanged", STATE_CHANGED)
        pause.wait(0.005)
    report.wait_for(seen.FolderStateChanged, flood)
    polls = [one for one in syncthing.server.requests[since:] if one.path == EVENTS]
    assert len(polls) < flood / 3


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
    assert len([text for text in caplog.messages if "cannot decode event" in text and "FolderSummary" in text]) == 1
    assert report.of(seen.FolderRead)[-1] in report[: report.index(report.wait_for(seen.SnapshotComplete))]


# --- what breaks


def test_a_short_interruption_is_overcome_without_a_word(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A connection that broke off while Syncthing is well is no news, and nothing is read again."""
    report = followed(syncthing, follow)
    syncthing.breaks_off()
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1
    assert report.of(seen.Unavailable, seen.Suspected, seen.Resumed) == []


def test_after_an_absence_the_same_syncthing_is_just_there_again(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The way was blocked, and is open again: as the events of meanwhile are still there, nothing is read anew."""
    report = followed(syncthing, follow)
    status = syncthing.table[STATUS]
    syncthing.table[STATUS] = closes
    syncthing.breaks_off()
    assert report.wait_for(seen.Unavailable).status == "unreachable"
    syncthing.table[STATUS] = status
    report.wait_for(seen.Resumed)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1


def out_and_back(syncthing: PretendedSyncthing, report: Report, *waiting: Read) -> None:
    """Have an outage during which an event happens, and which some requested reads have met."""
    report.wait_for(seen.SnapshotComplete)
    syncthing.wait_for_poll()
    status = syncthing.table[STATUS]
    syncthing.table[STATUS] = closes
    syncthing.breaks_off()
    report.wait_for(seen.Unavailable)
    report.requested.clear()
    report.waiting = list(waiting)
    syncthing.happens("StateChanged", STATE_CHANGED)
    syncthing.table[STATUS] = status


def test_what_was_missed_is_taken_before_the_instance_is_online(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """It would be published as online with old topics otherwise; reads that were requested before come first, too."""
    report = follow(syncthing.url)
    out_and_back(syncthing, report, Read("version"), Read("errors"))
    resumed = report.index(report.wait_for(seen.Resumed))
    assert report.index(report.wait_for(seen.FolderStateChanged)) < resumed
    assert report.index(report.wait_for(seen.VersionRead, 2)) < resumed
    assert report.index(report.wait_for(seen.ErrorsRead, 2)) < resumed
    syncthing.wait_for_poll()
    assert report.requested == []


def test_what_follows_from_being_online_is_requested(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The poller reads it while the follower waits for events."""
    report = follow(syncthing.url)
    report.on_resumed = [Read("upgrade")]
    out_and_back(syncthing, report)
    eventually(lambda: report.requested == [Read("upgrade")])


def test_reads_for_which_there_is_no_time_are_left_to_the_poller(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is online soon, whatever the number of reads."""
    monkeypatch.setattr(follow_module, "CATCH_UP_S", 0)
    report = follow(syncthing.url)
    out_and_back(syncthing, report, Read("version"), Read("errors"))
    report.wait_for(seen.Resumed)
    eventually(lambda: report.requested == [Read("version"), Read("errors")])
    assert len(report.of(seen.VersionRead)) == 1


def test_reads_that_catching_up_could_not_do_are_left_to_the_poller(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """If the instance is lost again meanwhile, no event asks for these a second time."""
    report = follow(syncthing.url)
    good = dict(syncthing.table)

    def dies(exchange: Exchange) -> None:
        syncthing.table[STATUS] = closes
        closes(exchange)

    syncthing.table[VERSION] = [good[VERSION], dies]  # type: ignore[list-item]
    out_and_back(syncthing, report, Read("errors"), Read("version"), Read("pending_devices"))
    eventually(lambda: report.requested == [Read("version"), Read("pending_devices")])
    report.wait_for(seen.Unavailable, 2)
    assert report.of(seen.Resumed) == []
    syncthing.table.update(good)
    report.wait_for(seen.Resumed)


def test_a_read_that_fails_while_events_are_caught_up_is_left_to_the_poller(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """The instance is online all the same, and the poller repeats the read."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    syncthing.table[ERRORS] = refuses(500, "database is closed")
    out_and_back(syncthing, report, Read("errors"), Read("version"))
    report.wait_for(seen.Resumed)
    eventually(lambda: report.requested == [Read("errors")])
    (failed,) = [one for one in report.of(seen.ReadFinished) if one.error]
    assert failed.read == Read("errors")


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
    report = followed(syncthing, follow)
    happens(syncthing)
    report.wait_for(seen.SnapshotComplete, 2)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 2


def test_everything_is_read_again_on_demand(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The cursor is valid, but the state was lost; the long poll that is under way is cut off."""
    report = followed(syncthing, follow)
    report.follower.read_everything()
    report.wait_for(seen.SnapshotComplete, 2)
    assert report.of(seen.Unavailable, seen.Resumed) == []
    assert len(report.of(seen.CompletionRead)) == 2
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)


def test_a_failure_of_another_thread_has_the_instance_checked(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The long poll is cut off, the cursor is still valid, and nothing is read again."""
    report = followed(syncthing, follow)
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    kinds = (seen.SnapshotStarted, seen.SnapshotComplete, seen.Suspected, seen.Resumed, seen.FolderStateChanged)
    assert list(map(type, report.of(*kinds, seen.Unavailable))) == list(kinds)


def test_a_syncthing_that_is_too_old_is_named(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Endpoints that the bridge needs are missing there, and no setting changes that."""
    syncthing.table[VERSION] = says({"version": "v1.12.1", "os": "linux", "arch": "amd64"})
    report = follow(syncthing.url)
    unavailable = report.wait_for(seen.Unavailable)
    assert unavailable.message == (
        f"syncthing.nas.url: Syncthing v1.12.1 at {syncthing.url} is too old: 1.19 or later is needed."
    )


def test_a_connection_that_is_checked_is_replaced(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The long poll is repeated on a new connection; the instance stays available."""
    report = followed(syncthing, follow)
    polls = [one.path for one in syncthing.server.requests].count(EVENTS)
    report.follower.check_connection()
    eventually(lambda: [one.path for one in syncthing.server.requests].count(EVENTS) > polls)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert report.of(seen.Suspected, seen.Unavailable) == []
    assert len(report.of(seen.SnapshotStarted)) == 1


def test_a_slow_read_does_not_delay_the_end_of_an_interruption(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Another thread does it."""
    syncthing.table[BROWSE] = hangs
    report = followed(syncthing, follow)
    report.waiting = [Read("conflicts", "docs")]
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    eventually(lambda: Read("conflicts", "docs") in report.requested)


@pytest.mark.parametrize("restarts", [True, False])
def test_a_check_can_find_that_the_instance_cannot_be_used(
    syncthing: PretendedSyncthing, follow: Follow, restarts: bool
) -> None:
    """It is reported as unavailable, and followed again when it answers."""
    report = followed(syncthing, follow)
    status = syncthing.table[STATUS]
    syncthing.table[STATUS] = stranger(403, "CSRF Error")
    report.follower.revalidate()
    assert report.wait_for(seen.Unavailable).status == "unauthorized"
    suspected = report.index(report.wait_for(seen.Suspected))
    eventually(lambda: any(isinstance(one, seen.Unavailable) for one in report[suspected:]))
    assert report.of(seen.Resumed) == []
    if restarts:
        syncthing.restarts()
        report.wait_for(seen.SnapshotComplete, 2)
    else:
        syncthing.table[STATUS] = status
        report.wait_for(seen.Resumed)


def test_a_long_poll_that_began_at_the_moment_of_the_demand_is_cut_off_by_the_next_one(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was nothing to be cut off; the poller repeats its demand as long as its reads fail."""
    report = followed(syncthing, follow)
    with monkeypatch.context() as missed:
        missed.setattr(SyncthingClient, "break_off", lambda _: None)
        report.follower.revalidate()
    assert report.of(seen.Suspected) == []
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    assert len(report.of(seen.Suspected)) == 1


def test_the_higher_demand_wins(syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check does not take the place of reading everything."""
    report = followed(syncthing, follow)
    with monkeypatch.context() as missed:
        missed.setattr(SyncthingClient, "break_off", lambda _: None)
        report.follower.read_everything()
    report.follower.revalidate()
    report.wait_for(seen.SnapshotComplete, 2)
    assert report.of(seen.Resumed) == []


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
    assert told.status == status
    assert told.message.startswith("syncthing.nas.api_key: " if status == "unauthorized" else "syncthing.nas.url: ")
    report.wait_for(seen.Unavailable, 2)
    assert report.follower.thread.alive


def test_a_status_that_does_not_come_in_time_names_the_setting(serve: Serve, follow: Follow) -> None:
    """The cure may be a longer time-out."""
    report = follow(serve({STATUS: hangs}).url, timeout_s=0.3)
    told = report.wait_for(seen.Unavailable)
    assert told.status == "unreachable"
    assert told.message.startswith(f"syncthing.nas.timeout_s: GET {STATUS}")


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
    report = followed(syncthing, follow)
    before = list(report)
    report.follower.stop()
    eventually(lambda: not report.follower.thread.alive)
    assert report == before


def test_a_stop_ends_the_wait_for_another_try(serve: Serve, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Syncthing that is away does not keep the bridge."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 3600)
    report = follow(serve({STATUS: stranger(403, "CSRF Error")}).url)
    report.wait_for(seen.Unavailable)
    report.follower.stop()
    eventually(lambda: not report.follower.thread.alive)


def test_a_stop_before_the_answer_ends_in_silence(serve: Serve, follow: Follow) -> None:
    """What fails because of the stop is no news of Syncthing."""
    server = serve({STATUS: hangs})
    report = follow(server.url)
    server.wait_until_hanging()
    report.follower.stop()
    server.stop()
    eventually(lambda: not report.follower.thread.alive)
    assert report == []

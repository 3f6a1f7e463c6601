"""The thread that follows the events: its observations, their order, and its reactions to failures."""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from time import monotonic
from typing import Any

import pytest

from stbridge.backoff import Backoff
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import follow as follow_module
from stbridge.syncthing import retry
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.concurrency import ConcurrencyLimit
from stbridge.syncthing.follow import Follower
from tests.servers import PATIENCE_S, eventually
from tests.syncthing.conftest import KEY, Connect, Serve
from tests.syncthing.pretended import BROWSE, CONFIG, EVENTS, FOLDER_STATISTICS, STATUS, PretendedSyncthing
from tests.syncthing.server import Behaviour, Exchange, answers, closes, hangs, refuses, stranger

OTHER_DEVICE = "AIR6LPZ-7K4PTTV-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"
FAR_AWAY = {"folder": "docs", "summary": {"state": "idle", "stateChanged": "9999-12-31T23:59:59-12:00"}}
STATE_CHANGED = {"folder": "docs", "from": "idle", "to": "scanning"}
ERRORS = "/rest/system/error"
VERSION = "/rest/system/version"
NEVER_S = 3600.0

Follow = Callable[..., "Report"]


class Report(list[Observation]):
    """The observations that a follower takes into the state, and its requests to the poller."""

    follower: Follower

    def __init__(self) -> None:
        super().__init__()
        self.requested: list[Read] = []
        """The reads that the follower requests from the poller."""
        self.waiting: list[Read] = []
        """The reads that the poller has not done yet."""
        self.on_resumed: list[Read] = []
        """The reads that follow when the instance can be used again."""

    def take(self, observations: Iterable[Observation]) -> Collection[Read]:
        """Take observations, and return the reads that they request."""
        new = list(observations)
        self += new
        stale = [read for one in new if isinstance(one, seen.Stale) for read in one.reads]
        return [*stale, *(read for one in new if isinstance(one, seen.Resumed) for read in self.on_resumed)]

    def request(self, reads: Collection[Read]) -> None:
        """Note reads for the poller."""
        self.requested += reads

    def withdraw(self) -> Collection[Read]:
        """Return the reads that the poller has not done, and remove them."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def of(self, *kinds: type[Observation]) -> list[Any]:
        """Return the observations of some types."""
        return [one for one in self if isinstance(one, kinds)]

    def wait_for(self, kind: type[Observation], count: int = 1) -> Any:
        """Wait until there are this many observations of a type, and return the last of them."""
        eventually(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


@pytest.fixture
def follow(connect: Connect) -> Iterator[Follow]:
    """Follow the instance at an address."""
    followers: list[Follower] = []

    def start(
        url: str,
        api_key: str = KEY,
        *,
        raw: tuple[str, ...] = (),
        timeout_s: float = 10.0,
        limit: ConcurrencyLimit | None = None,
    ) -> Report:
        report = Report()
        report.follower = Follower(
            "nas",
            connect(url, api_key, timeout_s=timeout_s),
            raw=raw,
            take=report.take,
            request=report.request,
            withdraw=report.withdraw,
            limit=limit or ConcurrencyLimit(1, 1.0),
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


def test_answers_without_events_are_not_requested_without_a_pause(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server at the same address may answer a long poll at once."""

    def polls() -> int:
        return len([line for line in syncthing.server.lines if f"{EVENTS}?" in line and "timeout=0" not in line])

    monkeypatch.setattr(follow_module, "GATHER_S", 3600.0)
    syncthing.table[EVENTS] = answers([])
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    eventually(lambda: polls() == follow_module.BURST + 1)
    report.follower.stop()
    assert polls() == follow_module.BURST + 1


def test_everything_is_read_first(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A snapshot starts with the configuration, and its end is reported when all of it was taken."""
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


def test_events_during_a_snapshot_are_not_missed(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The position in the event stream is determined before the snapshot, so its events are received afterwards."""
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
def test_completions_are_read_after_the_snapshot_when_events_were_lost(
    syncthing: PretendedSyncthing, follow: Follow, restarts: bool, completions: int
) -> None:
    """Events are not handled during a snapshot. Completions are most of it, and the old ones are still nearly right."""
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


def test_no_events_are_lost_during_a_snapshot(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be more events than the event buffer holds. They are fetched during the snapshot and handled later."""
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


def test_many_events_during_a_snapshot_are_taken_in_between(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would need too much memory until the end. What was read before them is taken before them, the rest after."""
    monkeypatch.setattr(follow_module, "FETCH_S", 0)
    monkeypatch.setattr(follow_module, "MAX_MISSED", 10)
    answer = syncthing.table[FOLDER_STATISTICS]
    assert callable(answer)

    def meanwhile(exchange: Exchange) -> None:
        for _ in range(11):
            syncthing.happens("StateChanged", STATE_CHANGED)
        answer(exchange)

    syncthing.table[FOLDER_STATISTICS] = meanwhile
    report = follow(syncthing.url)
    report.wait_for(seen.Stale)
    kinds = [type(one) for one in report]
    assert kinds.count(seen.FolderStateChanged) == 11
    events, statistics = kinds.index(seen.FolderStateChanged), kinds.index(seen.FolderStatisticsRead)
    assert max(kinds.index(seen.FolderRead), statistics) < events < kinds.index(seen.CompletionRead)
    assert kinds[-2:] == [seen.SnapshotComplete, seen.Stale]


def test_events_at_a_high_rate_are_fetched_in_batches(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A request costs far more than an event, so the number of requests per second is limited."""
    report = followed(syncthing, follow)
    since, pause, flood, began_at = len(syncthing.server.requests), threading.Event(), 500, monotonic()
    for _ in range(flood):
        syncthing.happens("StateChanged", STATE_CHANGED)
        pause.wait(0.001)
    report.wait_for(seen.FolderStateChanged, flood)
    polls = [one for one in syncthing.server.requests[since:] if one.path == EVENTS]
    assert len(polls) < 2 * (follow_module.BURST + (monotonic() - began_at) / follow_module.GATHER_S)


def test_raw_events_are_passed_on_unchanged(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """One event may be used twice: for its observation, and as a raw event."""
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
def test_an_event_that_cannot_be_decoded_is_skipped(
    syncthing: PretendedSyncthing, follow: Follow, caplog: pytest.LogCaptureFixture, data: Any
) -> None:
    """A later version of Syncthing may send unknown data. That is logged once, and the next events are handled."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            syncthing.happens("FolderSummary", data)
        syncthing.happens("StateChanged", STATE_CHANGED)
        report.wait_for(seen.FolderStateChanged)
    assert len([text for text in caplog.messages if "cannot decode event" in text and "FolderSummary" in text]) == 1
    assert report.of(seen.FolderRead)[-1] in report[: report.index(report.wait_for(seen.SnapshotComplete))]


# --- other instances that are read


class ObservedLimit(ConcurrencyLimit):
    """A limit that shows whether a thread has to wait."""

    waiting = False

    def _take(self) -> float | None:
        began_at = super()._take()
        self.waiting = self.waiting or began_at is None
        return began_at


def test_a_restart_while_other_instances_are_read_is_noticed(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The IDs of the new process start at 1 again, so a cursor of the old one would miss its events."""
    limit = ObservedLimit(1, NEVER_S)
    for _ in range(5):
        syncthing.happens()
    with limit.slot(threading.Event(), int):
        report = follow(syncthing.url, limit=limit)
        eventually(lambda: limit.waiting)
        syncthing.restarts()
    report.wait_for(seen.SnapshotComplete)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)


def test_a_stop_while_other_instances_are_read_begins_no_read(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The topics of the previous state are still to be published."""
    limit = ConcurrencyLimit(1, NEVER_S)
    with limit.slot(threading.Event(), int):
        report = follow(syncthing.url, limit=limit)
        eventually(lambda: any(EVENTS in line for line in syncthing.server.lines))
        report.follower.stop()
        report.follower.thread.join(PATIENCE_S)
    assert report == []


# --- interruptions


def test_a_short_interruption_is_not_reported(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """If the connection is interrupted while Syncthing works, nothing is reported or read again."""
    report = followed(syncthing, follow)
    syncthing.breaks_off()
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 1
    assert report.of(seen.Unavailable, seen.Suspected, seen.Resumed) == []


def test_after_an_outage_of_the_same_process_nothing_is_read_again(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """The connection was blocked and works again. The events of the outage are still in the event buffer."""
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
    """Cause an outage with one event, during which these reads are waiting."""
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


def test_missed_events_are_handled_before_the_instance_is_online(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Otherwise it would be online with outdated topics. Reads that were already requested are also done first."""
    report = follow(syncthing.url)
    out_and_back(syncthing, report, Read("version"), Read("errors"))
    resumed = report.index(report.wait_for(seen.Resumed))
    assert report.index(report.wait_for(seen.FolderStateChanged)) < resumed
    assert report.index(report.wait_for(seen.VersionRead, 2)) < resumed
    assert report.index(report.wait_for(seen.ErrorsRead, 2)) < resumed
    syncthing.wait_for_poll()
    assert report.requested == []


def test_reads_that_follow_from_being_online_are_requested(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The poller does them while the follower waits for events."""
    report = follow(syncthing.url)
    report.on_resumed = [Read("upgrade")]
    out_and_back(syncthing, report)
    eventually(lambda: report.requested == [Read("upgrade")])


def test_reads_beyond_the_time_limit_are_left_to_the_poller(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance must be online soon, whatever the number of reads."""
    monkeypatch.setattr(follow_module, "CATCH_UP_S", 0)
    report = follow(syncthing.url)
    out_and_back(syncthing, report, Read("version"), Read("errors"))
    report.wait_for(seen.Resumed)
    eventually(lambda: report.requested == [Read("version"), Read("errors")])
    assert len(report.of(seen.VersionRead)) == 1


def test_reads_that_an_outage_prevents_are_left_to_the_poller(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """If the instance becomes unavailable again meanwhile, no event requests these reads a second time."""
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete)
    good = dict(syncthing.table)

    def dies(exchange: Exchange) -> None:
        syncthing.table[STATUS] = closes
        closes(exchange)

    syncthing.table[VERSION] = dies
    out_and_back(syncthing, report, Read("errors"), Read("version"), Read("pending_devices"))
    eventually(lambda: report.requested == [Read("version"), Read("pending_devices")])
    report.wait_for(seen.Unavailable, 2)
    assert report.of(seen.Resumed) == []
    syncthing.table.update(good)
    report.wait_for(seen.Resumed)


def test_a_read_that_fails_before_the_instance_is_online_is_left_to_the_poller(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """The instance becomes online nevertheless, and the poller repeats the read."""
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
def test_after_a_restart_or_a_gap_everything_is_read_again(
    syncthing: PretendedSyncthing, follow: Follow, happens: Callable[[PretendedSyncthing], None]
) -> None:
    """No outdated value remains, and the next events are handled."""
    report = followed(syncthing, follow)
    happens(syncthing)
    report.wait_for(seen.SnapshotComplete, 2)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert len(report.of(seen.SnapshotStarted)) == 2


def test_everything_is_read_again_on_request(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The position is valid, but the state was lost. The running long poll is cut off."""
    report = followed(syncthing, follow)
    report.follower.read_everything()
    report.wait_for(seen.SnapshotComplete, 2)
    assert report.of(seen.Unavailable, seen.Resumed) == []
    assert len(report.of(seen.CompletionRead)) == 2
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)


def test_a_failure_of_another_thread_makes_the_follower_check_the_instance(
    syncthing: PretendedSyncthing, follow: Follow
) -> None:
    """The long poll is cut off, the position is still valid, and nothing is read again."""
    report = followed(syncthing, follow)
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    kinds = (seen.SnapshotStarted, seen.SnapshotComplete, seen.Suspected, seen.Resumed, seen.FolderStateChanged)
    assert list(map(type, report.of(*kinds, seen.Unavailable))) == list(kinds)


def test_a_version_that_is_too_old_is_reported(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The bridge needs endpoints that this version does not have, and no setting changes that."""
    syncthing.table[VERSION] = answers({"version": "v1.12.1", "os": "linux", "arch": "amd64"})
    report = follow(syncthing.url)
    unavailable = report.wait_for(seen.Unavailable)
    assert unavailable.message == (
        f"syncthing.nas.url: Syncthing v1.12.1 at {syncthing.url} is too old: 1.19 or later is needed."
    )


def test_a_connection_that_is_checked_is_replaced(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The long poll is repeated on a new connection, and the instance stays available."""
    report = followed(syncthing, follow)
    polls = [one.path for one in syncthing.server.requests].count(EVENTS)
    report.follower.check_connection()
    eventually(lambda: [one.path for one in syncthing.server.requests].count(EVENTS) > polls)
    syncthing.happens("StateChanged", STATE_CHANGED)
    report.wait_for(seen.FolderStateChanged)
    assert report.of(seen.Suspected, seen.Unavailable) == []
    assert len(report.of(seen.SnapshotStarted)) == 1


def test_a_slow_read_does_not_delay_the_end_of_an_interruption(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """Another thread does the slow read."""
    syncthing.table[BROWSE] = hangs
    report = followed(syncthing, follow)
    report.waiting = [Read("conflicts", "docs")]
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    eventually(lambda: Read("conflicts", "docs") in report.requested)


@pytest.mark.parametrize("restarts", [True, False])
def test_a_failed_check_makes_the_instance_unavailable(
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


def test_a_request_that_misses_the_long_poll_is_repeated(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll started just after the request, which cut nothing off. The poller repeats requests while reads fail."""
    report = followed(syncthing, follow)
    with monkeypatch.context() as missed:
        missed.setattr(SyncthingClient, "break_off", lambda _: None)
        report.follower.revalidate()
    assert report.of(seen.Suspected) == []
    report.follower.revalidate()
    report.wait_for(seen.Resumed)
    assert len(report.of(seen.Suspected)) == 1


def test_a_request_to_read_everything_overrides_a_check(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later check does not replace it."""
    report = followed(syncthing, follow)
    with monkeypatch.context() as missed:
        missed.setattr(SyncthingClient, "break_off", lambda _: None)
        report.follower.read_everything()
    report.follower.revalidate()
    report.wait_for(seen.SnapshotComplete, 2)
    assert report.of(seen.Resumed) == []


def test_repeated_gaps_cause_full_reads_at_growing_intervals(
    syncthing: PretendedSyncthing, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with random event IDs causes full reads, but with a growing pause between them."""
    waits: list[float] = []

    def wait(_: Backoff) -> float:
        waits.append(0.0)
        return 0.0

    monkeypatch.setattr(Backoff, "next", wait)
    monkeypatch.setattr(follow_module, "FETCH_S", 60)
    syncthing.table[EVENTS] = [answers([]), answers([{"id": 7}]), answers([]), answers([{"id": 9}]), answers([]), hangs]
    report = follow(syncthing.url)
    report.wait_for(seen.SnapshotComplete, 3)
    assert len(waits) == 2


def test_an_interrupted_snapshot_is_repeated(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """A partial snapshot is not sufficient, neither the first time nor later. It starts from the beginning."""
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
        (answers([]), "unreachable"),
        (answers({"startTime": "2024-05-01T00:00:00Z"}), "unreachable"),
    ],
)
def test_the_reason_why_syncthing_is_unavailable_is_reported(
    serve: Serve, follow: Follow, answer: Behaviour, status: str
) -> None:
    """The status and the fix appear in the topic `connection`."""
    report = follow(serve({STATUS: answer, EVENTS: answers([])}).url)
    reported = report.wait_for(seen.Unavailable)
    assert reported.status == status
    assert reported.message.startswith("syncthing.nas.api_key: " if status == "unauthorized" else "syncthing.nas.url: ")
    report.wait_for(seen.Unavailable, 2)
    assert report.follower.thread.alive


def test_a_timeout_of_the_status_names_the_setting(serve: Serve, follow: Follow) -> None:
    """A longer timeout may be the fix."""
    report = follow(serve({STATUS: hangs}).url, timeout_s=0.3)
    reported = report.wait_for(seen.Unavailable)
    assert reported.status == "unreachable"
    assert reported.message.startswith(f"syncthing.nas.timeout_s: GET {STATUS}")


def test_a_real_syncthing_is_followed_through_a_restart(
    expendable: SyncthingNode, follow: Follow, connect: Connect
) -> None:
    """Every version reports a change of its configuration, and is read again when another process answers."""
    client = connect(expendable.url, expendable.api_key)
    report = follow(expendable.url, expendable.api_key)
    report.wait_for(seen.SnapshotComplete)
    client.add_device({"deviceID": OTHER_DEVICE, "name": "other"})
    assert list(report.wait_for(seen.ConfigSaved).config.devices) == [OTHER_DEVICE]
    client.restart()
    report.wait_for(seen.SnapshotComplete, 2)
    assert len({one.started_at for one in report if isinstance(one, seen.StatusRead)}) == 2


# --- stopping


def test_a_stop_does_not_wait_for_a_poll_that_hangs(syncthing: PretendedSyncthing, follow: Follow) -> None:
    """The poll would take another minute. It is cut off, and nothing more is reported."""
    report = followed(syncthing, follow)
    before = list(report)
    report.follower.stop()
    eventually(lambda: not report.follower.thread.alive)
    assert report == before


def test_a_stop_ends_the_wait_for_the_next_attempt(
    serve: Serve, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unavailable Syncthing instance does not delay the stop."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 3600)
    report = follow(serve({STATUS: stranger(403, "CSRF Error")}).url)
    report.wait_for(seen.Unavailable)
    report.follower.stop()
    eventually(lambda: not report.follower.thread.alive)


def test_a_failure_because_of_a_stop_is_not_reported(serve: Serve, follow: Follow) -> None:
    """It is not a failure of Syncthing."""
    server = serve({STATUS: hangs})
    report = follow(server.url)
    server.wait_until_hanging()
    report.follower.stop()
    server.stop()
    eventually(lambda: not report.follower.thread.alive)
    assert report == []

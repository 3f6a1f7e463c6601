"""The thread that reads at intervals and on request: what it reads, how often, and how it handles failures."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.read_order import Moment
from stbridge.core.token_bucket import TokenBucket
from stbridge.settings import PollSettings
from stbridge.supervision import Supervision
from stbridge.syncthing import poll, retry
from stbridge.syncthing.event_stream import POLL_S
from stbridge.syncthing.poll import COMPLETIONS_PER_ROUND, RECONCILE, Poller, ReadQueue, rate_limits
from tests.servers import PATIENCE_S, eventually
from tests.syncthing.conftest import Connect
from tests.syncthing.pretended import BROWSE, COMPLETION, FILE, FOLDER_ERRORS, FOLDER_STATUS, STATUS, PretendedSyncthing
from tests.syncthing.server import Exchange, answers, closes, hangs, refuses, stranger
from tests.syncthing.test_reads import READS

NEVER: Mapping[str, float] = {"connections": 3600, RECONCILE: 3600}
OFTEN = 0.01
CONNECTIONS = "/rest/system/connections"
VERSION = "/rest/system/version"
ERRORS = "/rest/system/error"
CSRF = stranger(403, "CSRF Error")
DATABASE_CLOSED = refuses(500, "database is closed")

Poll = Callable[..., Poller]


class Surroundings(list[Observation]):
    """The surroundings of a poller; the list contains the observations that the poller took into the state."""

    def __init__(self) -> None:
        super().__init__()
        self.live = True
        """Whether the instance can be used."""
        self.refusals = 0
        """How often the poller found that the instance cannot be used."""
        self.current = Moment(epoch=0, order=0)
        """The current moment; its epoch changes when events may have been missed."""
        self.revalidations = 0
        """How often the poller requested a check of the instance from the follower."""
        self.connection_checks = 0
        """How often the poller requested a check of the connection from the follower."""
        self.follow_ups: dict[type[Observation], list[Read]] = {}
        """The reads that each type of observation requests."""

    def take(self, observations: Iterable[Observation], since: Moment | None) -> Collection[Read]:
        """Take observations, and return the reads that they request."""
        new = list(observations) if since == self.current else []
        self += new
        return [read for one in new for read in self.follow_ups.get(type(one), ())]

    def moment(self) -> Moment | None:
        """Return the current moment, or None if the instance cannot be used."""
        self.refusals += not self.live
        return self.current if self.live else None

    def revalidate(self) -> None:
        """Note a request to check the instance."""
        self.revalidations += 1

    def check_connection(self) -> None:
        """Note a request to check the connection."""
        self.connection_checks += 1

    @property
    def kinds(self) -> list[type[Observation]]:
        """The types of the observations, without the ends of reads."""
        return [type(one) for one in self if not isinstance(one, seen.ReadFinished)]

    def of(self, kind: type[Observation]) -> list[Any]:
        """Return the observations of a type."""
        return [one for one in self if isinstance(one, kind)]

    def wait_for(self, kind: type[Observation], count: int = 1) -> Any:
        """Wait until there are this many observations of a type, and return the last of them."""
        eventually(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


@pytest.fixture
def state() -> Surroundings:
    """The surroundings of a poller."""
    return Surroundings()


@pytest.fixture
def polling(syncthing: PretendedSyncthing, connect: Connect, state: Surroundings) -> Iterator[Poll]:
    """Poll the scripted Syncthing instance."""
    pollers: list[Poller] = []
    slow = ThreadPoolExecutor(1)

    def start(**intervals: float) -> Poller:
        poller = Poller(
            "nas",
            connect(syncthing.url),
            connect(syncthing.url),
            intervals={**NEVER, **intervals},
            take=state.take,
            moment=state.moment,
            revalidate=state.revalidate,
            check_connection=state.check_connection,
            run_slow=lambda read_slow, read: bool(slow.submit(read_slow, read)),
        )
        poller.start()
        pollers.append(poller)
        return poller

    yield start
    for poller in pollers:
        poller.stop()
    slow.shutdown()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat failed attempts soon."""
    pause_for(OFTEN, monkeypatch)


def pause_for(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the pause until the next attempt while the instance cannot be used."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(retry, name, seconds)


def limit(monkeypatch: pytest.MonkeyPatch, burst: int, every_s: float, *names: str) -> None:
    """Make these reads share one rate limiter, and remove all others."""
    queue = ReadQueue(TokenBucket(burst, every_s))
    monkeypatch.setattr(poll, "rate_limits", lambda: dict.fromkeys(names, queue))


def wait_until_refused(poller: Poller, state: Surroundings) -> None:
    """Wait until the poller has found twice that the instance cannot be used."""
    enough = state.refusals + 2

    def refused() -> bool:
        poller.wake()
        return state.refusals >= enough

    eventually(refused)


def asked(syncthing: PretendedSyncthing, path: str) -> list[str]:
    """Return the queries of the requests for a path."""
    return [line.partition("?")[2] for line in syncthing.server.lines if line.split()[1].partition("?")[0] == path]


def asked_in_order(syncthing: PretendedSyncthing, *paths: str) -> list[str]:
    """Return the requested paths in order, limited to these paths."""
    return [request.path for request in syncthing.server.requests if request.path in paths]


# --- at intervals


def test_values_without_events_are_read_at_intervals(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """Byte counters, for example, change without events."""
    polling(connections=OFTEN)
    state.wait_for(seen.ConnectionsRead, 3)
    assert asked(syncthing, FOLDER_STATUS) == []


def test_folders_are_read_again_one_after_the_other(syncthing: PretendedSyncthing, polling: Poll) -> None:
    """Each round is one request, whatever the number of folders, and the folders alternate."""
    poller = polling(reconcile=OFTEN)
    poller.reconcile([Read("folder", folder) for folder in ("docs", "photos", "music")], [])
    eventually(lambda: len(asked(syncthing, FOLDER_STATUS)) >= 6)
    turns = [query.partition("=")[2] for query in asked(syncthing, FOLDER_STATUS)[:6]]
    assert turns == ["docs", "photos", "music"] * 2


def test_what_was_read_when_the_thread_died_is_read_again(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event would report it again. The thread dies after the response, before the result is taken into the state."""
    poller = polling()
    answer = answers({"errors": None})

    def fatal_answer(exchange: Exchange) -> None:
        syncthing.table[ERRORS] = answer
        monkeypatch.setattr(poller.thread, "heartbeat", fails_once(poller.thread.heartbeat))
        answer(exchange)

    syncthing.table[ERRORS] = fatal_answer
    poller.request([Read("errors")])
    eventually(lambda: poller.thread.dead)
    assert state == []
    Supervision([poller.thread], PATIENCE_S).check()
    state.wait_for(seen.ErrorsRead)


def fails_once(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that raises an exception once, and then calls another one."""
    failures = iter([RuntimeError("a bug")])

    def call() -> None:
        for failure in failures:
            raise failure
        function()

    return call


def test_a_change_of_the_configuration_does_not_begin_the_turns_again(
    syncthing: PretendedSyncthing, polling: Poll
) -> None:
    """Every folder gets its turn, even if the configuration changes between all rounds."""
    poller = polling(reconcile=0.2)
    folders = [Read("folder", folder) for folder in ("docs", "photos", "music")]

    def all_are_read() -> bool:
        poller.reconcile(folders, [])
        return len(set(asked(syncthing, FOLDER_STATUS))) == len(folders)

    eventually(all_are_read)


def test_a_round_reads_one_folder_and_some_completions(syncthing: PretendedSyncthing, polling: Poll) -> None:
    """Changes without events are eventually found, and the number of requests does not grow with the shares."""
    poller = polling(reconcile=0.2)
    folders = [Read("folder", f"folder{number}") for number in range(5)]
    completions = [Read("completion", f"folder{number}", "BETA") for number in range(25)]
    poller.reconcile(folders, completions)
    eventually(lambda: len(asked(syncthing, FOLDER_STATUS)) >= 3)
    eventually(lambda: len(asked(syncthing, COMPLETION)) >= 3 * COMPLETIONS_PER_ROUND)
    expected = ([FOLDER_STATUS] + [COMPLETION] * COMPLETIONS_PER_ROUND) * 3
    assert asked_in_order(syncthing, FOLDER_STATUS, COMPLETION)[: len(expected)] == expected
    queries = asked(syncthing, COMPLETION)[: 3 * COMPLETIONS_PER_ROUND]
    assert queries == [f"device=BETA&folder=folder{number}" for number in range(3 * COMPLETIONS_PER_ROUND)]


def test_few_completions_are_read_once_a_round(syncthing: PretendedSyncthing, polling: Poll) -> None:
    """If there are fewer completions than a round reads, none is read twice."""
    poller = polling(reconcile=2)
    poller.reconcile([Read("folder", "docs")], [Read("completion", "docs", "BETA")])
    eventually(lambda: len(asked(syncthing, COMPLETION)) >= 2)
    assert asked_in_order(syncthing, FOLDER_STATUS, COMPLETION)[:4] == [FOLDER_STATUS, COMPLETION] * 2


def test_without_folders_the_rest_is_read(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """An instance without folders is valid."""
    polling(reconcile=OFTEN, connections=OFTEN)
    state.wait_for(seen.ConnectionsRead, 3)
    assert asked(syncthing, FOLDER_STATUS) == []


def test_an_interval_can_be_made_shorter(polling: Poll, state: Surroundings) -> None:
    """During a transfer, the counters are read more often, starting immediately instead of after an hour."""
    poller = polling()
    poller.every("connections", OFTEN)
    state.wait_for(seen.ConnectionsRead, 2)


def test_an_interval_can_be_made_longer(polling: Poll, state: Surroundings) -> None:
    """The read that is already due is done, and the next one follows after the new interval."""
    poller = polling(connections=OFTEN)
    state.wait_for(seen.ConnectionsRead)
    for _ in range(2):
        poller.every("connections", 3600)
    poller.request([Read("version")])
    state.wait_for(seen.VersionRead)
    count = len(state.of(seen.ConnectionsRead))
    poller.request([Read("errors")])
    state.wait_for(seen.ErrorsRead)
    poller.request([Read("status")])
    state.wait_for(seen.StatusRead)
    assert len(state.of(seen.ConnectionsRead)) <= count + 1


# --- on request


def test_each_read_ends_with_its_result(polling: Poll, state: Surroundings) -> None:
    """The result shows the end of a failure."""
    polling().request([Read("version"), Read("errors")])
    state.wait_for(seen.ReadFinished, 2)
    assert list(map(type, state)) == [seen.VersionRead, seen.ReadFinished, seen.ErrorsRead, seen.ReadFinished]
    assert state.of(seen.ReadFinished) == [seen.ReadFinished(read=Read(what)) for what in ("version", "errors")]


def test_reads_that_a_read_requests_are_done(polling: Poll, state: Surroundings) -> None:
    """Taking an observation into the state may request more reads."""
    state.follow_ups = {seen.VersionRead: [Read("errors")], seen.ErrorsRead: [Read("status")]}
    polling().request([Read("version")])
    state.wait_for(seen.StatusRead)
    assert state.kinds == [seen.VersionRead, seen.ErrorsRead, seen.StatusRead]


def test_the_number_of_waiting_file_lookups_is_limited(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may send more conflict files than fit into memory. Beyond the limit, their number is unknown."""
    monkeypatch.setattr(poll, "MAX_PATHS", 3)
    syncthing.table[FILE] = answers({"local": {"name": "found"}})
    state.live = False
    poller = polling()
    for _ in range(2):
        poller.request([Read("conflict", "docs", path=f"{number}") for number in range(100)])
    poller.request([Read("conflict", "photos", path="x"), Read("version")])
    state.live = True
    poller.wake()
    state.wait_for(seen.VersionRead)
    assert [one.path for one in state.of(seen.ConflictRead)] == ["0", "1", "2"]
    assert state.of(seen.ConflictsRead) == [
        seen.ConflictsRead(folder=folder, paths=None) for folder in ("docs", "photos")
    ]
    poller.request([Read("conflict", "docs", path="later")])
    state.wait_for(seen.ConflictRead, 4)


def test_repeated_requests_cause_one_read(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """A burst of events about the same folder costs one request."""
    state.live = False
    poller = polling()
    for _ in range(100):
        poller.request([Read("version"), Read("folder", "docs")])
    poller.request([Read("folder", "photos")])
    state.live = True
    poller.wake()
    state.wait_for(seen.FolderRead, 2)
    assert syncthing.server.lines == [
        f"GET {VERSION}",
        f"GET {FOLDER_STATUS}?folder=docs",
        f"GET {FOLDER_STATUS}?folder=photos",
    ]


def test_withdrawn_reads_are_not_done(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """Another thread does them. Rate limited reads stay, because that thread would not limit them."""
    state.live = False
    poller = polling()
    poller.request([Read("errors"), Read("scan_errors", "docs"), Read("conflict", "docs", path="a")])
    assert list(poller.withdraw()) == [Read("errors"), Read("conflict", "docs", path="a")]
    assert list(poller.withdraw()) == []
    state.live = True
    poller.request([Read("version")])
    state.wait_for(seen.ReadFinished, 2)
    assert sorted(one.__name__ for one in state.kinds) == ["FolderErrorsRead", "VersionRead"]
    assert asked(syncthing, ERRORS) == asked(syncthing, FILE) == []


# --- slow reads, and outdated results


def test_a_slow_read_delays_no_other(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """A slow read walks a large folder, or waits for a lost answer of Syncthing."""
    syncthing.table[BROWSE] = hangs
    poller = polling()
    poller.request([Read("conflicts", "docs")])
    syncthing.server.wait_until_hanging()
    poller.request([Read("errors")])
    state.wait_for(seen.ErrorsRead)
    assert state.of(seen.ConflictsRead) == []


def test_a_slow_read_is_repeated_when_another_read_times_out(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """The network may have dropped its connection as well, and it would wait for a minute."""
    answer = syncthing.table[BROWSE]
    assert callable(answer)
    syncthing.table[BROWSE] = [hangs, answer]
    syncthing.table[ERRORS] = hangs
    poller = polling()
    poller.request([Read("conflicts", "docs")])
    syncthing.server.wait_until_hanging()
    poller.request([Read("errors")])
    state.wait_for(seen.ConflictsRead)


def test_each_slow_read_has_a_new_connection(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """The network may have dropped the previous connection, and the next read would wait for a minute."""
    answer = syncthing.table[BROWSE]
    assert callable(answer)
    connections: list[object] = []

    def note_connection(exchange: Exchange) -> None:
        connections.append(exchange.client_address)
        answer(exchange)

    syncthing.table[BROWSE] = note_connection
    poller = polling()
    for count in (1, 2):
        poller.request([Read("conflicts", "docs")])
        state.wait_for(seen.ConflictsRead, count)
    assert len(set(connections)) == 2


def test_a_slow_read_is_repeated_when_the_instance_can_be_used(
    polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read is not lost in between."""
    monkeypatch.setattr(poll, "RETRY_S", OFTEN)
    state.live = False
    poller = polling()
    poller.request([Read("conflicts", "docs")])
    wait_until_refused(poller, state)
    state.live = True
    poller.wake()
    state.wait_for(seen.ConflictsRead)


def test_an_outdated_result_is_read_again(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """The follower may have read the same meanwhile, and an older answer must not replace a newer one."""
    answer = answers({"errors": None})
    assert callable(answer)
    asked_once, released = threading.Event(), threading.Event()

    def late(exchange: Exchange) -> None:
        asked_once.set()
        released.wait(PATIENCE_S)
        answer(exchange)

    syncthing.table[ERRORS] = [late, answer]
    poller = polling()
    poller.request([Read("errors")])
    asked_once.wait(PATIENCE_S)
    state.current = Moment(epoch=1, order=0)
    released.set()
    state.wait_for(seen.ErrorsRead)
    assert len(asked(syncthing, ERRORS)) == 2
    assert len(state.of(seen.ErrorsRead)) == 1


def test_a_timed_out_read_makes_the_follower_check_its_connection(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """A network that drops the state of connections also drops that of the long poll."""
    syncthing.table[ERRORS] = hangs
    poller = polling()
    poller.request([Read("errors")])
    result = state.wait_for(seen.ReadFinished)
    assert result.timed_out
    assert (state.connection_checks, state.revalidations) == (1, 0)


# --- delays


def test_outdated_errors_are_read_once_after_a_delay(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Syncthing clears them shortly after the events that request this read."""
    poller, read = polling(), Read("outdated_errors", "docs")
    monkeypatch.setattr(poll, "DELAYS_S", {"outdated_errors": 3600.0})
    poller.request([read, Read("version")])
    state.wait_for(seen.VersionRead)
    assert asked(syncthing, FOLDER_ERRORS) == []
    monkeypatch.setattr(poll, "DELAYS_S", {"outdated_errors": 0.1})
    poller.request([read, read])
    state.wait_for(seen.FolderErrorsRead)
    poller.request([Read("status")])
    state.wait_for(seen.StatusRead)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 1


# --- rate limits


def test_reads_after_scans_are_rate_limited(syncthing: PretendedSyncthing, polling: Poll, state: Surroundings) -> None:
    """A thousand scanned folders cost a few requests, and do not delay other reads."""
    poller = polling()
    poller.request([*(Read("scan_errors", f"folder{number}") for number in range(1000)), Read("version")])
    state.wait_for(seen.VersionRead)
    eventually(lambda: len(asked(syncthing, FOLDER_ERRORS)) >= 20)
    poller.request([Read("status")])
    state.wait_for(seen.StatusRead)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 20


def test_only_reads_without_an_event_are_rate_limited(polling: Poll, state: Surroundings) -> None:
    """Reads that an event requests are done, whatever their number."""
    scans, others = {"scan_errors", "folder_statistics", "outdated_errors"}, {"last_file", "remote_state"}
    assert set(rate_limits()) == scans | others | {"completion_without_event", "late_completion"}
    polling().request([Read("folder", f"folder{number}") for number in range(100)])
    state.wait_for(seen.FolderRead, 100)


def test_reads_of_one_rate_limiter_do_not_delay_those_of_others(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """The rate limiter of scans may need hours, but users notice syncs and completions."""
    poller = polling()
    poller.request([Read("scan_errors", f"folder{number}") for number in range(1000)])
    eventually(lambda: len(asked(syncthing, FOLDER_ERRORS)) == 20)
    poller.request([Read("completion_without_event", "docs", "BETA")])
    state.wait_for(seen.CompletionRead)
    for number in range(1, 11):
        poller.request([Read("last_file")])
        state.wait_for(seen.FolderStatisticsRead, number)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 20


def test_the_last_file_of_many_syncs_is_rate_limited(
    polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that syncs again and again costs a few requests."""
    limit(monkeypatch, 3, 3600, "last_file")
    poller = polling()
    for number in range(1, 4):
        poller.request([Read("last_file")])
        state.wait_for(seen.FolderStatisticsRead, number)
    poller.request([Read("last_file"), Read("version")])
    state.wait_for(seen.VersionRead)
    assert len(state.of(seen.FolderStatisticsRead)) == 3


def test_rate_limited_reads_keep_their_order(
    polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads of another kind that share the rate limiter do not overtake."""
    limit(monkeypatch, 3, 0.05, "scan_errors", "folder_statistics")
    scans = [Read("scan_errors", f"folder{number}") for number in range(6)]
    polling().request([*scans[:2], Read("folder_statistics"), *scans[2:]])
    state.wait_for(seen.FolderErrorsRead, len(scans))
    assert state.kinds.index(seen.FolderStatisticsRead) == 2


class CountingBucket(TokenBucket):
    """A token bucket that counts its calls."""

    takes = 0

    def take(self, now: float, count: int = 1) -> bool:
        """Take tokens, and count the call."""
        self.takes += 1
        return super().take(now, count)


class CountingReads(OrderedDict[Read, None]):
    """Reads that count how many of them are visited by iteration."""

    visited = 0

    def __iter__(self) -> Iterator[Read]:
        for read in super().__iter__():
            self.visited += 1
            yield read


def test_a_rate_limited_queue_is_not_searched(
    polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first of 20,000 reads is considered each time, even if no read is permitted."""
    bucket = CountingBucket(burst=20, every_s=3600)
    waiting = CountingReads()
    queue = ReadQueue(bucket, waiting)
    monkeypatch.setattr(poll, "rate_limits", lambda: {"scan_errors": queue})
    poller = polling()
    poller.request([Read("scan_errors", f"folder{number}") for number in range(20_000)])
    state.wait_for(seen.FolderErrorsRead, 20)
    poller.request([Read("folder", f"folder{number}") for number in range(10)])
    state.wait_for(seen.FolderRead, 10)
    poller.stop()
    assert waiting.visited == 0
    assert len(queue.reads) == 20_000 - 20
    assert bucket.takes <= 20 + 2 * 10 + 50  # once per read, and once per wake-up
    assert next(iter(queue.reads)) == Read("scan_errors", "folder20")


def test_an_idle_syncthing_gets_at_most_240_requests_an_hour() -> None:
    """The limit covers intervals, long polls, and scans of any number of folders."""
    requests = {
        read.what: len([line for line in lines if line != "system/status"]) or 1  # the device ID is read once
        for read, (lines, _) in READS.items()
    }
    intervals = PollSettings().model_dump(exclude={"transfer", "statistics", "reconcile"})
    at_intervals = sum(3600 / seconds * requests[what] for what, seconds in intervals.items())
    statistics = 2 * 3600 / PollSettings().statistics
    reconciled = (1 + COMPLETIONS_PER_ROUND) * 3600 / PollSettings().reconcile
    bucket = rate_limits()["scan_errors"].limit
    assert bucket is not None
    while bucket.take(0):
        pass
    scans = 3600 / bucket.available_in(0)
    assert at_intervals + statistics + reconciled + 3600 / POLL_S + scans <= 240


# --- while the instance cannot be used


def test_nothing_is_read_while_the_instance_cannot_be_used(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """Reads that were requested meanwhile are done afterwards."""
    state.live = False
    poller = polling(connections=OFTEN)
    poller.request([Read("version"), Read("scan_errors", "docs")])
    wait_until_refused(poller, state)
    assert syncthing.server.requests == []
    state.live = True
    poller.wake()
    for kind in (seen.VersionRead, seen.FolderErrorsRead, seen.ConnectionsRead):
        state.wait_for(kind)


def test_the_device_id_is_read_again_after_an_outage(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """Another instance may answer at the same address then."""
    poller = polling(connections=OFTEN)
    state.wait_for(seen.ConnectionsRead)
    poller.wake()
    state.wait_for(seen.ConnectionsRead, 3)
    assert len(asked(syncthing, STATUS)) == 1
    state.live = False
    wait_until_refused(poller, state)
    state.live = True
    poller.wake()
    eventually(lambda: len(asked(syncthing, STATUS)) == 2)


def test_a_read_is_kept_while_the_instance_cannot_be_used(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """If the status cannot be read either, the follower checks the instance. No read is lost or reported as failed."""
    good = dict(syncthing.table)
    syncthing.table[VERSION] = syncthing.table[STATUS] = CSRF
    poller = polling()
    poller.request([Read("version"), Read("errors")])
    eventually(lambda: state.revalidations >= 2)
    state.live = False
    wait_until_refused(poller, state)
    assert seen.VersionRead not in state.kinds
    assert [one for one in state.of(seen.ReadFinished) if one.error] == []
    syncthing.table.update(good)
    state.live = True
    poller.wake()
    state.wait_for(seen.VersionRead)
    state.wait_for(seen.ErrorsRead)


# --- a read that fails although the instance can be used


@pytest.mark.parametrize("failure", [DATABASE_CLOSED, CSRF, refuses(504)])
def test_a_read_that_fails_is_repeated_until_it_succeeds(
    syncthing: PretendedSyncthing,
    polling: Poll,
    state: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    failure: Any,
) -> None:
    """Each attempt has a result, other reads continue, and the follower is not asked to check the instance."""
    monkeypatch.setattr(poll, "RETRY_S", OFTEN)
    answer = syncthing.table[FOLDER_ERRORS]
    assert callable(answer)
    syncthing.table[FOLDER_ERRORS] = [failure, failure, answer]
    read = Read("folder_errors", "docs")
    poller = polling()
    poller.request([read, Read("version")])
    state.wait_for(seen.FolderErrorsRead)
    state.wait_for(seen.ReadFinished, 4)
    results = [one for one in state.of(seen.ReadFinished) if one.read == read]
    assert [one.error is None for one in results] == [False, False, True]
    assert FOLDER_ERRORS in results[0].error
    assert state.wait_for(seen.VersionRead)
    assert state.revalidations == 0
    poller.request([Read("errors")])
    state.wait_for(seen.ErrorsRead)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 3


def test_a_read_that_fails_is_not_repeated_at_once(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """The next attempt would probably fail as well."""
    syncthing.table[FOLDER_ERRORS] = DATABASE_CLOSED
    poller = polling()
    poller.request([Read("folder_errors", "docs"), Read("version")])
    state.wait_for(seen.VersionRead)
    poller.request([Read("errors")])
    state.wait_for(seen.ErrorsRead)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 1


def test_a_read_at_intervals_that_fails_is_repeated_sooner(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its interval may be hours."""
    monkeypatch.setattr(poll, "RETRY_S", OFTEN)
    answer = syncthing.table[CONNECTIONS]
    assert callable(answer)
    syncthing.table[CONNECTIONS] = [DATABASE_CLOSED, answer]
    poller = polling()
    poller.request([Read("connections")])
    state.wait_for(seen.ConnectionsRead)


def test_a_failure_is_logged_once(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged again only if the read succeeded in between."""
    failure = refuses(500, "no errors today")
    syncthing.table[ERRORS] = failure
    with caplog.at_level(logging.WARNING):
        polling(errors=OFTEN)
        eventually(lambda: len(asked(syncthing, ERRORS)) >= 3)
        logged = [text for text in caplog.messages if "no errors today" in text]
        assert logged == [f"nas: cannot read errors: no errors today (GET {ERRORS})"]
        syncthing.table[ERRORS] = answers({"errors": None})
        state.wait_for(seen.ErrorsRead, 2)
        syncthing.table[ERRORS] = failure
        eventually(lambda: len([text for text in caplog.messages if "no errors today" in text]) == 2)


# --- stopping


def test_a_stop_does_not_wait_for_a_read_that_hangs(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings
) -> None:
    """The read is cut off, and nothing is reported any more."""
    syncthing.table[VERSION] = hangs
    poller = polling()
    poller.request([Read("version")])
    syncthing.server.wait_until_hanging()
    poller.stop()
    eventually(lambda: not poller.thread.alive)
    assert state == []


@pytest.mark.parametrize("live", [True, False])
def test_a_stop_ends_the_wait_for_something_to_do(polling: Poll, state: Surroundings, live: bool) -> None:
    """The next read may be due in an hour."""
    state.live = live
    poller = polling()
    poller.stop()
    eventually(lambda: not poller.thread.alive)


def test_a_stop_ends_the_wait_for_another_attempt(
    syncthing: PretendedSyncthing, polling: Poll, state: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that cannot be reached does not delay the stop."""
    pause_for(3600, monkeypatch)
    syncthing.table[VERSION] = syncthing.table[STATUS] = closes
    poller = polling()
    poller.request([Read("version")])
    eventually(lambda: state.revalidations)
    poller.stop()
    eventually(lambda: not poller.thread.alive)

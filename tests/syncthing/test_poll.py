"""The thread that reads by the clock and on request: what it asks for, how often, and how it fails."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.settings import PollSettings
from stbridge.syncthing import poll, retry
from stbridge.syncthing.event_stream import POLL_S
from stbridge.syncthing.poll import RECONCILE, THRIFTY, Poller
from tests.servers import eventually
from tests.syncthing.conftest import Connect
from tests.syncthing.pretended import FILE, FOLDER_ERRORS, FOLDER_STATUS, STATUS, PretendedSyncthing
from tests.syncthing.server import closes, hangs, refuses, says, stranger
from tests.syncthing.test_reads import READS

NEVER: Mapping[str, float] = {"connections": 3600, RECONCILE: 3600}
OFTEN = 0.01
CONNECTIONS = "/rest/system/connections"
VERSION = "/rest/system/version"
ERRORS = "/rest/system/error"
CSRF = stranger(403, "CSRF Error")

RECOVERED = seen.Resumed()
"""What stands among the reports for the call that tells that Syncthing answers again."""

Poll = Callable[..., Poller]


@pytest.fixture
def told() -> list[Observation]:
    """What a poller has reported."""
    return []


@pytest.fixture
def polling(syncthing: PretendedSyncthing, connect: Connect, told: list[Observation]) -> Iterator[Poll]:
    """Poll the pretended Syncthing."""
    pollers: list[Poller] = []

    def start(*, enabled: bool = True, **intervals: float) -> Poller:
        poller = Poller(
            "nas",
            connect(syncthing.url),
            intervals={**NEVER, **intervals},
            report=told.append,
            recovered=lambda: told.append(RECOVERED),
        )
        poller.start()
        poller.enable(enabled=enabled)
        pollers.append(poller)
        return poller

    yield start
    for poller in pollers:
        poller.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    try_again_after(OFTEN, monkeypatch)


def try_again_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set how long it takes until the next try."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(retry, name, seconds)


def wait_for(told: list[Observation], kind: type[Observation], count: int = 1) -> Any:
    """Wait until there are so many reports of a kind, and return the last of these."""
    eventually(lambda: sum(isinstance(one, kind) for one in told) >= count)
    return [one for one in told if isinstance(one, kind)][count - 1]


def asked(syncthing: PretendedSyncthing, path: str) -> list[str]:
    """Return the queries that a path was asked for with."""
    return [line.partition("?")[2] for line in syncthing.server.lines if line.split()[1].partition("?")[0] == path]


# --- by the clock


def test_what_has_no_event_is_read_again_and_again(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """Byte counters, for one, move by themselves."""
    polling(connections=OFTEN)
    wait_for(told, seen.ConnectionsRead, 3)
    assert asked(syncthing, FOLDER_STATUS) == []


def test_one_folder_after_the_other_is_read_again(syncthing: PretendedSyncthing, polling: Poll) -> None:
    """However many folders there are, it is one request each time, and in the end each has had its turn."""
    poller = polling(reconcile=OFTEN)
    poller.reconcile(["docs", "photos", "music"])
    eventually(lambda: len(asked(syncthing, FOLDER_STATUS)) >= 6)
    turns = [query.partition("=")[2] for query in asked(syncthing, FOLDER_STATUS)[:6]]
    assert turns == ["docs", "photos", "music"] * 2


def test_without_folders_there_is_nothing_to_be_read_again(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """A Syncthing without folders is polled all the same for the rest."""
    polling(reconcile=OFTEN, connections=OFTEN)
    wait_for(told, seen.ConnectionsRead, 3)
    assert asked(syncthing, FOLDER_STATUS) == []


def test_an_interval_can_be_made_shorter(polling: Poll, told: list[Observation]) -> None:
    """While something is transferred the counters are read more often, from now on and not after an hour."""
    poller = polling()
    poller.every("connections", OFTEN)
    wait_for(told, seen.ConnectionsRead, 2)


def test_an_interval_can_be_made_longer(polling: Poll, told: list[Observation]) -> None:
    """After the one read that was due soon, the next is far away."""
    poller = polling(connections=OFTEN)
    wait_for(told, seen.ConnectionsRead)
    for _ in range(2):
        poller.every("connections", 3600)
    poller.request([Read("version")])
    wait_for(told, seen.VersionRead)
    count = sum(isinstance(one, seen.ConnectionsRead) for one in told)
    poller.request([Read("errors")])
    wait_for(told, seen.ErrorsRead)
    poller.request([Read("status")])
    wait_for(told, seen.StatusRead)
    assert sum(isinstance(one, seen.ConnectionsRead) for one in told) <= count + 1


# --- on request


def test_only_so_many_files_wait_to_be_looked_up(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may send more conflict files than there is memory for; of a folder with more, it is told that it has."""
    monkeypatch.setattr(poll, "MOST_PATHS", 3)
    syncthing.table[FILE] = says({"local": {"name": "found"}})
    poller = polling(enabled=False)
    for _ in range(2):
        poller.request([Read("conflict", "docs", path=f"{number}") for number in range(100)])
    poller.request([Read("conflict", "photos", path="x"), Read("version")])
    poller.enable(enabled=True)
    wait_for(told, seen.VersionRead)
    assert [one.path for one in told if isinstance(one, seen.ConflictRead)] == ["0", "1", "2"]
    assert [one for one in told if isinstance(one, seen.ConflictsRead)] == [
        seen.ConflictsRead(folder=folder, paths=None) for folder in ("docs", "photos")
    ]
    poller.request([Read("conflict", "docs", path="later")])
    wait_for(told, seen.ConflictRead, 4)


def test_what_is_refused_again_and_again_is_logged_once(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], caplog: pytest.LogCaptureFixture
) -> None:
    """One line tells that something is refused, however often it is tried; when it works again, so may the next."""
    refused = refuses(500, "no errors today")
    syncthing.table[ERRORS] = refused
    poller = polling(errors=OFTEN)
    eventually(lambda: len(asked(syncthing, ERRORS)) >= 3)
    assert [text for text in caplog.messages if "no errors today" in text] == ["errors: no errors today"]
    syncthing.table[ERRORS] = says({"errors": None})
    wait_for(told, seen.ErrorsRead, 2)
    syncthing.table[ERRORS] = refused
    eventually(lambda: len([text for text in caplog.messages if "no errors today" in text]) == 2)
    poller.stop()


def test_what_is_asked_for_often_is_read_once(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """A burst of events about the same thing costs one request."""
    poller = polling(enabled=False)
    for _ in range(100):
        poller.request([Read("version"), Read("folder", "docs")])
    poller.request([Read("folder", "photos")])
    poller.enable(enabled=True)
    wait_for(told, seen.FolderRead, 2)
    assert syncthing.server.lines == [
        f"GET {VERSION}",
        f"GET {FOLDER_STATUS}?folder=docs",
        f"GET {FOLDER_STATUS}?folder=photos",
    ]


def test_what_every_scan_asks_for_does_not_grow_with_the_folders(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """A thousand folders that are scanned cost some requests out of an allowance, and hold up nothing else."""
    polling().request([*(Read("scan_errors", f"folder{number}") for number in range(1000)), Read("version")])
    wait_for(told, seen.VersionRead)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 20


def test_only_what_scans_ask_for_is_rationed(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """What an event tells to have changed is read, however many there are."""
    assert {"scan_errors", "statistics"} == set(THRIFTY)
    polling().request([Read("folder", f"folder{number}") for number in range(100)])
    wait_for(told, seen.FolderRead, 100)


def test_the_last_file_of_a_sync_does_not_wait_for_what_scans_ask_for(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scans have their own allowance, which is meant for hours; syncs are what people look at."""
    monkeypatch.setattr(poll, "SYNCED_EVERY_S", 0.05)
    poller = polling()
    poller.request(Read("scan_errors", f"folder{number}") for number in range(1000))
    eventually(lambda: len(asked(syncthing, FOLDER_ERRORS)) == 20)
    for number in range(1, 2 * poll.SYNCED_AT_ONCE):
        poller.request([Read("last_file")])
        wait_for(told, seen.FolderStatisticsRead, number)
    assert len(asked(syncthing, FOLDER_ERRORS)) == 20


def test_many_syncs_ask_for_the_last_file_no_more_often_than_they_may(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that syncs again and again costs some requests, and what waits for its turn holds up nothing else."""
    monkeypatch.setattr(poll, "SYNCED_EVERY_S", 3600)
    poller = polling()
    for number in range(1, poll.SYNCED_AT_ONCE + 1):
        poller.request([Read("last_file")])
        wait_for(told, seen.FolderStatisticsRead, number)
    poller.request([Read("last_file"), Read("version")])
    wait_for(told, seen.VersionRead)
    assert sum(isinstance(one, seen.FolderStatisticsRead) for one in told) == poll.SYNCED_AT_ONCE


def test_what_is_rationed_goes_in_its_order(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes two requests is not passed by again and again by what takes one."""
    monkeypatch.setattr(poll, "THRIFTY_AT_ONCE", 3)
    monkeypatch.setattr(poll, "THRIFTY_EVERY_S", 0.05)
    scans = [Read("scan_errors", f"folder{number}") for number in range(6)]
    polling().request([*scans[:2], Read("folder_statistics"), *scans[2:]])
    wait_for(told, seen.FolderErrorsRead, len(scans))
    kinds = [type(one) for one in told]
    assert kinds.index(seen.FolderStatisticsRead) == 3


def test_an_idle_syncthing_gets_at_most_240_requests_an_hour() -> None:
    """So many for what has no event, for the wait for events, and for all the scans of however many folders."""
    requests = {
        read.what: len([line for line in lines if line != "system/status"]) or 1  # whose it is, is asked for once
        for read, (lines, _) in READS.items()
    }
    assert {what: requests[what] for what in THRIFTY} == THRIFTY
    intervals = PollSettings().model_dump(exclude={"transfer"})
    by_the_clock = sum(3600 / seconds * requests.get(what, 1) for what, seconds in intervals.items())
    assert by_the_clock + 3600 / POLL_S + 3600 / poll.THRIFTY_EVERY_S <= 240


# --- on and off


def test_nothing_is_read_while_it_is_turned_off(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """Where nobody answers one need not ask; what was asked for meanwhile is read afterwards."""
    poller = polling(enabled=False, connections=OFTEN)
    poller.request([Read("version")])
    assert syncthing.server.requests == []
    poller.enable(enabled=True)
    wait_for(told, seen.VersionRead)
    wait_for(told, seen.ConnectionsRead)


def test_another_syncthing_may_answer_when_it_is_turned_on_again(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """Whose device it is is asked anew, but only then."""
    poller = polling(connections=OFTEN)
    wait_for(told, seen.ConnectionsRead)
    poller.enable(enabled=True)
    wait_for(told, seen.ConnectionsRead, len(told) + 2)
    assert len(asked(syncthing, STATUS)) == 1
    poller.enable(enabled=False)
    poller.enable(enabled=True)
    eventually(lambda: len(asked(syncthing, STATUS)) == 2)


# --- what fails


def test_a_read_that_fails_is_told_made_again_and_told_to_be_mended(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """Nothing that was asked for is lost, and the way is told to be open again."""
    version = syncthing.table[VERSION]
    assert callable(version)
    syncthing.table[VERSION] = [CSRF, CSRF, version]
    polling().request([Read("version")])
    wait_for(told, seen.Available)
    assert [type(one) for one in told] == [seen.Unavailable, seen.Unavailable, seen.VersionRead, seen.Available]
    blocked = wait_for(told, seen.Unavailable)
    assert (blocked.way, blocked.status, told[-1]) == (seen.POLLS, "unauthorized", RECOVERED)


def test_a_way_that_was_never_blocked_is_not_told_to_be_open(polling: Poll, told: list[Observation]) -> None:
    """No news while all is well."""
    polling().request([Read("version"), Read("errors")])
    wait_for(told, seen.ErrorsRead)
    assert [type(one) for one in told] == [seen.VersionRead, seen.ErrorsRead]


def test_a_read_that_syncthing_refuses_is_logged_and_left(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], caplog: pytest.LogCaptureFixture
) -> None:
    """The same read would be refused again; the others go on."""
    syncthing.table[FOLDER_ERRORS] = refuses(500, "database is closed")
    with caplog.at_level(logging.WARNING):
        polling().request([Read("folder_errors", "docs"), Read("version")])
        wait_for(told, seen.VersionRead)
    assert "folder_errors: database is closed" in caplog.text
    assert len(asked(syncthing, FOLDER_ERRORS)) == 1
    assert [type(one) for one in told] == [seen.VersionRead]


def test_a_syncthing_that_refuses_is_there(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """A refusal is an answer: the way is open."""
    syncthing.table[FOLDER_ERRORS] = [CSRF, refuses(500, "database is closed")]
    polling().request([Read("folder_errors", "docs")])
    wait_for(told, seen.Available)
    assert [type(one) for one in told] == [seen.Unavailable, seen.Available]


# --- what is waited for


def test_what_is_asked_for_and_what_follows_from_that_is_read_before_it_is_settled(
    polling: Poll, told: list[Observation]
) -> None:
    """Whoever waits for that turns the reading on; what is read may lead to more that has to be read."""
    poller = polling(enabled=False)
    follows = [[Read("version")], [Read("errors"), Read("status")], []]

    def give_way(_longest_s: float) -> bool:
        poller.request(follows.pop(0))
        return True

    poller.settle(give_way, 30)
    assert {type(one) for one in told} == {seen.VersionRead, seen.ErrorsRead, seen.StatusRead}
    assert follows == []


def test_what_cannot_be_read_is_not_waited_for_for_ever(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """The events go on, and the other way is told to be blocked."""
    syncthing.table[VERSION] = CSRF
    poller = polling()
    poller.request([Read("version")])
    poller.settle(lambda _: True, 0.2)
    wait_for(told, seen.Unavailable)


def test_a_read_that_may_wait_for_ever_is_made_anew(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """Its connection may have died without a word, as that of the events has."""
    version = syncthing.table[VERSION]
    assert callable(version)
    syncthing.table[VERSION] = [hangs, version]
    poller = polling()
    poller.request([Read("version")])
    eventually(lambda: asked(syncthing, VERSION))
    poller.settle(lambda _: True, 30)
    assert [type(one) for one in told] == [seen.VersionRead]


def test_a_try_is_not_waited_for_when_syncthing_is_known_to_be_there_again(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way to it has found that out, and what is true is to be told soon."""
    try_again_after(3600, monkeypatch)
    version = syncthing.table[VERSION]
    assert callable(version)
    syncthing.table[VERSION] = [CSRF, version]
    poller = polling()
    poller.request([Read("version")])
    wait_for(told, seen.Unavailable)
    poller.enable(enabled=False)
    poller.enable(enabled=True)
    wait_for(told, seen.VersionRead)


# --- the end


def test_a_stop_does_not_wait_for_a_read_that_hangs(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation]
) -> None:
    """The read would take its time: it is broken off, and nothing is reported any more."""
    syncthing.table[VERSION] = hangs
    poller = polling()
    poller.request([Read("version")])
    syncthing.server.wait_until_hanging()
    poller.stop()
    eventually(lambda: not poller.alive)
    assert told == []


@pytest.mark.parametrize("enabled", [True, False])
def test_a_stop_ends_the_wait_for_something_to_do(polling: Poll, enabled: bool) -> None:
    """Whoever has nothing to do for an hour ends at once."""
    poller = polling(enabled=enabled)
    poller.stop()
    eventually(lambda: not poller.alive)


def test_a_stop_ends_the_wait_for_another_try(
    syncthing: PretendedSyncthing, polling: Poll, told: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Syncthing that is away does not keep the bridge."""
    try_again_after(3600, monkeypatch)
    syncthing.table[VERSION] = closes
    poller = polling()
    poller.request([Read("version")])
    wait_for(told, seen.Unavailable)
    poller.stop()
    eventually(lambda: not poller.alive)

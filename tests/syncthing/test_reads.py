"""The reads of a Syncthing instance: their calls, their observations, and their reactions to failures."""

from collections.abc import Iterator
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS
from stbridge.core.observations import Observation, Read
from stbridge.errors import BadReply, Rejected, SyncthingError, TimedOut, Unauthorized
from stbridge.syncthing import SyncthingClient, reads, retry
from stbridge.syncthing.reads import Reader
from tests.syncthing.conftest import Connect, Serve
from tests.syncthing.pretended import (
    AN_UPGRADE,
    BROWSE,
    COMPLETION,
    CONFIG,
    DOCUMENTS,
    FILE,
    FOLDER_ERRORS,
    FOLDER_STATISTICS,
    FOLDER_STATUS,
    STATUS,
    UPGRADE,
    VERSIONS,
    PretendedSyncthing,
    document,
)
from tests.syncthing.server import Answer, Behaviour, answers, hangs, refuses, stranger

READS: dict[Read, tuple[list[str], list[type[Observation]]]] = {
    Read("version"): (["system/version"], [seen.VersionRead]),
    Read("status"): (["system/status"], [seen.StatusRead]),
    Read("config"): (["config", "system/status"], [seen.ConfigRead]),
    Read("restart_required"): (["config/restart-required"], [seen.RestartRequiredRead]),
    Read("connections"): (["system/connections", "system/status"], [seen.ConnectionsRead]),
    Read("errors"): (["system/error"], [seen.ErrorsRead]),
    Read("pending_devices"): (["cluster/pending/devices"], [seen.PendingDevicesRead]),
    Read("pending_folders"): (["cluster/pending/folders"], [seen.PendingFoldersRead]),
    Read("device_statistics"): (["stats/device"], [seen.DeviceStatisticsRead]),
    Read("folder_statistics"): (["stats/folder"], [seen.FolderStatisticsRead]),
    Read("last_file"): (["stats/folder"], [seen.FolderStatisticsRead]),
    Read("folder", "docs"): (["db/status?folder=docs"], [seen.FolderRead]),
    Read("folder_errors", "docs"): (["folder/errors?folder=docs"], [seen.FolderErrorsRead]),
    Read("scan_errors", "docs"): (["folder/errors?folder=docs"], [seen.FolderErrorsRead]),
    Read("outdated_errors", "docs"): (["folder/errors?folder=docs"], [seen.FolderErrorsRead]),
    Read("conflict", "docs", path="a.txt"): (["db/file?folder=docs&file=a.txt"], [seen.ConflictRead]),
    Read("conflicts", "docs"): (["db/browse?folder=docs"], [seen.ConflictsRead]),
    Read("conflicts_lost", "docs"): ([], [seen.ConflictsRead]),
    Read("upgrade"): (["system/upgrade"], [seen.UpgradeRead]),
    Read("completion", "docs", "BETA"): (["db/completion?device=BETA&folder=docs"], [seen.CompletionRead]),
    Read("completion_without_event", "docs", "BETA"): (
        ["db/completion?device=BETA&folder=docs"],
        [seen.CompletionRead],
    ),
    Read("late_completion", "docs", "BETA"): (["db/completion?device=BETA&folder=docs"], [seen.CompletionRead]),
    Read("remote_state", "docs", "BETA"): (["db/completion?device=BETA&folder=docs"], [seen.CompletionRead]),
}
"""The calls and the observation types of each read."""

ASKING = [read for read, (paths, _) in READS.items() if paths]

RUBBISH = [None, True, -1, "rubbish", "9999-12-31T23:59:59-12:00", [], [None], {}, {"rubbish": None}]


@pytest.fixture
def reader(syncthing: PretendedSyncthing, connect: Connect) -> Reader:
    """A reader of the scripted Syncthing instance."""
    return Reader(connect(syncthing.url), "nas")


def ids(read: Read) -> str:
    """Return the name of a read as the ID of its test."""
    return read.what


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("read", READS, ids=ids)
def test_each_read_has_its_calls_and_observations(serve: Serve, connect: Connect, version: str, read: Read) -> None:
    """The recorded answers of real Syncthing instances of every version are decoded."""
    syncthing = PretendedSyncthing(serve, version)
    requests, kinds = READS[read]
    observed = list(Reader(connect(syncthing.url), "nas").read(read))
    assert [type(one) for one in observed] == kinds
    assert [line.removeprefix("GET /rest/") for line in syncthing.server.lines] == requests


def test_every_row_of_the_table_of_reads_is_tested() -> None:
    """A new read needs a row above, and its call for messages."""
    assert {read.what for read in READS} == set(reads._ROWS)  # noqa: SLF001 - its keys are the available reads
    calls = {read.what: paths[0].partition("?")[0] for read, (paths, _) in READS.items() if paths}
    assert calls == reads._CALLS  # noqa: SLF001 - as above


def test_the_device_id_is_read_once(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The ID of an instance does not change, but another instance may answer after an outage."""
    assert reader.own_id == reader.own_id == document("system_status")["myID"]
    assert syncthing.server.lines == [f"GET {STATUS}"]
    reader.forget()
    assert reader.own_id
    assert syncthing.server.lines == [f"GET {STATUS}"] * 2


def test_the_failed_items_of_a_folder_are_read_with_it(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The count does not contain the paths."""
    syncthing.table[FOLDER_STATUS] = answers({**document("db_status_idle"), "errors": 2})
    assert list(map(type, reader.read(Read("folder", "docs")))) == [
        seen.FolderRead,
        seen.FolderErrorsRead,
        seen.ReadFinished,
    ]


@pytest.mark.parametrize("read", [read for read in ASKING if read.folder and not read.path], ids=ids)
def test_a_paused_or_removed_folder_gives_no_observation(
    syncthing: PretendedSyncthing, reader: Reader, read: Read
) -> None:
    """The folder may be removed between the event and the read, and other events report the removal."""
    for path in (FOLDER_STATUS, FOLDER_ERRORS, COMPLETION, BROWSE):
        syncthing.table[path] = refuses(404, "folder is paused")
    assert list(reader.read(read)) == []


@pytest.mark.parametrize("read", ASKING, ids=ids)
def test_a_failed_read_raises_its_error(syncthing: PretendedSyncthing, reader: Reader, read: Read) -> None:
    """A failed read raises its error, and returns no observation."""
    for path in (*DOCUMENTS, UPGRADE):
        syncthing.table[path] = refuses(500, "database is closed")
    with pytest.raises(Rejected, match="database is closed"):
        list(reader.read(read))


def test_an_unknown_conflict_file_does_not_exist(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """Syncthing eventually removes deleted files from the index."""
    syncthing.table[FILE] = refuses(404, "No such object in the index")
    (observed,) = reader.read(Read("conflict", "docs", path="a.txt"))
    assert observed == seen.ConflictRead(folder="docs", path="a.txt", present=False)


@pytest.mark.parametrize(
    ("read", "call", "status"),
    [(Read("conflict", "docs", path="a.txt"), FILE, 404), (Read("conflicts", "docs"), BROWSE, 500)],
    ids=["file", "folder"],
)
def test_a_folder_that_was_just_paused_has_no_known_conflicts(
    syncthing: PretendedSyncthing, reader: Reader, read: Read, call: str, status: int
) -> None:
    """The answer neither clears the conflict files that are known nor counts as a failed read."""
    syncthing.table[call] = refuses(status, "no such folder")
    assert list(reader.attempt(read)) == [seen.ReadFinished(read=read)]


@pytest.mark.parametrize("status", [501, 503])
def test_a_build_that_cannot_upgrade_has_no_latest_version(
    syncthing: PretendedSyncthing, reader: Reader, status: int
) -> None:
    """The status of the refusal differs by version."""
    syncthing.table[UPGRADE] = refuses(status, "upgrade unsupported")
    assert list(reader.read(Read("upgrade"))) == [seen.UpgradeRead(latest=None)]


class Slow(SyncthingClient):
    """A client whose calls all time out."""

    def _call(self, method: str, path: str, *_: Any, **__: Any) -> Any:  # noqa: ARG002 - as it is called
        raise TimedOut(f"{path} did not answer")


@pytest.mark.parametrize(
    ("read", "observed"),
    [
        (Read("conflicts", "docs"), [seen.ConflictsRead(folder="docs", paths=None)]),
        (Read("upgrade"), []),
        (Read("late_completion", "docs", "BETA"), []),
    ],
)
def test_a_timeout_of_a_slow_read_does_not_make_syncthing_unreachable(read: Read, observed: list[Observation]) -> None:
    """Neither a slow disk, nor a missing Internet connection, nor a long computation makes Syncthing unavailable."""
    assert list(Reader(Slow(""), "nas").read(read)) == observed


class FixedAnswers(SyncthingClient):
    """A client with fixed answers, because a server would be too slow for thousands of calls."""

    def __init__(self) -> None:
        super().__init__("")
        self.answers: dict[str, Any] = {path: document(name) for path, name in DOCUMENTS.items()}
        self.answers[UPGRADE] = AN_UPGRADE

    def _call(self, method: str, path: str, *_: Any, **__: Any) -> Any:  # noqa: ARG002 - as it is called
        return self.answers[f"/rest/{path}"]


@pytest.mark.parametrize("read", ASKING, ids=ids)
def test_rubbish_raises_only_bad_reply(read: Read) -> None:
    """With any JSON in any place of an answer, a read returns observations or raises BadReply."""
    for request in READS[read][0]:
        path = f"/rest/{request.partition('?')[0]}"
        client, results = FixedAnswers(), set()
        for malformed in (*RUBBISH, *spoilt(client.answers[path])):
            client.answers[path] = malformed
            results.add(type(end_of(Reader(client, "nas").read(read))))
        assert results == {type(None), BadReply}


def spoilt(good: Any) -> Iterator[Any]:
    """Yield a document with rubbish in each place, one place at a time."""
    places = good.items() if isinstance(good, dict) else enumerate(good) if isinstance(good, list) else ()
    for place, value in places:
        for malformed in (*RUBBISH, *spoilt(value)):
            whole = good.copy()
            whole[place] = malformed
            yield whole


def end_of(observed: Iterator[Observation]) -> SyncthingError | None:
    """Return the error of a read, or None."""
    try:
        list(observed)
    except SyncthingError as error:
        return error
    return None


# --- reads that may fail


def test_an_attempt_that_succeeds_is_finished_without_an_error(reader: Reader) -> None:
    """The result shows the end of an earlier failure."""
    read = Read("errors")
    *found, finished = reader.attempt(read)
    assert [type(one) for one in found] == [seen.ErrorsRead]
    assert finished == seen.ReadFinished(read=read)


def test_a_timeout_of_a_slow_read_is_not_a_failure() -> None:
    """A timeout of the search for conflict files is an observation."""
    reader = Reader(Slow(""), "nas")
    read = Read("conflicts", "docs")
    assert list(reader.attempt(read)) == [seen.ConflictsRead(folder="docs", paths=None), seen.ReadFinished(read=read)]


# --- snapshots


def test_each_share_is_read_except_those_of_paused_folders(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """A paused folder has no counts, and Syncthing answers some calls with 404."""
    syncthing.has_folders(docs=False, photos=True, music=False)
    found = list(reader.snapshot())
    assert [one.folder for one in found if isinstance(one, seen.FolderRead)] == ["docs", "music"]
    assert [one.folder for one in found if isinstance(one, seen.CompletionRead)] == ["docs", "music"]


@pytest.mark.parametrize("as_argument", [True, False])
def test_completions_beyond_the_limit_are_left_for_later(
    syncthing: PretendedSyncthing, reader: Reader, monkeypatch: pytest.MonkeyPatch, as_argument: bool
) -> None:
    """Reading thousands of them would take longer than Syncthing's event buffer lasts."""
    syncthing.has_folders(docs=False, photos=False, music=False)
    if not as_argument:
        monkeypatch.setattr(reads, "MAX_COMPLETIONS", 1)
    *found, last = reader.snapshot(max_completions=1 if as_argument else None)
    assert [one.folder for one in found if isinstance(one, seen.CompletionRead)] == ["docs"]
    assert isinstance(last, seen.Stale)
    assert [(read.what, read.folder) for read in last.reads] == [("completion", "photos"), ("completion", "music")]


@pytest.fixture
def many(syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch) -> PretendedSyncthing:
    """An instance with more folders than a snapshot reads one by one without asking for sums first."""
    monkeypatch.setattr(reads, "FEW_COMPLETIONS", 1)
    syncthing.has_folders(docs=False, photos=False)
    return syncthing


def completions_asked_for(syncthing: PretendedSyncthing) -> list[str]:
    """Return the folder of each request for a completion; empty for the sums over all folders of a device."""
    asked = [request for request in syncthing.server.requests if request.path == COMPLETION]
    return [request.parameters.get("folder", "") for request in asked]


def test_a_complete_device_needs_one_request(many: PretendedSyncthing, reader: Reader) -> None:
    """With 1,000 folders on 100 devices, one request each would take two minutes."""
    found = list(reader.snapshot(max_completions=0))
    (device,) = [one for one in found if isinstance(one, seen.DeviceCompletionRead)]
    assert device.complete is True
    assert completions_asked_for(many) == [""]
    assert found[-1] == seen.Stale(reads=())


def test_the_folders_of_an_incomplete_device_are_read_one_by_one(many: PretendedSyncthing, reader: Reader) -> None:
    """The sums do not show which folder the device needs."""
    many.table[COMPLETION] = answers({**document("db_completion"), "needDeletes": 1})
    found = list(reader.snapshot())
    assert completions_asked_for(many) == ["", "docs", "photos"]
    assert [one.complete for one in found if isinstance(one, seen.DeviceCompletionRead)] == [False]


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize(
    ("failure", "complete"),
    [
        (refuses(404, "folder is paused"), False),
        (refuses(500, "database is closed"), False),
        (stranger(500, "Internal Server Error"), False),
        (answers(7), False),
        (refuses(504), None),
    ],
    ids=str,
)
def test_failed_sums_are_no_failure(
    many: PretendedSyncthing, reader: Reader, failure: Behaviour, complete: bool | None
) -> None:
    """One paused or broken folder can be the reason, so only the read of each folder is reported as failed."""
    many.table[COMPLETION] = [failure, answers(document("db_completion"))]
    *found, last = reader.snapshot()
    assert [one.complete for one in found if isinstance(one, seen.DeviceCompletionRead)] == [complete]
    assert [one.folder for one in found if isinstance(one, seen.CompletionRead)] == ["docs", "photos"]
    assert (failures(found), last) == ([], seen.Stale(reads=()))


def test_a_snapshot_reads_the_device_id_again(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """After an outage another instance may answer at the same address."""
    assert reader.own_id
    list(reader.snapshot())
    assert syncthing.server.lines.count(f"GET {STATUS}") == 3


@pytest.mark.parametrize("path", [FOLDER_STATUS, FOLDER_ERRORS, COMPLETION])
def test_a_folder_that_is_removed_during_a_snapshot_is_no_failure(
    syncthing: PretendedSyncthing, reader: Reader, path: str
) -> None:
    """Syncthing answers 404 with its reason, and an event reports the removal."""
    syncthing.has_folders(docs=False)
    syncthing.table[FOLDER_STATUS] = answers({**document("db_status_idle"), "errors": 2})
    syncthing.table[path] = refuses(404, "no such folder")
    *found, last = reader.snapshot()
    assert failures(found) == []
    assert last == seen.Stale(reads=())


PENDING_DEVICES = "/rest/cluster/pending/devices"
CONNECTIONS = "/rest/system/connections"
ERRORS = "/rest/system/error"

READ_OF: dict[str, str] = {
    FOLDER_STATUS: "folder",
    FOLDER_ERRORS: "folder_errors",
    COMPLETION: "completion",
    FOLDER_STATISTICS: "folder_statistics",
    "/rest/stats/device": "device_statistics",
    PENDING_DEVICES: "pending_devices",
    "/rest/cluster/pending/folders": "pending_folders",
    CONNECTIONS: "connections",
    ERRORS: "errors",
    "/rest/config/restart-required": "restart_required",
}
"""The calls of a snapshot that do not affect the availability of the instance, and their reads."""

FAILURES: dict[str, Behaviour] = {
    "500": refuses(500, "database is closed"),
    "500 of a proxy": stranger(500, "Internal Server Error"),
    "403 of a proxy": stranger(403, "CSRF Error"),
    "malformed": Answer(body=b'{"globalBytes": '),
    "wrong shape": answers(7),
    "too large": Answer(body=b'["' + b"x" * 200_000 + b'"]'),
    "time-out of a proxy": refuses(504),
    "time-out": hangs,
}

CASES: dict[str, tuple[str, Behaviour]] = {
    **{f"{path}: {kind}": (path, failure) for path in READ_OF for kind, failure in FAILURES.items()},
    **{
        f"{path}: 404": (path, refuses(404, "no such thing"))
        for path in READ_OF
        if path not in {FOLDER_STATUS, FOLDER_ERRORS, COMPLETION}
    },
    f"{CONNECTIONS}: wrong content": (CONNECTIONS, answers({"connections": 1})),
}
"""Calls and their failures; a 404 for a folder is no failure."""

CSRF = stranger(403, "CSRF Error")


def failures(found: list[Observation]) -> list[seen.ReadFinished]:
    """Return the failed reads."""
    return [one for one in found if isinstance(one, seen.ReadFinished) and one.error is not None]


def completed(found: list[Observation]) -> set[str]:
    """Return the names of the reads that did not fail."""
    return {one.read.what for one in found if isinstance(one, seen.ReadFinished) and one.error is None}


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no second attempt of a call."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1)


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize("case", CASES)
def test_a_failed_call_of_a_snapshot_affects_only_its_read(
    syncthing: PretendedSyncthing, connect: Connect, case: str
) -> None:
    """The error of the read names the call, the read is left for later, and everything else is read."""
    path, failure = CASES[case]
    syncthing.has_folders(docs=False)
    syncthing.table[FOLDER_STATUS] = answers({**document("db_status_idle"), "errors": 2})
    syncthing.table[path] = failure
    timeout_s = 2 if failure is hangs else 30
    reader = Reader(connect(syncthing.url, timeout_s=timeout_s, largest_answer=100_000), "nas")
    *found, last = reader.snapshot()
    (failed,) = failures(found)
    assert failed.read.what == READ_OF[path]
    assert path in (failed.error or "")
    assert failed.timed_out is ("time-out" in case)
    if failure is hangs:
        assert (failed.error or "").startswith("syncthing.nas.timeout_s: ")
    assert last == seen.Stale(reads=(failed.read,))
    not_asked_for = {"folder_errors"} if path == FOLDER_STATUS else set()
    assert completed(found) == set(READ_OF.values()) - {failed.read.what} - not_asked_for


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize("failure", [CSRF, stranger(500, "Internal Server Error"), refuses(504), answers(7)])
@pytest.mark.parametrize(("status", "error"), [(CSRF, Unauthorized), (answers(7), BadReply), (refuses(504), TimedOut)])
def test_a_failure_is_raised_if_the_status_cannot_be_read_either(
    syncthing: PretendedSyncthing,
    reader: Reader,
    failure: Behaviour,
    status: Behaviour,
    error: type[SyncthingError],
) -> None:
    """The status decides whether the instance can be used, and its error is reported."""
    syncthing.table[PENDING_DEVICES] = failure
    answer = syncthing.table[STATUS]
    assert callable(answer)
    syncthing.table[STATUS] = [answer, answer, status]
    with pytest.raises(error):
        list(reader.snapshot())


@pytest.mark.parametrize("path", ["/rest/system/version", STATUS, CONFIG])
def test_a_snapshot_needs_version_status_and_configuration(
    syncthing: PretendedSyncthing, reader: Reader, path: str
) -> None:
    """All other reads depend on the configuration."""
    syncthing.table[path] = refuses(500, "database is closed")
    with pytest.raises(Rejected):
        list(reader.snapshot())


def test_after_some_timeouts_the_remaining_reads_are_left_for_later(
    syncthing: PretendedSyncthing, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for each of many calls would take longer than Syncthing's event buffer lasts."""
    monkeypatch.setattr(reads, "MAX_TIMEOUTS", 2)
    syncthing.has_folders(docs=False, photos=False)
    syncthing.table[ERRORS] = syncthing.table[PENDING_DEVICES] = refuses(504)
    *found, last = reader.snapshot()
    assert isinstance(last, seen.Stale)
    assert completed(found) == {"connections", "restart_required"}
    left = [read.what for read in last.reads]
    assert left[:3] == ["errors", "pending_devices", "pending_folders"]
    assert sorted(left[3:]) == sorted(["folder", "completion"] * 2 + ["device_statistics", "folder_statistics"])
    assert [one.read for one in failures(found)] == list(last.reads)
    skipped = [one for one in failures(found) if not one.timed_out]
    assert {one.error for one in skipped} == {"not read yet: 2 requests timed out"}
    asked = {request.path for request in syncthing.server.requests}
    assert {FOLDER_STATUS, COMPLETION, FOLDER_STATISTICS}.isdisjoint(asked)


def test_every_change_of_a_command_can_be_read() -> None:
    """Each change of a command is a row of the table of reads; an unknown one would stop the poller."""
    assert {what for command in COMMANDS for what in command.changes} <= {read.what for read in READS}

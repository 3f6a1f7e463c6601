"""What can be read of a Syncthing: which requests it takes, what comes of them, and what does when they fail."""

from collections.abc import Iterator
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.errors import BadReply, NotFound, Rejected, SyncthingError, TimedOut
from stbridge.syncthing import SyncthingClient, reads
from stbridge.syncthing.reads import Reader
from tests.syncthing.conftest import Connect, Serve
from tests.syncthing.pretended import (
    AN_UPGRADE,
    BROWSE,
    COMPLETION,
    DOCUMENTS,
    FILE,
    FOLDER_ERRORS,
    FOLDER_STATUS,
    STATUS,
    UPGRADE,
    VERSIONS,
    PretendedSyncthing,
    document,
)
from tests.syncthing.server import refuses, says

READS: dict[Read, tuple[list[str], list[type[Observation]]]] = {
    Read("version"): (["system/version"], [seen.VersionRead]),
    Read("status"): (["system/status"], [seen.StatusRead]),
    Read("config"): (["config", "system/status"], [seen.ConfigRead]),
    Read("restart_required"): (["config/restart-required"], [seen.RestartRequiredRead]),
    Read("connections"): (["system/connections", "system/status"], [seen.ConnectionsRead]),
    Read("errors"): (["system/error"], [seen.ErrorsRead]),
    Read("pending"): (
        ["cluster/pending/devices", "cluster/pending/folders"],
        [seen.PendingDevicesRead, seen.PendingFoldersRead],
    ),
    Read("folder_statistics"): (
        ["stats/device", "stats/folder"],
        [seen.DeviceStatisticsRead, seen.FolderStatisticsRead],
    ),
    Read("last_file"): (["stats/folder"], [seen.FolderStatisticsRead]),
    Read("folder", "docs"): (["db/status?folder=docs"], [seen.FolderRead]),
    Read("folder_errors", "docs"): (["folder/errors?folder=docs"], [seen.FolderErrorsRead]),
    Read("scan_errors", "docs"): (["folder/errors?folder=docs"], [seen.FolderErrorsRead]),
    Read("conflict", "docs", path="a.txt"): (["db/file?folder=docs&file=a.txt"], [seen.ConflictRead]),
    Read("conflicts", "docs"): (["db/browse?folder=docs"], [seen.ConflictsRead]),
    Read("conflicts_lost", "docs"): ([], [seen.ConflictsRead]),
    Read("upgrade"): (["system/upgrade"], [seen.UpgradeRead]),
    Read("completion", "docs", "BETA"): (["db/completion?device=BETA&folder=docs"], [seen.CompletionRead]),
}
"""What each read asks for, and what it tells."""

ASKING = [read for read, (paths, _) in READS.items() if paths]

RUBBISH = [None, True, -1, "rubbish", "9999-12-31T23:59:59-12:00", [], [None], {}, {"rubbish": None}]


@pytest.fixture
def reader(syncthing: PretendedSyncthing, connect: Connect) -> Reader:
    """A reader of the pretended Syncthing."""
    return Reader(connect(syncthing.url))


def ids(read: Read) -> str:
    """Name a row after its read."""
    return read.what


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("read", READS, ids=ids)
def test_each_read_asks_for_little_and_tells_what_it_is_about(
    serve: Serve, connect: Connect, version: str, read: Read
) -> None:
    """What real Syncthings answered is understood, whichever version it was."""
    syncthing = PretendedSyncthing(serve, version)
    requests, kinds = READS[read]
    told = list(Reader(connect(syncthing.url)).read(read))
    assert [type(one) for one in told] == kinds
    assert [line.removeprefix("GET /rest/") for line in syncthing.server.lines] == requests


def test_the_table_of_reads_is_tested_whole() -> None:
    """A new read has its row above."""
    assert {read.what for read in READS} == set(reads._ROWS)  # noqa: SLF001 - its keys are what one can ask for


def test_whose_device_it_is_is_asked_once(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The ID of a Syncthing does not change, but another one may answer after an absence."""
    assert reader.own_id == reader.own_id == document("system_status")["myID"]
    assert syncthing.server.lines == [f"GET {STATUS}"]
    reader.forget()
    assert reader.own_id
    assert syncthing.server.lines == [f"GET {STATUS}"] * 2


def test_a_folder_with_failed_items_is_read_with_them(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The count alone does not say which."""
    syncthing.table[FOLDER_STATUS] = says({**document("db_status_idle"), "errors": 2})
    assert [type(one) for one in reader.read(Read("folder", "docs"))] == [seen.FolderRead, seen.FolderErrorsRead]


@pytest.mark.parametrize("read", [read for read in ASKING if read.folder and not read.path], ids=ids)
def test_a_folder_that_is_paused_or_gone_tells_nothing(
    syncthing: PretendedSyncthing, reader: Reader, read: Read
) -> None:
    """Between the event and the read it may have gone, which other events tell."""
    for path in (FOLDER_STATUS, FOLDER_ERRORS, COMPLETION, BROWSE):
        syncthing.table[path] = refuses(404, "folder is paused")
    assert list(reader.read(read)) == []


@pytest.mark.parametrize("read", ASKING, ids=ids)
def test_a_refusal_is_raised(syncthing: PretendedSyncthing, reader: Reader, read: Read) -> None:
    """A read that fails says so, and tells nothing instead."""
    for path in (*DOCUMENTS, UPGRADE):
        syncthing.table[path] = refuses(500, "database is closed")
    with pytest.raises(Rejected, match="database is closed"):
        list(reader.read(read))


def test_a_conflict_file_that_is_unknown_is_not_there(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The index forgets what was deleted long ago."""
    syncthing.table[FILE] = refuses(404, "No such object in the index")
    (told,) = reader.read(Read("conflict", "docs", path="a.txt"))
    assert told == seen.ConflictRead(folder="docs", path="a.txt", present=False)


@pytest.mark.parametrize("status", [501, 503])
def test_a_build_that_cannot_upgrade_has_no_latest_version(
    syncthing: PretendedSyncthing, reader: Reader, status: int
) -> None:
    """Whichever way a version says it."""
    syncthing.table[UPGRADE] = refuses(status, "upgrade unsupported")
    assert list(reader.read(Read("upgrade"))) == [seen.UpgradeRead(latest=None)]


class Slow(SyncthingClient):
    """A client whose answers take too long."""

    def _call(self, method: str, path: str, *_: Any, **__: Any) -> Any:  # noqa: ARG002 - as it is called
        raise TimedOut(f"{path} did not answer")


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (Read("conflicts", "docs"), [seen.ConflictsRead(folder="docs", paths=None)]),
        (Read("upgrade"), []),
    ],
)
def test_what_may_take_long_does_not_make_syncthing_unreachable(read: Read, told: list[Observation]) -> None:
    """A slow disk, or no way to the Internet, says nothing of Syncthing."""
    assert list(Reader(Slow("")).read(read)) == told


class Told(SyncthingClient):
    """A client that is told the answers: there are thousands."""

    def __init__(self) -> None:
        super().__init__("")
        self.answers: dict[str, Any] = {path: document(name) for path, name in DOCUMENTS.items()}
        self.answers[UPGRADE] = AN_UPGRADE

    def _call(self, method: str, path: str, *_: Any, **__: Any) -> Any:  # noqa: ARG002 - as it is called
        return self.answers[f"/rest/{path}"]


@pytest.mark.parametrize("read", ASKING, ids=ids)
def test_rubbish_is_a_bad_reply_and_nothing_else(read: Read) -> None:
    """Whatever JSON answers in whatever place, a read tells something or raises an error of ours."""
    for request in READS[read][0]:
        path = f"/rest/{request.partition('?')[0]}"
        client, results = Told(), set()
        for rubbish in (*RUBBISH, *spoilt(client.answers[path])):
            client.answers[path] = rubbish
            results.add(type(end_of(Reader(client).read(read))))
        assert results == {type(None), BadReply}


def spoilt(good: Any) -> Iterator[Any]:
    """Give a document with rubbish in each place, one at a time."""
    places = good.items() if isinstance(good, dict) else enumerate(good) if isinstance(good, list) else ()
    for place, value in places:
        for rubbish in (*RUBBISH, *spoilt(value)):
            whole = good.copy()
            whole[place] = rubbish
            yield whole


def end_of(told: Iterator[Observation]) -> SyncthingError | None:
    """Return the error that a read ends in."""
    try:
        list(told)
    except SyncthingError as error:
        return error
    return None


# --- everything


def test_each_share_is_read_but_for_paused_folders(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """A paused folder has no counts, and Syncthing would refuse to tell some of them."""
    syncthing.has_folders(docs=False, photos=True, music=False)
    told = list(reader.snapshot())
    assert [one.folder for one in told if isinstance(one, seen.FolderRead)] == ["docs", "music"]
    assert [one.folder for one in told if isinstance(one, seen.CompletionRead)] == ["docs", "music"]


def test_completions_beyond_measure_are_asked_for_only(
    syncthing: PretendedSyncthing, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read thousands of them would take longer than Syncthing remembers events."""
    syncthing.has_folders(docs=False, photos=False, music=False)
    monkeypatch.setattr(reads, "MOST_COMPLETIONS", 1)
    *told, last = reader.snapshot()
    assert [one.folder for one in told if isinstance(one, seen.CompletionRead)] == ["docs"]
    assert isinstance(last, seen.Stale)
    assert [(read.what, read.folder) for read in last.reads] == [("completion", "photos"), ("completion", "music")]


def test_a_snapshot_asks_anew_whose_it_is(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """After an absence another Syncthing may answer."""
    assert reader.own_id
    list(reader.snapshot())
    assert syncthing.server.lines.count(f"GET {STATUS}") == 3


def test_a_folder_that_goes_during_a_snapshot_does_not_end_it(syncthing: PretendedSyncthing, reader: Reader) -> None:
    """The next event tells that it has gone."""
    syncthing.table[FOLDER_STATUS] = syncthing.table[COMPLETION] = refuses(404, "no such folder")
    told = list(reader.snapshot())
    assert any(isinstance(one, seen.SnapshotComplete) for one in told)
    with pytest.raises(NotFound):
        reader.client.get_folder_status("docs")

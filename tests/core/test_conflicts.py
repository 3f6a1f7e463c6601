"""Conflict files are recognized by their names and listed as long as they exist."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stbridge.core import decode, events
from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.conflicts import is_conflict, original, winner
from stbridge.core.model import short_id
from stbridge.core.observations import Read
from stbridge.core.rules.conflicts import MAX_CONFLICT_EVENTS, MOST_KEPT, MOST_LOOKUPS
from stbridge.core.topics import Address
from tests.core.world import (
    BETA,
    COUNTS,
    DELTA,
    OWN,
    World,
    config,
    docs_configured,
    folder,
    not_running,
    read,
    watched,
)

DOCS = Address("conflicts", folder="docs")


def name(number: int = 0, directory: str = "") -> str:
    """Return the path of a conflict file."""
    return f"{directory}report.sync-conflict-20261101-{number:06}-LAPTOPD.txt"


def there(path: str) -> seen.ConflictRead:
    """Return the observation that a conflict file exists."""
    return seen.ConflictRead(folder="docs", path=path, present=True)


def gone(path: str) -> seen.ConflictRead:
    """Return the observation that a conflict file no longer exists."""
    return seen.ConflictRead(folder="docs", path=path, present=False)


def found(*paths: str) -> seen.ConflictsRead:
    """Return the observation of a search that found these conflict files."""
    return seen.ConflictsRead(folder="docs", paths=paths)


@pytest.mark.parametrize(
    ("path", "of"),
    [
        ("a.sync-conflict-20261101-120000-ABCDEF7.txt", "a.txt"),
        ("b/c/a.tar.sync-conflict-20261101-120000-ABCDEF7.gz", "b/c/a.tar.gz"),
        ("a.sync-conflict-20261101-120000-ABCDEF7", "a"),
        (".sync-conflict-20261101-120000-ABCDEF7.bashrc", ".bashrc"),
        ("ä b.sync-conflict-20261101-120000-ABCDEF7.txt", "ä b.txt"),
    ],
)
def test_a_conflict_file_is_recognized_by_its_name(path: str, of: str) -> None:
    """The name contains the path of the original and the device whose change won."""
    assert is_conflict(path)
    assert original(path) == of
    assert winner(path) == "ABCDEF7"


@pytest.mark.parametrize(
    "path",
    [
        "a.txt",
        "sync-conflict.txt",
        "a.sync-conflict-2026-120000-ABCDEF7.txt",
        "a.sync-conflict-20261101-120000-ABC.txt",
        "a.sync-conflict-20261101-120000-ABCDEF1.txt",
        "a.sync-conflict-20261101-120000-ABCDEF7.d/b.txt",
    ],
)
def test_other_names_are_no_conflict_files(path: str) -> None:
    """Syncthing would not produce such a name, or only a directory has it."""
    assert not is_conflict(path)


@pytest.mark.parametrize(
    ("filenames", "expected"),
    [
        ([name(), "a.txt"], seen.LocalIndexChanged(folder="docs", conflicts=(name(),))),
        (["a.txt"], seen.LocalIndexChanged(folder="docs", conflicts=())),
        (None, seen.LocalIndexChanged(folder="docs", conflicts=())),
    ],
)
def test_only_conflict_files_are_picked_from_the_index(filenames: list[str] | None, expected: seen.Observation) -> None:
    """Of all changed names, only those of conflict files are kept."""
    data = {"folder": "docs", "filenames": filenames}
    event = {"id": 1, "type": "LocalIndexUpdated", "time": "2024-05-01T12:00:00Z", "data": data}
    assert events.observe(event, "OWN") == expected


@pytest.mark.parametrize(
    ("raw", "present"),
    [
        ({"local": {"name": name(), "deleted": False}}, True),
        ({"local": {"name": name(), "deleted": True}}, False),
        ({"local": {"name": "", "deleted": False}}, False),
        ({"local": None}, False),
        ({}, False),
    ],
)
def test_a_deleted_conflict_file_is_not_present(raw: decode.Json, present: bool) -> None:
    """The index keeps deleted files, so the flag must be checked."""
    assert decode.conflict("docs", name(), raw).present is present


def test_a_search_finds_conflict_files_in_every_directory() -> None:
    """The tree from Syncthing contains names without paths, so the paths are composed."""
    directory = "FILE_INFO_TYPE_DIRECTORY"
    tree: list[decode.Json] = [
        {"name": name(1), "type": "FILE_INFO_TYPE_FILE"},
        {"name": "empty", "type": directory},
        {
            "name": "a",
            "type": directory,
            "children": [
                {"name": "b", "type": directory, "children": [{"name": name(2), "type": "FILE_INFO_TYPE_FILE"}]},
                {"name": "c.txt", "type": "FILE_INFO_TYPE_FILE"},
            ],
        },
    ]
    read = decode.conflicts("docs", tree)
    assert read.paths is not None
    assert sorted(read.paths) == [name(2, "a/b/"), name(1)]


@pytest.mark.parametrize(("device", "shown"), [(BETA, "beta"), (OWN, "nas"), (DELTA, None)])
def test_a_conflict_names_the_device_whose_change_won(device: str, shown: str | None) -> None:
    """It may be this device itself, or one that only another device knows."""
    world = World().start(found())
    world.see(there(name().replace("LAPTOPD", short_id(device))))
    (event,) = world.emitted("conflict")
    assert (event["device"], event["name"]) == (short_id(device), shown)


def test_a_conflict_is_reported_once_and_listed_until_it_is_deleted() -> None:
    """Events contain the names of changed files; a read shows whether these files exist."""
    world = World().start(found())
    world.reads.clear()
    world.see(seen.LocalIndexChanged(folder="docs", conflicts=(name(1), name(2))))
    assert world.reads == [Read("conflict", "docs", path=name(1)), Read("conflict", "docs", path=name(2))]
    for _ in range(2):
        world.see(there(name(1)), there(name(2)))
    emitted = world.emitted("conflict")
    assert [one["path"] for one in emitted] == [name(1), name(2)]
    assert emitted[0] == {
        "event_type": "conflict",
        "time": "2024-05-01T12:00:00Z",
        "folder": "docs",
        "label": "Docs",
        "path": name(1),
        "original": "report.txt",
        "device": "LAPTOPD",
        "name": None,
    }
    assert world.payload(DOCS) == {"count": 2, "items": [name(1), name(2)], "complete": True}
    assert (world.folder["conflicts"], world.system["conflicts"]) == (2, 2)
    world.see(gone(name(1)))
    assert world.payload(DOCS)["items"] == [name(2)]
    assert (world.folder["conflicts"], world.system["conflicts"]) == (1, 1)
    assert world.emitted("conflict") == []


def test_the_list_of_conflicts_is_truncated_and_the_count_is_full() -> None:
    """A folder full of conflicts must not cause a payload of unlimited size."""
    world = World().start(found(*(name(number) for number in range(120))))
    payload = world.payload(DOCS)
    assert (payload["count"], len(payload["items"]), payload["complete"]) == (120, 50, True)


def test_the_number_of_known_conflict_files_is_limited() -> None:
    """A device may send any number of them. Beyond the limit, the list is marked as incomplete."""
    most = [name(number) for number in range(MOST_KEPT)]
    world = World().start(found(*most))
    assert (world.payload(DOCS)["count"], world.payload(DOCS)["complete"]) == (MOST_KEPT, True)
    world.see(there(name(MOST_KEPT)))
    assert (world.payload(DOCS)["count"], world.payload(DOCS)["complete"]) == (MOST_KEPT, False)
    world.see(found(*most, name(MOST_KEPT)))
    assert (world.payload(DOCS)["count"], world.payload(DOCS)["complete"]) == (MOST_KEPT, False)


def test_a_search_emits_a_limited_number_of_events() -> None:
    """Thousands of events at once would help nobody; the count is in the list."""
    world = World().start(found())
    world.see(found(*(name(number) for number in range(1000))))
    assert len(world.emitted("conflict")) == MAX_CONFLICT_EVENTS


@pytest.mark.parametrize(
    ("limit", "files", "searched"), [(100, 100, True), (100, 101, False), (0, 10, False), (0, 0, False)]
)
def test_folders_with_too_many_files_are_not_searched(limit: int, files: int, searched: bool) -> None:
    """The payload of a folder that is too large shows that its list may be incomplete."""
    world = World(Alerts(conflict_inventory=limit)).start(read(of=replace(COUNTS, global_files=files)))
    assert (Read("conflicts", "docs") in world.reads) is searched
    assert world.payload(DOCS) == {"count": 0, "items": [], "complete": False}


def test_a_folder_is_searched_as_soon_as_its_size_is_known() -> None:
    """Folders that were not running, are new or were resumed are searched as soon as they report their counts."""
    world = World().start(not_running())
    assert Read("conflicts", "docs") not in world.reads
    world.see(read())
    assert world.reads.count(Read("conflicts", "docs")) == 1
    world.see(read())
    assert world.reads.count(Read("conflicts", "docs")) == 1
    for paused in (True, False):
        world.see(seen.FolderPaused(folder="docs", paused=paused))
    world.see(read())
    assert world.reads.count(Read("conflicts", "docs")) == 2


def test_a_search_that_fails_leaves_the_list_incomplete() -> None:
    """Known conflict files stay in the list, and the list is marked as incomplete."""
    world = World().start(found(name()))
    world.see(seen.ConflictsRead(folder="docs", paths=None))
    assert world.payload(DOCS) == {"count": 1, "items": [name()], "complete": False}


def test_many_changed_conflict_files_cause_one_search() -> None:
    """Above a number of files, one search of the folder is cheaper than one lookup per file."""
    many = tuple(name(number) for number in range(MOST_LOOKUPS + 1))
    world = World().start(found())
    world.reads.clear()
    world.see(seen.LocalIndexChanged(folder="docs", conflicts=many))
    assert world.reads == [Read("conflicts", "docs")]
    large = World(Alerts(conflict_inventory=1)).start()
    large.reads.clear()
    large.see(seen.LocalIndexChanged(folder="docs", conflicts=many))
    assert len(large.reads) == MOST_LOOKUPS


def test_conflicts_found_at_the_first_start_emit_no_event() -> None:
    """They are listed and raise a problem, but they are not new."""
    world = World().start(found(name()))
    assert world.emitted("conflict") == []
    assert [one["code"] for one in world.folder["problems"]] == ["conflicts"]


def test_conflicts_of_an_outage_are_published_late() -> None:
    """After an outage, the search emits late events for new conflict files and removes deleted ones from the list."""
    world = World().start(found(name(1)))
    world.emitted()
    world.snapshot().see(found(name(2)))
    assert [(one["path"], one["late"]) for one in world.emitted("conflict")] == [(name(2), True)]
    assert world.payload(DOCS)["items"] == [name(2)]


@pytest.mark.parametrize(("complete", "late"), [(True, [name(2)]), (False, [])])
def test_conflicts_that_appeared_while_the_bridge_was_stopped_are_published_late(
    complete: bool, late: Sequence[str]
) -> None:
    """A file that is missing in the list of the previous run is new, if that list was complete."""
    before = World().start(found(name(1)))
    published = {**before.published(), DOCS: {"count": 1, "items": [name(1)], "complete": complete}}
    after = World(retained=published).start()
    assert after.payload(DOCS) == {"count": 1, "items": [name(1)], "complete": complete}
    assert after.emitted("problem_raised", "problem_cleared") == []
    after.see(found(name(1), name(2)))
    assert [one["path"] for one in after.emitted("conflict")] == late


def test_known_conflict_files_of_a_large_folder_are_looked_up() -> None:
    """The bridge does not search this folder, so it looks up each known conflict file after an outage."""
    world = World(Alerts(conflict_inventory=1)).start()
    world.see(there(name(1)), there(name(2)))
    world.reads.clear()
    world.snapshot()
    assert [read for read in world.reads if read.what == "conflict"] == [
        Read("conflict", "docs", path=name(1)),
        Read("conflict", "docs", path=name(2)),
    ]


def test_conflicts_of_a_removed_folder_do_not_count() -> None:
    """Removing a folder removes its conflicts, and late reads of the folder are ignored."""
    world = World().start(found(name()), configured=config(folder("docs", BETA), folder("music", BETA)))
    world.see(config(folder("music", BETA)))
    world.see(found(name()), there(name()), seen.LocalIndexChanged(folder="docs", conflicts=(name(),)))
    assert world.system["conflicts"] == 0
    assert world.payload(DOCS) is None


def test_conflicts_of_a_paused_folder_are_kept() -> None:
    """Syncthing answers a look-up in a paused folder as if the file did not exist."""
    one = watched(found(name()))
    one.see(docs_configured(paused=True), gone(name()))
    assert one.state.folders["docs"].conflicts == {name(): None}

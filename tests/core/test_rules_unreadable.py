"""Rules on reads that fail although the instance is online."""

from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import LoggedError, PendingDevice, PendingFolder
from stbridge.core.observations import Read
from stbridge.core.outcome import ERRORS, PENDING, SYSTEM
from stbridge.core.topics import Address
from tests.core.world import (
    BETA,
    DELTA,
    DOCS,
    DOCS_ON_BETA,
    GAMMA,
    NOW,
    Watched,
    World,
    completed,
    connection,
    connections,
    read,
    snapshot,
    watched,
)

MESSAGE = "url: GET /rest/db/status: HTTP 500"
LISTS = (
    seen.ErrorsRead(items=(LoggedError(when=NOW, message="wrong"),)),
    seen.PendingDevicesRead(devices=(PendingDevice(id=DELTA, name="d", address="a", time=NOW),)),
    seen.PendingFoldersRead(folders=(PendingFolder(id="new", label="New", device=BETA, time=NOW),)),
)


def finished(what: str, *of: str, error: str | None = MESSAGE) -> seen.ReadFinished:
    """Return the end of a read, by default with a failure."""
    return seen.ReadFinished(read=Read(what, *of), error=error)


CASES = [
    (finished("folder", "docs"), DOCS, ("in_sync", "need_bytes", "global_bytes", "completion")),
    (finished("completion", "docs", BETA), DOCS_ON_BETA, ("completion", "need_bytes", "remote_state")),
    (finished("errors"), ERRORS, ("count", "items")),
    (finished("errors"), SYSTEM, ("errors",)),
    (finished("pending_devices"), PENDING, ("devices",)),
    (finished("pending_devices"), SYSTEM, ("pending_devices",)),
    (finished("pending_folders"), PENDING, ("folders",)),
    (finished("pending_folders"), SYSTEM, ("pending_folders",)),
]


def values(one: Watched, address: Address, keys: tuple[str, ...]) -> list[Any]:
    """Return values from a payload, which must exist."""
    payload = one.shown(address)
    assert payload is not None
    return [payload[key] for key in keys]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("failure", "address", "keys"), CASES)
def test_unreadable_values_are_null_unless_events_kept_them_up_to_date(
    failure: seen.ReadFinished, address: Address, keys: tuple[str, ...], *, live: bool
) -> None:
    """During a snapshot, the old values may be wrong; while events are followed, they are still valid."""
    one = watched(*LISTS)
    before = values(one, address, keys)
    assert None not in before
    if live:
        one.see(failure)
        assert values(one, address, keys) == before
    else:
        outcome = one.see(seen.SnapshotStarted(), failure)
        assert address in outcome.changed
        assert values(one, address, keys) == [None] * len(keys)


@pytest.mark.parametrize(("failure", "address", "keys"), CASES)
def test_values_that_were_never_read_are_null(
    failure: seen.ReadFinished, address: Address, keys: tuple[str, ...]
) -> None:
    """The topic still has a payload: an empty one would clear it."""
    one = Watched()
    kinds = {
        "folder": seen.FolderRead,
        "completion": seen.CompletionRead,
        "errors": seen.ErrorsRead,
        "pending_devices": seen.PendingDevicesRead,
        "pending_folders": seen.PendingFoldersRead,
    }
    one.see(*(failure if type(found) is kinds[failure.read.what] else found for found in snapshot()))
    assert values(one, address, keys) == [None] * len(keys)


@pytest.mark.parametrize(
    ("what", "of", "code", "named"),
    [
        ("folder", ("docs",), "folder_unreadable", {"folder": "docs", "label": "Docs"}),
        ("completion", ("docs", BETA), "folder_unreadable", {"folder": "docs", "label": "Docs"}),
        ("folder_errors", ("docs",), "folder_unreadable", {"folder": "docs", "label": "Docs"}),
        ("errors", (), "instance_unreadable", {}),
        ("pending_devices", (), "instance_unreadable", {}),
        ("folder_statistics", (), "instance_unreadable", {}),
    ],
)
def test_a_failed_read_is_a_problem_until_it_succeeds(
    what: str, of: tuple[str, ...], code: str, named: dict[str, str]
) -> None:
    """It is raised when the snapshot is complete and the instance is online."""
    world = World().start()
    world.emitted()
    world.see(seen.SnapshotStarted(), finished(what, *of))
    assert world.emitted("problem_raised") == []
    world.see(seen.SnapshotComplete())
    (raised,) = world.emitted("problem_raised")
    assert raised.items() >= {"code": code, "message": MESSAGE, **named}.items()
    assert world.state.online
    world.later(60).see(finished(what, *of, error=None))
    (cleared,) = world.emitted("problem_cleared")
    assert cleared["code"] == code
    assert world.system["problem"] is False


def test_the_next_snapshot_clears_the_problem_of_a_read_that_succeeds() -> None:
    """The problem is not cleared before that, because the result of the read is still unknown."""
    world = World().start()
    world.see(finished("errors"), finished("folder", "docs"))
    assert {one["code"] for one in world.emitted("problem_raised")} == {"instance_unreadable", "folder_unreadable"}
    world.see(seen.SnapshotStarted())
    assert world.emitted("problem_cleared") == []
    world.see(seen.SnapshotComplete())
    assert {one["code"] for one in world.emitted("problem_cleared")} == {"instance_unreadable", "folder_unreadable"}


def test_a_failed_read_of_a_removed_folder_is_no_problem() -> None:
    """The folder may be removed while its request is running."""
    world = World().start()
    world.see(finished("folder", "removed"), finished("completion", "removed", BETA))
    assert world.emitted("problem_raised") == []


# --- completions that no event reports

OLD, NEW = (seen.VersionRead(version=version, os="linux", arch="amd64") for version in ("v1.19.2", "v1.21.0"))


@pytest.mark.parametrize(
    ("version", "sequences", "devices"),
    [
        (OLD, (5, 6), [GAMMA]),
        (OLD, (5, 5), []),
        (OLD, (5,), []),
        (NEW, (5, 6), []),
    ],
)
def test_a_changed_folder_causes_reads_for_disconnected_devices(
    version: seen.VersionRead, sequences: tuple[int, ...], devices: list[str]
) -> None:
    """Syncthing up to 1.20 sends FolderCompletion only for connected devices. The first read is not a change."""
    one = watched(version, connections(of={BETA: connection()}), completed(GAMMA))
    reads = [asked for number in sequences for asked in one.see(read(sequence=number)).reads]
    assert reads == [Read("completion_without_event", "docs", device) for device in devices]

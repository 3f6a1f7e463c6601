"""A folder or device that is removed and added again is new, although it has the same ID."""

from dataclasses import replace

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import FOLDER, Subject
from stbridge.core.observations import Observation, Read
from stbridge.core.rules import apply
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import in_utc
from tests.core.world import (
    ART_FOLDER,
    BETA,
    BETA_DEVICE,
    DOCS,
    DOCS_FOLDER,
    HOUR,
    NOW,
    World,
    after,
    completed,
    config,
    configured,
    docs_configured,
    failed,
    folder,
    read,
    watched,
)

MOVED = configured([replace(DOCS_FOLDER, path="/elsewhere", paused=True), ART_FOLDER])
CONFLICT = "a.sync-conflict-20240501-120000-BETABET.txt"
LATE: tuple[tuple[Observation, Read], ...] = (
    (read(error="no marker", state="error"), Read("folder", "docs")),
    (failed("a"), Read("folder_errors", "docs")),
    (seen.ConflictsRead(folder="docs", paths=(CONFLICT,)), Read("conflicts", "docs")),
    (completed(), Read("completion", "docs", BETA)),
)


@pytest.mark.parametrize(("response", "repeated"), LATE, ids=lambda one: getattr(one, "what", ""))
def test_a_response_about_the_removed_folder_is_not_applied_to_the_added_one(
    response: Observation, repeated: Read
) -> None:
    """It was requested before, and a search for conflict files may take a minute."""
    one = watched()
    requested = one.state.read_order.moment
    one.see(configured([ART_FOLDER]))
    one.see(configured())
    apply(one.state, response, NOW, requested)
    outcome = one.state.take_outcome()
    assert (list(outcome.reads), list(outcome.changed)) == ([repeated], [])


def test_a_folder_that_got_another_path_is_not_resumed_by_its_timed_pause() -> None:
    """It was probably removed and added again, and not everything may be received to the new path."""
    one = watched()
    one.see(docs_configured(paused=True), seen.PauseTimed(paused=Paused("folder", "docs"), until=after(HOUR)))
    one.see(MOVED)
    assert one.shown(DOCS)["resume_at"] is None


def test_a_folder_that_got_another_path_has_no_known_values() -> None:
    """They are read."""
    one = watched()
    outcome = one.see(configured([replace(DOCS_FOLDER, path="/elsewhere"), ART_FOLDER]))
    assert one.shown(DOCS)["path"] == "/elsewhere"
    assert one.shown(DOCS)["local_bytes"] is None
    assert Read("folder", "docs") in outcome.reads


def test_a_folder_that_got_another_path_while_the_bridge_was_stopped_is_new() -> None:
    """Neither its timed pause nor its problems are continued."""
    before = World().start(read(state="error", error="no space"))
    before.see(seen.FolderPaused(folder="docs", paused=True))
    before.see(seen.PauseTimed(paused=Paused("folder", "docs"), until=after(HOUR)))
    moved = config(folder("docs", BETA, path="/elsewhere", paused=True))
    now = World(retained=before.published()).start(configured=moved)
    assert now.folder["resume_at"] is None
    assert [one["event_type"] for one in now.events if one.get("folder")] == []


@pytest.mark.parametrize(
    ("now_is", "events"),
    [
        (read(), ["problem_cleared"]),
        (read(state="error", error="no marker"), ["folder_error", "problem_cleared", "problem_raised"]),
    ],
    ids=["healthy", "in error"],
)
def test_the_problems_of_a_folder_that_got_another_path_while_the_bridge_was_stopped_are_cleared(
    now_is: Observation, events: list[str]
) -> None:
    """Otherwise, a client that follows the events would never learn of their end."""
    before = World().start(read(state="error", error="no space"))
    moved = config(folder("docs", BETA, path="/elsewhere"))
    now = World(retained=before.published(), now=after(HOUR)).start(now_is, configured=moved)
    assert [(one["event_type"], one["late"]) for one in now.events if one.get("folder")] == [
        (event, True) for event in events
    ]


def test_a_folder_that_is_added_again_before_the_broker_is_connected_is_new() -> None:
    """The previous run published only the folder that was removed."""
    before = World().start(read(state="error", error="no space"))
    now = World(now=after(HOUR))
    now.snapshot(configured=config())
    now.see(configured([ART_FOLDER], [BETA_DEVICE]), config(), read(state="error", error="no marker"))
    now.see(seen.Restored(payloads=before.published()))
    (problem,) = now.folder["problems"]
    assert (problem["message"], problem["since"]) == ("no marker", in_utc(after(HOUR)))


def test_a_folder_that_is_added_again_during_an_outage_has_its_own_problem() -> None:
    """The problem of the removed folder is cleared, and that of the new one began later."""
    world = World().start(read(state="error", error="no space"))
    world.see(seen.SnapshotStarted())
    world.later(72 * HOUR)
    world.events.clear()
    world.see(configured([ART_FOLDER], [BETA_DEVICE]), config())
    world.snapshot(read(state="error", error="no marker"))
    problems = [
        one for one in world.events if one["event_type"].startswith("problem_") and one["code"] == "folder_error"
    ]
    assert [one["event_type"] for one in problems] == ["problem_cleared", "problem_raised"]
    assert world.state.problems[Subject(FOLDER, "docs")]["folder_error"].since == world.now


def test_a_failed_read_about_a_removed_device_is_no_problem() -> None:
    """A failure that is reported after the removal is none either."""
    world = World().start()
    failure = seen.ReadFinished(read=Read("completion", "docs", BETA), error="HTTP 500")
    world.see(failure)
    assert [one["code"] for one in world.folder["problems"]] == ["folder_unreadable"]
    world.see(config(folder("docs"), devices=()))
    world.see(failure)
    assert world.folder["problems"] == []

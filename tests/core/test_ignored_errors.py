"""Entries of Syncthing's error list that raise no problem: the notice about a privileged user, and set patterns."""

import re

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.model import LoggedError
from tests.core.world import NOW, World, after

ROOT = "Syncthing should not run as a privileged or system user. Please consider using a normal user account."


def _errors(*messages: str) -> seen.ErrorsRead:
    return seen.ErrorsRead(
        items=tuple(LoggedError(when=after(number), message=text) for number, text in enumerate(messages))
    )


def test_the_notice_about_a_privileged_user_is_no_problem() -> None:
    """Many containers run as root. The notice is in the list from the first minute and returns after each restart."""
    world = World().start(_errors(ROOT))
    assert world.system["problem"] is False
    assert world.emitted("problem_raised") == []
    assert (world.system["errors"], world.system["last_error"]) == (1, ROOT)


def test_other_errors_are_a_problem_beside_the_notice() -> None:
    """The message and the time of the problem are those of the other errors."""
    world = World().start(_errors(ROOT, "the roof leaks", ROOT))
    (problem,) = world.system["problems"]
    assert problem == {"code": "system_errors", "message": "the roof leaks", "since": "2024-05-01T12:00:01Z"}
    world.see(_errors(ROOT))
    assert world.system["problem"] is False


def test_ignored_errors_do_not_count() -> None:
    """With a threshold of 2, two errors that are not ignored raise the problem."""
    alerts = Alerts(thresholds={"system_errors": 2}, ignored_errors=(re.compile("roof"),))
    world = World(alerts).start(_errors(ROOT, "the roof leaks", "the cellar leaks"))
    assert world.system["problem"] is False
    world.see(_errors(ROOT, "the roof leaks", "the cellar leaks", "the wall leaks"))
    assert [one["message"] for one in world.system["problems"]] == ["the wall leaks"]


MARKER_MISSING = "folder marker missing (this indicates potential data loss)"


@pytest.mark.parametrize(
    "message",
    [
        f"Error on folder plain: {MARKER_MISSING}",
        f'Error on folder "My \\"Docs\\" (x)" (docs): {MARKER_MISSING}',
        f'Failed initial scan (error="{MARKER_MISSING}" folder.label=Docs folder.id=docs log.pkg=model)',
        "Failed to create folder root directory stat /data/x: not a directory",
        "Failed to create folder root directory: stat /data/x: not a directory",
        'Failed to create folder root directory (folder.id=docs error="mkdir /data: permission denied" log.pkg=model)',
        "Failed to create folder marker: mkdir .stfolder: read-only file system",
        "Loading ignores: parse error: failed to load include file missing: file not found",
        'Failed to load ignores (error="parse error: failed to load include file missing" log.pkg=model)',
    ],
)
def test_the_error_of_a_folder_is_only_the_problem_of_the_folder(message: str) -> None:
    """Syncthing adds it to its list as well, where it stays when the folder is fixed (texts of 1.19, 1.29 and 2.1)."""
    world = World().start()
    world.see(world.turns("error", error=MARKER_MISSING), _errors(message))
    assert [one["code"] for one in world.system["problems"]] == ["folder_error"]
    assert (world.system["errors"], world.system["last_error"]) == (1, message)
    world.see(world.turns("idle"))
    assert world.system["problem"] is False


def test_an_error_that_only_mentions_a_folder_is_a_problem() -> None:
    """Only entries that begin like the error of a folder are."""
    world = World().start(_errors("backup: Error on folder docs: too late"))
    assert [one["code"] for one in world.system["problems"]] == ["system_errors"]


def test_the_time_of_the_problem_is_that_of_the_latest_error() -> None:
    """So are its message and its time after another error; it is not raised again."""
    world = World().start(_errors("the roof leaks"))
    world.emitted()
    world.see(_errors("the roof leaks", "the cellar leaks"))
    (problem,) = world.system["problems"]
    assert problem == {"code": "system_errors", "message": "the cellar leaks", "since": "2024-05-01T12:00:01Z"}
    assert world.names() == []


@pytest.mark.parametrize("pattern", ["roof", "^the .* leaks$", "(?i)ROOF"])
def test_an_expression_may_match_anywhere_in_the_message(pattern: str) -> None:
    """The bridge searches for the expression instead of matching the whole message."""
    world = World(Alerts(ignored_errors=(re.compile(pattern),))).start(_errors("the roof leaks"))
    assert world.system["problem"] is False


def test_a_problem_of_the_previous_run_that_is_ignored_now_is_cleared() -> None:
    """The bridge was restarted with other settings."""
    before = World().start(_errors("the roof leaks"))
    after = World(Alerts(ignored_errors=(re.compile("roof"),)), retained=before.published(), now=NOW)
    after.start(_errors("the roof leaks"))
    assert [one["code"] for one in after.emitted("problem_cleared")] == ["system_errors"]

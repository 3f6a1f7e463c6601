"""The class hierarchy of errors, and what each kind of error means for the command line."""

import inspect
import re

import pytest

from stbridge import errors
from stbridge.errors import (
    Failed,
    Fatal,
    Retriable,
    SettingsError,
    StbridgeError,
    SyncthingError,
    UsageError,
    with_setting_path,
)
from stbridge.settings import SyncthingSettings

BRANCH = re.compile(r"^ {4}(?P<indent>[| ]*)(?:\+-- )?(?P<name>\w+)(?: +\(also an? (?P<also>\w+)\))?", re.MULTILINE)
CLASSES = {name: one for name, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__}


def drawn() -> dict[str, set[str]]:
    """Return the base classes of each class as drawn in the docstring."""
    path: list[str] = []
    bases: dict[str, set[str]] = {}
    for line in BRANCH.finditer(errors.__doc__ or ""):
        depth = len(line["indent"]) // 4 + 1 if bases else 0
        path[depth:] = [line["name"]]
        bases[line["name"]] = {path[depth - 1] if depth else "Exception"} | ({line["also"]} - {None})
    return bases


def test_the_drawn_hierarchy_matches_the_code() -> None:
    """Every error class is drawn in its place, and every drawn class exists."""
    assert drawn() == {name: {base.__name__ for base in one.__bases__} for name, one in CLASSES.items()}


def test_every_error_is_fatal_retriable_or_a_response_of_syncthing() -> None:
    """The base class of an error determines whether the program exits, retries, or passes the response on."""
    for name, one in CLASSES.items():
        kinds = [kind for kind in (Fatal, Retriable, SyncthingError) if issubclass(one, kind)]
        assert kinds or one is StbridgeError, name
        assert not {Fatal, Retriable} <= set(kinds), name


@pytest.mark.parametrize(
    ("error", "status"),
    [(SettingsError(["x"]), 78), (UsageError("x"), 2), (Failed("x"), 1)],
    ids=lambda value: type(value).__name__,
)
def test_each_fatal_error_has_its_exit_status(error: Fatal, status: int) -> None:
    """78 is EX_CONFIG of sysexits.h, which service managers can be configured not to restart; 2 is argparse's."""
    assert error.exit_status == status


def test_no_fatal_error_exits_with_success() -> None:
    """Every fatal error has a nonzero exit status."""
    assert all(one.exit_status > 0 for one in CLASSES.values() if issubclass(one, Fatal))


@pytest.mark.parametrize(
    ("message", "completed"),
    [
        ("url: http://nas cannot be reached", "syncthing.nas.url: http://nas cannot be reached"),
        ("api_key: wrong", "syncthing.nas.api_key: wrong"),
        ("verify: expired", "syncthing.nas.verify: expired"),
        ("timeout_s: GET /rest/x did not answer", "syncthing.nas.timeout_s: GET /rest/x did not answer"),
        ("folder marker missing", "folder marker missing"),
        ("open /url: no such file", "open /url: no such file"),
        ("url:", "url:"),
        ("", ""),
    ],
)
def test_a_setting_at_the_start_of_a_message_gets_its_full_path(message: str, completed: str) -> None:
    """Errors of the client contain the setting, and the bridge adds the instance; other texts stay unchanged."""
    assert with_setting_path("nas", message) == completed


def test_the_settings_in_messages_exist() -> None:
    """Every setting that is completed is a setting of an instance."""
    assert set(re.findall(r"\w+", errors._SETTING.pattern)) <= set(SyncthingSettings.model_fields)  # noqa: SLF001


def test_faults_of_settings_stay_separate() -> None:
    """Each fault can be shown on its own line, and all of them in one message."""
    error = SettingsError(["mqtt.port: too large", "log.level: unknown"])
    assert error.faults == ("mqtt.port: too large", "log.level: unknown")
    assert str(error) == "mqtt.port: too large; log.level: unknown"

"""The log, in its forms for people and for programs."""

import io
import json
import linecache
import logging
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from pydantic import SecretStr

from stbridge.log import LONGEST_MESSAGE, secrets_of, start_logging
from stbridge.settings import LogSettings, MqttSettings, Settings, SyncthingSettings
from stbridge.settings.web import WebSettings

SECRETS = ("a-secret", "a-secret-that-is-longer", 'with "quotes"', "")
log = logging.getLogger("stbridge.test")

Logged = Callable[..., list[str]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """Log with the given settings, and return the resulting lines; the fixture restores the previous state."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    root, http = logging.getLogger(), logging.getLogger("urllib3")
    before, root.handlers = root.handlers, []
    levels = root.level, http.level

    def run(write: Callable[[], None], **settings: str) -> list[str]:
        stream = io.StringIO()
        start_logging(LogSettings.model_validate(settings), SECRETS, stream)
        write()
        return stream.getvalue().splitlines()

    yield run
    root.handlers = before
    root.setLevel(levels[0])
    http.setLevel(levels[1])


def fail(message: str) -> None:
    """Log an exception."""
    log.error("it failed", exc_info=ValueError(message))


def test_text_is_readable(logged: Logged) -> None:
    """A line has time, level and message."""
    (line,) = logged(lambda: log.warning("disk %s is full", "sda"))
    assert line.endswith(" WARNING disk sda is full")
    datetime.strptime(line.partition(" WARNING")[0], "%Y-%m-%d %H:%M:%S,%f").astimezone()


def test_the_journal_has_the_time_already(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd, no line contains the time, because the journal adds it."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    assert logged(lambda: log.warning("full")) == ["WARNING full"]


def test_json_is_machine_readable(logged: Logged) -> None:
    """Each line is an object with time in UTC, level, logger and message, and with the traceback if there is one."""
    (line,) = logged(lambda: fail("why"), format="json")
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("time")).tzname() == "UTC"
    assert entry.pop("exception").splitlines()[-1] == "ValueError: why"
    assert entry == {"level": "error", "logger": "stbridge.test", "message": "it failed"}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("text", ["two\nlines", "a\r\nb", "\x1b[2Jcleared", "a\x85b", "\u202etxt.exe", "\ud800"])
def test_a_record_is_one_line_whatever_it_contains(logged: Logged, form: str, text: str) -> None:
    """Foreign names and messages can neither forge a log line nor control the terminal that shows it."""
    lines = logged(lambda: log.warning("folder %s", text), format=form)
    assert len(lines) == 1
    assert lines[0].isprintable()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_has_a_maximum_length(logged: Logged, form: str) -> None:
    """A record may contain text from a client, which may have megabytes."""
    (line,) = logged(lambda: log.warning("there is no command %r", "x" * 1_000_000), format=form)
    assert LONGEST_MESSAGE < len(line) < LONGEST_MESSAGE + 200
    assert "\u2026" in line


def test_a_traceback_does_not_control_the_terminal(logged: Logged) -> None:
    """The text of an exception may come from outside."""
    lines = logged(lambda: fail("\x1b[2J\x9b"))
    assert lines[-1] == "ValueError: \\u001b[2J\\u009b"
    assert all(line.isprintable() for line in lines)


def test_a_traceback_leaves_no_source_in_memory(logged: Logged) -> None:
    """Otherwise memory usage would grow with each file that appears in a traceback."""

    def write() -> None:
        try:
            json.loads("{")
        except ValueError:
            log.exception("it failed")

    assert any("json.loads" in line for line in logged(write))
    assert linecache.cache == {}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", [secret for secret in SECRETS if secret])
def test_no_secret_gets_into_the_log(logged: Logged, form: str, secret: str) -> None:
    """A secret is removed from messages, arguments and tracebacks, as a whole even if another secret is its prefix."""

    def write() -> None:
        log.warning("key %s and %r", secret, {"key": secret})
        log.warning(f"key {secret}")  # noqa: G004 - as a developer might write it
        fail(f"HTTP 401 for {secret}")

    written = "\n".join(logged(write, format=form))
    for part in (secret, "a-secret", "quotes", "longer"):
        assert part not in written
    assert written.count("***") >= 4
    assert "HTTP 401 for ***" in written


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_selects_the_records(logged: Logged, level: str, shown: int) -> None:
    """Records below `log.level` are omitted, including the HTTP library's line for each request."""

    def write() -> None:
        logging.getLogger("urllib3.connectionpool").debug("GET /rest/system/status")
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(number, "one")

    assert len(logged(write, level=level)) == shown


def test_every_key_and_password_of_the_settings_is_a_secret() -> None:
    """Every secret setting is removed from the log."""
    settings = Settings.model_construct(
        mqtt=MqttSettings(username="bridge", password=SecretStr("password")),
        web=WebSettings(password=SecretStr("password of the page")),
        syncthing={
            name: SyncthingSettings(url="http://nas", api_key=SecretStr(f"key of {name}")) for name in ("nas", "laptop")
        },
    )
    assert set(secrets_of(settings)) == {"password", "password of the page", "key of nas", "key of laptop"}

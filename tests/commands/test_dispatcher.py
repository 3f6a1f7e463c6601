"""The dispatcher executes each command as its row defines, and answers it exactly once."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.commands import dispatcher as module
from stbridge.commands import pending
from stbridge.commands.dispatcher import CommandDispatcher
from stbridge.commands.pending import REPLY_KEPT_S
from stbridge.commands.refusals import BURST, EVERY_S, LONGEST_REASON, RefusalLog
from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS, allowed
from stbridge.core.envelope import CommandError, Reply
from stbridge.core.json_text import as_json, cut
from stbridge.core.known import Known
from stbridge.core.messages import Received
from stbridge.core.observations import Observation, Read
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import from_utc
from stbridge.errors import (
    BadReply,
    ConnectTimedOut,
    HostCheckFailed,
    NotApplicable,
    NotFound,
    Rejected,
    Starting,
    TimedOut,
    TlsFailure,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from tests.commands.pretended import PATIENCE_S, SCAN, PretendedClient, PretendedTransport
from tests.core.world import BETA, configured, device, device_id, folder, watched

RESTART, CLEAR, ERROR = "/rest/system/restart", "/rest/system/error/clear", "/rest/system/error"
DOCS = "/rest/config/folders/docs"
CONFIG = configured(
    [folder("docs", BETA, versioning="simple"), folder("art"), folder("old", paused=True)], [device(BETA, "beta")]
)


READ_ERRORS = seen.Stale(reads=(Read("errors"),))


class Plane:
    """A dispatcher with all permissions on a scripted Syncthing; `log` contains the calls and replies in order."""

    def __init__(self, *allow: str, opened: bool = True) -> None:
        self.log: list[str] = []
        self.syncthing = PretendedTransport(self.log.append)
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.taken: list[Observation] = []
        self._sent: list[Received] = []
        self._replies: list[tuple[Received, Reply]] = []
        self._changed = threading.Condition()
        state = watched(config=CONFIG).state
        self.known = Known(config=state.config, pending_devices=None, pending_folders=None)
        self.dispatcher = CommandDispatcher(
            "nas",
            PretendedClient(self.syncthing),
            PretendedClient(self.syncthing),
            PretendedClient(self.syncthing),
            allowed=allowed(allow or ("read", "operate", "admin")),
            known=lambda: self.known,
            answer=self._answer,
            emit=self._emit,
            take=self._take,
            check_connection=lambda: self.log.append("check connection"),
        )
        self.dispatcher.start()
        if opened:
            self.dispatcher.open()

    def _answer(self, received: Received, reply: Reply) -> None:
        with self._changed:
            self._replies.append((received, reply))
            self.log.append(f"reply {reply.status}")
            self._changed.notify_all()

    def _emit(self, event_type: str, **data: Any) -> None:
        with self._changed:
            self.emitted.append((event_type, data))
            self._changed.notify_all()

    def _take(self, observations: Sequence[Observation]) -> None:
        with self._changed:
            self.taken += observations
            self.log += [type(one).__name__ for one in observations]
            self._changed.notify_all()

    def _acknowledged(self, done: list[bool]) -> None:
        with self._changed:
            if not done:  # acknowledging again has no effect, see Received
                self.log.append("acknowledged")
                done.append(True)
                self._changed.notify_all()

    def send(self, name: str, payload: Any = None, **values: Any) -> Callable[[], Reply]:
        """Send a command, and return a function that waits for its reply."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        received = Received(topic=name, payload=content, **values, acknowledge=partial(self._acknowledged, []))
        self._sent.append(received)
        self.dispatcher.receive(name, received)
        return lambda: self._reply_to(received)

    def ask(self, name: str, payload: Any = None, **values: Any) -> Reply:
        """Send a command, and wait for its reply."""
        return self.send(name, payload, **values)()

    def code(self, name: str, payload: Any = None, **values: Any) -> str | None:
        """Send a command, and return the error code of its reply, or None."""
        reply = self.ask(name, payload, **values)
        assert (reply.status == "error") == (reply.error is not None)
        return reply.error.code if reply.error else None

    def _replies_to(self, received: Received) -> list[Reply]:
        return [reply for one, reply in self._replies if one is received]

    def _reply_to(self, received: Received) -> Reply:
        self.wait_until(lambda: self._replies_to(received))
        return self._replies_to(received)[0]

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until the noted calls, replies and observations fulfill a condition."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S)

    @property
    def calls(self) -> list[str]:
        """The requests that Syncthing received."""
        return [line for line in self.log if "/rest/" in line]

    @property
    def answered(self) -> list[str]:
        """The names of the answered commands, in order."""
        return [reply.command for _, reply in self._replies]

    def wait_until_idle(self) -> None:
        """Wait until all work that was submitted before is done."""
        gate = threading.Barrier(module.MAX_WORKERS + 1)
        for _ in range(module.MAX_WORKERS):
            self.dispatcher.submit(gate.wait, PATIENCE_S)
        gate.wait(PATIENCE_S)

    def end(self) -> None:
        """Stop the dispatcher, and check that each command got exactly one reply and was acknowledged."""
        self.syncthing.release()
        self.dispatcher.stop(monotonic() + PATIENCE_S)
        for thread in threading.enumerate():
            if thread.name.startswith("nas-"):
                thread.join(PATIENCE_S)
        assert [len(self._replies_to(received)) for received in self._sent] == [1] * len(self._sent)
        assert self.log.count("acknowledged") == len(self._sent)
        codes = {reply.error.code for _, reply in self._replies if reply.error}
        assert all(
            json.loads(as_json(reply.payload()))["command"] == received.topic for received, reply in self._replies
        )
        assert codes <= CODES


CODES = {
    *("invalid_json", "invalid_arguments", "unknown_command", "forbidden", "retained_command", "empty_payload"),
    *("rate_limited", "not_found", "not_applicable", "unsupported", "unauthorized", "unreachable", "timeout"),
    "syncthing_error",
}


class Clock:
    """The monotonic clock of the dispatcher, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._monkeypatch = monkeypatch
        for one in (module, pending):
            monkeypatch.setattr(one, "monotonic", lambda: self.now)

    def stop(self) -> None:
        """Let the clock run again."""
        self._monkeypatch.undo()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that does not move by itself."""
    return Clock(monkeypatch)


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A dispatcher; at the end of the test, every command must have exactly one reply."""
    one = Plane()
    yield one
    one.end()


# --- replies


def test_a_command_is_answered_with_its_data(plane: Plane) -> None:
    """The reply contains Syncthing's answer without its secrets, and the transaction."""
    plane.syncthing.answers["/rest/config"] = {"gui": {"apiKey": "secret", "theme": "dark"}, "folders": []}
    reply = plane.ask("get_config", {"transaction": 7})
    assert (reply.command, reply.status, reply.transaction, reply.error) == ("get_config", "ok", 7, None)
    assert reply.data == {"gui": {"theme": "dark"}, "folders": []}


def test_commands_that_undo_each_other_are_executed_in_order(plane: Plane) -> None:
    """If a client sends `pause` and then `resume` without waiting, `resume` must win. Other commands do not wait."""
    plane.syncthing.hold(DOCS)
    names = ["pause", "resume"] * 10
    waiting = [plane.send(name, {"folder": "docs"}) for name in names]
    plane.syncthing.wait_until_asked()
    assert plane.ask("get_version").status == "ok"
    assert plane.calls == [f"PATCH {DOCS}", "GET /rest/system/version"]
    plane.syncthing.release()
    assert [wait().status for wait in waiting] == ["ok"] * len(names)
    assert plane.answered == ["get_version", *names]


def test_commands_with_large_answers_are_executed_one_at_a_time(plane: Plane) -> None:
    """Each answer takes many times its size in memory, and a client may send any number of commands at once."""
    tree = "/rest/db/browse"
    plane.syncthing.answers[tree] = []
    plane.syncthing.hold(tree)
    waiting = [plane.send("browse_database", {"folder": "docs", "level": level}) for level in range(5)]
    waiting.append(plane.send("get_need", {"folder": "docs"}))
    waiting.append(plane.send("priority", {"folder": "docs", "file": "a"}))
    plane.syncthing.wait_until_asked()
    assert plane.ask("get_version").status == "ok"
    assert plane.calls == [f"GET {tree}", "GET /rest/system/version"]
    plane.syncthing.release()
    assert [wait().status for wait in waiting] == ["ok"] * 7


def test_a_failed_command_does_not_block_the_ordered_lane(plane: Plane) -> None:
    """The next command on the lane is executed."""
    plane.syncthing.answers[DOCS] = TimedOut("slow")
    assert plane.code("pause", {"folder": "docs"}) == "timeout"
    del plane.syncthing.answers[DOCS]
    assert plane.code("resume", {"folder": "docs"}) is None


REFUSED: list[tuple[str, Any, dict[str, Any], str]] = [
    ("scan", b"docs", {"retained": True}, "retained_command"),
    ("scan", b"", {}, "empty_payload"),
    ("nonsense", b"{}", {}, "unknown_command"),
    ("scan", b"\xff", {}, "invalid_json"),
    ("scan", {"folder": "docs", "deep": 1}, {}, "invalid_arguments"),
    ("scan", b"x" * (5 * 1024 * 1024), {}, "invalid_arguments"),
    ("scan", b"unheard-of", {}, "not_found"),
    ("scan", b"old", {}, "not_applicable"),
    ("override", b"docs", {}, "not_applicable"),
    ("restart", b"PRESS", {"expiry_s": 0}, "timeout"),
]


@pytest.mark.parametrize(("name", "payload", "values", "code"), REFUSED, ids=[code for *_, code in REFUSED])
def test_a_refused_command_is_never_executed(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], code: str
) -> None:
    """The refusal is sent at once, and the command is acknowledged so that the broker does not redeliver it."""
    assert plane.code(name, payload, **values) == code
    assert plane.log == ["reply error", "acknowledged"]


@pytest.mark.parametrize("refused", REFUSED, ids=[code for *_, code in REFUSED])
def test_a_refused_command_logs_one_warning(
    plane: Plane, caplog: pytest.LogCaptureFixture, refused: tuple[str, Any, dict[str, Any], str]
) -> None:
    """The warning contains the command, the instance, the error code and the reason of the reply."""
    name, payload, values, code = refused
    error = plane.ask(name, payload, **values).error
    assert error
    what = "failed" if code == "timeout" else "refused"
    assert warnings_of(caplog) == [f"command nas/{name} {what}: {code}: {cut(error.message, LONGEST_REASON)}"]


def test_a_failed_command_logs_one_warning(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    """The command was accepted but could not be executed. A successful command logs no warning."""
    plane.syncthing.answers[CLEAR] = Unreachable("url: nothing answers", arrived=False)
    assert [plane.code("clear_errors"), plane.code("get_version")] == ["unreachable", None]
    assert warnings_of(caplog) == ["command nas/clear_errors failed: unreachable: syncthing.nas.url: nothing answers"]


def test_a_flood_of_refused_commands_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Omitted warnings are counted, and the next warning contains their number."""
    now = [0.0]
    log = RefusalLog("nas", monotonic=lambda: now[0])
    for number in range(1000):
        log.add(f"{number} scna" * 5000, "unknown_command", "there is no such command" * 5000)
    warnings = warnings_of(caplog)
    assert len(warnings) == BURST
    assert max(map(len, warnings)) < 1000
    assert warnings[0].startswith("command nas/0 scna0 scna")
    now[0] += EVERY_S
    log.add("scan", "forbidden", "scan is not allowed")
    assert warnings_of(caplog)[BURST:] == [
        f"command nas/scan refused: forbidden: scan is not allowed ({1000 - BURST} more were not logged)"
    ]


def test_the_same_refusal_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Commands that fail while Syncthing restarts would fill the log with one line again and again."""
    now = [0.0]
    log = RefusalLog("nas", monotonic=lambda: now[0])
    for _ in range(5):
        log.add("scan", "unreachable", "it restarts")
    log.add("scan", "forbidden", "not allowed")
    now[0] += EVERY_S
    log.add("scan", "unreachable", "it restarts")
    assert warnings_of(caplog) == [
        "command nas/scan failed: unreachable: it restarts",
        "command nas/scan refused: forbidden: not allowed (4 more were not logged)",
        "command nas/scan failed: unreachable: it restarts",
    ]


def test_the_log_of_a_refused_command_holds_no_value_of_its_payload(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """The payload may contain a password, for example of an encrypted folder."""
    for payload in ({"folder": ["hunter2"]}, {"folder": "docs", "password": "hunter2"}, b'{"password": "hunter2"'):
        assert plane.code("scan", payload) in ("invalid_arguments", "invalid_json")
    assert len(warnings_of(caplog)) == 2  # of the two faults of arguments, the first
    assert "hunter2" not in caplog.text


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings and errors of the log."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_command_that_is_not_allowed_is_refused() -> None:
    """The allow list is checked before the payload."""
    plane = Plane("read", "scan")
    assert plane.code("restart", b"rubbish") == "forbidden"
    assert plane.code("scan", b"docs") is None
    plane.end()


def test_an_expired_command_is_not_executed(clock: Clock) -> None:
    """The sender does not wait longer than that. The refusal contains the transaction."""
    plane = Plane(opened=False)
    early = plane.send("clear_errors", {}, expiry_s=60)
    late = plane.send("clear_errors", {"transaction": "t"}, expiry_s=50)
    clock.now += 55
    plane.dispatcher.open()
    assert early().status == "ok"
    reply = late()
    assert (reply.error and reply.error.code, reply.transaction) == ("timeout", "t")
    assert plane.calls == [f"POST {CLEAR}"]
    clock.stop()
    plane.end()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Rejected("no"), "syncthing_error"),
        (NotFound("no such folder"), "not_found"),
        (NotApplicable("no"), "not_applicable"),
        (Unsupported("too old"), "unsupported"),
        (Unreachable("gone", arrived=False), "unreachable"),
        (TimedOut("slow"), "timeout"),
        (Starting("wait"), "unreachable"),
        (TlsFailure("not trusted"), "unreachable"),
        (Unauthorized("wrong key"), "unauthorized"),
        (HostCheckFailed("wrong name"), "unauthorized"),
        (BadReply("rubbish"), "syncthing_error"),
        (CommandError("invalid_arguments", "no"), "invalid_arguments"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize(("name", "path"), [("clear_errors", CLEAR), ("restart", RESTART), ("scan", SCAN)])
def test_a_failure_is_answered_with_its_code_and_message(
    plane: Plane, name: str, path: str, failure: Exception, code: str
) -> None:
    """Every kind of failure has its error code."""
    plane.syncthing.answers[path] = failure
    reply = plane.ask(name, {"folder": "docs"} if name == "scan" else {})
    assert (reply.status, reply.data) == ("error", None)
    assert reply.error
    assert (reply.error.code, reply.error.message) == (code, str(failure))


@pytest.mark.parametrize(
    ("name", "payload", "path"),
    [
        ("get_version", {}, "/rest/system/version"),
        ("restart", {}, RESTART),
        ("scan", {"folder": "docs"}, SCAN),
        ("scan", {"folder": "docs", "wait": True}, SCAN),
    ],
)
def test_an_internal_error_is_answered(
    plane: Plane, caplog: pytest.LogCaptureFixture, name: str, payload: Any, path: str
) -> None:
    """The sender gets an error reply, and the log contains the traceback."""
    plane.syncthing.answers[path] = RuntimeError("a bug")
    reply = plane.ask(name, payload)
    assert reply.error
    assert (reply.error.code, reply.error.message) == ("syncthing_error", "internal error: RuntimeError('a bug')")
    plane.wait_until_idle()
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


# --- when a command is acknowledged


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_unrepeatable_commands_are_acknowledged_before_they_run(plane: Plane, command: Any) -> None:
    """They run at most once. All other commands are acknowledged after their reply, and run at least once."""
    values = {
        "folder": "docs",
        "device": "beta",
        "paused": True,
        "file": "f",
        "message": "m",
        "ignore": [],
        "config": {},
        "version": "2026-11-20T18:30:00Z",
        "send_kbps": 500,
    }
    names = [row.name for row in command.arguments if row.required] or [*command.either[:1], *command.any_of[:1]]
    plane.ask(command.name, {name: values[name] for name in names})
    plane.wait_until_idle()
    order = [line.partition(" ")[0] for line in plane.log if "/rest/" in line or line.startswith(("ack", "reply"))]
    calls = [index for index, word in enumerate(order) if word not in ("acknowledged", "reply")]
    if command.repeatable:
        assert order[-2:] == ["reply", "acknowledged"]
    else:
        assert order[0] == "acknowledged"
        assert calls


def test_redelivered_unrepeatable_commands_are_not_executed(plane: Plane) -> None:
    """A previous run of the bridge may have executed the command, and the reply states that."""
    assert plane.code("new_error", b"text", again=True) == "timeout"
    assert plane.code("clear_errors", b"PRESS", again=True) is None
    assert plane.calls == [f"POST {CLEAR}"]


@pytest.mark.parametrize("name", ["new_error", "clear_errors"])
def test_changes_without_an_event_are_read_after_the_command(plane: Plane, name: str) -> None:
    """Syncthing sends no event about its error list. After a failure there is nothing to read."""
    payload = b"text" if name == "new_error" else b"PRESS"
    plane.syncthing.answers.update(dict.fromkeys((ERROR, CLEAR), Rejected("no")))
    plane.ask(name, payload)
    plane.wait_until_idle()
    assert plane.taken == []
    plane.syncthing.answers.clear()
    plane.ask(name, payload)
    plane.wait_until_idle()
    assert plane.taken == [READ_ERRORS]


@pytest.mark.parametrize(
    ("failure", "read"),
    [(TimedOut("slow"), [READ_ERRORS]), (Unreachable("gone", arrived=False), []), (Rejected("no"), [])],
)
def test_the_result_of_a_timed_out_command_is_read(plane: Plane, failure: Exception, read: list[Observation]) -> None:
    """Syncthing may have executed the command although it did not answer in time, or may do so later."""
    plane.syncthing.answers[ERROR] = failure
    plane.ask("new_error", {"message": "text"})
    plane.wait_until_idle()
    assert plane.taken == read


@pytest.mark.parametrize(("failure", "checks"), [(TimedOut("slow"), 1), (Rejected("no"), 0)])
def test_a_command_timeout_makes_the_follower_check_its_connection(
    plane: Plane, failure: Exception, checks: int
) -> None:
    """A network that drops the state of connections also drops that of the long poll."""
    plane.syncthing.answers[ERROR] = failure
    plane.ask("new_error", {"message": "text"})
    plane.wait_until_idle()
    assert plane.log.count("check connection") == checks


# --- limits


def test_restarts_are_limited_to_one_per_minute(clock: Clock) -> None:
    """A second restart is refused with the remaining time. Each command has its own limit."""
    plane = Plane()
    assert plane.code("restart") is None
    clock.now += 59.5
    reply = plane.ask("restart")
    assert reply.error
    assert (reply.error.code, reply.error.message) == (
        "rate_limited",
        "restart is executed at most once in 60 s; 1 s left",
    )
    assert plane.code("shutdown") is None
    clock.now += 0.5
    assert plane.code("restart") is None
    assert plane.calls == [f"POST {RESTART}", "POST /rest/system/shutdown", f"POST {RESTART}"]
    clock.stop()
    plane.end()


def test_the_number_of_concurrent_commands_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Syncthing instance that hangs must not use more threads. Further commands wait for a thread."""
    monkeypatch.setattr(module, "MAX_WORKERS", 2)
    plane = Plane()
    plane.syncthing.hold(CLEAR)
    waiting = [plane.send("clear_errors") for _ in range(2)]
    for _ in waiting:
        plane.syncthing.wait_until_asked()
    waiting.append(plane.send("get_version"))
    assert plane.calls == [f"POST {CLEAR}"] * 2
    plane.syncthing.release()
    assert [reply().status for reply in waiting] == ["ok"] * 3
    plane.end()


class PlaneWithADuePause(Plane):
    """The previous end of a pause becomes due just before its new end is recorded."""

    def _take(self, observations: Sequence[Observation]) -> None:
        if any(isinstance(one, seen.PauseTimed) for one in observations):
            self.dispatcher.resume(Paused("folder", "docs"))
        super()._take(observations)


def test_a_pause_that_is_prolonged_when_it_is_due_continues() -> None:
    """The reply contains the new end, so the folder is not resumed before it."""
    plane = PlaneWithADuePause()
    assert plane.code("pause", {"folder": "docs", "for": "30m"}) is None
    assert plane.code("set_paused", {"folder": "docs", "paused": True}) is None  # on the same lane, after the attempt
    assert [line for line in plane.calls if "PATCH" in line] == [f"PATCH {DOCS}"] * 2
    plane.end()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("pause", {"folder": "docs", "for": "30m"}), ("pause_all", {"for": "30m"}), ("reset", {"folder": "docs"})],
)
def test_a_pause_whose_end_cannot_be_recorded_is_refused(name: str, arguments: Mapping[str, Any]) -> None:
    """Syncthing starts after the bridge, and its configuration is not known yet: the pause would never end."""
    plane = Plane("operate", "admin")
    plane.known = Known(config=None)
    assert plane.code(name, dict(arguments)) == "unreachable"
    assert plane.calls == []
    plane.end()


def test_a_command_that_waits_too_long_for_the_start_is_not_executed(clock: Clock) -> None:
    """The broker may be unreachable while the bridge reads its retained messages."""
    plane = Plane(opened=False)
    old = plane.send("clear_errors", {})
    clock.now += module.START_WITHIN_S - 1
    young = plane.send("clear_errors", {})
    clock.now += 2
    plane.dispatcher.open()
    reply = old()
    assert reply.error
    assert (reply.error.code, "not executed" in reply.error.message) == ("timeout", True)
    assert young().status == "ok"
    assert plane.calls == [f"POST {CLEAR}"]
    clock.stop()
    plane.end()


@pytest.mark.parametrize("name", ["clear_errors", "resume"])
def test_a_command_that_waits_too_long_for_a_thread_is_not_executed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, name: str
) -> None:
    """The sender no longer expects it, so the command is answered with a timeout, however many are waiting."""
    monkeypatch.setattr(module, "MAX_WORKERS", 1)
    plane = Plane()
    plane.syncthing.hold(CLEAR)
    slow = plane.send("clear_errors")
    plane.syncthing.wait_until_asked()
    waiting = [plane.send(name, {"folder": "docs"} if name == "resume" else {}) for _ in range(3)]
    clock.now += module.START_WITHIN_S + 1
    plane.syncthing.release()
    assert slow().status == "ok"
    for wait in waiting:
        reply = wait()
        assert reply.error
        assert (reply.error.code, "not executed" in reply.error.message) == ("timeout", True)
    assert plane.calls == [f"POST {CLEAR}"]
    clock.stop()
    plane.end()


@pytest.mark.parametrize(("limit", "value"), [("MAX_PENDING", 2), ("MAX_PENDING_BYTES", 80)])
def test_the_number_and_the_size_of_pending_commands_are_limited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: str, value: int
) -> None:
    """Scans with `wait` use no worker, but they count as pending, and so do their payloads."""
    monkeypatch.setattr(module, limit, value)
    plane = Plane()
    plane.syncthing.hold(SCAN)
    waiting = [plane.send("scan", {"folder": one, "wait": True}) for one in ("docs", "art")]
    for _ in range(3):
        assert plane.code("get_version") == "rate_limited"
    refusal = "command nas/get_version refused: rate_limited: too many commands are already waiting"
    assert [text for text in caplog.messages if "too many" in text] == [refusal]
    plane.syncthing.release()
    assert [reply().status for reply in waiting] == ["ok"] * 2
    assert plane.code("get_version") is None
    plane.end()


def test_the_number_of_waiting_repetitions_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions use memory, but no worker and no request. Beyond the limit they are refused at once."""
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    plane = Plane()
    plane.syncthing.hold(ERROR)
    said = {"message": "once", "transaction": "t"}
    waiting = [plane.send("new_error", said) for _ in range(3)]
    assert plane.code("new_error", said) == "rate_limited"
    plane.syncthing.release()
    assert [reply().status for reply in waiting] == ["ok"] * 3
    assert plane.calls == [f"POST {ERROR}"]
    plane.end()


def test_the_number_of_clients_that_wait_for_a_scan_is_limited(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan may take hours. Clients that got `accepted` will get `scan_finished`, so their number is limited."""
    monkeypatch.setattr("stbridge.commands.scans.MAX_JOINED", 2)
    monkeypatch.setattr(module, "ACCEPTED_AFTER_S", 0.0)
    plane.syncthing.hold(SCAN)
    assert [plane.ask("scan", b"docs").status for _ in range(3)] == ["accepted"] * 3
    assert plane.code("scan", b"docs") == "rate_limited"
    plane.syncthing.release()
    plane.wait_until(lambda: len(plane.emitted) >= 3)
    plane.wait_until_idle()
    assert plane.code("scan", b"docs") is None


def test_a_slow_command_does_not_delay_others(plane: Plane) -> None:
    """Another command is executed meanwhile, even one with the same name."""
    plane.syncthing.hold(CLEAR)
    slow = plane.send("clear_errors")
    plane.syncthing.wait_until_asked()
    assert plane.code("new_error", b"text") is None
    plane.syncthing.release()
    assert slow().status == "ok"


# --- stopping


@pytest.mark.parametrize(
    ("name", "payload", "path"),
    [
        ("clear_errors", {"transaction": 1}, CLEAR),
        ("restart", {"transaction": 1}, RESTART),
        ("scan", {"folder": "docs", "wait": True, "transaction": 1}, SCAN),
        ("scan", {"folder": "docs", "transaction": 1}, SCAN),
    ],
)
def test_a_stop_answers_commands_that_are_running(plane: Plane, name: str, payload: Any, path: str) -> None:
    """If Syncthing does not answer in time, the command and its repetitions get an error reply."""
    plane.syncthing.hold(path)
    replies = [plane.send(name, payload) for _ in range(3)]
    plane.syncthing.wait_until_asked()
    plane.dispatcher.stop(monotonic())
    for reply in replies:
        given = reply()
        assert (given.command, given.transaction) == (name, 1)
        assert given.error
        assert (given.error.code, "bridge is stopping" in given.error.message) == ("unreachable", True)


def test_a_stop_waits_for_commands_until_its_deadline(plane: Plane) -> None:
    """A command that finishes in time gets its own reply."""
    plane.syncthing.hold(CLEAR)
    reply = plane.send("clear_errors")
    plane.syncthing.wait_until_asked()
    stopping = threading.Thread(target=plane.dispatcher.stop, args=(monotonic() + PATIENCE_S,))
    stopping.start()
    plane.syncthing.release()
    stopping.join(PATIENCE_S)
    assert reply().status == "ok"


def test_a_stop_answers_commands_that_were_not_started_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that waits for a thread, the ordered lane or the first publication has not run and may be repeated."""
    monkeypatch.setattr(module, "MAX_WORKERS", 1)
    for opened in (True, False):
        plane = Plane(opened=opened)
        plane.syncthing.hold(CLEAR)
        plane.send("clear_errors")
        if opened:
            plane.syncthing.wait_until_asked()
        waiting = [plane.send(name, {"folder": "docs", "transaction": "t"}) for name in ("pause", "get_folder_status")]
        asked = plane.calls
        stopping = threading.Thread(target=plane.dispatcher.stop, args=(monotonic() + PATIENCE_S,))
        stopping.start()
        for wait in waiting:
            reply = wait()
            assert reply.error
            assert (reply.error.code, "send it again" in reply.error.message) == ("unreachable", True)
            assert reply.transaction == "t"
        plane.syncthing.release()
        stopping.join(PATIENCE_S)
        assert plane.calls == asked
        plane.end()


def test_a_command_after_the_stop_is_refused(plane: Plane) -> None:
    """It was not executed and may be sent again. Syncthing gets no request."""
    plane.dispatcher.stop(monotonic())
    reply = plane.ask("restart", {"transaction": "t"})
    assert (reply.status, reply.transaction) == ("error", "t")
    assert reply.error
    assert (reply.error.code, "send it again" in reply.error.message) == ("unreachable", True)
    assert plane.log == ["reply error", "acknowledged"]
    assert not plane.dispatcher.submit(print)


def test_commands_are_kept_until_the_dispatcher_is_open() -> None:
    """They are executed in order, when the names of folders and devices are known."""
    plane = Plane(opened=False)
    plane.known = Known(config=None)
    waiting = [plane.send(name, {"folder": "Docs"}) for name in ("pause", "resume", "scan")]
    assert plane.log == []
    plane.known = Known(config=CONFIG.config)
    plane.dispatcher.open()
    assert [wait().status for wait in waiting] == ["ok"] * 3
    assert [line for line in plane.calls if "PATCH" in line] == [f"PATCH {DOCS}"] * 2
    plane.end()


def test_a_stop_emits_scan_finished_for_accepted_scans(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that got `accepted` also get `scan_finished`, with the stop as the error."""
    monkeypatch.setattr(module, "ACCEPTED_AFTER_S", 0.0)
    plane.syncthing.hold(SCAN)
    assert plane.ask("scan", {"folder": "docs", "transaction": "t"}).status == "accepted"
    plane.dispatcher.stop(monotonic() + PATIENCE_S)
    ((event_type, data),) = plane.emitted
    assert (event_type, data["folder"], data["transaction"]) == ("scan_finished", "docs", "t")
    assert "stopping" in data["error"]


# --- the limit of threads


def test_a_thread_that_cannot_be_started_loses_no_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The existing threads execute every command once and in order. When the limit is raised, new threads start."""
    plane = Plane()
    assert plane.code("scan", b"docs") is None
    plane.syncthing.hold(CLEAR)
    waiting = [plane.send("clear_errors")]
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", _cannot_start)
        names = ["pause", "resume"] * 10
        waiting += [plane.send(name, {"folder": "docs"}) for name in names]
        waiting += [plane.send("scan", {"folder": one, "wait": True}) for one in ("docs", "art")]
        waiting.append(plane.send("restart", {"transaction": "t"}))
        waiting.append(plane.send("restart", {"transaction": "t"}))
        plane.dispatcher.resume(Paused("folder", "art"))
        plane.syncthing.release()
        assert [wait().status for wait in waiting] == ["ok"] * len(waiting)
    assert [name for name in plane.answered if name in ("pause", "resume")] == names
    assert plane.calls.count(f"POST {RESTART}") == 1
    assert any("can't start new thread; raise the limit" in text for text in caplog.messages)
    assert [plane.code(name, {"folder": "docs"}) for name in ("pause", "resume", "scan")] == [None] * 3
    plane.end()


def test_a_scan_without_any_thread_does_not_block_later_scans(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that no thread can run is refused. It does not run later, and no other scan joins it."""
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", _cannot_start)
        assert plane.code("scan", b"docs") == "rate_limited"
    assert plane.code("scan", b"docs") is None
    assert plane.calls == [f"POST {SCAN}"]
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", _cannot_start)
        with pytest.raises(RuntimeError, match="cannot start a thread for commands"):
            Plane()


def _cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


# --- repeated commands


@pytest.mark.parametrize(
    ("name", "payload", "values"),
    [
        ("clear_errors", {"transaction": "t"}, {}),
        ("restart", {}, {"correlation": b"c"}),
        ("new_error", {"message": "m", "transaction": 0}, {}),
        ("scan", {"folder": "docs", "transaction": "t"}, {}),
        ("scan", {"folder": "docs", "wait": True, "transaction": "t"}, {}),
    ],
)
@pytest.mark.parametrize("meanwhile", [False, True], ids=["afterwards", "meanwhile"])
def test_a_repeated_command_is_not_executed_again(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], *, meanwhile: bool
) -> None:
    """A repetition gets the reply of the first command, even if that still runs. Rate limits do not apply to it."""
    path = {"clear_errors": CLEAR, "restart": RESTART, "new_error": ERROR, "scan": SCAN}[name]
    plane.syncthing.answers[path] = {"asked": "once"}
    if meanwhile:
        plane.syncthing.hold(path)
    first = plane.send(name, payload, **values)
    if not meanwhile:
        first()
    again = [plane.send(name, payload, **values) for _ in range(2)]
    plane.syncthing.release()
    assert first().status == "ok"
    assert [reply() for reply in again] == [first()] * 2
    assert plane.calls == [f"POST {path}"]


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (Unreachable("gone", arrived=False), True),
        (ConnectTimedOut("no connection in time"), True),
        (Unreachable("hung up"), False),
        (TimedOut("slow"), False),
        (Starting("wait"), False),
        (BadReply("not JSON"), False),
        (Rejected("no"), True),
    ],
)
def test_a_repetition_after_a_failure_is_executed_only_if_the_first_was_not(
    plane: Plane, failure: Exception, *, again: bool
) -> None:
    """If the first command may have been executed, the repetition gets its error instead."""
    plane.syncthing.answers[ERROR] = failure
    first = plane.ask("new_error", {"message": "m", "transaction": "t"})
    plane.syncthing.answers.clear()
    second = plane.ask("new_error", {"message": "m", "transaction": "t"})
    assert first.status == "error"
    assert second.status == "ok" if again else second == first
    assert len(plane.calls) == 1 + again


def test_waiting_repetitions_get_the_error_of_the_first_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later repetition is executed."""
    monkeypatch.setattr(module, "MAX_WORKERS", 2)
    plane = Plane()
    plane.syncthing.answers[CLEAR] = Rejected("no")
    plane.syncthing.hold(CLEAR)
    replies = [plane.send("clear_errors", {"transaction": "t"}) for _ in range(3)]
    all_began = threading.Event()
    plane.dispatcher.submit(all_began.set)  # by then, the one idle thread has handled the repetitions
    assert all_began.wait(PATIENCE_S)
    plane.syncthing.wait_until_asked()
    plane.syncthing.release()
    assert [reply().error and str(reply().error) for reply in replies] == ["no"] * 3
    plane.syncthing.answers.clear()
    assert plane.code("clear_errors", {"transaction": "t"}) is None
    assert plane.calls == [f"POST {CLEAR}"] * 2
    plane.end()


def test_a_rate_limited_command_may_be_repeated(clock: Clock) -> None:
    """It was not executed, so its reply is not cached."""
    plane = Plane()
    plane.ask("restart")
    assert plane.code("restart", {"transaction": "t"}) == "rate_limited"
    clock.now += 60
    assert plane.code("restart", {"transaction": "t"}) is None
    assert len(plane.calls) == 2
    clock.stop()
    plane.end()


@pytest.mark.parametrize(
    ("name", "payload", "values", "path"),
    [
        ("get_version", {"transaction": "t"}, {"correlation": b"c"}, "/rest/system/version"),
        ("clear_errors", {}, {}, CLEAR),
    ],
)
def test_reads_and_unmarked_commands_are_executed_each_time(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], path: str
) -> None:
    """The result of a read may have changed. Without a transaction or correlation data, no command is a repetition."""
    for _ in range(2):
        plane.ask(name, payload, **values)
    assert [line.partition(" ")[2] for line in plane.calls] == [path] * 2


def test_after_ten_minutes_a_repetition_is_a_new_command(clock: Clock) -> None:
    """The reply cache forgets replies after that time."""
    plane = Plane()
    for _ in range(2):
        plane.ask("clear_errors", {"transaction": "t"})
        clock.now += REPLY_KEPT_S
    assert len(plane.calls) == 2
    clock.stop()
    plane.end()


# --- scans


def test_a_short_scan_is_answered_without_an_event(plane: Plane) -> None:
    """The reply already contains the result."""
    assert plane.ask("scan", b"docs").status == "ok"
    assert plane.ask("scan", b"all").status == "ok"
    plane.wait_until_idle()
    assert plane.emitted == []


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (None, None),
        (Rejected("folder marker missing"), "folder marker missing"),
        (TimedOut("slow"), "slow"),
        (RuntimeError("a bug"), "internal error: RuntimeError('a bug')"),
    ],
)
def test_a_long_scan_is_accepted_and_its_end_is_reported(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, error: str | None
) -> None:
    """`scan_finished` contains the transaction and the error, if any. Each joined command has its own event."""
    monkeypatch.setattr(module, "ACCEPTED_AFTER_S", 0.01)
    plane.syncthing.answers[SCAN] = failure
    plane.syncthing.hold(SCAN)
    replies = [plane.ask("scan", {"folder": "docs", "transaction": transaction}) for transaction in ("a", "b")]
    assert [(reply.status, reply.transaction, reply.error) for reply in replies] == [
        ("accepted", "a", None),
        ("accepted", "b", None),
    ]
    assert plane.emitted == []
    plane.syncthing.release()
    plane.wait_until(lambda: len(plane.emitted) >= 2)
    assert sorted(plane.emitted, key=str) == [
        ("scan_finished", {"folder": "docs", "label": "Docs", "error": error, "transaction": transaction})
        for transaction in ("a", "b")
    ]
    assert plane.calls == [f"POST {SCAN}"]


@pytest.mark.parametrize("failure", [None, Rejected("folder marker missing")])
def test_a_scan_with_wait_has_one_reply_at_its_end(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    """There is no `accepted` and no event, however long it takes."""
    monkeypatch.setattr(module, "ACCEPTED_AFTER_S", 0.01)
    plane.syncthing.answers[SCAN] = failure
    plane.syncthing.hold(SCAN)
    reply = plane.send("scan", {"folder": "docs", "wait": True})
    assert plane.ask("scan", b"docs").status == "accepted"
    plane.syncthing.release()
    assert (reply().status, reply().error and str(reply().error)) == (
        ("error", str(failure)) if failure else ("ok", None)
    )
    plane.wait_until(lambda: len(plane.emitted) >= 1)
    assert [data["transaction"] for _, data in plane.emitted] == [None]


def test_too_many_scans_are_refused(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each running scan uses a request to Syncthing. A command that joins a running scan does not."""
    monkeypatch.setattr("stbridge.commands.scans.MAX_SCANS", 1)
    plane.syncthing.hold(SCAN)
    first = plane.send("scan", {"folder": "docs", "wait": True})
    plane.syncthing.wait_until_asked()
    assert plane.code("scan", b"art") == "rate_limited"
    joined = plane.send("scan", {"folder": "docs", "sub": "a", "wait": True})
    plane.syncthing.release()
    assert [first().status, joined().status] == ["ok", "ok"]


# --- timed pauses


def pauses(plane: Plane) -> list[tuple[Paused, bool]]:
    """Return the reported pauses, and whether they end by themselves."""
    return [(one.paused, one.until is not None) for one in plane.taken if isinstance(one, seen.PauseTimed)]


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("pause", {"folder": "docs", "for": "30m"}, [(Paused("folder", "docs"), True)]),
        ("pause", {"device": "beta", "for": 90}, [(Paused("device", BETA), True)]),
        ("pause", {"folder": "Docs"}, [(Paused("folder", "docs"), False)]),
        ("set_paused", {"device": "beta", "paused": True}, [(Paused("device", BETA), False)]),
        ("set_paused", {"folder": "docs", "paused": False}, []),
        ("resume", {"folder": "docs"}, []),
    ],
)
def test_how_long_a_pause_lasts_is_reported(plane: Plane, name: str, payload: Any, expected: Any) -> None:
    """The reply contains the same end. A pause without an end replaces an earlier timed one."""
    reply = plane.ask(name, payload)
    assert pauses(plane) == expected
    (until,) = [one.until for one in plane.taken if isinstance(one, seen.PauseTimed)] or [None]
    if until is None:
        assert not reply.data
    else:
        assert from_utc(reply.data["resume_at"]) == until.replace(microsecond=until.microsecond // 1000 * 1000)


BY_HAND, FOR_A_WHILE, RUNNING, OWN = (device_id(short) for short in ("BYHANDA", "AWHILEA", "RUNNING", "OWNDEVI"))


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("pause_all", {"for": "2h"}, {FOR_A_WHILE: True, RUNNING: True}),
        ("pause_all", {}, {BY_HAND: False, FOR_A_WHILE: False, RUNNING: False}),
        ("resume_all", {}, {FOR_A_WHILE: False}),
    ],
)
def test_the_end_of_a_pause_of_all_devices_is_reported(plane: Plane, name: str, payload: Any, expected: Any) -> None:
    """A device that somebody has paused without an end is not resumed at the end.

    The event of that pause has not arrived yet, so Syncthing is asked.
    """
    devices = [device(BY_HAND, "a"), device(FOR_A_WHILE, "b", paused=True), device(RUNNING, "c", paused=True)]
    now = {BY_HAND: True, FOR_A_WHILE: True, RUNNING: False, OWN: False}
    plane.syncthing.answers["/rest/config"] = {
        "devices": [{"deviceID": one, "paused": paused} for one, paused in now.items()]
    }
    timed = frozenset({Paused("device", FOR_A_WHILE), Paused("folder", "docs")})
    plane.known = Known(config=configured([folder("docs")], devices).config, timed_pauses=timed)
    reply = plane.ask(name, payload)
    assert pauses(plane) == [(Paused("device", one), ends) for one, ends in expected.items()]
    assert (reply.data or {}).keys() == ({"resume_at"} if payload else set())
    asked = ["GET /rest/config"] if payload else []
    assert plane.log[: len(asked) + 1] == [*asked, f"POST /rest/system/{name.partition('_')[0]}"]


def test_resuming_all_devices_cancels_attempts_to_resume_one(plane: Plane) -> None:
    """Such an attempt may be queued behind the command, and would resume a device that is paused after it."""
    plane.syncthing.hold("/rest/system/resume")
    reply = plane.send("resume_all", {})
    plane.syncthing.wait_until_asked()
    plane.dispatcher.resume(Paused("device", BETA))
    plane.syncthing.release()
    assert reply().status == "ok"
    plane.wait_until_idle()
    assert plane.log.count("POST /rest/system/resume") == 1


@pytest.mark.parametrize("at_the_end", [False, True], ids=["as ever", "at a stop"])
def test_a_timed_pause_is_stored_before_its_reply(plane: Plane, *, at_the_end: bool) -> None:
    """Otherwise the bridge could stop in between, and its next run would not know the end that the reply contains."""
    plane.syncthing.hold(DOCS)
    reply = plane.send("pause", {"folder": "docs", "for": "30m"})
    plane.syncthing.wait_until_asked()
    stopping = threading.Thread(target=plane.dispatcher.stop, args=(monotonic() + PATIENCE_S,))
    if at_the_end:
        stopping.start()
    plane.syncthing.release()
    assert reply().data["resume_at"]
    assert plane.log[:3] == [f"PATCH {DOCS}", "PauseTimed", "reply ok"]
    if at_the_end:
        stopping.join(PATIENCE_S)


def test_a_failed_pause_has_no_end(plane: Plane) -> None:
    """Nothing was paused, so nothing must be resumed later."""
    plane.syncthing.answers[DOCS] = Rejected("no")
    assert plane.code("pause", {"folder": "docs", "for": "30m"}) == "syncthing_error"
    assert plane.taken == []


def test_a_pause_that_times_out_has_an_end(plane: Plane) -> None:
    """Syncthing may pause the folder later, for example when it waits for a slow disk."""
    plane.syncthing.answers[DOCS] = TimedOut("slow")
    assert plane.code("pause", {"folder": "docs", "for": "30m"}) == "timeout"
    assert pauses(plane) == [(Paused("folder", "docs"), True)]


@pytest.mark.parametrize("name", ["resume", "set_paused"])
def test_resuming_discards_the_end_of_a_timed_pause(plane: Plane, name: str) -> None:
    """If somebody pauses the folder again by hand, the bridge does not resume it."""
    plane.known = Known(config=plane.known.config, timed_pauses=frozenset({Paused("folder", "docs")}))
    plane.ask(name, {"folder": "docs"} if name == "resume" else {"folder": "docs", "paused": False})
    assert pauses(plane) == [(Paused("folder", "docs"), False)]


@pytest.mark.parametrize(
    ("paused", "call"),
    [(Paused("folder", "docs"), f"PATCH {DOCS}"), (Paused("device", BETA), "POST /rest/system/resume")],
)
def test_a_folder_or_device_is_resumed_when_its_pause_ends(
    plane: Plane, caplog: pytest.LogCaptureFixture, paused: Paused, call: str
) -> None:
    """No command caused it, so there is no reply. A failure is logged once, however often it repeats."""
    plane.dispatcher.resume(paused)
    plane.wait_until_idle()
    assert (plane.log, caplog.messages) == ([call, "PauseTimed"], [])
    assert plane.taken == [seen.PauseTimed(paused=paused, until=None)]
    given = f"nas: the pause of {paused.id} is over, but cannot resume it yet: gone"
    for fails, messages in ((True, [given]), (True, [given]), (False, [given]), (True, [given, given])):
        answer: Any = Unreachable("gone", arrived=False) if fails else {}
        plane.syncthing.answers[call.partition(" ")[2]] = answer
        plane.dispatcher.resume(paused)
        plane.wait_until_idle()
        assert caplog.messages == messages


def test_a_later_pause_that_cannot_be_ended_is_logged_as_well(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    """In between, a command has paused the folder again."""
    for _ in range(2):
        plane.syncthing.answers[DOCS] = {}
        plane.ask("pause", {"folder": "docs", "for": "30m"})
        plane.syncthing.answers[DOCS] = Unreachable("gone", arrived=False)
        plane.dispatcher.resume(Paused("folder", "docs"))
        plane.wait_until_idle()
    assert len([one for one in caplog.messages if "cannot resume it yet" in one]) == 2


def test_a_pause_has_one_resume_attempt_at_a_time(plane: Plane) -> None:
    """While Syncthing hangs, the resume blocks one thread and sends one request, however often it is due."""
    plane.syncthing.hold(DOCS)
    for _ in range(100):
        plane.dispatcher.resume(Paused("folder", "docs"))
    plane.syncthing.wait_until_asked()
    for _ in range(100):
        plane.dispatcher.resume(Paused("folder", "docs"))
    assert len([one for one in threading.enumerate() if one.name.startswith("nas-command")]) <= 2
    plane.syncthing.release()
    plane.wait_until_idle()
    assert plane.calls == [f"PATCH {DOCS}"]
    plane.dispatcher.resume(Paused("folder", "docs"))
    plane.wait_until_idle()
    assert plane.calls == [f"PATCH {DOCS}"] * 2


def test_only_the_first_of_many_due_pauses_waits_for_a_timeout(plane: Plane) -> None:
    """The others are retried later, so that a following command does not wait for all of them."""
    plane.syncthing.answers[DOCS] = TimedOut("slow")
    plane.syncthing.hold(DOCS)
    for one in ("docs", *(f"f{number}" for number in range(50))):
        plane.dispatcher.resume(Paused("folder", one))
    plane.syncthing.wait_until_asked()
    command = plane.send("pause", {"folder": "art"})
    plane.syncthing.release()
    assert command().status == "ok"
    assert plane.calls == [f"PATCH {DOCS}", "PATCH /rest/config/folders/art"]


def test_a_pause_that_is_prolonged_just_before_its_end_is_not_resumed(plane: Plane) -> None:
    """The pause is no longer due when the ordered lane reaches it."""
    plane.syncthing.hold(DOCS)
    prolonged = plane.send("pause", {"folder": "docs", "for": "1h"})
    plane.syncthing.wait_until_asked()
    plane.dispatcher.resume(Paused("folder", "docs"))
    plane.syncthing.release()
    assert prolonged().status == "ok"
    plane.wait_until_idle()
    assert plane.calls == [f"PATCH {DOCS}"]


@pytest.mark.parametrize(
    ("allow", "calls"), [(["read", "scan"], []), (["reset"], [f"PATCH {DOCS}"]), (["pause"], [f"PATCH {DOCS}"])]
)
def test_a_pause_is_not_resumed_without_permission(allow: list[str], calls: list[str]) -> None:
    """The retained end of a pause does not override the allow list."""
    plane = Plane(*allow)
    plane.dispatcher.resume(Paused("folder", "docs"))
    plane.wait_until_idle()
    assert plane.calls == calls
    plane.end()


def test_a_reset_publishes_the_end_of_its_pauses_before_it_pauses(plane: Plane) -> None:
    """If the bridge is killed meanwhile, its next run resumes the folders."""
    plane.syncthing.answers["/rest/config"] = {"folders": [{"id": "docs", "paused": False}]}
    started_at = iter("12")
    plane.syncthing.answers["/rest/system/status"] = lambda: {"startTime": next(started_at)}
    reply = plane.ask("reset", {"folder": "docs"})
    assert reply.status == "ok", reply
    assert [line for line in plane.log if line in ("PauseTimed", f"PATCH {DOCS}")] == [
        *("PauseTimed", f"PATCH {DOCS}"),
        *(f"PATCH {DOCS}", "PauseTimed"),
    ]
    assert pauses(plane) == [(Paused("folder", "docs"), True), (Paused("folder", "docs"), False)]


# --- restarts of Syncthing


@pytest.mark.parametrize("wait", [True, False])
def test_a_restart_of_syncthing_ends_running_scans(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, *, wait: bool
) -> None:
    """Their clients get an error, and the next scan runs in the new process, even while the old request hangs."""
    monkeypatch.setattr(module, "ACCEPTED_AFTER_S", 0.0)
    plane.syncthing.hold(SCAN)
    scan = plane.send("scan", {"folder": "docs", "wait": wait})
    plane.syncthing.wait_until_asked()
    if not wait:
        assert scan().status == "accepted"
    plane.dispatcher.syncthing_restarted()
    if wait:
        reply = scan()
        assert reply.error
        assert (reply.error.code, "restarted" in reply.error.message) == ("unreachable", True)
    else:
        plane.wait_until(lambda: plane.emitted)
        assert "restarted" in plane.emitted[0][1]["error"]
    again = plane.send("scan", {"folder": "docs", "wait": True})
    plane.syncthing.wait_until_asked()
    plane.syncthing.release()
    assert again().status == "ok"
    assert plane.calls == [f"POST {SCAN}"] * 2


@pytest.mark.parametrize(("answer", "left"), [({"ok": "restarting"}, [True]), (Unsupported("no"), [True, False])])
def test_an_upgrade_is_reported_while_it_is_in_progress(plane: Plane, answer: Any, left: list[bool]) -> None:
    """A refused upgrade is over at once. Otherwise the following restart shows the end."""
    plane.syncthing.answers["/rest/system/upgrade"] = answer
    plane.ask("upgrade")
    assert plane.taken == [seen.Upgrading(in_progress=one) for one in left]


# --- arbitrary input

MESSAGES = st.tuples(
    st.sampled_from([command.name for command in COMMANDS]) | st.text(max_size=5),
    st.sampled_from([b"{}", b"PRESS", b"docs", b'{"folder":"docs","transaction":1}', b'{"device":"beta"}'])
    | st.binary(max_size=20),
    st.fixed_dictionaries(
        {
            "retained": st.sampled_from([False, False, False, True]),
            "correlation": st.sampled_from([None, b"c"]),
            "expiry_s": st.sampled_from([None, 0, 60]),
        }
    ),
)


@given(st.lists(MESSAGES, max_size=5))
def test_any_message_has_exactly_one_reply(messages: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    """Syncthing answers every request with an empty object here."""
    plane = Plane()
    for name, payload, values in messages:
        plane.send(name, payload, **values)
    plane.end()

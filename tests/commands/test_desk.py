"""The desk: whatever comes in is carried out as its row says, and answered exactly once."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.commands import desk as desk_module
from stbridge.commands.arrival import Arrival
from stbridge.commands.desk import CommandDesk
from stbridge.commands.ledger import KEPT_S
from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS, allowed
from stbridge.core.envelope import CommandError, Reply
from stbridge.core.json_text import as_json
from stbridge.core.messages import Received
from stbridge.core.observations import Observation, Read
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import from_utc
from stbridge.errors import (
    BadReply,
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
from tests.core.world import BETA, configured, device, folder, watched

RESTART, CLEAR, ERROR = "/rest/system/restart", "/rest/system/error/clear", "/rest/system/error"
DOCS = "/rest/config/folders/docs"
CONFIG = configured([folder("docs", BETA), folder("art"), folder("old", paused=True)], [device(BETA, "beta")])


class Plane:
    """A desk that may do everything to a pretended Syncthing; `log` holds what happened, in order."""

    def __init__(self, *allow: str) -> None:
        self.log: list[str] = []
        self.syncthing = PretendedTransport(self.log.append)
        self.happenings: list[tuple[str, dict[str, Any]]] = []
        self.reads: list[Read] = []
        self.reports: list[Observation] = []
        self._sent: list[Received] = []
        self._replies: list[tuple[Received, Reply]] = []
        self._changed = threading.Condition()
        self._state = watched(config=CONFIG).state
        self.desk = CommandDesk(
            "nas",
            PretendedClient(self.syncthing),
            allowed=allowed(allow or ("read", "operate", "admin")),
            answer=self._answer,
            happened=self._happened,
            read=self.reads.extend,
            report=self.reports.append,
        )

    def _answer(self, received: Received, reply: Reply) -> None:
        with self._changed:
            self._replies.append((received, reply))
            self.log.append(f"reply {reply.status}")
            self._changed.notify_all()

    def _happened(self, event_type: str, **data: Any) -> None:
        with self._changed:
            self.happenings.append((event_type, data))
            self._changed.notify_all()

    def _acknowledged(self, done: list[bool]) -> None:
        if not done:  # what was acknowledged is not acknowledged again, see Received
            self.log.append("acknowledged")
            done.append(True)

    def _arrival(self, name: str, payload: Any, age_s: float = 0, **values: Any) -> Arrival:
        content = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        received = Received(topic=name, payload=content, **values, acknowledge=partial(self._acknowledged, []))
        self._sent.append(received)
        return Arrival(name, received, monotonic() - age_s)

    def send(self, name: str, payload: Any = None, **values: Any) -> Callable[[], Reply]:
        """Send a command, and return what waits for its reply."""
        arrival = self._arrival(name, payload, **values)
        if self.desk.admit(arrival):
            self.desk.take(arrival, self._state)
        return lambda: self._reply_to(arrival.received)

    def send_too_late(self, name: str, payload: Any = None) -> Reply:
        """Send a command to a bridge that is stopping, and return its reply."""
        arrival = self._arrival(name, payload)
        assert self.desk.admit(arrival)
        self.desk.refuse(arrival)
        return self._reply_to(arrival.received)

    def ask(self, name: str, payload: Any = None, **values: Any) -> Reply:
        """Send a command, and return its reply."""
        return self.send(name, payload, **values)()

    def code(self, name: str, payload: Any = None, **values: Any) -> str | None:
        """Send a command, and return the code of the error it is answered with."""
        reply = self.ask(name, payload, **values)
        assert (reply.status == "error") == (reply.error is not None)
        return reply.error.code if reply.error else None

    def _replies_to(self, received: Received) -> list[Reply]:
        return [reply for one, reply in self._replies if one is received]

    def _reply_to(self, received: Received) -> Reply:
        with self._changed:
            assert self._changed.wait_for(lambda: self._replies_to(received), PATIENCE_S)
            return self._replies_to(received)[0]

    def wait_for_happenings(self, count: int) -> None:
        """Wait until so much has been told."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.happenings) >= count, PATIENCE_S)

    @property
    def calls(self) -> list[str]:
        """What Syncthing was asked for."""
        return [line for line in self.log if "/rest/" in line]

    @property
    def answered(self) -> list[str]:
        """The commands that were answered, in order."""
        return [reply.command for _, reply in self._replies]

    def settle(self) -> None:
        """Wait until nothing is under way."""
        for thread in threading.enumerate():
            if thread.name.startswith("nas-"):
                thread.join(PATIENCE_S)

    def end(self) -> None:
        """Let everything end, and see that each command got its reply, and only one, and was acknowledged."""
        self.syncthing.release()
        self.desk.stop()
        self.settle()
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


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A desk; whatever a test does to it, at its end every command has exactly one reply."""
    one = Plane()
    yield one
    one.end()


# --- one reply


def test_a_command_is_answered_with_its_data(plane: Plane) -> None:
    """The reply has what Syncthing answered, without its secrets, and the transaction."""
    plane.syncthing.answers["/rest/config"] = {"gui": {"apiKey": "secret", "theme": "dark"}, "folders": []}
    reply = plane.ask("get_config", {"transaction": 7})
    assert (reply.command, reply.status, reply.transaction, reply.error) == ("get_config", "ok", 7, None)
    assert reply.data == {"gui": {"theme": "dark"}, "folders": []}


def test_commands_that_undo_each_other_are_carried_out_as_they_came(plane: Plane) -> None:
    """Who sends `pause`, then `resume`, without waiting, wants it resumed; what waits for neither overtakes both."""
    plane.syncthing.hold(DOCS)
    names = ["pause", "resume"] * 10
    waiting = [plane.send(name, {"folder": "docs"}) for name in names]
    plane.syncthing.wait_until_asked()
    assert plane.ask("get_version").status == "ok"
    assert plane.calls == [f"PATCH {DOCS}", "GET /rest/system/version"]
    plane.syncthing.release()
    assert [wait().status for wait in waiting] == ["ok"] * len(names)
    assert plane.answered == ["get_version", *names]


def test_a_turn_that_fails_is_over_as_well(plane: Plane) -> None:
    """What came after it is carried out."""
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
    ("restart", b"PRESS", {"expiry_s": 5, "age_s": 5}, "timeout"),
    ("restart", b"PRESS", {"expiry_s": 0}, "timeout"),
]


@pytest.mark.parametrize(("name", "payload", "values", "code"), REFUSED, ids=[code for *_, code in REFUSED])
def test_what_is_refused_is_never_carried_out(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], code: str
) -> None:
    """It is answered at once, and the broker need not deliver it again."""
    assert plane.code(name, payload, **values) == code
    assert plane.log == ["reply error", "acknowledged"]


def test_what_is_not_allowed_is_refused() -> None:
    """The allow-list counts, whatever the payload holds."""
    plane = Plane("read", "scan")
    assert plane.code("restart", b"rubbish") == "forbidden"
    assert plane.code("scan", b"docs") is None
    plane.end()


def test_a_command_counts_until_its_message_expires(plane: Plane) -> None:
    """A sender that does not wait longer does not get it done later; the refusal has its transaction."""
    assert plane.code("clear_errors", {}, expiry_s=60, age_s=50) is None
    reply = plane.ask("clear_errors", {"transaction": "t"}, expiry_s=60, age_s=61)
    assert (reply.error and reply.error.code, reply.transaction) == ("timeout", "t")
    assert plane.calls == [f"POST {CLEAR}"]


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
def test_what_fails_is_answered_with_why(plane: Plane, name: str, path: str, failure: Exception, code: str) -> None:
    """Every kind of failure has its code, and the message of the error."""
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
def test_a_bug_is_answered_too(
    plane: Plane, caplog: pytest.LogCaptureFixture, name: str, payload: Any, path: str
) -> None:
    """The sender is told, and the log has the traceback."""
    plane.syncthing.answers[path] = RuntimeError("a bug")
    reply = plane.ask(name, payload)
    assert reply.error
    assert (reply.error.code, reply.error.message) == ("syncthing_error", "internal error: RuntimeError('a bug')")
    plane.settle()
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


# --- when the broker is told


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_what_must_not_be_done_twice_is_acknowledged_before(plane: Plane, command: Any) -> None:
    """Better lost than done twice; anything else is acknowledged after its reply, and better done twice than lost."""
    values = {
        "folder": "docs",
        "device": "beta",
        "paused": True,
        "file": "f",
        "message": "m",
        "ignore": [],
        "config": {},
    }
    names = [row.name for row in command.arguments if row.required] or list(command.either[:1])
    plane.ask(command.name, {name: values[name] for name in names})
    plane.settle()
    order = [line.partition(" ")[0] for line in plane.log]
    calls = [index for index, word in enumerate(order) if word not in ("acknowledged", "reply")]
    if command.repeatable:
        assert order[-2:] == ["reply", "acknowledged"]
    else:
        assert order[0] == "acknowledged"
        assert calls


def test_what_must_not_be_done_twice_is_not_done_when_it_is_delivered_again(plane: Plane) -> None:
    """An earlier life of the bridge may have done it; the sender is told that it may have been done."""
    assert plane.code("new_error", b"text", again=True) == "timeout"
    assert plane.code("clear_errors", b"PRESS", again=True) is None
    assert plane.calls == [f"POST {CLEAR}"]


@pytest.mark.parametrize("name", ["new_error", "clear_errors"])
def test_what_no_event_tells_is_read_afterwards(plane: Plane, name: str) -> None:
    """Syncthing does not tell of its error list; what failed has changed nothing."""
    payload = b"text" if name == "new_error" else b"PRESS"
    plane.syncthing.answers.update(dict.fromkeys((ERROR, CLEAR), Rejected("no")))
    plane.ask(name, payload)
    plane.settle()
    assert plane.reads == []
    plane.syncthing.answers.clear()
    plane.ask(name, payload)
    plane.settle()
    assert plane.reads == [Read("errors")]


@pytest.mark.parametrize(
    ("failure", "read"),
    [(TimedOut("slow"), [Read("errors")]), (Unreachable("gone", arrived=False), []), (Rejected("no"), [])],
)
def test_what_may_have_been_done_is_looked_at(plane: Plane, failure: Exception, read: list[Read]) -> None:
    """A Syncthing that did not answer in time may have carried it out, or does so later."""
    plane.syncthing.answers[ERROR] = failure
    plane.ask("new_error", {"message": "text"})
    plane.settle()
    assert plane.reads == read


# --- limits


def test_restarts_are_a_minute_apart(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is refused, and tells how long to wait; another command has a minute of its own."""
    now = 1000.0
    monkeypatch.setattr(desk_module, "monotonic", lambda: now)
    assert plane.code("restart") is None
    now += 59.5
    reply = plane.ask("restart")
    assert reply.error
    assert (reply.error.code, reply.error.message) == ("rate_limited", "restart is carried out once in 60 s: 0 s left")
    assert plane.code("shutdown") is None
    now += 0.5
    assert plane.code("restart") is None
    assert plane.calls == [f"POST {RESTART}", "POST /rest/system/shutdown", f"POST {RESTART}"]


def test_only_so_many_commands_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Syncthing that hangs takes no more threads; one more is refused, and when one has ended there is room."""
    monkeypatch.setattr(desk_module, "MOST_WORKERS", 2)
    plane = Plane()
    plane.syncthing.hold(CLEAR)
    under_way = [plane.send("clear_errors") for _ in range(2)]
    assert plane.code("get_version") == "rate_limited"
    plane.syncthing.release()
    assert [reply().status for reply in under_way] == ["ok"] * 2
    plane.settle()
    assert plane.code("get_version") is None
    plane.end()


@pytest.mark.parametrize(("limit", "value"), [("MOST_UNANSWERED", 2), ("MOST_UNANSWERED_BYTES", 80)])
def test_only_so_many_commands_wait_for_their_reply(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: str, value: int
) -> None:
    """Scans that are waited for hold no worker, but they are counted, and so is what they are made of."""
    monkeypatch.setattr(desk_module, limit, value)
    plane = Plane()
    plane.syncthing.hold(SCAN)
    waiting = [plane.send("scan", {"folder": one, "wait": True}) for one in ("docs", "art")]
    for _ in range(3):
        assert plane.code("get_version") == "rate_limited"
    assert [text for text in caplog.messages if "too many" in text and "command" not in text.split(":")[0]] == [
        "nas: too many commands are under way: more are refused"
    ]
    plane.syncthing.release()
    assert [reply().status for reply in waiting] == ["ok"] * 2
    assert plane.code("get_version") is None
    plane.end()


def test_the_same_command_again_and_again_waits_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions hold neither a worker nor Syncthing, but memory: beyond the limit they are answered at once."""
    monkeypatch.setattr(desk_module, "MOST_UNANSWERED", 3)
    plane = Plane()
    plane.syncthing.hold(ERROR)
    said = {"message": "once", "transaction": "t"}
    waiting = [plane.send("new_error", said) for _ in range(3)]
    assert plane.code("new_error", said) == "rate_limited"
    plane.syncthing.release()
    assert [reply().status for reply in waiting] == ["ok"] * 3
    assert plane.calls == [f"POST {ERROR}"]
    plane.end()


def test_only_so_many_wait_for_the_end_of_a_scan(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan may take hours, and whoever was told `accepted` is told its end, too: so they are counted."""
    monkeypatch.setattr("stbridge.commands.scans.MOST_JOINED", 2)
    monkeypatch.setattr(desk_module, "SCAN_PATIENCE_S", 0.0)
    plane.syncthing.hold(SCAN)
    assert [plane.ask("scan", b"docs").status for _ in range(3)] == ["accepted"] * 3
    assert plane.code("scan", b"docs") == "rate_limited"
    plane.syncthing.release()
    plane.wait_for_happenings(3)
    plane.settle()
    assert plane.code("scan", b"docs") is None


def test_a_slow_command_keeps_nobody_waiting(plane: Plane) -> None:
    """Another one is carried out meanwhile, be it of the same name."""
    plane.syncthing.hold(CLEAR)
    slow = plane.send("clear_errors")
    plane.syncthing.wait_until_asked()
    assert plane.code("new_error", b"text") is None
    plane.syncthing.release()
    assert slow().status == "ok"


# --- a stop


@pytest.mark.parametrize(
    ("name", "payload", "path"),
    [
        ("clear_errors", {"transaction": 1}, CLEAR),
        ("restart", {"transaction": 1}, RESTART),
        ("scan", {"folder": "docs", "wait": True, "transaction": 1}, SCAN),
        ("scan", {"folder": "docs", "transaction": 1}, SCAN),
    ],
)
def test_a_stop_answers_what_is_under_way(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, name: str, payload: Any, path: str
) -> None:
    """Syncthing does not answer in time: the sender is told, and so is whoever waits for the same."""
    monkeypatch.setattr(desk_module, "STOP_S", 0.01)
    plane.syncthing.hold(path)
    replies = [plane.send(name, payload) for _ in range(3)]
    plane.syncthing.wait_until_asked()
    plane.desk.stop()
    for reply in replies:
        told = reply()
        assert (told.command, told.transaction) == (name, 1)
        assert told.error
        assert (told.error.code, "bridge is stopping" in told.error.message) == ("unreachable", True)


def test_a_stop_waits_for_what_is_nearly_done(plane: Plane) -> None:
    """What ends in time gets its own reply."""
    plane.syncthing.hold(CLEAR)
    reply = plane.send("clear_errors")
    plane.syncthing.wait_until_asked()
    stopping = threading.Thread(target=plane.desk.stop)
    stopping.start()
    plane.syncthing.release()
    stopping.join(PATIENCE_S)
    assert reply().status == "ok"


def test_what_comes_too_late_is_refused(plane: Plane) -> None:
    """It was not carried out and may be sent again; nothing is asked of Syncthing."""
    reply = plane.send_too_late("restart", {"transaction": "t"})
    assert (reply.status, reply.transaction) == ("error", "t")
    assert reply.error
    assert (reply.error.code, "send it again" in reply.error.message) == ("unreachable", True)
    assert plane.log == ["reply error", "acknowledged"]


# --- the same command again


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
def test_the_same_command_again_is_not_carried_out_again(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], *, meanwhile: bool
) -> None:
    """It gets the reply of the first, whether that has ended or not; limits do not concern it."""
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
        (TimedOut("no connection in time", arrived=False), True),
        (Unreachable("hung up"), False),
        (TimedOut("slow"), False),
        (Starting("wait"), True),
        (Rejected("no"), True),
    ],
)
def test_only_what_cannot_have_been_carried_out_is_tried_again(
    plane: Plane, failure: Exception, *, again: bool
) -> None:
    """A repetition after a failure is carried out, unless the first may have been, too."""
    plane.syncthing.answers[ERROR] = failure
    first = plane.ask("new_error", {"message": "m", "transaction": "t"})
    plane.syncthing.answers.clear()
    second = plane.ask("new_error", {"message": "m", "transaction": "t"})
    assert first.status == "error"
    assert second.status == "ok" if again else second == first
    assert len(plane.calls) == 1 + again


def test_those_who_waited_for_what_failed_are_told(plane: Plane) -> None:
    """They get the error of the first; who comes later is carried out."""
    plane.syncthing.answers[CLEAR] = Rejected("no")
    plane.syncthing.hold(CLEAR)
    replies = [plane.send("clear_errors", {"transaction": "t"}) for _ in range(3)]
    plane.syncthing.release()
    assert [reply().error and str(reply().error) for reply in replies] == ["no"] * 3
    plane.syncthing.answers.clear()
    assert plane.code("clear_errors", {"transaction": "t"}) is None
    assert plane.calls == [f"POST {CLEAR}"] * 2


def test_what_was_refused_for_a_limit_may_be_sent_again(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not carried out, so it is not remembered."""
    now = 1000.0
    monkeypatch.setattr(desk_module, "monotonic", lambda: now)
    plane.ask("restart")
    assert plane.code("restart", {"transaction": "t"}) == "rate_limited"
    now += 60
    assert plane.code("restart", {"transaction": "t"}) is None
    assert len(plane.calls) == 2


@pytest.mark.parametrize(
    ("name", "payload", "values", "path"),
    [
        ("get_version", {"transaction": "t"}, {"correlation": b"c"}, "/rest/system/version"),
        ("clear_errors", {}, {}, CLEAR),
    ],
)
def test_what_is_read_or_not_marked_is_done_again(
    plane: Plane, name: str, payload: Any, values: dict[str, Any], path: str
) -> None:
    """What is read may have changed, and what nobody marked is meant as often as it is sent."""
    for _ in range(2):
        plane.ask(name, payload, **values)
    assert [line.partition(" ")[2] for line in plane.calls] == [path] * 2


def test_after_ten_minutes_the_same_is_another_command(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of the bridge has an end."""
    now = 1000.0
    monkeypatch.setattr(desk_module, "monotonic", lambda: now)
    for _ in range(2):
        plane.ask("clear_errors", {"transaction": "t"})
        now += KEPT_S
    assert len(plane.calls) == 2


# --- scans


def test_a_short_scan_is_ok_and_nothing_else_is_told(plane: Plane) -> None:
    """The reply is all there is to say."""
    assert plane.ask("scan", b"docs").status == "ok"
    assert plane.ask("scan", b"all").status == "ok"
    plane.settle()
    assert plane.happenings == []


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (None, None),
        (Rejected("folder marker missing"), "folder marker missing"),
        (TimedOut("slow"), "slow"),
        (RuntimeError("a bug"), "internal error: RuntimeError('a bug')"),
    ],
)
def test_a_long_scan_is_accepted_and_its_end_is_told(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, error: str | None
) -> None:
    """`scan_finished` has the transaction, and why it failed if it did; who joined is told as well."""
    monkeypatch.setattr(desk_module, "SCAN_PATIENCE_S", 0.01)
    plane.syncthing.answers[SCAN] = failure
    plane.syncthing.hold(SCAN)
    replies = [plane.ask("scan", {"folder": "docs", "transaction": transaction}) for transaction in ("a", "b")]
    assert [(reply.status, reply.transaction, reply.error) for reply in replies] == [
        ("accepted", "a", None),
        ("accepted", "b", None),
    ]
    assert plane.happenings == []
    plane.syncthing.release()
    plane.wait_for_happenings(2)
    assert sorted(plane.happenings, key=str) == [
        ("scan_finished", {"folder": "docs", "error": error, "transaction": transaction}) for transaction in ("a", "b")
    ]
    assert plane.calls == [f"POST {SCAN}"]


@pytest.mark.parametrize("failure", [None, Rejected("folder marker missing")])
def test_a_scan_that_is_waited_for_has_one_reply_at_its_end(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    """However long it takes, there is no `accepted`, and no event."""
    monkeypatch.setattr(desk_module, "SCAN_PATIENCE_S", 0.01)
    plane.syncthing.answers[SCAN] = failure
    plane.syncthing.hold(SCAN)
    reply = plane.send("scan", {"folder": "docs", "wait": True})
    assert plane.ask("scan", b"docs").status == "accepted"
    plane.syncthing.release()
    assert (reply().status, reply().error and str(reply().error)) == (
        ("error", str(failure)) if failure else ("ok", None)
    )
    plane.wait_for_happenings(1)
    assert [data["transaction"] for _, data in plane.happenings] == [None]


def test_too_many_scans_are_refused(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a request to Syncthing; one that joins another does not."""
    monkeypatch.setattr("stbridge.commands.scans.MOST", 1)
    plane.syncthing.hold(SCAN)
    first = plane.send("scan", {"folder": "docs", "wait": True})
    plane.syncthing.wait_until_asked()
    assert plane.code("scan", b"art") == "rate_limited"
    joined = plane.send("scan", {"folder": "docs", "sub": "a", "wait": True})
    plane.syncthing.release()
    assert [first().status, joined().status] == ["ok", "ok"]


# --- pauses that end by themselves


def pauses(plane: Plane) -> list[tuple[Paused, bool]]:
    """Return what was reported of pauses: of what, and whether they end by themselves."""
    return [(one.paused, one.until is not None) for one in plane.reports if isinstance(one, seen.PauseTimed)]


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
    """The reply tells the same end; a pause without one does away with that of an earlier one."""
    reply = plane.ask(name, payload)
    assert pauses(plane) == expected
    (until,) = [one.until for one in plane.reports if isinstance(one, seen.PauseTimed)] or [None]
    if until is None:
        assert not reply.data
    else:
        assert from_utc(reply.data["resume_at"]) == until.replace(microsecond=until.microsecond // 1000 * 1000)


def test_a_pause_that_failed_does_not_end(plane: Plane) -> None:
    """Nothing is resumed that was not paused."""
    plane.syncthing.answers[DOCS] = Rejected("no")
    assert plane.code("pause", {"folder": "docs", "for": "30m"}) == "syncthing_error"
    assert plane.reports == []


@pytest.mark.parametrize(
    ("paused", "call"),
    [(Paused("folder", "docs"), f"PATCH {DOCS}"), (Paused("device", BETA), "POST /rest/system/resume")],
)
def test_a_pause_that_is_over_is_resumed(
    plane: Plane, caplog: pytest.LogCaptureFixture, paused: Paused, call: str
) -> None:
    """Nobody sent a command for it, so nobody gets a reply; if it fails, the log tells, once however often it does."""
    plane.desk.resume(paused)
    plane.settle()
    assert (plane.log, caplog.messages) == ([call], [])
    told = f"nas: a pause is over, but {paused.id} cannot be resumed yet: gone"
    for fails, messages in ((True, [told]), (True, [told]), (False, [told]), (True, [told, told])):
        answer: Any = Unreachable("gone", arrived=False) if fails else {}
        plane.syncthing.answers[call.partition(" ")[2]] = answer
        plane.desk.resume(paused)
        plane.settle()
        assert caplog.messages == messages


@pytest.mark.parametrize(("answer", "left"), [({"ok": "restarting"}, [True]), (Unsupported("no"), [True, False])])
def test_an_upgrade_is_told_while_it_is_in_progress(plane: Plane, answer: Any, left: list[bool]) -> None:
    """One that is refused is over at once; otherwise the restart that it ends with will tell."""
    plane.syncthing.answers["/rest/system/upgrade"] = answer
    plane.ask("upgrade")
    assert plane.reports == [seen.Upgrading(in_progress=one) for one in left]


# --- whatever anybody sends

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
def test_whatever_is_sent_has_exactly_one_reply(messages: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    """A Syncthing that answers everything with an empty object is no exception."""
    plane = Plane()
    for name, payload, values in messages:
        plane.send(name, payload, **values)
    plane.end()

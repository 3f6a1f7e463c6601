"""The reply cache: for a while, a repeated command is recognized and gets the reply of the first one."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.commands.pending import (
    MAX_REPLIES,
    REPLY_KEPT_S,
    IncomingCommand,
    Key,
    ReplyCache,
    key_of,
)
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import Reply, Request
from stbridge.core.messages import Received

ROWS = {command.name: command for command in COMMANDS}
REPLY = Reply(command="restart", status="ok")
RECEIVED = Received(topic="syncthing/nas/command/restart", payload=b"{}")
KEY: Key = b"key"


def incoming() -> IncomingCommand:
    """Return a received command."""
    return IncomingCommand("restart", RECEIVED, 0.0)


def key(
    name: str = "restart", transaction: Any = "t", correlation: bytes | None = b"c", payload: bytes = b"{}"
) -> Key | None:
    """Return the key of a command."""
    request = Request(command=ROWS[name], arguments={}, transaction=transaction)
    return key_of(request, replace(RECEIVED, correlation=correlation, payload=payload))


# --- which commands are the same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"transaction": None},) * 2,
        ({"correlation": None},) * 2,
        ({"transaction": 0, "correlation": None},) * 2,
    ],
)
def test_the_same_message_is_the_same_command(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A transaction or correlation data is sufficient to recognize a repetition."""
    assert key(**one) == key(**other) is not None


@pytest.mark.parametrize(
    "change", [{"transaction": "u"}, {"correlation": b"d"}, {"payload": b'{"folder":"docs"}'}, {"name": "shutdown"}]
)
def test_anything_else_is_another_command(change: dict[str, Any]) -> None:
    """Another transaction, other correlation data, other arguments, another name."""
    assert key(**change) != key()


@pytest.mark.parametrize(
    "values",
    [{"transaction": None, "correlation": None}, *({"name": row.name} for row in COMMANDS if row.group == "read")],
)
def test_unmarked_commands_and_reads_are_never_repetitions(values: dict[str, Any]) -> None:
    """A button that is pressed twice means two commands, and the result of a read may have changed."""
    assert key(**values) is None


def test_the_key_of_a_command_is_small() -> None:
    """Hundreds of keys are stored, and each payload may have megabytes."""
    known = key(payload=b"x" * 1_000_000)
    assert known is not None
    assert len(known) == 32
    assert key(transaction="\ud800") is not None


# --- replies of the first command


def test_a_repetition_gets_the_reply_of_the_first() -> None:
    """The first command is executed, and its reply is known when it has finished."""
    cache = ReplyCache()
    assert cache.begin(KEY, incoming(), 0) == (True, None)
    assert cache.end(KEY, REPLY, executed=True) == []
    for _ in range(2):
        assert cache.begin(KEY, incoming(), 1) == (False, REPLY)


def test_repetitions_wait_for_the_end_of_the_first() -> None:
    """They are returned once, to be answered together with the first command."""
    cache = ReplyCache()
    cache.begin(KEY, incoming(), 0)
    waiting = [incoming(), incoming()]
    for one in waiting:
        assert cache.begin(KEY, one, 1) == (False, None)
    assert cache.end(KEY, REPLY, executed=True) == waiting
    assert cache.end(KEY, REPLY, executed=True) == []


def test_a_command_that_was_not_executed_may_be_repeated() -> None:
    """Waiting repetitions get its reply, and the next one counts as a first command."""
    cache = ReplyCache()
    cache.begin(KEY, incoming(), 0)
    waiting = incoming()
    cache.begin(KEY, waiting, 1)
    assert cache.end(KEY, REPLY, executed=False) == [waiting]
    assert cache.begin(KEY, incoming(), 2) == (True, None)


def test_the_end_of_an_unknown_command_has_no_effect() -> None:
    """There are no waiting repetitions."""
    assert ReplyCache().end(KEY, REPLY, executed=True) == []


# --- time and size limits


@pytest.mark.parametrize(("age_s", "first"), [(REPLY_KEPT_S - 1, False), (REPLY_KEPT_S, True)])
def test_a_command_is_remembered_for_ten_minutes(age_s: float, *, first: bool) -> None:
    """After that, the same command is executed again."""
    cache = ReplyCache()
    cache.begin(KEY, incoming(), 0)
    cache.end(KEY, REPLY, executed=True)
    assert REPLY_KEPT_S == 600
    assert cache.begin(KEY, incoming(), age_s)[0] == first


def test_a_running_command_is_not_forgotten() -> None:
    """Neither its duration nor the number of later commands matters."""
    cache = ReplyCache()
    cache.begin(KEY, incoming(), 0)
    for number in range(MAX_REPLIES + 10):
        cache.begin(str(number).encode(), incoming(), 1)
    assert cache.begin(KEY, incoming(), 10 * REPLY_KEPT_S) == (False, None)


def test_the_oldest_replies_are_forgotten_when_the_cache_is_full() -> None:
    """The size of the cache is limited."""
    cache = ReplyCache()
    keys: list[Key] = [str(number).encode() for number in range(MAX_REPLIES + 1)]
    for one in keys:
        cache.begin(one, incoming(), 0)
        cache.end(one, REPLY, executed=True)
    assert cache.begin(keys[-1], incoming(), 1) == (False, REPLY)
    assert cache.begin(keys[0], incoming(), 1) == (True, None)

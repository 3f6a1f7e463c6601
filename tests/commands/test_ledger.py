"""The ledger: the same command again is known, for a while, and gets the reply of the first."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.commands.arrival import Arrival
from stbridge.commands.ledger import KEPT_S, MOST, Key, Ledger, key_of
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import Reply, Request
from stbridge.core.messages import Received

ROWS = {command.name: command for command in COMMANDS}
REPLY = Reply(command="restart", status="ok")
RECEIVED = Received(topic="syncthing/nas/command/restart", payload=b"{}")
KEY: Key = b"key"


def arrival() -> Arrival:
    """Return a command that arrived."""
    return Arrival("restart", RECEIVED, 0.0)


def key(
    name: str = "restart", transaction: Any = "t", correlation: bytes | None = b"c", payload: bytes = b"{}"
) -> Key | None:
    """Return the key of a command."""
    request = Request(command=ROWS[name], arguments={}, transaction=transaction)
    return key_of(request, replace(RECEIVED, correlation=correlation, payload=payload))


# --- what is the same command


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
    """A transaction is enough to tell, and so is correlation data."""
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
def test_what_nobody_marked_or_what_only_reads_is_never_the_same(values: dict[str, Any]) -> None:
    """Whoever presses a button twice means it twice; what is read again may have changed."""
    assert key(**values) is None


def test_a_command_is_remembered_in_few_bytes() -> None:
    """Hundreds are remembered, and each payload may be megabytes."""
    known = key(payload=b"x" * 1_000_000)
    assert known is not None
    assert len(known) == 32
    assert key(transaction="\ud800") is not None


# --- what is known of it


def test_a_repetition_gets_the_reply_of_the_first() -> None:
    """The first is carried out; once it has ended, its reply is known."""
    ledger = Ledger()
    assert ledger.begin(KEY, arrival(), 0) == (True, None)
    assert ledger.end(KEY, REPLY, carried_out=True) == []
    for _ in range(2):
        assert ledger.begin(KEY, arrival(), 1) == (False, REPLY)


def test_repetitions_wait_for_the_end_of_the_first() -> None:
    """They are handed back once, to be answered together with it."""
    ledger = Ledger()
    ledger.begin(KEY, arrival(), 0)
    waiting = [arrival(), arrival()]
    for one in waiting:
        assert ledger.begin(KEY, one, 1) == (False, None)
    assert ledger.end(KEY, REPLY, carried_out=True) == waiting
    assert ledger.end(KEY, REPLY, carried_out=True) == []


def test_what_was_not_carried_out_may_be_tried_again() -> None:
    """Those that waited get its reply, and the next one is a first one."""
    ledger = Ledger()
    ledger.begin(KEY, arrival(), 0)
    waiting = arrival()
    ledger.begin(KEY, waiting, 1)
    assert ledger.end(KEY, REPLY, carried_out=False) == [waiting]
    assert ledger.begin(KEY, arrival(), 2) == (True, None)


def test_the_end_of_what_is_not_known_is_no_matter() -> None:
    """Nobody waits for it."""
    assert Ledger().end(KEY, REPLY, carried_out=True) == []


# --- how long, and how much


@pytest.mark.parametrize(("age_s", "first"), [(KEPT_S - 1, False), (KEPT_S, True)])
def test_a_command_is_remembered_for_ten_minutes(age_s: float, *, first: bool) -> None:
    """After that the same is carried out anew."""
    ledger = Ledger()
    ledger.begin(KEY, arrival(), 0)
    ledger.end(KEY, REPLY, carried_out=True)
    assert KEPT_S == 600
    assert ledger.begin(KEY, arrival(), age_s)[0] == first


def test_what_is_under_way_is_not_forgotten() -> None:
    """However long it takes, and however much comes after it."""
    ledger = Ledger()
    ledger.begin(KEY, arrival(), 0)
    for number in range(MOST + 10):
        ledger.begin(str(number).encode(), arrival(), 1)
    assert ledger.begin(KEY, arrival(), 10 * KEPT_S) == (False, None)


def test_of_too_many_the_oldest_are_forgotten() -> None:
    """The memory has a limit."""
    ledger = Ledger()
    keys: list[Key] = [str(number).encode() for number in range(MOST + 1)]
    for one in keys:
        ledger.begin(one, arrival(), 0)
        ledger.end(one, REPLY, carried_out=True)
    assert ledger.begin(keys[-1], arrival(), 1) == (False, REPLY)
    assert ledger.begin(keys[0], arrival(), 1) == (True, None)

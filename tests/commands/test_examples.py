"""The examples of replies in the documents are those of the dispatcher."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from time import monotonic
from typing import Any

import pytest

from stbridge.commands.dispatcher import CommandDispatcher
from stbridge.core.command import Command
from stbridge.core.commands import COMMANDS, allowed
from stbridge.core.envelope import Reply
from stbridge.core.messages import Received
from tests import example
from tests.commands.pretended import PATIENCE_S

Ask = Callable[[Command], Any]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Send the example of a command to a dispatcher of the example's instance, and return the payload of the reply."""
    replies = SimpleQueue[Reply]()
    dispatcher = CommandDispatcher(
        example.NAME,
        example.Client(),
        example.Client(),
        example.Client(),
        allowed=allowed(("read", "operate", "admin")),
        known=example.known,
        answer=lambda _, reply: replies.put(reply),
        emit=lambda *_, **__: None,
        take=lambda _: None,
        check_connection=lambda: None,
    )
    dispatcher.start()
    dispatcher.open()

    def send(command: Command) -> Any:
        dispatcher.receive(command.name, Received(topic=command.name, payload=command.example.encode()))
        return replace(replies.get(timeout=PATIENCE_S), took_ms=12).payload()

    yield send
    dispatcher.stop(monotonic() + PATIENCE_S)


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_the_example_of_a_reply_is_the_reply_of_the_dispatcher(ask: Ask, command: Command) -> None:
    """Only the time until which something is paused depends on the clock."""
    replied, shown = ask(command), example.reply(command)
    if command.name in ("pause", "pause_all"):
        assert set(replied["data"]) == {"resume_at"}
        replied["data"] = shown["data"]
    assert replied == shown

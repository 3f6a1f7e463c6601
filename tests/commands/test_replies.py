"""The topics of replies, and the command of the bridge itself."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from stbridge.commands.bridge_commands import BridgeCommands
from stbridge.commands.replies import send_reply
from stbridge.core.commands import allowed
from stbridge.core.envelope import CommandError, Reply
from stbridge.core.messages import Message, Received
from stbridge.core.topics import Topics
from stbridge.mqtt.outbox import Outbox
from tests.wire import drain

TOPICS = Topics("syncthing", "homeassistant")
COMMAND, RESPONSE = "syncthing/nas/command/scan", "syncthing/nas/response/scan"
SCANNED = Reply(command="scan", status="ok", transaction="t", took_ms=3)


def sent(reply: Reply = SCANNED, **received: Any) -> list[Message]:
    """Return the messages that are sent for a reply."""
    outbox = Outbox()
    outbox.connected()
    send_reply(outbox, TOPICS, "nas", Received(topic=COMMAND, payload=b"docs", **received), reply)
    return drain(outbox)


def test_a_reply_goes_to_its_topic() -> None:
    """It is not a state, so it is not retained."""
    (message,) = sent()
    assert (message.topic, message.retain, message.correlation) == (RESPONSE, False, None)
    assert json.loads(message.payload) == {
        "command": "scan",
        "status": "ok",
        "data": None,
        "error": None,
        "transaction": "t",
        "took_ms": 3,
    }


def test_a_reply_also_goes_to_the_requested_topic() -> None:
    """Both messages have the same payload and the correlation data of the command."""
    one, other = sent(response_topic="answers/me", correlation=b"\x00\xff")
    assert (one.topic, other.topic) == (RESPONSE, "answers/me")
    assert one.payload == other.payload
    assert [message.correlation for message in (one, other)] == [b"\x00\xff"] * 2


@pytest.mark.parametrize(
    "wanted", [RESPONSE, "", "a/+", "$SYS/x", COMMAND, "syncthing/nas/response/other", "homeassistant/switch/x/config"]
)
def test_a_reply_is_not_sent_twice_or_to_a_topic_that_acts_on_it(wanted: str, caplog: pytest.LogCaptureFixture) -> None:
    """A command must not make the bridge publish to arbitrary topics. The log shows the attempt."""
    (message,) = sent(response_topic=wanted)
    assert message.topic == RESPONSE
    assert [repr(wanted) in text for text in caplog.messages] == ([] if wanted == RESPONSE else [True])


@pytest.mark.parametrize(("size", "limit"), [(9_000_000, None), (200_000, 100_000)])
def test_an_oversized_reply_becomes_an_error(size: int, limit: int | None) -> None:
    """Every command gets a reply, even if its data is larger than the limit of the broker or of the bridge."""
    outbox = Outbox()
    outbox.connected(largest_packet=limit)
    received = Received(topic=COMMAND, payload=b"{}", response_topic="answers/me")
    send_reply(outbox, TOPICS, "nas", received, replace(SCANNED, data="x" * size))
    messages = drain(outbox)
    assert [message.topic for message in messages] == [RESPONSE, "answers/me"]
    for message in messages:
        reply = json.loads(message.payload)
        assert (reply["status"], reply["data"], reply["error"]["code"]) == ("error", None, "too_large")
        assert reply["transaction"] == "t"


def test_the_queue_of_retained_commands_to_clear_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make up names of commands, so clearing messages share the limit of replies."""
    outbox = Outbox(events_limit=10)
    refused = Reply(command="x", status="error", error=CommandError("retained_command", "no"))
    for number in range(1000):
        send_reply(outbox, TOPICS, "nas", Received(topic=f"syncthing/nas/command/{number}", payload=b"{}"), refused)
    assert outbox.counters().queued == 10


def test_a_retained_command_is_cleared() -> None:
    """Otherwise it would arrive with every connection. Only commands that were refused as retained are cleared."""
    for code, topics in (("retained_command", {RESPONSE, COMMAND}), ("forbidden", {RESPONSE})):
        messages = sent(Reply(command="scan", status="error", error=CommandError(code, "no")), retained=True)
        assert {message.topic for message in messages} == topics
        cleared = [message for message in messages if message.topic == COMMAND]
        assert [(message.payload, message.retain) for message in cleared] == ([(b"", True)] if len(topics) > 1 else [])


# --- commands to the bridge itself


@pytest.mark.parametrize(
    ("name", "received", "code"),
    [
        ("republish", {"payload": b"PRESS"}, None),
        ("republish", {"payload": b'{"transaction": "t"}'}, None),
        ("republish", {"payload": b""}, "empty_payload"),
        ("republish", {"payload": b"PRESS", "retained": True}, "retained_command"),
        ("republish", {"payload": b'{"folder": "docs", "transaction": "t"}'}, "invalid_arguments"),
        ("republish", {"payload": b"\xff"}, "invalid_json"),
        ("scan", {"payload": b"docs"}, "unknown_command"),
    ],
)
def test_the_bridge_answers_its_own_commands(
    name: str, received: dict[str, Any], code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """`republish` sends every topic again. Each command gets one reply and is acknowledged. A refusal is logged."""
    outbox, acknowledged = Outbox(), list[bool]()
    outbox.put_state(Message(topic="syncthing/nas/system", payload=b"{}", retain=True))
    outbox.connected()
    drain(outbox)
    topic = f"syncthing/bridge/command/{name}"
    BridgeCommands(TOPICS, outbox, allowed(["operate"])).receive(
        name, Received(topic=topic, acknowledge=lambda: acknowledged.append(True), **received)
    )
    messages = {message.topic: message for message in drain(outbox)}
    reply = json.loads(messages.pop(f"syncthing/bridge/response/{name}").payload)
    assert (reply["error"] and reply["error"]["code"]) == code
    assert reply["transaction"] == ("t" if b"transaction" in received["payload"] else None)
    assert messages.keys() == {None: {"syncthing/nas/system"}, "retained_command": {topic}}.get(code, set())
    assert acknowledged == [True]
    refusal = f"command bridge/{name} refused: {code}: {reply['error'] and reply['error']['message']}"
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ([refusal] if code else [])


def test_commands_to_the_bridge_must_be_allowed() -> None:
    """A bridge without permission for `republish` refuses it."""
    outbox = Outbox()
    outbox.put_state(Message(topic="syncthing/nas/system", payload=b"{}", retain=True))
    outbox.connected()
    drain(outbox)
    commands = BridgeCommands(TOPICS, outbox, allowed(["read"]))
    commands.receive("republish", Received(topic="syncthing/bridge/command/republish", payload=b"{}"))
    (message,) = drain(outbox)
    assert json.loads(message.payload)["error"]["code"] == "forbidden"


def test_republish_is_rate_limited() -> None:
    """It is much work for the bridge and the broker, and little for the client."""
    outbox = Outbox()
    outbox.connected()
    commands = BridgeCommands(TOPICS, outbox, allowed(["republish"]))
    for _ in range(3):
        commands.receive("republish", Received(topic="syncthing/bridge/command/republish", payload=b"{}"))
    replies = [json.loads(message.payload) for message in drain(outbox)]
    assert [reply["error"] and reply["error"]["code"] for reply in replies] == [None, "rate_limited", "rate_limited"]

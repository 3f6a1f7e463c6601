"""Where a reply goes; and the bridge's own command."""

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
    """Return what is sent for a reply."""
    outbox = Outbox()
    outbox.connected()
    send_reply(outbox, TOPICS, "nas", Received(topic=COMMAND, payload=b"docs", **received), reply)
    return drain(outbox)


def test_a_reply_goes_to_its_topic() -> None:
    """It is no state, so nothing of it is kept."""
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


def test_a_reply_goes_where_it_is_wanted_as_well() -> None:
    """The same one, with the correlation data of the command."""
    one, other = sent(response_topic="answers/me", correlation=b"\x00\xff")
    assert (one.topic, other.topic) == (RESPONSE, "answers/me")
    assert one.payload == other.payload
    assert [message.correlation for message in (one, other)] == [b"\x00\xff"] * 2


@pytest.mark.parametrize(
    "wanted", [RESPONSE, "", "a/+", "$SYS/x", COMMAND, "syncthing/nas/response/other", "homeassistant/switch/x/config"]
)
def test_a_reply_goes_nowhere_twice_and_nowhere_where_it_could_act(
    wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A command cannot have the bridge publish to just any topic; the log tells who tried."""
    (message,) = sent(response_topic=wanted)
    assert message.topic == RESPONSE
    assert [repr(wanted) in text for text in caplog.messages] == ([] if wanted == RESPONSE else [True])


@pytest.mark.parametrize(("size", "limit"), [(9_000_000, None), (200_000, 100_000)])
def test_a_reply_that_nobody_could_take_says_so(size: int, limit: int | None) -> None:
    """There is one reply to every command, even if what was asked for is more than a broker, or anybody, takes."""
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


def test_any_number_of_retained_commands_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be cleared waits like a reply, and not for ever: anybody can think of names."""
    outbox = Outbox(events_limit=10)
    refused = Reply(command="x", status="error", error=CommandError("retained_command", "no"))
    for number in range(1000):
        send_reply(outbox, TOPICS, "nas", Received(topic=f"syncthing/nas/command/{number}", payload=b"{}"), refused)
    assert outbox.counters().queued == 10


def test_a_retained_command_is_cleared() -> None:
    """It would come again with every connection; only what was refused for that is cleared."""
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
def test_the_bridge_answers_for_itself(
    name: str, received: dict[str, Any], code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """`republish` sends everything again; each command gets one reply, and is acknowledged; a refusal is a warning."""
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


def test_a_command_to_the_bridge_has_to_be_allowed() -> None:
    """A bridge that accepts no commands does not publish everything again, either."""
    outbox = Outbox()
    outbox.put_state(Message(topic="syncthing/nas/system", payload=b"{}", retain=True))
    outbox.connected()
    drain(outbox)
    commands = BridgeCommands(TOPICS, outbox, allowed(["read"]))
    commands.receive("republish", Received(topic="syncthing/bridge/command/republish", payload=b"{}"))
    (message,) = drain(outbox)
    assert json.loads(message.payload)["error"]["code"] == "forbidden"


def test_everything_is_not_sent_again_without_end() -> None:
    """It is much work for the bridge and for the broker, and little for whoever asks."""
    outbox = Outbox()
    outbox.connected()
    commands = BridgeCommands(TOPICS, outbox, allowed(["republish"]))
    for _ in range(3):
        commands.receive("republish", Received(topic="syncthing/bridge/command/republish", payload=b"{}"))
    replies = [json.loads(message.payload) for message in drain(outbox)]
    assert [reply["error"] and reply["error"]["code"] for reply in replies] == [None, "rate_limited", "rate_limited"]

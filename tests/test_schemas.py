"""The published schemas and the AsyncAPI document match the code, and what a real bridge publishes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from stbridge.core.bridge_events import EVENTS
from stbridge.core.command import Command
from stbridge.core.commands import BRIDGE_COMMANDS, COMMANDS
from stbridge.core.model import short_id
from stbridge.core.payload_types import EVENT_KEYS, KEYS, OPTIONAL_KEYS
from stbridge.core.topics import TOPICS, Topics, is_retained
from tests import example
from tests.conftest import Pair
from tests.documents import ROOT, loaded
from tests.schemas import WORDS, command_validator, faults, faults_of, schema
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, instance

SCRIPT = loaded(ROOT / "scripts/schemas")
EXAMPLES = example.payloads()
EXAMPLES |= {copy: EXAMPLES[kind] for copy, kind in SCRIPT.ORIGINALS.items()}
EVERY_COMMAND = (*COMMANDS, *BRIDGE_COMMANDS)
DOCUMENT: Any = json.loads((ROOT / "docs/asyncapi.json").read_text(encoding="utf-8"))

# --- the schemas


def test_the_published_schemas_are_those_of_the_code() -> None:
    """A difference needs a run of scripts/schemas."""
    assert SCRIPT.stale() == []


def test_every_payload_has_a_schema() -> None:
    """Every kind of topic has one, except the words of the `state` topics."""
    assert set(KEYS) | {"event", "command"} | set(WORDS) == {row.kind for row in TOPICS}


@pytest.mark.parametrize("kind", [path.name.partition(".")[0] for path in SCRIPT.files() if path != SCRIPT.ASYNCAPI])
def test_a_schema_is_valid(kind: str) -> None:
    """Validators accept it, and its address is the one where it is published."""
    Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["$id"] == f"{SCRIPT.SITE}schemas/{kind}.schema.json"


@pytest.mark.parametrize("kind", KEYS)
def test_a_schema_has_the_keys_of_the_payload(kind: str) -> None:
    """A new key of a payload needs a row in stbridge/core/payload_types.py."""
    assert list(faults(kind, EXAMPLES[kind])) == []
    assert set(KEYS[kind]) - set(OPTIONAL_KEYS.get(kind, ())) <= set(EXAMPLES[kind])


@pytest.mark.parametrize("event", example.all_events(), ids=lambda event: event["event_type"])
def test_a_schema_has_the_keys_of_the_event(event: Any) -> None:
    """A new key of an event needs a row in stbridge/core/payload_types.py."""
    assert list(faults("event", event)) == []


def test_every_type_of_an_event_key_is_used() -> None:
    """The table has no rows for keys that no event has."""
    used = {key for row in EVENTS for key in row.keys} | {"event_type", "time", "late"}
    assert set(EVENT_KEYS) == used


@pytest.mark.parametrize("key", ["folder", "code", "error"])
def test_an_event_without_one_of_its_keys_is_invalid(key: str) -> None:
    """Each known event has its own keys."""
    event = next(one for one in example.all_events() if key in one)
    assert list(faults("event", {name: value for name, value in event.items() if name != key})) != []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("folder", {"completion": 100.1}),
        ("folder", {"need_bytes": -1}),
        ("folder", {"need_bytes": 1.5}),
        ("folder", {"paused": None}),
        ("folder", {"state_changed_at": "2026-11-23 20:14:05"}),
        ("system", {"problems": [{"code": "conflicts"}]}),
        ("system", {"folders": {"total": 1}}),
        ("device", {"devices": []}),
        ("response", {"status": "done"}),
        ("event", {"late": False}),
    ],
)
def test_a_wrong_value_is_invalid(kind: str, changes: Any) -> None:
    """The schemas describe numbers, times, nested objects and null exactly."""
    assert list(faults(kind, EXAMPLES[kind] | changes)) != []


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: command.name)
def test_a_schema_has_the_arguments_of_the_command(command: Command) -> None:
    """The example and its reply are valid, also with a transaction; an unknown argument is not."""
    validator = command_validator(command.name)
    payload = SCRIPT._payload(command.example)  # noqa: SLF001 - the script has no package
    assert validator.is_valid(payload)
    if isinstance(payload, dict):
        assert validator.is_valid({**payload, "transaction": 1})
        assert not validator.is_valid({**payload, "unknown": 1})
    assert validator.is_valid("PRESS") == (not command.arguments or command.main is not None)
    assert list(faults("response", example.reply(command))) == []


# --- the AsyncAPI document


def references(value: Any) -> Iterator[str]:
    """Yield all references in a document."""
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def resolved(reference: str) -> Any:
    """Return what a reference in the document names."""
    value = DOCUMENT
    for level in reference.removeprefix("#/").split("/"):
        value = value[level]
    return value


def test_every_reference_of_the_document_exists() -> None:
    """A message of an operation is one of its channel."""
    found = set(references(DOCUMENT))
    assert found
    assert [one for one in found if not isinstance(resolved(one), dict)] == []
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def test_the_document_has_every_topic() -> None:
    """Every kind of topic, every event and every command has a channel whose address the bridge parses."""
    kinds = {}
    for name, channel in DOCUMENT["channels"].items():
        address = channel["address"]
        assert set(channel.get("parameters", {})) == {key for key in SCRIPT.PARAMETERS if f"{{{key}}}" in address}
        parsed = Topics("syncthing").parse(address.format(instance="nas", folder="F", device="D", name="NAME"))
        assert parsed is not None
        kinds[name] = parsed[1]
    assert {address.kind for address in kinds.values()} == {row.kind for row in TOPICS}
    assert {one.name for one in kinds.values() if one.kind == "event"} == {row.name for row in EVENTS}
    assert {one.name for one in kinds.values() if one.kind == "command"} == {row.name for row in EVERY_COMMAND}
    for name, address in kinds.items():
        action = "receive" if address.kind == "command" else "send"
        binding = DOCUMENT["operations"][f"{action}_{name}"]["bindings"]["mqtt"]
        assert binding.get("retain", False) == is_retained(address.kind)


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_the_example_of_a_message_matches_its_schema(name: str) -> None:
    """AsyncAPI uses an older draft of JSON Schema; the schemas are valid in both."""
    message = DOCUMENT["components"]["messages"][name]
    payload_schema = resolved(message["payload"]["$ref"])
    Draft7Validator.check_schema(payload_schema)
    assert [one for one in message["examples"] if not Draft7Validator(payload_schema).is_valid(one["payload"])] == []


# --- a real bridge


def test_a_real_bridge_publishes_what_the_schemas_describe(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """All topics, events and replies during a sync, a pause, a scan, an error and all reads are valid."""
    settings = {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_EVENTS__RAW": '["ItemFinished", "StateChanged"]',
        **instance("alpha", pair.a),
        **instance("beta", pair.b),
    }
    bridge = BridgeProcess(tmp_path, settings).start()
    device = short_id(pair.b.device_id)
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        pair.write("described.bin", b"content")
        subscriber.wait_for_json("syncthing/beta/folder/docs", lambda one: one["last_file"] == "described.bin")
        subscriber.wait_for(lambda one: one.topic == "syncthing/alpha/event/device_synced")
        asked = {"folder": "docs", "file": "described.bin", "device": device, "message": "described"}
        for command in COMMANDS:
            if command.group == "read" or command.name in ("scan", "new_error", "pause", "resume", "clear_errors"):
                names = [row.name for row in command.arguments if row.name in asked]
                chosen = names if not command.either else [one for one in names if one == "folder"]
                ask(subscriber, command.name, json.dumps({name: asked[name] for name in chosen}))
        ask(subscriber, "scan", "nowhere")
    finally:
        bridge.stop()
    messages = [(message.topic, bytes(message.payload)) for message in subscriber.messages]
    topics = Topics("syncthing")
    kinds = {parsed[1].kind for topic, _ in messages if (parsed := topics.parse(topic))}
    assert {row.kind for row in TOPICS} - kinds <= {"upgrade"}  # Debian's Syncthing cannot upgrade itself
    assert faults_of(messages, topics) == {}

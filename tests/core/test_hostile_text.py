"""Texts that others choose: however they are, what is published can be sent, read, and shown."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.json_text import LARGEST_PAYLOAD, LONGEST_TEXT, as_json, cut, on_one_line, printable_json, read_json
from stbridge.core.model import FailedItem, PendingDevice, PendingFolder, short_id
from stbridge.core.outcome import BridgeEvent
from stbridge.core.payloads import render, render_event, render_raw
from stbridge.core.topics import Address, Topics
from tests.core.world import (
    BETA,
    COUNTS,
    NOW,
    World,
    config,
    folder,
    read,
)

HUGE = "\U0001f600" * 100_000
HOSTILE = (
    *("", "a/b/#", "$SYS", "+", "{{ states('x') }}", "{% raw %}", "<b>", "\x00", "two\nlines", "\x1b[2J", "\x9b2J"),
    *("\u202etxt.exe", "\u2028", "\ufeff", "\uffff", "\ud800", "\udc80\ud800", "x" * 255, HUGE, '"\\', "\x7f"),
)
TOPICS = Topics("syncthing", "homeassistant")

every_hostile_text = pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])


def devices_and_folders(text: str, count: int = 1) -> list[seen.Observation]:
    """Return as many devices and folders that wait, all of them called like that."""
    numbers = range(count)
    return [
        seen.PendingDevicesRead(
            devices=tuple(PendingDevice(id=f"{number}{text}", name=text, address=text, time=NOW) for number in numbers)
        ),
        seen.PendingFoldersRead(
            folders=tuple(PendingFolder(id=f"{number}{text}", label=text, device=text, time=NOW) for number in numbers)
        ),
    ]


def hostile_world(text: str) -> World:
    """Return a Syncthing in which everything that a peer can choose is called like that."""
    called = config(folder("docs", BETA, label=text)).config
    devices = {BETA: replace(called.devices[BETA], name=text)}
    failed = tuple(FailedItem(path=f"{number}{text}", error=text) for number in range(60))
    return World().start(
        read(of=replace(COUNTS, failed=60)),
        seen.FolderErrorsRead(folder="docs", items=failed),
        *devices_and_folders(text, 300),
        configured=seen.ConfigRead(config=replace(called, devices=devices)),
    )


@every_hostile_text
def test_every_payload_can_be_sent_and_read(text: str) -> None:
    """Strict JSON in UTF-8, and no larger than brokers and readers take; the counts are true, the lists are cut."""
    world = hostile_world(text)
    for address in world.state.everything():
        if address.kind != "state":
            payload = (render(world.state, address) or b"{}").decode()
            assert isinstance(read_json(payload), dict)
            assert len(payload) <= LARGEST_PAYLOAD
    assert world.system["pending_devices"] == 300
    assert len(world.payload(Address("pending"))["devices"]) == 50
    assert world.payload(Address("failed", folder="docs"))["count"] == 60
    for event in world.events:
        assert len(json.dumps(event, ensure_ascii=False)) <= LARGEST_PAYLOAD


@every_hostile_text
def test_a_text_is_as_it_is_unless_it_is_too_long(text: str) -> None:
    """Only what UTF-8 cannot hold is replaced, and only what nobody could take is cut, with an ellipsis."""
    shown = json.loads(as_json({"name": text}))["name"]
    assert len(shown) <= LONGEST_TEXT
    if len(text) > LONGEST_TEXT:
        assert shown == text[: LONGEST_TEXT - 1] + "\u2026"
    else:
        assert shown == text.encode("utf-8", "replace").decode()


def test_texts_are_cut_as_little_as_must_be() -> None:
    """One long path is left whole; in a list of many long ones each gets its part."""
    path = "d/" * 2000
    assert json.loads(as_json({"path": path, "more": path})) == {"path": path, "more": path}
    items = json.loads(as_json({"items": [{"path": "x" * 100_000} for _ in range(50)], "count": 5}))
    assert {len(one["path"]) for one in items["items"]} == {1024}
    items = json.loads(as_json({"items": ["x" * 100_000] * 400, "count": 5}))
    assert {len(one) for one in items["items"]} == {256}
    assert items["count"] == 5


def test_what_is_asked_for_whole_is_whole() -> None:
    """Replies and raw events are as they came."""
    assert json.loads(as_json({"data": "x" * 200_000}, whole=True))["data"] == "x" * 200_000
    assert len(json.loads(render_raw({"data": {"item": "x" * 200_000}}))["data"]["item"]) == 200_000
    assert len(render_event(BridgeEvent("conflict", NOW, {"path": "x" * 200_000}))) < 10_000


@every_hostile_text
def test_no_text_makes_a_topic_of_its_own(text: str) -> None:
    """A folder's topic has the levels of its row, leads back to the folder, and holds nothing that a broker refuses."""
    address = Address("folder", folder=text)
    topic = TOPICS.build("nas", address)
    assert topic.count("/") == 3
    assert not set(topic) & set("+#\x00\n\x1b\x7f\x9b\uffff\ud800")
    assert TOPICS.parse(topic) == (None if text == "" else ("nas", address))


# --- what is shown to people


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00fc \U0001f600 \u05d0", "plain \u00fc \U0001f600 \u05d0"),
        ("a\nb\r\tc", "a\\u000ab\\u000d\\u0009c"),
        ("\x1b[31m\x07", "\\u001b[31m\\u0007"),
        ("\x9b\x7f\x00", "\\u009b\\u007f\\u0000"),
        ("\u202e\u2066\u200f", "\\u202e\\u2066\\u200f"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_would_do_more_than_stand_there_is_shown_as_its_code(text: str, shown: str) -> None:
    """Lines, escapes of terminals and turns of direction; letters of every script stay."""
    assert on_one_line(text) == shown
    assert json.loads(printable_json(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


@pytest.mark.parametrize("value", [{"a": ["\x1b\n", {"b\x9b": "\u202e\ud800"}]}, "\u2028", ["\x7f"]])
def test_json_for_a_terminal_is_the_same_json(value: Any) -> None:
    """Programs read from it what was written, and the terminal sees nothing but letters."""
    text = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(text) == value
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()


@pytest.mark.parametrize(("longest", "shown"), [(3, "abc"), (2, "a\u2026"), (1, "\u2026")])
def test_a_cut_shows(longest: int, shown: str) -> None:
    """An ellipsis tells that something is missing, and takes its place."""
    assert cut("abc", longest) == shown


def test_a_device_that_is_called_like_a_topic_has_its_own() -> None:
    """IDs are in topics, never names."""
    world = hostile_world("a/b/#")
    assert world.payload(Address("device", device=short_id(BETA)))["name"] == "a/b/#"

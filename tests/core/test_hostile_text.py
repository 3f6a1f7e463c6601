"""Text that other people choose, whatever it contains, can be published, parsed and shown safely."""

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
    """Return observations of that many pending devices and folders, all with this name."""
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
    """Return a Syncthing instance in which this is every text that a peer can choose."""
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
    """Payloads are strict JSON in UTF-8 below the size limit, with full counts and truncated lists."""
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
def test_a_text_stays_unchanged_unless_it_is_too_long(text: str) -> None:
    """Only characters that UTF-8 cannot encode are replaced, and only very long texts are cut, with an ellipsis."""
    shown = json.loads(as_json({"name": text}))["name"]
    assert len(shown) <= LONGEST_TEXT
    if len(text) > LONGEST_TEXT:
        assert shown == text[: LONGEST_TEXT - 1] + "\u2026"
    else:
        assert shown == text.encode("utf-8", "replace").decode()


def test_texts_are_cut_no_more_than_necessary() -> None:
    """One long path stays whole. In a list of many long texts, each gets an equal share."""
    path = "d/" * 2000
    assert json.loads(as_json({"path": path, "more": path})) == {"path": path, "more": path}
    items = json.loads(as_json({"items": [{"path": "x" * 100_000} for _ in range(50)], "count": 5}))
    assert {len(one["path"]) for one in items["items"]} == {1024}
    items = json.loads(as_json({"items": ["x" * 100_000] * 400, "count": 5}))
    assert {len(one) for one in items["items"]} == {256}
    assert items["count"] == 5


def test_replies_and_raw_events_are_not_cut() -> None:
    """Replies and raw events are published as they came; events of the bridge are cut."""
    assert json.loads(as_json({"data": "x" * 200_000}, whole=True))["data"] == "x" * 200_000
    assert len(json.loads(render_raw({"data": {"item": "x" * 200_000}}))["data"]["item"]) == 200_000
    assert len(render_event(BridgeEvent("conflict", NOW, {"path": "x" * 200_000}))) < 10_000


@every_hostile_text
def test_no_folder_id_can_add_levels_or_invalid_characters_to_a_topic(text: str) -> None:
    """The topic has the levels of its row, is parsed back to the folder, and holds no character that brokers refuse."""
    address = Address("folder", folder=text)
    topic = TOPICS.build("nas", address)
    assert topic.count("/") == 3
    assert not set(topic) & set("+#\x00\n\x1b\x7f\x9b\uffff\ud800")
    assert TOPICS.parse(topic) == (None if text == "" else ("nas", address))


# --- text that is shown to people


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
def test_control_characters_are_shown_as_codes(text: str, shown: str) -> None:
    """Line breaks, terminal escapes and direction marks are escaped; letters of every script stay."""
    assert on_one_line(text) == shown
    assert json.loads(printable_json(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


@pytest.mark.parametrize("value", [{"a": ["\x1b\n", {"b\x9b": "\u202e\ud800"}]}, "\u2028", ["\x7f"]])
def test_json_for_a_terminal_has_the_same_value(value: Any) -> None:
    """Programs can parse it to the same value, and the terminal gets only printable characters."""
    text = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(text) == value
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()


@pytest.mark.parametrize(("longest", "shown"), [(3, "abc"), (2, "a\u2026"), (1, "\u2026")])
def test_a_cut_text_ends_with_an_ellipsis(longest: int, shown: str) -> None:
    """The ellipsis shows that something is missing, and counts towards the length."""
    assert cut("abc", longest) == shown


def test_the_topic_of_a_device_does_not_depend_on_its_name() -> None:
    """Topics contain IDs, never names."""
    world = hostile_world("a/b/#")
    assert world.payload(Address("device", device=short_id(BETA)))["name"] == "a/b/#"

"""Payloads for the page: any client may publish anything."""

import pytest

from stbridge.core.payload_types import EVENT_KEYS, KEYS
from stbridge.web.reading import EVENT_FIELDS, KEPT, LONGEST_PAYLOAD, MOST_ITEMS, read, read_event, word


def test_the_page_reads_only_documented_keys() -> None:
    """Each key that the page reads is in the table of payloads, which gives its type."""
    assert [(kind, key) for kind, keys in KEPT.items() for key in keys if key not in KEYS[kind]] == []
    assert [key for key in EVENT_FIELDS if key not in EVENT_KEYS] == []


def test_values_of_the_right_type_are_kept() -> None:
    """Unknown keys, and values that are null, are left out."""
    payload = b'{"label": "Photos", "completion": 99.5, "paused": false, "error": null, "news": 1}'
    assert read("folder", payload) == {"label": "Photos", "completion": 99.5, "paused": False}


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"label": 7}',
        b'{"completion": "99"}',
        b'{"completion": 101}',
        b'{"completion": -1}',
        b'{"completion": true}',
        b'{"paused": "no"}',
        b'{"need_bytes": 1.5}',
        b'{"need_bytes": 100000000000000000000000000}',
        b'{"last_file_at": "yesterday"}',
        b'{"status": ["up_to_date"]}',
    ],
)
def test_values_of_another_type_are_unknown(wrong: bytes) -> None:
    """The page shows them like missing ones, instead of failing."""
    assert read("folder", wrong) == {}


@pytest.mark.parametrize(
    "rubbish", [b"", b"rubbish", b"[]", b"7", b'{"a": NaN}', b"\xff", b"[" * 5000, b" " * (LONGEST_PAYLOAD + 1)]
)
def test_rubbish_is_refused(rubbish: bytes) -> None:
    """A payload that is not a JSON object raises an error that the caller handles."""
    with pytest.raises(ValueError, match=r"."):
        read("folder", rubbish)


def test_lists_lose_only_what_does_not_fit() -> None:
    """Lists are bounded, and entries of another type are dropped."""
    assert read("conflicts", b'{"count": 3, "items": ["a", 7, null, "b"]}') == {"count": 3, "items": ["a", "b"]}
    many = b'{"count": 9999, "items": [' + b",".join([b'"a"'] * 9999) + b"]}"
    assert len(read("conflicts", many)["items"]) == MOST_ITEMS
    assert read("failed", b'{"count": 1, "items": [{"path": "a", "error": "no space", "more": 1}]}')["items"] == [
        {"path": "a", "error": "no space"}
    ]


def test_texts_are_cut_and_printable() -> None:
    """Names may contain control characters and changes of the text direction."""
    name = read("folder", '{"label": "a\u202eb\\u0000"}'.encode())["label"]
    assert name == "a\\u202eb\\u0000"
    assert len(read("folder", b'{"label": "' + b"x" * 5000 + b'"}')["label"]) == 1024
    assert word(b"on\nline\xff") == "on\\u000aline\ufffd"


def test_events_have_their_own_keys() -> None:
    """An event of another version may have further keys."""
    event = b'{"event_type": "conflict", "time": "2026-11-28T12:00:00Z", "folder": "photos", "path": "a", "news": 1}'
    assert read_event(event) == {
        "event_type": "conflict",
        "time": "2026-11-28T12:00:00Z",
        "folder": "photos",
        "path": "a",
    }

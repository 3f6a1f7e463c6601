"""Payloads are valid JSON, whatever values they contain."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stbridge.core import observations as seen
from stbridge.core.json_text import as_json
from stbridge.core.model import FailedItem, LoggedError, PendingDevice, PendingFolder
from stbridge.core.outcome import ERRORS, PENDING, STATE, SYSTEM, failed_address
from stbridge.core.payloads import LISTED_ITEMS, render
from tests.core.world import BETA, NOW, Watched, after, changed, configured, device, folder, known, read, watched

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
TIMES = re.compile(r"(.*_at|.*since|when|time)")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _pairs(part)


def test_every_time_is_iso_8601_in_utc() -> None:
    """Times end with Z, and have either milliseconds or no fraction."""
    one = known()
    one.see(read("docs", changed_at=after(100.25)))
    times = [
        value
        for address in one.state.everything()
        if address != STATE
        for key, value in _pairs(one.shown(address))
        if TIMES.fullmatch(key) and value is not None
    ]
    assert "2024-05-01T12:01:40.250Z" in times
    assert [stamp for stamp in times if not ISO.fullmatch(stamp)] == []


def _refuse(constant: str) -> NoReturn:
    pytest.fail(f"{constant} is no JSON")


@given(odd=st.text(st.characters(exclude_categories=())))
@example(odd="caf\udce9")
@example(odd='"\\\x00\x1f\u2028\U0001f4be')
def test_the_payload_is_valid_json_for_any_file_name(odd: str) -> None:
    """File names, labels and errors may hold anything, even characters that UTF-8 cannot encode."""
    one = watched(config=configured([folder("docs", BETA, label=odd or "docs")], [device(BETA, odd)], name=odd))
    one.see(
        seen.FolderErrorsRead(folder="docs", items=(FailedItem(path=odd, error=odd),)),
        seen.ErrorsRead(items=(LoggedError(when=None, message=odd),)),
        changed("error", error=odd),
    )
    for address in one.state.everything():
        payload = render(one.state, address)
        assert payload is not None
        text = payload.decode("utf-8")
        assert address == STATE or isinstance(json.loads(text, parse_constant=_refuse), dict)
    if not any("\ud800" <= character <= "\udfff" for character in odd):
        assert one.shown(failed_address("docs"))["items"] == [{"path": odd, "error": odd}]


def test_json_is_compact_and_readable() -> None:
    """It has no unnecessary spaces, and letters are not escaped."""
    assert as_json({"label": "Bücher", "items": [1, None]}) == '{"label":"Bücher","items":[1,null]}'.encode()


@pytest.mark.parametrize("online", [True, False])
def test_the_state_is_a_plain_word(online: bool) -> None:
    """Home Assistant compares the payload as it is."""
    one = watched() if online else Watched()
    assert render(one.state, STATE) == (b"online" if online else b"offline")


# --- lists


def test_long_lists_are_truncated_and_their_counts_are_full() -> None:
    """The lists hold the first failed and pending items, and the latest errors."""
    numbers = range(LISTED_ITEMS + 5)
    one = watched()
    one.see(
        seen.FolderErrorsRead(folder="docs", items=tuple(FailedItem(path=str(number), error="") for number in numbers)),
        seen.ErrorsRead(items=tuple(LoggedError(when=NOW, message=str(number)) for number in numbers)),
        seen.PendingDevicesRead(
            devices=tuple(PendingDevice(id=str(number), name="", address="", time=None) for number in numbers)
        ),
        seen.PendingFoldersRead(
            folders=tuple(PendingFolder(id=str(number), label="", device=BETA, time=None) for number in numbers)
        ),
    )
    first, latest = [str(number) for number in numbers[:LISTED_ITEMS]], [str(number) for number in numbers[5:]]
    failed, errors, pending = (one.shown(address) for address in (failed_address("docs"), ERRORS, PENDING))
    assert (failed["count"], [item["path"] for item in failed["items"]]) == (len(numbers), first)
    assert (errors["count"], [item["message"] for item in errors["items"]]) == (len(numbers), latest)
    assert [item["device"] for item in pending["devices"]] == first
    assert [item["folder"] for item in pending["folders"]] == first
    assert [one.shown(SYSTEM)[key] for key in ("errors", "pending_devices", "pending_folders")] == [len(numbers)] * 3

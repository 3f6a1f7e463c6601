"""Payloads: the keys that users rely on, as JSON that everyone can read, whatever the world puts into it."""

import json
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stbridge.core import observations as seen
from stbridge.core.model import FailedItem, FolderStatistics, LoggedError, PendingDevice, PendingFolder
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    STATE,
    SYSTEM,
    Happening,
    device_address,
    failed_address,
    folder_address,
    share_address,
)
from stbridge.core.payloads import LISTED_ITEMS, RENDERED, as_json, render, render_happening
from stbridge.core.topics import TOPICS, Address
from tests.core.observed import (
    BETA,
    DOCS,
    DOCS_ON_BETA,
    NOW,
    ON_BETA,
    ON_GAMMA,
    Watched,
    after,
    changed,
    completed,
    configured,
    connection,
    connections,
    device,
    device_id,
    folder,
    not_running,
    process,
    read,
    watched,
)

STATISTICS = FolderStatistics(last_scan_at=NOW, last_file="a", last_file_at=NOW, last_file_deleted=False)


def known() -> Watched:
    """Return a state of which everything is known, with something in every list."""
    return watched(
        read(
            "docs",
            changed_at=NOW,
            watch_error="too many",
            local_bytes=900,
            local_files=9,
            need_bytes=500,
            need_items=2,
            need_deletes=3,
            failed=1,
            local_changes=4,
        ),
        changed("scanning", error="odd"),
        seen.ScanProgressed(folder="docs", current=1, total=2),
        seen.FolderErrorsRead(folder="docs", items=(FailedItem(path="a", error="denied"),)),
        seen.FolderStatisticsRead(statistics={"docs": STATISTICS}),
        seen.DeviceStatisticsRead(last_seen_at={BETA: NOW}),
        connections(after(1), 10, 20, of={BETA: connection(in_bytes=10, out_bytes=10)}),
        connections(after(2), 510, 2020, of={BETA: connection(in_bytes=510, out_bytes=2010)}),
        seen.ErrorsRead(items=(LoggedError(when=NOW, message="wrong"),)),
        seen.PendingDevicesRead(devices=(PendingDevice(id=device_id("DELTADE"), name="d", address="a", time=NOW),)),
        seen.PendingFoldersRead(folders=(PendingFolder(id="new", label="New", device=BETA, time=NOW),)),
        seen.Remembered(payloads={}),
    )


def unknown() -> Watched:
    """Return a state of which next to nothing is known but what is configured."""
    one = Watched()
    one.see(configured(), not_running(), process(started_at=None, listeners_ok=None, discovery_ok=None))
    return one


# --- the keys that must be there

NUMBER = (int, float)
LATER = object
"""Of any type yet."""

KEYS: Mapping[Address, Mapping[str, Any]] = {
    SYSTEM: {
        **dict.fromkeys(("name", "device_id", "version", "os", "arch", "started_at", "state", "last_error"), str),
        **dict.fromkeys(("in_sync", "all_in_sync", "restart_required", "listeners_ok", "discovery_ok"), bool),
        **dict.fromkeys(("need_bytes", "need_items", "errors", "pending_devices", "pending_folders"), int),
        **dict.fromkeys(("folders", "devices"), dict),
        **dict.fromkeys(("conflicts", "problem", "problems"), LATER),
        "completion": NUMBER,
    },
    METRICS: {
        **dict.fromkeys(("in_bytes", "out_bytes", "in_bytes_lifetime", "out_bytes_lifetime", "memory_bytes"), int),
        **dict.fromkeys(("goroutines", "uptime_s"), int),
        **dict.fromkeys(("in_rate", "out_rate"), NUMBER),
    },
    DOCS: {
        **dict.fromkeys(("id", "label", "path", "type", "state", "state_changed_at", "error", "watch_error"), str),
        **dict.fromkeys(("last_scan_at", "last_file", "last_file_at", "out_of_sync_since"), str),
        **dict.fromkeys(("paused", "in_sync", "last_file_deleted"), bool),
        **dict.fromkeys(("global_bytes", "global_files", "local_bytes", "local_files"), int),
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "failed", "local_changes"), int),
        **dict.fromkeys(("completion", "scan_progress"), NUMBER),
        **dict.fromkeys(("conflicts", "problem", "problems"), LATER),
        "devices": list,
    },
    ON_BETA: {
        **dict.fromkeys(("id", "name", "address", "connection_type", "crypto", "client_version", "last_seen_at"), str),
        **dict.fromkeys(("paused", "connected", "is_local", "in_sync"), bool),
        **dict.fromkeys(("need_bytes", "need_items", "in_bytes", "out_bytes"), int),
        **dict.fromkeys(("completion", "in_rate", "out_rate"), NUMBER),
        **dict.fromkeys(("problem", "problems"), LATER),
        "unseen_since": (str, NoneType),
    },
    DOCS_ON_BETA: {
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "global_bytes"), int),
        "completion": NUMBER,
        "remote_state": str,
    },
    CONNECTION: dict.fromkeys(("status", "message", "since"), str),
    ERRORS: {"count": int, "items": list},
    PENDING: {"devices": list, "folders": list},
    failed_address("docs"): {"count": int, "items": list},
}
every_kind = pytest.mark.parametrize(("address", "keys"), KEYS.items(), ids=[address.kind for address in KEYS])

PARTS = {
    "folders": {"total", "paused", "syncing", "out_of_sync", "error"},
    "devices": {"total", "connected", "paused", "out_of_sync"},
}


@every_kind
def test_every_promised_key_is_there_with_its_type(address: Address, keys: Mapping[str, Any]) -> None:
    """Users rely on names and types; bytes are whole numbers, and a truth value is no number."""
    payload = known().shown(address)
    assert keys.keys() <= payload.keys()
    for key, kinds in keys.items():
        assert isinstance(payload[key], kinds), key
        assert kinds in (bool, LATER) or not isinstance(payload[key], bool), key


@every_kind
def test_every_promised_key_is_there_when_nothing_is_known(address: Address, keys: Mapping[str, Any]) -> None:
    """What is not known is null, and not missing."""
    payload = unknown().shown(address)
    if address in (ERRORS, PENDING):
        assert payload is None
        return
    assert keys.keys() <= payload.keys()
    assert all(payload[key] is None or isinstance(payload[key], kinds) for key, kinds in keys.items())


def test_the_parts_of_the_whole_are_counts() -> None:
    """Folders and devices are counted under the names that are promised."""
    payload = known().shown(SYSTEM)
    for part, keys in PARTS.items():
        assert keys <= payload[part].keys()
        assert {type(count) for count in payload[part].values()} == {int}


def test_what_is_known_of_a_folder_is_shown() -> None:
    """Under the names that are promised, as it was seen."""
    noon = "2024-05-01T12:00:00Z"
    shown = {
        "id": "docs",
        "label": "Docs",
        "path": "/data/docs",
        "type": "sendreceive",
        "paused": False,
        "state": "scanning",
        "state_changed_at": noon,
        "completion": 50,
        "in_sync": False,
        "global_bytes": 1000,
        "global_files": 10,
        "local_bytes": 900,
        "local_files": 9,
        "need_bytes": 500,
        "need_items": 2,
        "need_deletes": 3,
        "failed": 1,
        "local_changes": 4,
        "error": "odd",
        "watch_error": "too many",
        "last_scan_at": noon,
        "last_file": "a",
        "last_file_at": noon,
        "last_file_deleted": False,
        "scan_progress": 50,
        "out_of_sync_since": noon,
        "devices": [ON_BETA.device, ON_GAMMA.device],
    }
    payload = known().shown(DOCS)
    assert {key: payload[key] for key in shown} == shown


def test_what_is_known_of_a_device_is_shown() -> None:
    """Under the names that are promised, as it was seen."""
    shown = {
        "id": BETA,
        "name": "beta",
        "paused": False,
        "connected": True,
        "address": "192.0.2.1:22000",
        "connection_type": "tcp-client",
        "is_local": True,
        "crypto": "TLS1.3",
        "client_version": "v1.29.5",
        "last_seen_at": "2024-05-01T12:00:01Z",
        "completion": 100,
        "in_sync": True,
        "need_bytes": 0,
        "need_items": 0,
        "in_bytes": 510,
        "out_bytes": 2010,
        "in_rate": 500,
        "out_rate": 2000,
        "unseen_since": None,
    }
    payload = known().shown(ON_BETA)
    assert {key: payload[key] for key in shown} == shown


# --- JSON that everyone can read

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
TIMES = re.compile(r"(.*_at|.*since|when|time)")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _pairs(part)


def test_every_time_is_iso_8601_in_utc() -> None:
    """With Z, and with milliseconds or none."""
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
def test_whatever_a_file_is_called_the_payload_is_json(odd: str) -> None:
    """File names, labels and errors may hold anything, even what UTF-8 may not."""
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
    """As few bytes as it takes, and letters as they are written."""
    assert as_json({"label": "Bücher", "items": [1, None]}) == '{"label":"Bücher","items":[1,null]}'.encode()


@pytest.mark.parametrize("online", [True, False])
def test_the_state_is_a_plain_word(online: bool) -> None:
    """Home Assistant compares it as it is."""
    one = watched() if online else Watched()
    assert render(one.state, STATE) == (b"online" if online else b"offline")


# --- lists


def test_long_lists_are_cut_and_their_count_is_not() -> None:
    """The first failed and pending ones are listed, and the latest errors."""
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


# --- what has a payload


def test_everything_that_is_kept_of_an_instance_can_be_rendered() -> None:
    """Every retained kind of topic below an instance has a row, and no other."""
    assert {row.kind for row in TOPICS if row.retained and "{instance}" in row.pattern} == RENDERED


def test_everything_has_a_payload_once_everything_was_read() -> None:
    """No address is told of that would clear its topic."""
    one = watched(seen.UpgradeRead(latest="v2.1.4"))
    assert {address.kind for address in one.state.everything()} == RENDERED
    assert all(render(one.state, address) for address in one.state.everything())


@pytest.mark.parametrize(
    "address",
    [
        folder_address("unheard-of"),
        failed_address("unheard-of"),
        device_address(device_id("UNHEARD")),
        share_address(BETA, "unheard-of"),
        share_address(device_id("UNHEARD"), "docs"),
        share_address(device_id("GAMMAGA"), "art"),
    ],
)
def test_what_is_not_there_has_no_payload(address: Address) -> None:
    """So that its topic is cleared."""
    assert render(watched().state, address) is None


@pytest.mark.parametrize("address", [SYSTEM, METRICS, ERRORS, PENDING])
def test_what_was_not_read_yet_has_no_payload(address: Address) -> None:
    """Nothing is made up before Syncthing has answered."""
    assert render(Watched().state, address) is None


def test_a_paused_folder_has_no_completion_on_a_device() -> None:
    """Null, and never 0."""
    one = watched(completed(BETA, "docs", need_bytes=500), config=configured([folder("docs", BETA, paused=True)]))
    assert set(one.shown(DOCS_ON_BETA).values()) == {None}
    assert one.shown(DOCS)["completion"] is None


def test_an_event_has_its_name_and_time() -> None:
    """And whatever belongs to it."""
    happening = Happening("folder_synced", after(0.5), {"folder": "docs", "label": "Bücher"})
    assert json.loads(render_happening(happening)) == {
        "event_type": "folder_synced",
        "time": "2024-05-01T12:00:00.500Z",
        "folder": "docs",
        "label": "Bücher",
    }

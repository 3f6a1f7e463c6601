"""Payloads: the documented keys, and which addresses have a payload at all."""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    SYSTEM,
    BridgeEvent,
    failed_address,
    folder_address,
)
from stbridge.core.payloads import RENDERED, render, render_event
from stbridge.core.slow_topics import SLOW
from stbridge.core.topics import TOPICS, Address
from tests.core.world import (
    BETA,
    DOCS,
    DOCS_ON_BETA,
    ON_BETA,
    Watched,
    after,
    completed,
    configured,
    device_address,
    device_id,
    folder,
    known,
    not_running,
    process,
    share_address,
    watched,
)


def unknown() -> Watched:
    """Return a state that only knows its configuration."""
    one = Watched()
    one.see(configured(), not_running(), process(started_at=None, listeners_ok=None, discovery_ok=None))
    return one


# --- the documented keys

NUMBER = (int, float)
LATER = object
"""Any type."""

KEYS: Mapping[Address, Mapping[str, Any]] = {
    SYSTEM: {
        **dict.fromkeys(("name", "device_id", "version", "os", "arch", "started_at", "state", "last_error"), str),
        **dict.fromkeys(("in_sync", "all_in_sync", "restart_required", "listeners_ok", "discovery_ok"), bool),
        **dict.fromkeys(("need_bytes", "need_items", "errors", "pending_devices", "pending_folders"), int),
        **dict.fromkeys(("need_deletes", "need_total_items"), int),
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
        "status": str,
        **dict.fromkeys(("last_scan_at", "last_file", "last_file_at", "out_of_sync_since"), str),
        **dict.fromkeys(("paused", "in_sync", "last_file_deleted"), bool),
        **dict.fromkeys(("global_bytes", "global_files", "local_bytes", "local_files"), int),
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "need_total_items"), int),
        **dict.fromkeys(("failed", "local_changes"), int),
        **dict.fromkeys(("completion", "scan_progress"), NUMBER),
        **dict.fromkeys(("conflicts", "problem", "problems"), LATER),
        "devices": list,
    },
    ON_BETA: {
        **dict.fromkeys(("id", "name", "address", "connection_type", "crypto", "client_version", "last_seen_at"), str),
        **dict.fromkeys(("paused", "connected", "is_local", "in_sync"), bool),
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "need_total_items"), int),
        **dict.fromkeys(("in_bytes", "out_bytes"), int),
        **dict.fromkeys(("completion", "in_rate", "out_rate"), NUMBER),
        **dict.fromkeys(("problem", "problems"), LATER),
        "unseen_since": (str, NoneType),
        "status": str,
    },
    DOCS_ON_BETA: {
        **dict.fromkeys(("need_bytes", "need_items", "need_deletes", "need_total_items", "global_bytes"), int),
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
def test_every_documented_key_has_its_type(address: Address, keys: Mapping[str, Any]) -> None:
    """Users rely on names and types. Bytes are integers, and a Boolean does not count as a number."""
    payload = known().shown(address)
    assert keys.keys() <= payload.keys()
    for key, kinds in keys.items():
        assert isinstance(payload[key], kinds), key
        assert kinds in (bool, LATER) or not isinstance(payload[key], bool), key


@every_kind
def test_every_documented_key_exists_when_nothing_is_known(address: Address, keys: Mapping[str, Any]) -> None:
    """Unknown values are null; their keys are not missing."""
    payload = unknown().shown(address)
    if address in (ERRORS, PENDING):
        assert payload is None
        return
    assert keys.keys() <= payload.keys()
    assert all(payload[key] is None or isinstance(payload[key], kinds) for key, kinds in keys.items())


def test_the_counts_of_folders_and_devices_are_integers() -> None:
    """Folders and devices are counted under the documented keys."""
    payload = known().shown(SYSTEM)
    for part, keys in PARTS.items():
        assert keys <= payload[part].keys()
        assert {type(count) for count in payload[part].values()} == {int}


def test_the_payload_of_a_folder_contains_the_observed_values() -> None:
    """The values appear under the documented keys."""
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
        "devices": ["BETABET", "GAMMAGA"],
    }
    payload = known().shown(DOCS)
    assert {key: payload[key] for key in shown} == shown


def test_the_payload_of_a_device_contains_the_observed_values() -> None:
    """The values appear under the documented keys."""
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


# --- addresses with a payload


def test_every_retained_topic_of_an_instance_can_be_rendered() -> None:
    """Exactly the retained kinds of topics below an instance have a renderer, except copies of other topics."""
    retained = {row.kind for row in TOPICS if row.retained and "{instance}" in row.pattern}
    assert retained - set(SLOW.values()) == RENDERED


def test_every_address_has_a_payload_when_everything_was_read() -> None:
    """No listed address has an empty payload, which would clear its topic."""
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
def test_an_unknown_folder_device_or_share_has_no_payload(address: Address) -> None:
    """Without a payload, its topic is cleared."""
    assert render(watched().state, address) is None


@pytest.mark.parametrize("address", [SYSTEM, METRICS, ERRORS, PENDING])
def test_an_address_has_no_payload_before_it_was_read(address: Address) -> None:
    """The bridge makes up no values before Syncthing has answered."""
    assert render(Watched().state, address) is None


@pytest.mark.parametrize("observation", [process(), configured()])
def test_the_instance_is_published_when_process_and_configuration_are_known(observation: Observation) -> None:
    """One of them is not enough."""
    one = Watched()
    one.see(observation)
    assert one.shown(SYSTEM) is None
    one.see(process(), configured())
    assert one.shown(SYSTEM) is not None


def test_a_paused_folder_has_no_completion_on_a_device() -> None:
    """The completion is null, never 0."""
    one = watched(completed(BETA, "docs", need_bytes=500), config=configured([folder("docs", BETA, paused=True)]))
    assert set(one.shown(DOCS_ON_BETA).values()) == {None}
    assert one.shown(DOCS)["completion"] is None


def test_an_event_has_its_name_and_time() -> None:
    """Its other data follows."""
    event = BridgeEvent("folder_synced", after(0.5), {"folder": "docs", "label": "Bücher"})
    assert json.loads(render_event(event)) == {
        "event_type": "folder_synced",
        "time": "2024-05-01T12:00:00.500Z",
        "folder": "docs",
        "label": "Bücher",
    }

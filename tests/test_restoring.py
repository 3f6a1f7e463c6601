"""Restoring the topics that the previous run published, including topics that other clients may have forged."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import Config, FolderConfig
from stbridge.core.outcome import METRICS, SYSTEM
from stbridge.core.payloads import RENDERED, render
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.timing import in_utc
from stbridge.core.topics import Address, Topics
from stbridge.restoring import RestoredPayloads, payloads_of

TOPICS = Topics("syncthing")
NOW = datetime(2026, 11, 23, 20, 14, 5, tzinfo=UTC)
FOLDER = Address("folder", folder="a/b +#%ü")


def restored(published: Mapping[str, bytes]) -> RestoredPayloads:
    """Return the payloads that an instance restores from retained topics."""
    return payloads_of(TOPICS, TOPICS.of_instance("nas", published), RENDERED)


def test_published_payloads_are_restored_by_address() -> None:
    """A payload of the previous run is restored under the address that it was published for."""
    kept = {TOPICS.build("nas", FOLDER): b'{"label":"Odd"}', TOPICS.build("nas", METRICS): b'{"in_bytes":1}'}
    assert restored(kept) == {FOLDER: {"label": "Odd"}, METRICS: {"in_bytes": 1}}


@pytest.mark.parametrize(
    "topic",
    [
        "syncthing/laptop/folder/docs",
        "syncthing/bridge/info",
        "syncthing/nas/command/scan",
        "syncthing/nas/something/else",
        "syncthing/nas/folder/%FF",
        "elsewhere/nas/folder/docs",
    ],
)
def test_topics_of_others_are_not_restored(topic: str) -> None:
    """Topics of other instances, commands, foreign topics, and topics that no bridge publishes are ignored."""
    assert restored({topic: b"{}"}) == {}


@pytest.mark.parametrize("payload", [b"online", b"[1]", b"\xff", b"{", b"[" * 100_000, b"9" * 5000])
def test_a_payload_that_is_not_a_json_object_is_restored_as_empty(payload: bytes) -> None:
    """The topic is still known, so that the bridge can clear it, whatever its payload."""
    assert restored({"syncthing/nas/folder/docs": payload}) == {Address("folder", folder="docs"): None}


@pytest.mark.parametrize("malformed", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-23T20:14:05", "", -5, 1.5, [], {}])
def test_invalid_values_are_restored_as_missing(malformed: object) -> None:
    """Any client may have published values of the wrong type; they do not stop the bridge."""
    docs = Address("folder", folder="docs")
    metrics = {"in_bytes": malformed, "in_bytes_lifetime": malformed, "started_at": in_utc(NOW)}
    kept = {
        TOPICS.build("nas", docs): json.dumps({"out_of_sync_since": malformed}).encode(),
        TOPICS.build("nas", METRICS): json.dumps(metrics).encode(),
    }
    state = State()
    apply(state, seen.Restored(payloads=restored(kept)), NOW)
    apply(state, _process(), NOW)
    apply(state, _configuration(), NOW)
    apply(state, seen.ConnectionsRead(at=NOW, in_bytes=10, out_bytes=10, connections={}), NOW)
    assert json.loads(render(state, docs) or b"")["out_of_sync_since"] is None
    assert json.loads(render(state, METRICS) or b"")["in_bytes_lifetime"] in (
        10,
        15,
    )  # 5 is a valid count, if not one of ours


FAR, LONG_AGO = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("since", [FAR, LONG_AGO])
@pytest.mark.parametrize("code", ["out_of_sync", "stuck", "folders_vanished", "made-up"])
def test_problems_with_an_impossible_start_are_not_restored(code: str, since: str) -> None:
    """Calculations with such times fail, and only a malicious client publishes them."""
    docs, kept = Address("folder", folder="docs"), {}
    for address in (docs, SYSTEM):
        problem = {"code": code, "message": "forged", "since": since}
        kept[TOPICS.build("nas", address)] = json.dumps({"problems": [problem], "out_of_sync_since": since}).encode()
    state = _read(kept)
    conclude(state, NOW)
    assert state.problems == {}
    assert [one for one in state.take_outcome().events if "problem" in one.event_type] == []


@pytest.mark.parametrize("count", [10**4000, 2**63, True])
def test_impossible_totals_are_not_restored(count: int) -> None:
    """A number with thousands of digits could be parsed and added, but not formatted again."""
    metrics = {"in_bytes": 0, "in_bytes_lifetime": count, "started_at": in_utc(NOW)}
    state = _read({TOPICS.build("nas", METRICS): json.dumps(metrics).encode()})
    assert json.loads(render(state, METRICS) or b"")["in_bytes_lifetime"] == 10


def test_restored_payloads_are_released() -> None:
    """Restored payloads may be large, and are not needed after everything has been compared with them."""
    state = _read({TOPICS.build("nas", Address("folder", folder=f"{number}")): b"{}" for number in range(100)})
    assert state.restored == {}
    assert Address("folder", folder="99") in state.take_outcome().changed


def _read(kept: dict[str, bytes]) -> State:
    """Return a state that has restored the retained payloads and has read everything."""
    state = State()
    apply(state, seen.Restored(payloads=restored(kept)), NOW)
    for observation in (seen.SnapshotStarted(), _process(), _configuration()):
        apply(state, observation, NOW)
    apply(state, seen.ConnectionsRead(at=NOW, in_bytes=10, out_bytes=10, connections={}), NOW)
    apply(state, seen.SnapshotComplete(), NOW)
    return state


def _process() -> seen.StatusRead:
    return seen.StatusRead(
        device_id="A" * 7,
        started_at=NOW,
        uptime_s=1,
        memory_bytes=1,
        goroutines=1,
        listeners_ok=None,
        discovery_ok=None,
    )


def _configuration() -> seen.ConfigRead:
    folder = FolderConfig(id="docs", label="", path="/data/docs", type="sendreceive", paused=False, devices=())
    return seen.ConfigRead(config=Config(name="nas", folders={"docs": folder}, devices={}))

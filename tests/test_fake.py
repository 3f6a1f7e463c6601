"""The fake Syncthing of the benchmarks: it returns recorded responses of a real instance, only faster."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from benchmarks.fake.fleet import Fleet
from benchmarks.fake.storm import TICK_S
from benchmarks.fake.syncthing import EVENT_BUFFER, FILE_BYTES, FILES, folder_id
from stbridge.core import events
from stbridge.core import observations as seen
from stbridge.core.observations import Read
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.event_stream import EventsLost, EventStream
from stbridge.syncthing.reads import Reader
from stbridge.syncthing.transport import Transport
from tests.syncthing.pretended import DOCUMENTS, EVENTS, document

FOLDERS, DEVICES, INSTANCES = 3, 2, 2
QUERIES: Mapping[str, Mapping[str, str]] = {
    "/rest/db/completion": {"folder": folder_id(0)},
    "/rest/db/file": {"folder": folder_id(0), "file": "a"},
    "/rest/db/status": {"folder": folder_id(0)},
    "/rest/db/browse": {"folder": folder_id(0)},
    "/rest/folder/errors": {"folder": folder_id(0)},
}
BY_ID = ("pending/devices", "pending/folders", "stats/device", "stats/folder", "db/browse")
"""Calls whose keys are the IDs of folders or devices."""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Two fake instances."""
    with Fleet(instances=INSTANCES, folders=FOLDERS, devices=DEVICES) as one:
        yield one


@pytest.fixture
def client(fleet: Fleet) -> Iterator[SyncthingClient]:
    """A client of the first fake instance."""
    with SyncthingClient("key", fleet.urls[0]) as one:
        yield one


def a_device(client: SyncthingClient) -> str:
    """Return the ID of a remote device."""
    return str(next(iter(client.get_connections()["connections"])))


def keys(document_of_it: Any) -> Any:
    """Return the keys that can be read in a document."""
    return set(document_of_it) if isinstance(document_of_it, dict) else type(document_of_it)


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
def test_it_answers_like_a_real_instance(client: SyncthingClient, fleet: Fleet, path: str) -> None:
    """Each response that the bridge reads has the keys of the recorded one."""
    query = {**QUERIES.get(path, {}), **({"device": a_device(client)} if path.endswith("completion") else {})}
    transport = Transport("key", fleet.urls[0], "system", 10)
    answer = transport.call("GET", path, parameters=query)
    transport.close()
    if not path.endswith(BY_ID):
        assert keys(answer) == keys(document(DOCUMENTS[path]))


def test_the_bridge_can_read_all_of_it(client: SyncthingClient) -> None:
    """The bridge sees a Syncthing instance with the configured number of folders, devices and completions."""
    observed = list(Reader(client, "nas").snapshot())
    (configured,) = (one.config for one in observed if isinstance(one, seen.ConfigRead))
    assert (len(configured.folders), len(configured.devices)) == (FOLDERS, DEVICES)
    assert sum(isinstance(one, seen.FolderRead) for one in observed) == FOLDERS
    assert sum(isinstance(one, seen.CompletionRead) for one in observed) == FOLDERS * DEVICES
    assert all(one.counts and one.counts.complete for one in observed if isinstance(one, seen.FolderRead))


def test_every_fake_is_a_different_instance(fleet: Fleet) -> None:
    """The fakes differ in their own device ID, and in their devices."""
    clients = [SyncthingClient("key", url) for url in fleet.urls]
    ids = {one.get_status()["myID"][:7] for one in clients} | {a_device(one)[:7] for one in clients}
    for one in clients:
        one.close()
    assert len(ids) == 2 * INSTANCES


def test_its_events_match_its_state(fleet: Fleet, client: SyncthingClient) -> None:
    """Each change is sent as an event to clients that poll, and can be read with a call, too."""
    stream = EventStream(client, events.EVENT_TYPES)
    stream.open()
    fleet.call("change", folder=folder_id(1), files=FILES, missing=7)
    (event,) = stream.wait()
    observed = events.observe(event, "")
    assert isinstance(observed, seen.FolderRead)
    assert observed.folder == folder_id(1)
    assert observed.counts is not None
    assert observed.counts.need_bytes == 7 * FILE_BYTES
    assert list(Reader(client, "nas").read(Read("folder", folder_id(1)))) == [observed]


def test_its_event_buffer_is_as_small_as_a_real_one(fleet: Fleet, client: SyncthingClient) -> None:
    """A client that polls too late misses the oldest events, and can detect that."""
    stream = EventStream(client, events.EVENT_TYPES)
    stream.open()
    fleet.call("storm", rate=int(2 * EVENT_BUFFER / TICK_S), seconds=TICK_S, stirred=FOLDERS)
    assert len(client.get_events(since=0, mask=events.EVENT_TYPES)) == EVENT_BUFFER
    with pytest.raises(EventsLost):
        stream.wait()


def test_an_event_storm_matches_its_state(fleet: Fleet, client: SyncthingClient) -> None:
    """The bridge understands all events of a storm, and the last event of each folder matches the final state."""
    stream = EventStream(client, events.EVENT_TYPES)
    stream.open()
    storm = fleet.call("storm", rate=10_000, seconds=0.05, stirred=2)
    observed = [events.observe(event, "") for event in stream.wait()]
    assert len(observed) == storm["events"]
    kinds = {type(one) for one in observed}
    assert kinds == {seen.FolderStateChanged, seen.FolderRead, seen.CompletionRead}
    last = {one.folder: one for one in observed if isinstance(one, seen.FolderRead)}
    for folder, one in last.items():
        assert one.counts is not None
        assert one.counts.need_bytes == fleet.call("folders")[folder]["needBytes"]


def test_it_counts_its_requests(fleet: Fleet, client: SyncthingClient) -> None:
    """The number of requests is the load that a bridge puts on a Syncthing instance."""
    before = fleet.call("requests")
    client.get_status()
    client.get_events(since=0, mask=events.EVENT_TYPES, limit=1, timeout_s=0)
    after = fleet.call("requests")
    assert {path: times - before.get(path, 0) for path, times in after.items() if times != before.get(path)} == {
        "/rest/system/status": 1,
        EVENTS: 1,
    }

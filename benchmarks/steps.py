"""Where the processor time of an event goes: each step by itself, in this process, with nothing beside it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic, process_time
from typing import Any

from benchmarks import stage
from benchmarks.fake.fleet import Fleet
from benchmarks.fake.storm import stirring
from benchmarks.fake.syncthing import FakeSyncthing
from benchmarks.section import Section, Table
from stbridge.core import decode, events
from stbridge.core import observations as seen
from stbridge.core.messages import Message
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Topics
from stbridge.instance import MAX_BATCH
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.publishing import Publisher
from stbridge.settings import MqttSettings
from stbridge.syncthing import SyncthingClient
from tests.servers import eventually

FOLDERS, DEVICES = 100, 10
EVENTS, REQUESTS, MESSAGES = 40_000, 2_000, 10_000
BATCH = 100
"""So many events come with one request in a flood."""

UPDATES_PER_SECOND, EVENTS_PER_SECOND = 2.0, 10_000
STATUS = Message(topic="steps/state", payload=b"online", retain=True, json=False)
COMPLETION = b'{"completion":100,"need_bytes":0,"need_items":0,"need_deletes":0,"global_bytes":5,"remote_state":null}'


def run(quick: bool) -> Section:  # noqa: FBT001 - what every benchmark is called with
    """Measure."""
    share = 10 if quick else 1
    steps = events_of_a_flood(EVENTS // share)
    request_us, message_us = request(REQUESTS // share), message(MESSAGES // share)
    event_us = sum(steps.values())
    rows = [(name, f"{cost_us:.1f}", f"{100 * cost_us / event_us:.0f} %") for name, cost_us in steps.items()]
    return Section(
        title="What an event, a request and a message cost",
        summary=[
            (
                f"Events about {FOLDERS} folders x {DEVICES} devices go through the bridge's own steps in batches of"
                f" {BATCH}, as in a flood of {EVENTS_PER_SECOND:,} a second, without threads or network. A request is"
                " one to the fake, a message one to Mosquitto that is acknowledged (QoS 1), each counted on the side"
                " of the bridge only."
            ),
            (
                f"One request costs as much as {request_us / event_us:.0f} events: most of it is spent in `requests`"
                " and `urllib3`, which are kept for what they know of TLS, sockets and proxies. So in a flood a request"
                " brings many events, and the start, which has to ask for each completion, is what takes long."
            ),
        ],
        tables=[
            Table(title="One event", head=("step", "processor time, µs", "of an event"), rows=rows),
            Table(
                title="Beside it",
                head=("what", "processor time, µs"),
                rows=[
                    ("an event, all steps", f"{event_us:.0f}"),
                    ("a request to Syncthing", f"{request_us:.0f}"),
                    ("a message to the broker", f"{message_us:.0f}"),
                ],
            ),
        ],
    )


def events_of_a_flood(count: int) -> Mapping[str, float]:
    """Return the microseconds that each step takes of an event."""
    fake = FakeSyncthing(1, FOLDERS, DEVICES)
    state = state_of(fake)
    publisher = Publisher("nas", Topics("syncthing"), Outbox(), None, UPDATES_PER_SECOND)
    publisher.change(state.everything())
    while publisher.publish(state, monotonic(), MAX_BATCH):
        pass
    step = stirring(fake, FOLDERS)
    took_s: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began_at = process_time()
        yield
        took_s[name] += process_time() - began_at

    began_at = monotonic()
    for done in range(0, count, BATCH):
        for _ in range(BATCH):
            step()
        text = fake.events(fake.newest_id - BATCH, BATCH)
        with timed("its JSON is read"):
            raw = json.loads(text)
        with timed("it becomes an observation"):
            told = [events.observe(one, fake.own_id) for one in raw]
        with timed("the state takes that in"):
            for one in told:
                if one is not None:
                    apply(state, one, _now())
        with timed("conclusions are drawn"):
            conclude(state, _now())
        with timed("what changed is rendered and handed over"):
            publisher.change(state.take_outcome().changed)
            publisher.publish(state, began_at + done / EVENTS_PER_SECOND, MAX_BATCH)
    return {name: 1e6 * seconds / count for name, seconds in took_s.items()}


def state_of(fake: FakeSyncthing) -> State:
    """Return the state of a fake, all of which has been read."""
    state = State()

    def read(path: str, **query: str) -> Any:
        return json.loads(fake.answer(path, query) or b"null")

    for observation in (
        seen.SnapshotStarted(),
        decode.version(read("/rest/system/version")),
        decode.status(read("/rest/system/status")),
        decode.config(read("/rest/config"), fake.own_id),
        decode.connections(read("/rest/system/connections"), fake.own_id),
        *(decode.folder_status(one, read("/rest/db/status", folder=one)) for one in fake.folders),
        *(
            decode.completion(device, folder, read("/rest/db/completion", device=device, folder=folder))
            for folder in fake.folders
            for device in fake.devices
        ),
        seen.SnapshotComplete(),
        seen.Restored(payloads={}),
    ):
        apply(state, observation, _now())
    conclude(state, _now())
    state.take_outcome()
    return state


def request(count: int) -> float:
    """Return the microseconds that a request takes."""
    with Fleet(folders=1, devices=1) as fleet, SyncthingClient("key", fleet.urls[0]) as client:
        (folder,) = fleet.tell("folders")
        (device,) = client.get_connections()["connections"]
        began_at = process_time()
        for _ in range(count):
            client.get_completion(device=device, folder=folder)
        return 1e6 * (process_time() - began_at) / count


def message(count: int) -> float:
    """Return the microseconds that a message takes."""
    outbox = Outbox()
    for number in range(count):
        topic = f"syncthing/nas/completion/ABCDEFG/folder-{number:05}"
        outbox.put_state(Message(topic=topic, payload=COMPLETION, retain=True))
    with stage.directory() as where, stage.broker(where) as broker:
        connection = BrokerConnection(
            MqttSettings(port=broker.port),
            outbox,
            last_will=STATUS,
            birth=STATUS,
            subscriptions=[],
            received=lambda received: received.acknowledge(),
        )
        began_at = process_time()
        connection.start()
        eventually(lambda: outbox.counters().sent > count)
        took_s = process_time() - began_at
        connection.stop()
    return 1e6 * took_s / count


def _now() -> datetime:
    return datetime.now(UTC)

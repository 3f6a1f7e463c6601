"""Processor time of each step of an event, measured separately in this process."""

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
"""Number of events that one request returns in a flood."""

UPDATES_PER_SECOND, EVENTS_PER_SECOND = 2.0, 10_000
STATUS = Message(topic="steps/state", payload=b"online", retain=True, json=False)
COMPLETION = b'{"completion":100,"need_bytes":0,"need_items":0,"need_deletes":0,"global_bytes":5,"remote_state":null}'


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure the steps of an event, and compare them with a request and a message."""
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
                " sent to the fake instance, a message is sent to Mosquitto and acknowledged (QoS 1). Only the"
                " processor time of the bridge is counted."
            ),
            (
                f"One request costs as much as {request_us / event_us:.0f} events: most of it is spent in `requests`"
                " and `urllib3`, which are used for their support of TLS, sockets and proxies. Therefore a request"
                " returns many events in a flood, and the start is slow because it requests each completion."
            ),
        ],
        tables=[
            Table(title="One event", head=("step", "processor time, µs", "share of an event"), rows=rows),
            Table(
                title="Comparison",
                head=("operation", "processor time, µs"),
                rows=[
                    ("an event, all steps", f"{event_us:.0f}"),
                    ("a request to Syncthing", f"{request_us:.0f}"),
                    ("a message to the broker", f"{message_us:.0f}"),
                ],
            ),
        ],
    )


def events_of_a_flood(count: int) -> Mapping[str, float]:
    """Return the microseconds that each step of an event takes."""
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
        with timed("parse the JSON"):
            raw = json.loads(text)
        with timed("convert it to an observation"):
            observed = [events.observe(one, fake.own_id) for one in raw]
        with timed("apply it to the state"):
            for one in observed:
                if one is not None:
                    apply(state, one, _now())
        with timed("draw conclusions"):
            conclude(state, _now())
        with timed("render changed topics and put them into the outbox"):
            publisher.change(state.take_outcome().changed)
            publisher.publish(state, began_at + done / EVENTS_PER_SECOND, MAX_BATCH)
    return {name: 1e6 * seconds / count for name, seconds in took_s.items()}


def state_of(fake: FakeSyncthing) -> State:
    """Return the complete state of a fake instance."""
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
    """Return the processor time of a request in microseconds."""
    with Fleet(folders=1, devices=1) as fleet, SyncthingClient("key", fleet.urls[0]) as client:
        (folder,) = fleet.call("folders")
        (device,) = client.get_connections()["connections"]
        began_at = process_time()
        for _ in range(count):
            client.get_completion(device=device, folder=folder)
        return 1e6 * (process_time() - began_at) / count


def message(count: int) -> float:
    """Return the processor time of a message in microseconds."""
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

"""Reading back retained messages from a broker that has just started."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from stbridge.core.messages import Message
from stbridge.core.topics import Topics
from stbridge.errors import BrokerUnreachable
from stbridge.mqtt.observer import Observer
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.retained import RetainedReader, Selection, read_retained
from stbridge.mqtt.session import open_session
from stbridge.settings import MqttSettings
from tests.nats import Nats
from tests.servers import Mosquitto, eventually

COUNT = 20_000
"""So many that NATS is still building its index when the reader subscribes."""

DEVICES, FOLDERS = 80, 1000
"""So many that Mosquitto drops a part of the completions if a client subscribes to all of them."""

SENTINEL = Message(topic="syncthing/bridge/sentinel", payload=b"a new run", retain=True)


def publish(settings: MqttSettings, topics: list[str]) -> None:
    """Publish retained messages, and wait until the broker has acknowledged them."""
    outbox = Outbox()
    for topic in topics:
        outbox.put_state(Message(topic=topic, payload=b"{}", retain=True))
    with open_session(settings, "writer", outbox=outbox) as session:
        while not outbox.wait_until_empty(0):
            session.loop_once()


@pytest.fixture
def large_tree(broker: Mosquitto) -> tuple[MqttSettings, set[str]]:
    """Return the settings of a broker with default limits, and the topics of an instance that it has stored."""
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    topics = [f"syncthing/nas/folder/{folder}" for folder in range(FOLDERS)]
    for device in range(DEVICES):
        topics.append(f"syncthing/nas/device/{device}")
        topics += (f"syncthing/nas/completion/{device}/{folder}" for folder in range(FOLDERS))
    publish(settings, topics)
    return settings, set(topics)


def test_the_completions_of_each_device_are_read_from_a_broker_with_a_short_queue(
    large_tree: tuple[MqttSettings, set[str]],
) -> None:
    """Mosquitto sends at most 1,000 messages that a client has not read yet."""
    settings, stored = large_tree
    topics = Topics("syncthing")
    selection = Selection(topic_filters=topics.filters_without_completions("nas"), further=topics.completion_filters)
    reader = RetainedReader(selection, sentinel=SENTINEL)
    with open_session(settings, "reader", reader.take) as session:
        found = reader.read(session)
    assert stored - found.keys() == set()
    assert reader.complete


def test_an_answer_that_the_broker_drops_is_asked_for_again(large_tree: tuple[MqttSettings, set[str]]) -> None:
    """While Mosquitto drops retained messages of one filter, it also drops its answer to the next subscription."""
    settings, _stored = large_tree
    assert read_retained(settings, [*Topics("syncthing").retained_filters("nas"), "syncthing/bridge/#"])


def _read_if_answered(settings: MqttSettings) -> Mapping[str, bytes]:
    """Read the topics of the instance; nothing if the server is too busy to answer a subscription in time."""
    reader = RetainedReader(Selection(topic_filters=["syncthing/nas/#"]), sentinel=SENTINEL)
    with suppress(BrokerUnreachable), open_session(settings, "reader", reader.take) as session:
        return reader.read(session)
    return {}


def test_everything_is_read_from_a_server_that_still_builds_its_index(tmp_path: Path) -> None:
    """NATS answers a subscription with the messages of its index, which it builds after a start in the background."""
    server = Nats(tmp_path).start()
    try:
        settings = MqttSettings(host="127.0.0.1", port=server.port, protocol="3.1.1")
        topics = [f"syncthing/nas/folder/{number}" for number in range(COUNT)]
        publish(settings, topics)
        server.stop()
        server.start()
        found = eventually(lambda: _read_if_answered(settings))
        assert set(topics) - found.keys() == set()
        assert read_retained(settings, ["syncthing/bridge/#"]) == {}
    finally:
        server.stop()


def test_an_observer_receives_every_retained_message(broker: Mosquitto) -> None:
    """Of more messages than the broker has room for in its queue."""
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    topics = {f"syncthing/nas/{kind}/{number}" for kind in ("device", "folder") for number in range(2000)}
    publish(settings, sorted(topics))
    received: set[str] = set()
    observer = Observer(
        settings, ["syncthing/nas/device/#", "syncthing/nas/folder/#"], lambda one: received.add(one.topic)
    )
    observer.start()
    try:
        assert eventually(lambda: received == topics)
    finally:
        observer.stop()

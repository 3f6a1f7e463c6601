"""Messages that make a broker close the connection: the bridge finds and skips them, and publishes all others."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from stbridge.core.messages import Message
from stbridge.mqtt import conflict
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.settings import MqttSettings
from tests.scripted_broker import Published, ScriptedBroker, accept
from tests.servers import Mosquitto, Subscriber, eventually, every_mosquitto

STATE = "syncthing/bridge/state"
LAST_WILL = Message(topic=STATE, payload=b"offline", retain=True, json=False)
BIRTH = Message(topic=STATE, payload=b"online", retain=True, json=False)
PHOTOS = "syncthing/nas/folder/my photos"
OTHERS = [f"syncthing/nas/folder/{number}" for number in range(30)]

Start = Callable[..., tuple[BrokerConnection, Outbox]]


def state(topic: str, payload: bytes = b"{}") -> Message:
    """Return a retained message."""
    return Message(topic=topic, payload=payload, retain=True)


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    """Start a connection with some retained topics; the fixture stops it."""
    started: list[BrokerConnection] = []
    caplog.set_level(logging.INFO, "stbridge.mqtt")

    def start_one(
        port: int, *messages: Message, marker: InstanceMarker | None = None, **more: Any
    ) -> tuple[BrokerConnection, Outbox]:
        outbox = Outbox()
        for message in messages:
            outbox.put_state(message)
        one = BrokerConnection(
            MqttSettings(host="127.0.0.1", port=port, **more),
            outbox,
            last_will=LAST_WILL,
            birth=BIRTH,
            subscriptions=[Subscription("syncthing/+/command/#")],
            received=lambda received: received.acknowledge(),
            marker=marker,
        )
        started.append(one)
        one.start()
        return one, outbox

    yield start_one
    for one in started:
        one.stop()


@pytest.fixture
def script() -> Iterator[Callable[..., ScriptedBroker]]:
    """Start brokers that follow a script."""
    started: list[ScriptedBroker] = []

    def start_one(*arguments: Any, **options: Any) -> ScriptedBroker:
        started.append(ScriptedBroker(*arguments, **options))
        return started[-1]

    yield start_one
    for one in started:
        one.stop()


def forbids(*topics: str) -> Callable[[Published], int | None]:
    """Return the script of a broker that closes the connection when certain topics are published."""
    return lambda one: None if one.topic in topics else 0


def is_online(broker: ScriptedBroker) -> bool:
    """Return whether the bridge has published everything."""
    return broker.latest().get(STATE) == b"online"


def holds(broker: ScriptedBroker, topic: str, payload: bytes) -> bool:
    """Return whether a message is the newest on its topic."""
    return broker.latest().get(topic) == payload


def has_reconnected(connection: BrokerConnection, reconnects: int) -> bool:
    """Return whether the connection was opened again since then."""
    return connection.status.connected and connection.status.reconnects > reconnects


@pytest.mark.parametrize(
    ("protocol", "disconnect_code"), [("3.1.1", None), ("5", None), ("5", 0x87), ("5", 0x90)], ids=str
)
def test_a_forbidden_topic_is_skipped_and_everything_else_is_published(
    start: Start, script: Any, caplog: pytest.LogCaptureFixture, protocol: str, disconnect_code: int | None
) -> None:
    """One folder ID with a space would otherwise keep the whole bridge offline, for example with NATS."""
    broker = script(forbids(PHOTOS), disconnect_code=disconnect_code)
    connection, outbox = start(broker.port, *map(state, [*OTHERS[:15], PHOTOS, *OTHERS[15:]]), protocol=protocol)
    eventually(lambda: is_online(broker))
    assert broker.latest().keys() == {*OTHERS, STATE}
    assert outbox.wait_until_empty(30)
    assert outbox.counters().dropped == 1
    assert f"'{PHOTOS}'" in connection.status.message
    (skipped,) = [one for one in caplog.messages if "skipped" in one]
    assert f"'{PHOTOS}'" in skipped
    assert 'mqtt.topic_encoding = "strict"' in skipped
    assert "client_id" not in caplog.text


def test_the_log_changes_only_when_something_changes(
    start: Start, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One line reports the first closed connection, one names the topic, and one reports the skip."""
    broker = script(forbids(PHOTOS, *(f"{PHOTOS}/{number}" for number in range(4))))
    start(broker.port, *map(state, OTHERS), *(state(f"{PHOTOS}/{number}") for number in range(4)), state(PHOTOS))
    eventually(lambda: is_online(broker))
    assert broker.connections > 10
    lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.INFO]
    assert len(lines) == len(set(lines))
    assert sum("connected to the broker" in one for one in lines) == 1


def test_a_skipped_topic_stays_skipped_over_reconnects_and_changes(start: Start, script: Any) -> None:
    """Each retry would take the bridge offline."""
    broker = script(forbids(PHOTOS))
    connection, outbox = start(broker.port, state(PHOTOS), *map(state, OTHERS))
    eventually(lambda: is_online(broker))
    tries = len(broker.closed_over)
    for payload in (b'{"changed": 1}', b'{"changed": 2}', b'{"changed": 3}'):
        reconnects = connection.status.reconnects
        broker.cut()
        eventually(partial(has_reconnected, connection, reconnects))
        outbox.put_state(state(PHOTOS, payload))
        outbox.put_state(state(OTHERS[0], payload))
        outbox.flush()
        eventually(partial(holds, broker, OTHERS[0], payload))
    assert len(broker.closed_over) == tries
    assert PHOTOS not in broker.latest()


def test_a_skipped_topic_that_is_cleared_is_published_again_later(start: Start, script: Any) -> None:
    """A folder that is removed and added again is no longer the one whose message the broker did not accept."""
    broker = script(forbids(PHOTOS))
    large = state(PHOTOS, b'{"path": "' + b"x" * 1000 + b'"}')
    _, outbox = start(broker.port, large, *map(state, OTHERS))
    eventually(lambda: PHOTOS in outbox.skipped)
    broker.verdict = accept
    outbox.put_state(state(PHOTOS, b""))
    outbox.flush()
    eventually(lambda: outbox.skipped == {})
    outbox.put_state(large)
    outbox.flush()
    eventually(lambda: PHOTOS in broker.latest())


def test_a_skipped_topic_is_retried_when_everything_is_republished(start: Start, script: Any) -> None:
    """After a change of the ACL, the user does not have to restart the bridge."""
    broker = script(forbids(PHOTOS))
    _, outbox = start(broker.port, state(PHOTOS, b"1"), *map(state, OTHERS))
    eventually(lambda: is_online(broker))
    broker.verdict = accept
    outbox.put_state(state(PHOTOS, b"2"))
    outbox.resend(also_skipped=True)
    outbox.flush()
    eventually(lambda: broker.latest().get(PHOTOS) == b"2")
    assert outbox.wait_until_empty(30)


def test_a_new_process_retries_every_topic(start: Start, script: Any) -> None:
    """The list of skipped topics is not stored outside of the process."""
    broker = script(forbids(PHOTOS))
    first, _ = start(broker.port, state(PHOTOS))
    eventually(lambda: is_online(broker))
    first.stop()
    broker.verdict = accept
    start(broker.port, state(PHOTOS))
    eventually(lambda: PHOTOS in broker.latest())


def test_availability_is_skipped_like_any_other_topic(start: Start, script: Any) -> None:
    """All other topics are published."""
    broker = script(forbids(STATE))
    _, outbox = start(broker.port, *map(state, OTHERS))
    eventually(lambda: outbox.wait_until_empty(0) and broker.latest().keys() == set(OTHERS))


def test_a_forbidden_reply_is_dropped_and_its_topic_is_not_remembered(start: Start, script: Any) -> None:
    """Clients choose response topics: they must not fill the table of skipped topics or stop the service."""
    broker = script(forbids("answers/1", "answers/2"))
    _, outbox = start(broker.port, *map(state, OTHERS))
    eventually(lambda: is_online(broker))
    for number in (1, 2):
        outbox.put(Message(topic=f"answers/{number}", payload=b"{}"), urgent=True)
    outbox.flush()
    outbox.put_state(state("syncthing/nas/system"))
    outbox.flush()
    eventually(lambda: "syncthing/nas/system" in broker.latest() and outbox.wait_until_empty(0))
    assert outbox.skipped == {}
    assert outbox.counters().dropped == 2


def test_a_broker_that_closes_on_every_message_does_not_fill_the_table(
    start: Start, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of skipped topics is bounded; above it, the message still names the last topic."""
    monkeypatch.setattr("stbridge.mqtt.quarantine.MOST_SKIPPED", 2)
    broker = script(lambda _: None)
    connection, outbox = start(broker.port, *map(state, OTHERS))
    eventually(lambda: len(outbox.skipped) == 2)
    tries = broker.connections
    eventually(lambda: broker.connections > tries + 4)
    assert len(outbox.skipped) == 2
    eventually(lambda: f"'{OTHERS[2]}'" in connection.status.message)


def test_a_network_failure_skips_nothing(start: Start, script: Any) -> None:
    """The messages in flight arrive on the next connection, so they did not cause the failure."""
    broker = script()
    _, outbox = start(broker.port, *map(state, OTHERS))
    for payload in (b"1", b"2", b"3", b"4", b"5"):
        eventually(lambda: is_online(broker))
        broker.cut_at = OTHERS[7]
        outbox.put_state(state(OTHERS[7], payload))
        outbox.flush()
        eventually(partial(holds, broker, OTHERS[7], payload))
    assert outbox.skipped == {}
    assert outbox.counters().dropped == 0


# --- a broker that limits the size of messages: real Mosquitto

LARGE = state("syncthing/nas/folder/photos", b'"' + b"x" * 5000 + b'"')


@every_mosquitto
def test_mosquitto_refuses_a_large_message_and_accepts_all_others(
    start: Start, new_broker: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture
) -> None:
    """`message_size_limit` with MQTT 5: the PUBACK has the reason code 0x95."""
    broker = new_broker(lines=["allow_anonymous true", "message_size_limit 3000"]).start()
    subscriber = Subscriber(broker.port)
    connection, outbox = start(broker.port, LARGE, *map(state, OTHERS))
    subscriber.wait_for_payload(STATE, b"online")
    assert subscriber.latest().keys() == {*OTHERS, STATE}
    assert outbox.counters().failed == 1
    assert connection.status.reconnects == 0
    (line,) = [one for one in caplog.messages if LARGE.topic in one]
    assert "5002 bytes" in line
    assert "message_size_limit" in line
    outbox.put_state(state(LARGE.topic, b"{}"))
    outbox.flush()
    subscriber.wait_for_payload(LARGE.topic, b"{}")
    subscriber.close()


@every_mosquitto
def test_mosquitto_announces_its_limit_and_receives_nothing_larger(
    start: Start, new_broker: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture
) -> None:
    """`max_packet_size` with MQTT 5: the CONNACK contains the limit, which may differ on the next connection."""
    broker = new_broker(lines=["allow_anonymous true", "max_packet_size 3000"]).start()
    connection, outbox = start(broker.port, LARGE, *map(state, OTHERS))
    eventually(lambda: connection.status.connected and outbox.wait_until_empty(0))
    assert outbox.counters().dropped == 1
    (line,) = [one for one in caplog.messages if LARGE.topic in one]
    assert "max_packet_size" in line
    broker.stop()
    broker.lines = ["allow_anonymous true"]
    broker.start()
    subscriber = Subscriber(broker.port)
    subscriber.wait_for_payload(LARGE.topic, LARGE.payload)
    subscriber.close()


@every_mosquitto
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_mosquitto_closes_the_connection_on_a_large_message(
    start: Start, new_broker: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    """`max_packet_size` with MQTT 3.1.1, which cannot announce it: the topic is published when it is smaller."""
    broker = new_broker(lines=["allow_anonymous true", "max_packet_size 3000"]).start()
    subscriber = Subscriber(broker.port)
    connection, outbox = start(broker.port, *map(state, OTHERS[:8]), LARGE, *map(state, OTHERS[8:]), protocol=protocol)
    subscriber.wait_for_payload(STATE, b"online")
    assert subscriber.latest().keys() == {*OTHERS, STATE}
    assert outbox.counters().dropped == 1
    assert "client_id" not in caplog.text
    if protocol == "3.1.1":
        (line,) = [one for one in caplog.messages if "skipped" in one]
        assert LARGE.topic in line
        assert "5002 bytes" in line
    outbox.put_state(state(LARGE.topic, b"{}"))
    outbox.flush()
    subscriber.wait_for_payload(LARGE.topic, b"{}")
    reconnects = connection.status.reconnects
    outbox.put_state(LARGE)
    outbox.put_state(state("syncthing/nas/system"))
    outbox.flush()
    subscriber.wait_for_payload("syncthing/nas/system", b"{}")
    assert connection.status.reconnects == reconnects
    subscriber.close()


@every_mosquitto
def test_a_large_message_after_a_restart_is_no_client_id_conflict(
    start: Start,
    new_broker: Callable[..., Mosquitto],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker closes each connection before it has the marker of this run, so it delivers that of the previous run.

    Some brokers are slow to answer before that, so that these connections are not short.
    """
    monkeypatch.setattr(conflict, "KNOWN_S", 0.0)
    ours = state("syncthing/bridge/info", b'"this run"')
    broker = new_broker(lines=["allow_anonymous true", "max_packet_size 3000"]).start()
    subscriber = Subscriber(broker.port)
    subscriber.publish(ours.topic, b'"previous run"', retain=True)
    subscriber.wait_for_payload(ours.topic, b'"previous run"')
    marker = InstanceMarker(ours.topic, lambda payload: payload == ours.payload, lambda *_: ours)
    start(broker.port, LARGE, *map(state, OTHERS), marker=marker, protocol="3.1.1")
    subscriber.wait_for_payload(STATE, b"online")
    assert "client ID" not in caplog.text
    subscriber.close()

"""Broker failures that users encounter: a slow line, a hung broker, a late one, and one with only MQTT 3.1.1."""

import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from stbridge import keepalive
from stbridge.core.messages import Message
from stbridge.errors import BrokerUnreachable
from stbridge.mqtt import session as session_module
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.retained import Selection
from stbridge.mqtt.session import Session
from stbridge.settings import MqttSettings
from tests.bridges import bridges_to
from tests.late import LateRetained
from tests.pretender import Pretender, until_hung_up
from tests.proxy import Proxy
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer
from tests.test_keepalive import stop_answering

STATE = "syncthing/bridge/state"
METRICS = "syncthing/nas/metrics"
LAST_WILL = Message(topic=STATE, payload=b"offline", retain=True, json=False)
BIRTH = Message(topic=STATE, payload=b"online", retain=True, json=False)
INFO = Message(topic="syncthing/bridge/info", payload=b"{}", retain=True)
CONNACK, SUBACK = bytes([0x20, 3, 0, 0, 0]), 0x90

Start = Callable[..., BrokerConnection]


@pytest.fixture
def outbox() -> Outbox:
    """The outbox that the connection publishes from."""
    return Outbox()


@pytest.fixture
def start(outbox: Outbox) -> Iterator[Start]:
    """Start a connection; the fixture stops it."""
    started: list[BrokerConnection] = []

    def start_one(port: int, **options: Any) -> BrokerConnection:
        one = BrokerConnection(
            MqttSettings(host="127.0.0.1", port=port),
            outbox,
            last_will=LAST_WILL,
            birth=BIRTH,
            subscriptions=[Subscription("syncthing/+/command/#")],
            received=lambda received: received.acknowledge(),
            **options,
        )
        started.append(one)
        one.start()
        return one

    yield start_one
    for one in started:
        one.stop()


@pytest.fixture
def line(broker: Mosquitto) -> Iterator[Proxy]:
    """A proxy between the bridge and the broker."""
    proxy = Proxy(broker.port).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A simulated Syncthing instance with a folder."""
    one = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    one.has_folders(photos=False)
    yield one
    one.server.stop()


@pytest.fixture
def run(syncthing: PretendedSyncthing, tmp_path: Path) -> Iterator[Callable[..., BridgeProcess]]:
    """Run a bridge as a process."""
    with bridges_to(syncthing, tmp_path) as new_bridge:
        yield lambda port, **variables: new_bridge(port, **variables).start()


# --- a slow connection is not dead


def test_a_large_reply_over_a_slow_line_is_delivered_once(
    start: Start, outbox: Outbox, line: Proxy, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply takes longer than the acknowledgement timeout; messages published meanwhile are acknowledged, too."""
    monkeypatch.setattr(session_module, "ACKNOWLEDGEMENT_TIMEOUT_S", 1.0)
    connection = start(line.port)
    subscriber.wait_for_payload(STATE, b"online")
    line.slow(400_000)
    reply = Message(topic="syncthing/nas/response/get_config", payload=b"x" * 1_500_000)
    outbox.put_state(Message(topic="syncthing/nas/folder/before", payload=b"{}", retain=True))
    outbox.put(reply, urgent=True)
    outbox.flush()
    outbox.put_state(Message(topic="syncthing/nas/folder/after", payload=b"{}", retain=True))
    outbox.flush()
    subscriber.wait_for_payload("syncthing/nas/folder/after", b"{}")
    assert outbox.wait_until_empty(30)
    assert Counter(one.topic for one in subscriber.messages) == {
        STATE: 1,
        reply.topic: 1,
        "syncthing/nas/folder/before": 1,
        "syncthing/nas/folder/after": 1,
    }
    assert connection.status.reconnects == 0


def test_many_discovery_messages_over_a_slow_line_are_sent_once(
    start: Start, outbox: Outbox, line: Proxy, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they take longer than the timeout, and each one only a part of it."""
    monkeypatch.setattr(session_module, "ACKNOWLEDGEMENT_TIMEOUT_S", 2.0)
    line.slow(200_000)
    for number in range(40):
        topic = f"homeassistant/device/stbridge_{number}/config"
        outbox.put_state(Message(topic=topic, payload=b"x" * 20_000, retain=True), first=True)
    connection = start(line.port)
    subscriber.wait_for_payload(STATE, b"online")
    assert len(subscriber.messages) == 41
    assert connection.status.reconnects == 0


# --- a broker that disconnects or hangs is detected


def test_a_connection_found_broken_while_sending_raises_a_readable_error(outbox: Outbox, line: Proxy) -> None:
    """Paho closes the socket in this case, and the session must not use it any more."""
    settings = MqttSettings(host="127.0.0.1", port=line.port)
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None, outbox=outbox)
    session.open(threading.Event())
    outbox.connected()
    line.reset()
    outbox.put(Message(topic="syncthing/nas/event/folder_synced", payload=b"{}"))
    try:
        with pytest.raises(BrokerUnreachable, match="closed the connection"):
            eventually(session.loop_once)  # the reset may arrive a moment later
    finally:
        session.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the bridge's timeout from 10 s to half a second, and do not extend it for large messages."""
    monkeypatch.setattr(session_module, "ACKNOWLEDGEMENT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(session_module, "SLOWEST_BYTES_PER_S", 10**9)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("size", [2, 20_000_000], ids=["small", "large"])
def test_a_line_that_loses_all_data_is_detected(
    start: Start, outbox: Outbox, line: Proxy, subscriber: Subscriber, size: int
) -> None:
    """A message of which the system has accepted only a part counts, too."""
    connection = start(line.port)
    subscriber.wait_for_payload(STATE, b"online")
    line.hang()
    outbox.put_state(Message(topic="syncthing/nas/folder/docs", payload=b"x" * size, retain=True))
    outbox.flush()
    eventually(lambda: not connection.status.connected)
    assert "no longer responds" in connection.status.message


def acknowledges_nothing(connection: socket.socket) -> None:
    """Accept, confirm subscriptions, and read without sending anything else."""
    connection.recv(4096)
    connection.sendall(CONNACK)
    for _ in range(2):
        packet = connection.recv(4096)
        connection.sendall(bytes([SUBACK, 4, packet[2], packet[3], 0, 1]))
    until_hung_up(connection)


def test_a_broker_that_reads_and_acknowledges_nothing_is_detected(
    start: Start, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge always has new messages, and the broker reads them."""
    monkeypatch.setattr(session_module, "ACKNOWLEDGEMENT_TIMEOUT_S", 0.5)
    broker = Pretender(acknowledges_nothing)
    try:
        start(broker.port)

        def publish_more() -> bool:
            outbox.put(Message(topic="syncthing/nas/event/folder_synced", payload=b"{}"))
            outbox.flush()
            return broker.connections > 1

        eventually(publish_more)
    finally:
        broker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can drop what arrives for one connection")
def test_a_broker_that_disappears_silently_is_detected_without_traffic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TCP keepalive is faster than MQTT keepalive, which takes up to two intervals of 30 s."""
    for name, value in {"IDLE_S": 1, "INTERVAL_S": 1, "PROBES": 2}.items():
        monkeypatch.setattr(keepalive, name, value)

    def loop(session: Session, timeout_s: float) -> None:
        deadline = monotonic() + timeout_s
        while monotonic() < deadline:
            session.loop_once()

    def vanish(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(CONNACK)
        stop_answering(connection)
        gone.wait(30)

    gone = threading.Event()
    broker = Pretender(vanish)
    settings = MqttSettings(host="127.0.0.1", port=broker.port, keepalive_s=3600)
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None)
    try:
        session.open(threading.Event())
        with pytest.raises(BrokerUnreachable, match="closed the connection"):
            loop(session, 20)
    finally:
        gone.set()
        session.close()
        broker.close()


# --- retained messages that arrive late


@pytest.mark.parametrize("late_s", [0.3, 2.0])
@pytest.mark.parametrize("info", [b"", b'{"started_at":"2026-01-01T00:00:00Z"}'], ids=["no info", "info kept"])
def test_late_retained_messages_are_not_overwritten(
    broker: Mosquitto, subscriber: Subscriber, run: Callable[..., BridgeProcess], late_s: float, info: bytes
) -> None:
    """Lifetime totals would otherwise restart at zero, and years of counts would be lost."""
    kept = {"in_bytes_lifetime": 10**12, "in_bytes": 0, "started_at": "2001-01-01T00:00:00Z"}
    subscriber.publish(METRICS, json.dumps(kept), retain=True)
    subscriber.publish(INFO.topic, info, retain=True)
    since = subscriber.count
    proxy = LateRetained(broker.port, late_s).start()
    try:
        run(proxy.port)
        subscriber.wait_for_payload(STATE, b"online", since=since)
        metrics = subscriber.wait_for_json(METRICS, lambda one: one["in_bytes_lifetime"] is not None, since=since)
        assert metrics["in_bytes_lifetime"] >= 10**12
    finally:
        proxy.stop()


def test_a_retained_online_becomes_offline_until_everything_is_published(
    start: Start, outbox: Outbox, subscriber: Subscriber
) -> None:
    """A crashed broker restored it from disk, or the broker has not detected yet that the old connection is dead."""
    subscriber.publish(STATE, b"online", retain=True)
    since = subscriber.count
    outbox.put_state(Message(topic="syncthing/nas/system", payload=b"{}", retain=True))
    start(subscriber.port)
    subscriber.wait_for_payload(STATE, b"online", since=since)
    seen = [(one.topic, one.payload) for one in subscriber.messages[since:]]
    assert seen == [(STATE, b"offline"), ("syncthing/nas/system", b"{}"), (STATE, b"online")]


# --- MQTT 3.1.1, which has neither no_local nor reason codes


def test_a_retained_command_gets_one_reply_over_mqtt_3_1_1(
    broker: Mosquitto, subscriber: Subscriber, run: Callable[..., BridgeProcess]
) -> None:
    """Clearing it sends the bridge an empty command of its own; an empty command of another client is answered."""
    scan, response = "syncthing/nas/command/scan", "syncthing/nas/response/scan"
    subscriber.publish(scan, "docs", retain=True)
    since = subscriber.count
    run(broker.port, STBRIDGE_MQTT__PROTOCOL="3.1.1")
    subscriber.wait_for_payload(scan, b"", since=since)
    assert ask(subscriber, "get_version", "{}", node="nas")["status"] == "ok"
    codes = [json.loads(one.payload)["error"]["code"] for one in subscriber.messages[since:] if one.topic == response]
    assert codes == ["retained_command"]
    assert ask(subscriber, "scan", "", node="nas")["error"]["code"] == "empty_payload"


# --- Home Assistant's birth message


def test_a_retained_birth_message_is_ignored_unless_it_is_live(
    broker: Mosquitto, subscriber: Subscriber, run: Callable[..., BridgeProcess]
) -> None:
    """A retained one arrives on each connection, and would make the bridge publish everything twice."""
    subscriber.publish("homeassistant/status", "online", retain=True)
    bridge = run(broker.port)
    subscriber.wait_for_payload(STATE, b"online")
    assert ask(subscriber, "get_version", "{}", node="nas")["status"] == "ok"  # it follows the retained message
    assert "Home Assistant" not in bridge.log.read_text(encoding="utf-8")
    subscriber.publish("homeassistant/status", "online", retain=True)
    eventually(lambda: "Home Assistant restarted" in bridge.log.read_text(encoding="utf-8"))


# --- stopping at any time


def test_a_stop_ends_the_thread_while_a_server_does_not_answer(start: Start) -> None:
    """The bridge is still connecting, so it cannot publish anything."""
    server = Pretender(until_hung_up)
    try:
        connection = start(server.port)
        eventually(lambda: server.connections)
        connection.stop(3)
        assert not connection.alive
    finally:
        server.close()


def test_a_stop_ends_the_thread_while_retained_messages_are_read(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """The retained messages would arrive only after a minute."""
    proxy = LateRetained(broker.port, 60).start()
    try:
        sentinel = Message(topic="syncthing/bridge/sentinel", payload=b"{}", retain=True)
        restored: list[object] = []
        connection = start(
            proxy.port,
            restored=lambda found, _complete: restored.append(found),
            restore=Selection(topic_filters=["syncthing/nas/+"]),
            sentinel=sentinel,
        )
        subscriber.wait_for_payload(sentinel.topic, sentinel.payload)
        connection.stop(3)
        assert not connection.alive
        assert not restored
    finally:
        proxy.stop()


def test_a_stop_on_a_dead_line_triggers_the_last_will(
    start: Start, outbox: Outbox, line: Proxy, subscriber: Subscriber
) -> None:
    """The queue cannot be sent: the bridge closes without DISCONNECT, and the broker publishes `offline`."""
    connection = start(line.port)
    subscriber.wait_for_payload(STATE, b"online")
    line.hang()
    for number in range(100):
        outbox.put_state(Message(topic=f"syncthing/nas/folder/{number}", payload=b"{}", retain=True))
    outbox.flush()
    connection.stop(2)
    eventually(lambda: not connection.alive)
    line.repair()
    subscriber.wait_for_payload(STATE, b"offline")

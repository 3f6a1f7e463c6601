"""The connection to the broker, including all kinds of failures."""

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from paho.mqtt.client import Client

from stbridge.core.messages import Message, Received
from stbridge.mqtt import session
from stbridge.mqtt.client import Subscription, acknowledge_without_delay
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.retained import Selection
from stbridge.mqtt.session import Session
from stbridge.settings import MqttSettings
from tests.late import LateRetained
from tests.proxy import Proxy
from tests.servers import ANONYMOUS, Mosquitto, Subscriber, eventually, every_mosquitto

STATE = "syncthing/bridge/state"
WILL = Message(topic=STATE, payload=b"offline", retain=True, json=False)
BIRTH = Message(topic=STATE, payload=b"online", retain=True, json=False)
MARKER = Message(topic="syncthing/bridge/info", payload=b"{}", retain=True)
COMMANDS = "syncthing/+/command/#"
SCAN = "syncthing/nas/command/scan"


def folder(name: str, payload: bytes = b"{}") -> Message:
    """Return a message with the state of a folder."""
    return Message(topic=f"syncthing/nas/folder/{name}", payload=payload, retain=True)


class Changes:
    """A list to which threads append, and on whose content tests wait."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = threading.Condition()

    def add(self, item: Any) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Any]], bool]) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.items), 30), list(map(_shown, self.items))
            return list(self.items)


def _shown(item: Any) -> Any:
    return item.getMessage() if isinstance(item, logging.LogRecord) else item


def seen_by(subscriber: Subscriber) -> list[tuple[str, bytes]]:
    """Return the received messages in order."""
    return [(message.topic, bytes(message.payload)) for message in list(subscriber.messages)]


def until(subscriber: Subscriber, condition: Callable[[list[Any]], bool]) -> list[tuple[str, bytes]]:
    """Wait until the received messages satisfy a condition, and return them."""
    eventually(lambda: condition(seen_by(subscriber)))
    return seen_by(subscriber)


class Bridge:
    """The connection under test, and the commands that it delivers."""

    def __init__(self, settings: MqttSettings, outbox: Outbox | None = None, **options: Any) -> None:
        self.outbox = outbox or Outbox()
        self.received = Changes()
        options = {"received": self.received.add, "subscriptions": [Subscription(COMMANDS)], **options}
        self.connection = BrokerConnection(settings, self.outbox, last_will=WILL, birth=BIRTH, **options)

    def put_state(self, message: Message) -> None:
        """Publish a state."""
        self.outbox.put_state(message)
        self.outbox.flush()

    def put(self, message: Message, *, urgent: bool = False) -> None:
        """Publish an event or a reply."""
        self.outbox.put(message, urgent=urgent)
        self.outbox.flush()


Start = Callable[..., Bridge]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a bridge; the fixture stops it."""
    bridges: list[Bridge] = []

    def started(
        port: int,
        outbox: Outbox | None = None,
        *,
        client_id: str = "stbridge",
        protocol: Literal["auto", "5", "3.1.1"] = "auto",
        **options: Any,
    ) -> Bridge:
        settings = MqttSettings(host="127.0.0.1", port=port, client_id=client_id, protocol=protocol)
        bridges.append(Bridge(settings, outbox, **options))
        bridges[-1].connection.start()
        return bridges[-1]

    yield started
    for bridge in bridges:
        bridge.connection.stop()
        assert not bridge.connection.alive


@pytest.fixture
def said() -> Iterator[Changes]:
    """The log records of the connection."""
    changes = Changes()
    handler = logging.Handler()
    handler.emit = changes.add  # type: ignore[method-assign, assignment]  # the shortest handler there is
    logger = logging.getLogger("stbridge.mqtt")
    logger.addHandler(handler)
    yield changes
    logger.removeHandler(handler)


@pytest.fixture
def cable(broker: Mosquitto) -> Iterator[Proxy]:
    """A proxy between the bridge and the broker."""
    cable = Proxy(broker.port).start()
    yield cable
    cable.stop()


def leave_session(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """Connect and disconnect as a bridge does that is restarted: the broker keeps its session."""
    bridge = start(broker.port)
    until(subscriber, online)
    bridge.connection.stop()


def online(seen: list[Any]) -> bool:
    """Return whether the newest state of the bridge is `online`."""
    return [payload for topic, payload in seen if topic == STATE][-1:] == [b"online"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the option, and needs it")
def test_received_data_is_acknowledged_to_tcp_at_once(
    broker: Mosquitto, subscriber: Subscriber, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker with Nagle's algorithm would otherwise delay the next command, by default for up to 40 ms."""
    options = Changes()

    def observed(client: Client) -> None:
        connection = client.socket()
        assert isinstance(connection, socket.socket)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        acknowledge_without_delay(client)
        options.add(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))

    monkeypatch.setattr(session, "acknowledge_without_delay", observed)
    bridge = start(broker.port)
    subscriber.wait_for_payload(STATE, b"online")
    before = len(options.items)
    subscriber.publish(SCAN, "docs")
    bridge.received.wait_for(bool)
    assert all(options.wait_for(lambda items: len(items) > before))


@every_mosquitto
def test_online_is_published_after_all_other_topics(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """A client that sees `online` has received everything else, with the availability of the instances last."""
    outbox = Outbox()
    outbox.put_state(Message(topic="syncthing/nas/state", payload=b"online", retain=True), last=True)
    for name in "abc":
        outbox.put_state(folder(name))
    start(broker.port, outbox)
    seen = until(subscriber, online)
    assert [topic for topic, _ in seen] == [
        *(f"syncthing/nas/folder/{name}" for name in "abc"),
        "syncthing/nas/state",
        STATE,
    ]


@every_mosquitto
def test_a_broker_that_comes_back_empty_gets_every_topic(start: Start, broker: Mosquitto) -> None:
    """A broker without persistence needs no manual action."""
    outbox = Outbox()
    for number in range(50):
        outbox.put_state(folder(str(number)))
    bridge = start(broker.port, outbox)
    first = Subscriber(broker.port)
    until(first, online)
    first.close()
    broker.stop()
    outbox.put_state(folder("0", b'{"meanwhile": 1}'))
    broker.start()
    second = Subscriber(broker.port)
    seen = until(second, online)
    second.close()
    assert dict(seen) == {
        **{f"syncthing/nas/folder/{number}": b"{}" for number in range(50)},
        "syncthing/nas/folder/0": b'{"meanwhile": 1}',
        STATE: b"online",
    }
    assert bridge.connection.status.reconnects == 1


def test_the_bridge_waits_for_a_broker_that_is_not_running_yet(
    start: Start, new_broker: Callable[..., Mosquitto], said: Changes
) -> None:
    """The bridge may start before the broker; it logs the problem and its fix once."""
    broker = new_broker()
    bridge = start(broker.port)
    said.wait_for(bool)
    broker.start()
    subscriber = Subscriber(broker.port)
    until(subscriber, online)
    subscriber.close()
    warnings = [record.getMessage() for record in said.items if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "mqtt.host and mqtt.port" in warnings[0]
    assert bridge.connection.status.message == ""


def test_a_disconnected_bridge_is_offline_until_it_reconnects(
    start: Start, cable: Proxy, subscriber: Subscriber
) -> None:
    """The broker publishes the last will; after a reconnect the bridge publishes everything, then `online`."""
    outbox = Outbox()
    outbox.put_state(folder("a"))
    start(cable.port, outbox)
    until(subscriber, online)
    cable.cut()
    seen = until(subscriber, lambda seen: (STATE, b"offline") in seen and online(seen))
    assert seen[-3:] == [(STATE, b"offline"), ("syncthing/nas/folder/a", b"{}"), (STATE, b"online")]


def test_an_unresponsive_broker_is_disconnected(
    start: Start, cable: Proxy, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing acknowledgements reveal a connection that loses all data, and the bridge opens a new one."""
    monkeypatch.setattr(session, "ACKNOWLEDGEMENT_TIMEOUT_S", 0.2)
    bridge = start(cable.port)
    until(subscriber, online)
    cable.hang()
    bridge.put_state(folder("a", b"1"))
    eventually(lambda: not bridge.connection.status.connected)
    assert ("syncthing/nas/folder/a", b"1") not in seen_by(subscriber)
    cable.repair(lost=True)
    until(subscriber, lambda seen: ("syncthing/nas/folder/a", b"1") in seen and online(seen))


def test_a_stop_sends_everything_and_publishes_offline(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """Queued messages reach the broker before `offline`, and the last will is not published."""
    bridge = start(broker.port)
    until(subscriber, online)
    for number in range(100):
        bridge.put_state(folder(str(number)))
    bridge.connection.stop()
    seen = until(subscriber, lambda seen: (STATE, b"offline") in seen)
    assert len(seen) == 102
    assert seen[-1] == (STATE, b"offline")
    assert bridge.outbox.counters().in_flight == 0


def test_a_late_last_will_is_corrected(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """If `offline` is published while the bridge is online, the bridge publishes `online` again."""
    start(broker.port)
    until(subscriber, online)
    subscriber.publish(STATE, b"offline", retain=True)
    until(subscriber, lambda seen: (STATE, b"offline") in seen and online(seen))


def test_a_stop_of_the_broker_is_not_blamed_on_a_message(start: Start, broker: Mosquitto, said: Changes) -> None:
    """A broker that publishes each last will while it stops never acknowledges the correction; no message is at fault.

    Mosquitto closes one client after the other when it stops, so a bridge may receive its own last will.
    """
    bridge = start(broker.port)
    eventually(lambda: bridge.connection.status.connected and bridge.outbox.wait_until_empty(0))
    broker.stop()
    eventually(lambda: not bridge.connection.status.connected)
    lost = said.wait_for(lambda records: any("no connection" in one.getMessage() for one in records))
    lines = [one.getMessage() for one in lost]
    assert not [line for line in lines if "unacknowledged" in line or "ACL" in line], lines


def test_a_broker_with_too_many_clients_is_named_as_a_reason(start: Start, tmp_path: Path) -> None:
    """Mosquitto closes surplus connections silently, like a server of another protocol: the message names the limit.

    As soon as a connection is free, the bridge uses MQTT 5 as usual.
    """
    small = Mosquitto(tmp_path, lines=[ANONYMOUS, "max_connections 1"]).start()
    try:
        # More than allowed, because Mosquitto 2.0.11 counts a client that did not log in as -1 after it has gone.
        others = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(4)]
        bridge = start(small.port)
        eventually(lambda: "reached its limit on connections" in bridge.connection.status.message)
        for other in others:
            other.close()
        eventually(lambda: bridge.connection.status.connected)
        assert bridge.connection.status.protocol == "5"
        bridge.connection.stop()
    finally:
        small.stop()


@every_mosquitto
def test_a_command_sent_during_a_short_disconnection_is_delivered(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """The broker keeps the session, so a restart of the bridge loses no command."""
    leave_session(start, broker, subscriber)
    subscriber.publish(SCAN, b"default")
    back = start(broker.port)
    (command,) = back.received.wait_for(bool)
    assert (command.topic, command.payload, command.retained) == (SCAN, b"default", False)


@every_mosquitto
def test_a_command_survives_lost_answers_of_the_broker(
    start: Start, broker: Mosquitto, cable: Proxy, subscriber: Subscriber
) -> None:
    """An attempt with MQTT 3.1.1, which begins a new session, would delete the session that contains the command."""
    leave_session(start, broker, subscriber)
    subscriber.publish(SCAN, b"default")
    before = cable.connections
    cable.truncate(1)
    back = start(cable.port)
    eventually(lambda: cable.more_than(before + 1))
    cable.repair()
    (command,) = back.received.wait_for(bool)
    assert command.payload == b"default"


@every_mosquitto
def test_only_unacknowledged_commands_are_redelivered(
    start: Start, broker: Mosquitto, cable: Proxy, subscriber: Subscriber
) -> None:
    """After a restart, the bridge knows that such a command may already have been executed."""
    bridge = start(cable.port)
    until(subscriber, online)
    for payload in (b"done", b"not done"):
        subscriber.publish(SCAN, payload)
    done, _ = bridge.received.wait_for(lambda received: len(received) == 2)
    done.acknowledge()
    done.acknowledge()
    bridge.connection.stop()
    eventually(lambda: not cable.carries)  # before, the broker would send the next command to this connection
    subscriber.publish(SCAN, b"afterwards")
    received = start(broker.port).received.wait_for(lambda received: len(received) == 2)
    assert [(one.payload, one.again) for one in received] == [(b"not done", True), (b"afterwards", False)]


def test_a_command_that_runs_while_the_connection_breaks_is_executed_once(
    start: Start, broker: Mosquitto, cable: Proxy, subscriber: Subscriber
) -> None:
    """The broker delivers it again; the bridge does not execute it again, and acknowledges it on the new connection."""
    bridge = start(cable.port)
    until(subscriber, online)
    subscriber.publish(SCAN, b"under way")
    (command,) = bridge.received.wait_for(bool)
    cable.cut()
    until(subscriber, lambda seen: seen.count((STATE, b"online")) == 2)
    command.acknowledge()
    bridge.connection.stop()
    eventually(lambda: not cable.carries)  # before, the broker would send the next command to this connection
    subscriber.publish(SCAN, b"afterwards")
    assert len(bridge.received.items) == 1
    (received,) = start(broker.port).received.wait_for(bool)
    assert (received.payload, received.again) == (b"afterwards", False)


def test_a_retained_command_is_recognized(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """One command is retained before the bridge connects, and one is published as retained while it is connected."""
    subscriber.publish(SCAN, b"before", retain=True)
    bridge = start(broker.port)
    bridge.received.wait_for(lambda received: len(received) == 1)
    subscriber.publish(SCAN, b"while", retain=True)
    subscriber.publish(SCAN, b"plain")
    received = bridge.received.wait_for(lambda received: len(received) == 3)
    assert [(one.payload, one.retained) for one in received] == [
        (b"before", True),
        (b"while", True),
        (b"plain", False),
    ]


def test_a_command_contains_its_response_topic(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """Response topic and correlation data are received, and sent again with content type and expiry."""
    bridge = start(broker.port)
    until(subscriber, online)
    subscriber.publish(SCAN, b"{}", response_topic="my/answers", correlation=b"\x00\xff")
    (command,) = bridge.received.wait_for(bool)
    assert (command.response_topic, command.correlation) == ("my/answers", b"\x00\xff")
    answer = Message(topic="my/answers", payload=b"{}", correlation=command.correlation, expiry_s=60)
    bridge.put(answer, urgent=True)
    got: Any = subscriber.wait_for(lambda message: message.topic == "my/answers").properties
    assert (got.CorrelationData, got.ContentType, got.PayloadFormatIndicator) == (
        b"\x00\xff",
        "application/json",
        1,
    )
    assert 0 < got.MessageExpiryInterval <= 60


def test_an_exception_in_message_handling_keeps_the_connection(
    start: Start, broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception is logged with its traceback and counted, and the connection stays open."""
    seen = Changes()

    def take_in(received: Received) -> None:
        seen.add(received.payload)
        if received.payload == b"bad":
            raise RuntimeError("cannot take this in")

    bridge = start(broker.port, received=take_in)
    until(subscriber, online)
    subscriber.publish(SCAN, b"bad")
    subscriber.publish(SCAN, b"good")
    assert seen.wait_for(lambda payloads: len(payloads) == 2) == [b"bad", b"good"]
    assert bridge.connection.errors == 1
    assert bridge.connection.status.reconnects == 0
    assert "cannot take this in" in caplog.text


def test_a_message_is_sent_by_the_thread_that_queues_it(
    start: Start, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waking another thread for it would take longer."""
    bridge = start(broker.port)
    until(subscriber, online)
    eventually(lambda: not bridge.outbox.counters().in_flight)
    senders: list[threading.Thread] = []
    publish = Session.publish

    def observed(self: Session, message: Message) -> int:
        senders.append(threading.current_thread())
        return publish(self, message)

    monkeypatch.setattr(Session, "publish", observed)
    numbers = count()

    def is_sent_here() -> bool:
        senders.clear()
        bridge.put_state(folder("photos", b"%d" % next(numbers)))
        return senders == [threading.current_thread()]

    eventually(is_sent_here)  # the thread of the connection may still be processing the last acknowledgement
    until(subscriber, lambda seen: any(topic == "syncthing/nas/folder/photos" for topic, _ in seen))


def test_a_message_queued_during_network_io_is_sent_by_the_thread_of_the_connection(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """No thread waits for the connection to send a message, not even one that the connection itself calls."""
    outbox = Outbox()

    def take_in(_received: Received) -> None:
        outbox.put_state(folder("photos"))
        outbox.flush()

    start(broker.port, outbox, received=take_in)
    until(subscriber, online)
    subscriber.publish(SCAN, b"docs")
    until(subscriber, lambda seen: ("syncthing/nas/folder/photos", b"{}") in seen)


def test_a_message_that_exceeds_the_socket_buffer_is_sent_later(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """The thread that queues a message larger than the buffer does not wait."""
    bridge = start(broker.port)
    until(subscriber, online)
    payload = b'"' + b"x" * 20_000_000 + b'"'
    bridge.put_state(folder("photos", payload))
    until(subscriber, lambda seen: ("syncthing/nas/folder/photos", payload) in seen)


def test_a_failure_to_send_affects_the_connection_and_not_the_caller(
    start: Start, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is opened again, and the message is still delivered."""
    bridge = start(broker.port)
    until(subscriber, online)
    eventually(lambda: not bridge.outbox.counters().in_flight)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "publish", raise_an_error)
        bridge.put_state(folder("photos"))
        eventually(lambda: bridge.connection.errors == 1)
    until(subscriber, lambda seen: ("syncthing/nas/folder/photos", b"{}") in seen)
    eventually(lambda: bridge.connection.status.reconnects == 1)


def raise_an_error(*_: object) -> None:
    """Raise an unexpected error."""
    raise RuntimeError("unforeseen")


def test_an_invalid_topic_is_dropped_and_all_others_are_published(
    start: Start, broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    """A topic that MQTT does not allow is counted and logged once, and does not close the connection."""
    bridge = start(broker.port)
    for topic in ("syncthing/nas/folder/+", "", "a\0b", "x" * 65_536, "syncthing/nas/folder/\udc80"):
        bridge.put_state(Message(topic=topic, payload=b"{}", retain=True))
    bridge.put_state(Message(topic="syncthing/nas/folder/#", payload=b"{}", retain=True))
    bridge.put_state(folder("good"))
    until(subscriber, lambda seen: ("syncthing/nas/folder/good", b"{}") in seen and online(seen))
    assert bridge.outbox.counters().dropped == 6
    assert caplog.text.count("'syncthing/nas/folder/") == 1
    assert bridge.connection.status.reconnects == 0


@every_mosquitto
def test_another_client_with_the_same_client_id_is_reported(
    start: Start, broker: Mosquitto, subscriber: Subscriber, said: Changes
) -> None:
    """Two clients with one ID disconnect each other repeatedly; the log explains how to fix that."""
    start(broker.port)
    until(subscriber, online)
    thief = Subscriber(broker.port, "nothing", client_id="stbridge")  # paho reconnects each time
    said.wait_for(lambda records: any("set another mqtt.client_id" in one.getMessage() for one in records))
    thief.close()


@every_mosquitto
def test_an_own_attempt_that_arrives_late_is_no_conflict(
    start: Start, cable: Proxy, subscriber: Subscriber, said: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker gives the session to it, as if another client used the client ID; the bridge connects again soon.

    Mosquitto 2.0.11 closes the connection without a reason then.
    """
    usual_s = session.ANSWER_TIMEOUT_S
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.5)
    cable.hang()
    bridge = start(cable.port, protocol="5")
    said.wait_for(lambda records: any("does not answer" in one.getMessage() for one in records))
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", usual_s)
    stranded = cable.strand()
    until(subscriber, online)
    connections = cable.connections
    stranded.set()
    eventually(lambda: cable.more_than(connections) and bridge.connection.status.connected)
    reasons = ("an earlier attempt", "has closed the connection")
    said.wait_for(lambda records: any(reason in one.getMessage() for one in records for reason in reasons))
    until(subscriber, online)
    assert not [one.getMessage() for one in said.items if "client ID" in one.getMessage()]


def test_a_command_is_received_while_retained_messages_are_read(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """Its age counts from its arrival, and the limits of waiting commands apply to it."""
    leave_session(start, broker, subscriber)
    proxy = LateRetained(broker.port, 60).start()
    try:
        sentinel = Message(topic="syncthing/bridge/sentinel", payload=b"{}", retain=True)
        back = start(proxy.port, restore=Selection(topic_filters=["syncthing/nas/+"]), sentinel=sentinel)
        subscriber.wait_for_payload(sentinel.topic, sentinel.payload)
        subscriber.publish(SCAN, b"default")
        (command,) = back.received.wait_for(bool)
        assert command.payload == b"default"
        assert not back.connection.status.connected
        back.connection.stop()
    finally:
        proxy.stop()


def test_retained_topics_are_read_before_anything_is_published(
    start: Start, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """The bridge restores its state from its own retained topics, even if it overwrites them later."""
    subscriber.publish("syncthing/nas/metrics", b'{"in_bytes_lifetime": 7}', retain=True)
    subscriber.publish("other/topic", b"not ours", retain=True)
    restored: list[Mapping[str, bytes]] = []
    outbox = Outbox()
    outbox.put_state(Message(topic="syncthing/nas/metrics", payload=b"{}", retain=True))
    start(
        broker.port,
        outbox,
        restored=lambda found, _complete: restored.append(found),
        restore=Selection(topic_filters=["syncthing/#"]),
    )
    until(subscriber, online)
    assert restored == [{"syncthing/nas/metrics": b'{"in_bytes_lifetime": 7}'}]


def test_online_waits_for_the_first_snapshot(start: Start, broker: Mosquitto, subscriber: Subscriber) -> None:
    """The first `online` is delayed until all instances are published."""
    hold = threading.Event()
    versions, nodes = Changes(), Changes()

    def marker(version: str, node: str) -> Message:
        nodes.add(node)
        versions.add(version)  # the test waits for this one
        return MARKER

    bridge = start(broker.port, hold=hold, marker=InstanceMarker(MARKER.topic, MARKER.payload.__eq__, marker))
    versions.wait_for(lambda versions: versions == ["5"])
    assert nodes.items == [f"127.0.0.1:{broker.port}"]
    subscriber.publish("mark", b"")
    bridge.put_state(folder("first"))
    hold.set()
    seen = until(subscriber, online)
    assert seen == [
        ("mark", b""),
        (MARKER.topic, MARKER.payload),
        ("syncthing/nas/folder/first", b"{}"),
        (STATE, b"online"),
    ]


@every_mosquitto
def test_a_publication_that_the_acl_forbids_is_logged_once_and_not_retried(
    start: Start, new_broker: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal is counted, and logged once for its kind of topic; all other topics are published."""
    access = tmp_path / "access"
    access.write_text("topic deny syncthing/nas/folder/#\ntopic readwrite #\n")
    access.chmod(0o600)
    broker = new_broker(lines=["allow_anonymous true", f"acl_file {access}"]).start()
    bridge = start(broker.port)
    subscriber = Subscriber(broker.port)
    for name in "abc":
        bridge.put_state(folder(name))
    bridge.put_state(Message(topic="syncthing/nas/system", payload=b"{}", retain=True))
    seen = until(subscriber, lambda seen: ("syncthing/nas/system", b"{}") in seen)
    subscriber.close()
    assert not any(topic.startswith("syncthing/nas/folder") for topic, _ in seen)
    eventually(lambda: bridge.outbox.counters().failed == 3)
    assert caplog.text.count("ACL") == 1

"""Reading retained messages from brokers that drop answers, close the connection, or are late."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnreachable, ConnectionClosed
from stbridge.mqtt import retained
from stbridge.mqtt import session as module
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.reasons import Reason
from stbridge.mqtt.retained import MOST_LOST, RetainedReader, Selection
from stbridge.mqtt.session import Session
from stbridge.settings import MqttSettings
from tests.pretender import Pretender
from tests.scripted_broker import CONNACK, PINGRESP, SUBACK, SUBSCRIBE, Published, ScriptedBroker, read_packet
from tests.servers import eventually

STATE = Message(topic="syncthing/bridge/state", payload=b"online", retain=True, json=False)
LAST_WILL = Message(topic="syncthing/bridge/state", payload=b"offline", retain=True, json=False)
SENTINEL = Message(topic="syncthing/bridge/sentinel", payload=b"1", retain=True)
FOLDER, DEVICE = "syncthing/nas/folder/docs", "syncthing/nas/device/BETABET"


class Line:
    """A session with a broker that has some retained messages.

    Args:
        stored: the payloads by topic.
        closes_over: the topic filter over which the broker closes the connection.
        sentinels: how often the broker delivers the sentinel.
        unanswered: how many subscriptions it does not answer at first.
    """

    node_name = "n1:1883"

    def __init__(
        self,
        stored: dict[str, bytes],
        *,
        closes_over: str = "",
        sentinels: int = 10,
        unanswered: int = 0,
    ) -> None:
        self.heard_at = 0.0
        self.unanswered = 0
        self.received: Callable[[Received], None] = lambda _received: None
        self._stored = stored
        self._closes_over = closes_over
        self._sentinels = sentinels
        self._not_answered = unanswered

    def subscribe(self, subscriptions: Sequence[Subscription]) -> dict[str, str]:
        """Deliver the retained messages under some filters without wildcards."""
        for one in subscriptions:
            if one.topic_filter == self._closes_over:
                raise ConnectionClosed("the broker has closed the connection")
            if one.topic_filter == SENTINEL.topic:
                self._sentinels -= 1
            elif self._not_answered:
                self._not_answered -= 1
                self.unanswered += 1
            if one.topic_filter in self._stored and (one.topic_filter != SENTINEL.topic or self._sentinels >= 0):
                self._deliver(one.topic_filter)
        return {}

    def _deliver(self, topic: str) -> None:
        self.received(Received(topic=topic, payload=self._stored[topic], retained=True))

    def unsubscribe(self, _topic_filters: Sequence[str]) -> None:
        """Unsubscribe."""

    def publish_now(self, message: Message) -> Reason:
        """Store a retained message."""
        if self._closes_over == message.topic:
            raise ConnectionClosed("the broker has closed the connection")
        self._stored[message.topic] = message.payload
        return Reason(0, "Success", is_failure=False)

    def loop_once(self, timeout_s: float) -> None:
        """Wait for nothing."""
        threading.Event().wait(min(timeout_s, 0.01))


def reader_of(*, sentinel: Message | None = SENTINEL) -> RetainedReader:
    """Return a reader of a folder, and then of a device."""
    return RetainedReader(Selection(topic_filters=[FOLDER], further=lambda _found: [DEVICE]), sentinel=sentinel)


def read(reader: RetainedReader, line: Line) -> dict[str, bytes]:
    """Read over a new connection."""
    line.received = reader.take
    return reader.read(cast("Session", line))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for less time than with a real broker."""
    for name in ("MISSING_S", "UNKNOWN_S", "REPEAT_S", "QUIET_S"):
        monkeypatch.setattr(retained, name, 0.05)


def test_everything_is_read() -> None:
    """The reading is complete, and the sentinel is no part of it."""
    reader = reader_of()
    assert read(reader, Line({FOLDER: b"f", DEVICE: b"d"})) == {FOLDER: b"f", DEVICE: b"d"}
    assert reader.complete


@pytest.mark.parametrize(
    ("closes_over", "found"), [(DEVICE, {FOLDER: b"f"}), (SENTINEL.topic, {FOLDER: b"f", DEVICE: b"d"})]
)
def test_a_part_over_which_the_connection_is_closed_is_skipped(
    closes_over: str, found: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Any client may have chosen the further topics, and an ACL may forbid the sentinel: the bridge starts anyway."""
    reader = reader_of()
    stored = {FOLDER: b"f", DEVICE: b"d"}
    for _ in range(MOST_LOST):
        with pytest.raises(ConnectionClosed):
            read(reader, Line(stored, closes_over=closes_over))
    assert read(reader, Line(stored, closes_over=closes_over)) == found
    assert reader.complete is (closes_over == SENTINEL.topic)
    assert "they are skipped" in caplog.text


@pytest.mark.parametrize("fault", [{"sentinels": 1}, {"unanswered": 1}])
def test_a_reading_in_which_something_was_dropped_is_not_complete(fault: dict[str, Any]) -> None:
    """If the broker drops the sentinel or an answer, it may have dropped retained messages as well."""
    reader = reader_of()
    assert read(reader, Line({FOLDER: b"f", DEVICE: b"d"}, **fault)) == {FOLDER: b"f", DEVICE: b"d"}
    assert not reader.complete


@pytest.mark.parametrize("disconnect_code", [None, 0x87])
def test_the_bridge_goes_online_although_the_broker_closes_the_connection_over_the_sentinel(
    disconnect_code: int | None,
) -> None:
    """MQTT 3.1.1 allows that for a topic that the ACL forbids (section 3.3.5)."""

    def verdict(one: Published) -> int | None:
        return None if one.topic == SENTINEL.topic else 0

    broker = ScriptedBroker(verdict, disconnect_code=disconnect_code)
    restored: list[bool] = []
    connection = BrokerConnection(
        MqttSettings(host="127.0.0.1", port=broker.port),
        Outbox(),
        last_will=LAST_WILL,
        birth=STATE,
        subscriptions=[],
        received=lambda received: received.acknowledge(),
        restore=Selection(topic_filters=[FOLDER]),
        sentinel=SENTINEL,
        restored=lambda _found, complete: restored.append(complete),
    )
    connection.start()
    try:
        eventually(lambda: connection.status.connected)
        assert len(broker.closed_over) == MOST_LOST
        assert restored == [True]
    finally:
        connection.stop()
        broker.stop()


# --- answers to subscriptions


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[socket.socket], object]], Session]]:
    """Return a function that opens a session with a server that accepts it and then behaves in a given way."""
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 2.0)
    ends: list[Callable[[], None]] = []

    def open_with(behave: Callable[[socket.socket], object]) -> Session:
        def serve(connection: socket.socket) -> None:
            read_packet(connection)
            connection.sendall(bytes([CONNACK << 4, 3, 0, 0, 0]))
            with suppress(EOFError):
                behave(connection)

        server = Pretender(serve)
        settings = MqttSettings(host="127.0.0.1", port=server.port)
        session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _received: None)
        ends.extend([server.close, session.close])
        session.open(threading.Event())
        return session

    yield open_with
    for end in reversed(ends):
        end()


def next_subscription(connection: socket.socket) -> bytes:
    """Return the packet ID of the next SUBSCRIBE."""
    while True:
        kind, body, _ = read_packet(connection)
        if kind == SUBSCRIBE:
            return body[:2]


def test_a_late_answer_to_a_repeated_subscription_counts(connected: Callable[..., Session]) -> None:
    """On a slow line, it waits behind the retained messages of the subscription."""

    def answer_the_first_late(connection: socket.socket) -> None:
        first = next_subscription(connection)
        connection.sendall(bytes([PINGRESP << 4, 0]))  # bytes arrive, so the connection is not dead
        next_subscription(connection)
        connection.sendall(bytes([SUBACK << 4, 4]) + first + b"\0\1")
        next_subscription(connection)

    session = connected(answer_the_first_late)
    assert session.subscribe([Subscription("syncthing/#")]) == {}
    assert session.unanswered == 1


def send_bytes(connection: socket.socket) -> None:
    """Send packets without a meaning, until the client closes the connection."""
    pause = threading.Event()
    with suppress(OSError):
        while not pause.wait(0.05):
            connection.sendall(bytes([PINGRESP << 4, 0]))


def test_all_attempts_to_subscribe_together_have_a_time_limit(
    connected: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervision would otherwise restart the bridge while it waits."""
    monkeypatch.setattr(module, "LONGEST_ANSWER_S", 0.5)
    session = connected(send_bytes)
    with pytest.raises(BrokerUnreachable, match="does not answer a subscription"):
        session.subscribe([Subscription("syncthing/#")])
    assert session.unanswered == 0


def test_a_stop_ends_the_wait_for_an_answer(connected: Callable[..., Session]) -> None:
    """A slow line keeps the connection alive for minutes."""
    session = connected(send_bytes)
    stop = session._stop  # noqa: SLF001 - the one that was passed to `open`
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(BrokerUnreachable, match="stopped while subscribing"):
        session.subscribe([Subscription("syncthing/#")])

"""The reason codes of MQTT 5: each code in the specification is understood, and any other counts as a failure."""

import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from stbridge.core.messages import Message
from stbridge.errors import BrokerRefused, BrokerUnavailable
from stbridge.mqtt import session
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.probe import probe
from stbridge.settings import MqttSettings
from tests.pretender import Pretender, saying
from tests.scripted_broker import DISCONNECT, ScriptedBroker
from tests.servers import eventually

STATE = "syncthing/bridge/state"
LAST_WILL = Message(topic=STATE, payload=b"offline", retain=True, json=False)
BIRTH = Message(topic=STATE, payload=b"online", retain=True, json=False)

FAILURES = (*range(0x80, 0xA3), 0xEE)
"""Every failure code of MQTT 5 (section 2.4), for any packet, and one that a later version might add."""


@pytest.fixture
def pretend() -> Iterator[Callable[[bytes], int]]:
    """Start servers that answer everything with the same bytes, and return their ports."""
    pretenders: list[Pretender] = []

    def start(answer: bytes) -> int:
        pretenders.append(Pretender(saying(answer)))
        return pretenders[-1].port

    yield start
    for one in pretenders:
        one.close()


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[ScriptedBroker, BrokerConnection, Outbox]]]:
    """Start a broker and a connection to it."""
    stops: list[Callable[[], None]] = []

    def start_both(broker: ScriptedBroker, **more: Any) -> tuple[ScriptedBroker, BrokerConnection, Outbox]:
        outbox = Outbox()
        connection = BrokerConnection(
            MqttSettings(host="127.0.0.1", port=broker.port, **more),
            outbox,
            last_will=LAST_WILL,
            birth=BIRTH,
            subscriptions=[Subscription("syncthing/+/command/#")],
            received=lambda received: received.acknowledge(),
        )
        stops.extend([connection.stop, broker.stop])
        connection.start()
        return broker, connection, outbox

    yield start_both
    for stop in stops:
        stop()


@pytest.mark.parametrize("code", FAILURES, ids=hex)
def test_every_reason_code_of_a_refused_connection_is_reported(pretend: Any, code: int) -> None:
    """The message contains the broker's reason, and does not blame the port."""
    with pytest.raises(BrokerUnavailable) as raised:
        probe(MqttSettings(host="127.0.0.1", port=pretend(bytes([0x20, 3, 0, code, 0])), protocol="5"))
    assert re.search("reports|refuses the client ID|does not speak MQTT 5", str(raised.value))


@pytest.mark.parametrize("code", FAILURES, ids=hex)
def test_every_reason_code_of_a_disconnect_is_reported(pretend: Any, code: int) -> None:
    """The broker accepts the connection, then closes it with a reason code."""
    accepted, disconnect = bytes([0x20, 3, 0, 0, 0]), bytes([0xE0, 2, code, 0])
    with pytest.raises(BrokerUnavailable, match="reports"):
        probe(MqttSettings(host="127.0.0.1", port=pretend(accepted + disconnect)))


def test_an_unknown_reason_code_is_reported_as_its_number(pretend: Any) -> None:
    """The broker's documentation may explain it."""
    with pytest.raises(BrokerRefused, match="reports: reason code 0xee; see the broker's log"):
        probe(MqttSettings(host="127.0.0.1", port=pretend(bytes([0x20, 3, 0, 0xEE, 0]))))


def test_a_reason_code_that_paho_knows_for_another_packet_has_its_name(pretend: Any) -> None:
    """0x99 is valid in CONNACK, too (MQTT 5, section 3.2.2.2); paho knows it only in PUBACK."""
    with pytest.raises(BrokerRefused, match="reports: payload format invalid"):
        probe(MqttSettings(host="127.0.0.1", port=pretend(bytes([0x20, 3, 0, 0x99, 0]))))


@pytest.mark.parametrize("code", [*FAILURES, 0x11, 0x7F], ids=hex)
def test_every_reason_code_of_a_puback_refuses_one_message(start: Any, code: int) -> None:
    """The connection stays open, and all other messages are published."""
    broker, connection, outbox = start(
        ScriptedBroker(lambda one: code if one.topic == "syncthing/nas/folder/bad" else 0)
    )
    for name in ("a", "bad", "c"):
        outbox.put_state(Message(topic=f"syncthing/nas/folder/{name}", payload=b"{}", retain=True))
    outbox.flush()
    eventually(lambda: outbox.counters().failed == 1 and broker.latest().get(STATE) == b"online")
    assert {"syncthing/nas/folder/a", "syncthing/nas/folder/c"} < broker.latest().keys()
    assert connection.errors == 0
    assert broker.connections == 1


@pytest.mark.parametrize("code", FAILURES, ids=hex)
def test_every_reason_code_of_a_suback_is_reported(start: Any, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """The bridge still publishes."""
    with caplog.at_level(logging.ERROR):
        broker, connection, _ = start(ScriptedBroker(granted=code))
        eventually(lambda: broker.latest().get(STATE) == b"online")
    assert "does not let the bridge subscribe to syncthing/bridge/state (" in connection.status.message
    assert "syncthing/+/command/# (" in connection.status.message
    assert connection.errors == 0
    assert broker.connections == 1


def test_no_matching_subscribers_is_a_success(start: Any) -> None:
    """Brokers send 0x10 if there is no subscriber."""
    broker, _, outbox = start(ScriptedBroker(lambda _: 0x10))
    eventually(lambda: broker.latest().get(STATE) == b"online" and outbox.wait_until_empty(0))
    assert outbox.counters().failed == 0


class LateBroker(ScriptedBroker):
    """Does not answer the first client; another one is disconnected by `take_over`."""

    def __init__(self) -> None:
        self._first = threading.Event()
        super().__init__()

    def _converse(self, connection: socket.socket) -> None:
        if self._first.is_set():
            super()._converse(connection)
            return
        self._first.set()
        while connection.recv(4096):
            pass

    def take_over(self) -> None:
        """Disconnect every client because another one has its client ID (MQTT 5, 0x8E)."""
        for one in list(self._open):
            with suppress(OSError):  # the client has closed it
                one.sendall(bytes([DISCONNECT << 4, 2, 0x8E, 0]))
        self.cut()


def test_an_own_attempt_that_the_broker_answers_late_is_no_conflict(
    start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its CONNECT arrives after that of the next attempt, and takes the session over."""
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.5)
    broker, connection, _ = start(LateBroker())
    eventually(lambda: connection.status.connected)
    broker.take_over()
    eventually(lambda: "an earlier attempt" in caplog.text)
    assert "set another mqtt.client_id" not in caplog.text

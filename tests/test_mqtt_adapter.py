"""Connecting to a broker: logins, TLS, transports, versions of MQTT, and the messages about failures."""

import asyncio
import base64
import gc
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.messages import Message
from stbridge.demo.node import free_port
from stbridge.errors import BrokerRefused, BrokerUnavailable, BrokerUnreachable, TakenOver
from stbridge.mqtt import session
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.probe import Probe, probe
from stbridge.mqtt.protocol import Protocol, ProtocolChoice, VersionRefused
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.pretender import Pretender, saying, until_hung_up
from tests.servers import Mosquitto, eventually

NewBroker = Callable[..., Mosquitto]


# paho and amqtt leave unusable sockets to the garbage collector.
unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def settings(port: int = 1883, **more: Any) -> MqttSettings:
    """Return settings for a broker on this machine."""
    return MqttSettings.model_validate({"host": "127.0.0.1", "port": port, **more})


STATE = "syncthing/bridge/state"
BIRTH = Message(topic=STATE, payload=b"online", retain=True, json=False)
WILL = Message(topic=STATE, payload=b"offline", retain=True, json=False)


def new_connection(broker: MqttSettings, outbox: Outbox, **options: Any) -> BrokerConnection:
    """Return a connection that ignores commands."""
    options = {"subscriptions": [Subscription("syncthing/+/command/#")], "received": lambda _received: None, **options}
    return BrokerConnection(broker, outbox, last_will=WILL, birth=BIRTH, **options)


def fill(broker: MqttSettings, count: int) -> dict[str, bytes]:
    """Publish retained messages to a broker over a complete connection of the bridge."""
    kept = {f"syncthing/nas/folder/{number}": b"%d" % number for number in range(count)}
    outbox = Outbox()
    for topic, payload in kept.items():
        outbox.put_state(Message(topic=topic, payload=payload, retain=True))
    connection = new_connection(broker, outbox)
    connection.start()
    eventually(lambda: connection.status.connected)
    assert outbox.wait_until_empty(30)
    connection.stop(30)
    return kept


# --- logins


@pytest.fixture
def locked(new_broker: NewBroker, tmp_path: Path) -> Mosquitto:
    """A broker with one user, ann, and one password."""
    passwords = tmp_path / "passwords"
    # The format of mosquitto_passwd: $7$ is PBKDF2 with SHA-512, followed by rounds, salt and hash.
    salt = b"salt-of-12by"
    digest = hashlib.pbkdf2_hmac("sha512", b"right", salt, 101)
    passwords.write_text(f"ann:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    passwords.chmod(0o600)
    return new_broker(lines=["allow_anonymous false", f"password_file {passwords}"]).start()


def test_the_right_password_is_accepted(locked: Mosquitto) -> None:
    """A user name and a password are sufficient for a login."""
    assert probe(settings(locked.port, username="ann", password="right")).protocol == "5"


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_wrong_password_names_the_settings_and_is_not_logged(locked: Mosquitto, protocol: str) -> None:
    """The bridge does not try another version of MQTT after a refused login, and logs no secret."""
    with pytest.raises(BrokerRefused, match=r"mqtt.username, mqtt.password") as refused:
        probe(settings(locked.port, username="ann", password="wrong-secret", protocol=protocol))
    assert not isinstance(refused.value, VersionRefused)
    assert "wrong-secret" not in str(refused.value)


# --- no broker, or another server


@pytest.fixture
def pretend() -> Iterator[Callable[[Callable[[socket.socket], object]], Pretender]]:
    """Start servers that are not brokers."""
    pretenders: list[Pretender] = []

    def start(answer: Callable[[socket.socket], object]) -> Pretender:
        pretenders.append(Pretender(answer))
        return pretenders[-1]

    yield start
    for pretender in pretenders:
        pretender.close()


@unclosed
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"port": 1}, "nothing listens .* mqtt.host and mqtt.port"),
        ({"host": "no-such-host.invalid"}, "cannot be resolved: check mqtt.host"),
        ({"host": "x" * 64 + ".example"}, "not a valid host name: check mqtt.host"),
        ({"host": "a..b"}, "not a valid host name: check mqtt.host"),
        ({"host": "/no/such/socket", "transport": "unix"}, "no socket /no/such/socket"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_address_without_a_server_is_reported_with_the_setting(more: dict[str, Any], message: str) -> None:
    """A wrong address leads to a readable one-line message, and never to a crash."""
    with pytest.raises(BrokerUnreachable, match=message):
        probe(settings(**more))


@unclosed
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64, b"\xff" * 64, b"\x20\x00", b"\x20\x7f\x00"],
)
@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_a_server_that_does_not_speak_mqtt_is_not_a_broker(pretend: Any, answer: bytes, transport: str) -> None:
    """An invalid response only makes the broker unusable."""
    with pytest.raises(BrokerUnavailable, match=r"check mqtt\.port"):
        probe(settings(pretend(saying(answer)).port, transport=transport))


def test_an_unresponsive_server_is_given_up(pretend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts the connection and sends nothing is tried with both versions of MQTT."""
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.1)
    silent = pretend(until_hung_up)
    with pytest.raises(BrokerRefused, match=r"does not answer MQTT 3\.1\.1"):
        probe(settings(silent.port))
    eventually(lambda: silent.connections == 2)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (0x85, "set another mqtt.client_id"),
        (0x8A, "banned"),
        (0x9A, "allow retained messages"),
        (0x97, "quota exceeded"),
    ],
)
def test_each_refusal_is_reported_with_its_fix(pretend: Any, code: int, message: str) -> None:
    """The message contains the broker's reason code and the action to take."""
    with pytest.raises(BrokerRefused, match=message):
        probe(settings(pretend(saying(bytes([0x20, 3, 0, code, 0]))).port))


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (0x8E, TakenOver, "set another mqtt.client_id"),
        (0x8B, BrokerUnreachable, "shutting down"),
        (0x87, BrokerRefused, "what the broker allows this user"),
    ],
)
def test_the_reason_for_a_disconnection_is_reported(
    pretend: Any, code: int, kind: type[BrokerUnavailable], message: str
) -> None:
    """MQTT 5 brokers send a reason; the message distinguishes temporary reasons from others."""
    accepted, disconnected = bytes([0x20, 3, 0, 0, 0]), bytes([0xE0, 2, code, 0])
    with pytest.raises(kind, match=message):
        probe(settings(pretend(saying(accepted + disconnected)).port))


# --- versions


@unclosed
def test_amqtt_which_supports_only_3_1_1_is_used_with_3_1_1() -> None:
    """A broker that closes an MQTT 5 connection without a response is tried with 3.1.1, and used."""
    broker_module = pytest.importorskip("amqtt.broker")
    port = free_port()
    configuration = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }

    async def use() -> dict[str, bytes]:
        broker = broker_module.Broker(configuration)
        await broker.start()
        try:
            assert await asyncio.to_thread(probe, settings(port)) == Probe("3.1.1", "")
            kept = await asyncio.to_thread(fill, settings(port), 100)
            found = await asyncio.to_thread(read_retained, settings(port), ["syncthing/nas/#"])
            # amqtt keeps an earlier subscription of the reader, even for a clean session.
            return {topic: payload for topic, payload in found.items() if kept.get(topic) == payload}
        finally:
            await broker.shutdown()

    assert len(asyncio.run(use())) == 100
    gc.collect()  # collects the leftovers of amqtt here, and not in another test


def test_a_version_that_worked_is_remembered_until_it_is_refused() -> None:
    """The next connection uses it directly; if a replaced broker refuses it, both versions are tried again."""
    choice = ProtocolChoice("auto")
    tried: list[str] = []
    speaks = Protocol.MQTT_3_1_1

    def open_with(protocol: Protocol) -> Protocol:
        tried.append(protocol.value)
        if protocol is not speaks:
            raise VersionRefused("no")
        return protocol

    choice.open(open_with)
    choice.open(open_with)
    assert tried == ["5", "3.1.1", "3.1.1"]
    speaks = Protocol.MQTT_5
    with pytest.raises(VersionRefused):
        choice.open(open_with)
    assert choice.open(open_with) is Protocol.MQTT_5


def test_a_broker_that_hangs_does_not_lose_its_version() -> None:
    """A broker that used MQTT 5 before and then times out does not make the bridge fall back to 3.1.1."""
    choice = ProtocolChoice("auto")
    choice.open(lambda protocol: protocol)

    def hang(_protocol: Protocol) -> None:
        raise VersionRefused("silence", silent=True)

    with pytest.raises(VersionRefused):
        choice.open(hang)
    assert choice.known is Protocol.MQTT_5


def silent(opened: list[str], protocol: Protocol) -> Protocol:
    """Record an attempt to connect with MQTT 5, which gets no answer; any other succeeds."""
    opened.append(protocol.value)
    if protocol is Protocol.MQTT_5:
        raise VersionRefused("silence", silent=True)
    return protocol


def test_3_1_1_is_not_tried_while_the_broker_answers_nothing() -> None:
    """CONNECT with 3.1.1 would delete the session of MQTT 5 if only the answer was lost."""
    opened: list[str] = []

    def no_answer(_protocol: Protocol) -> None:
        raise VersionRefused("silence", silent=True)

    with pytest.raises(VersionRefused):
        ProtocolChoice("auto").open(partial(silent, opened), no_answer)
    assert opened == ["5"]


def test_3_1_1_is_tried_if_the_broker_answers_to_nothing_else() -> None:
    """A broker that answers under another client ID, but twice not to MQTT 5, does not support MQTT 5."""
    opened: list[str] = []
    asked: list[Protocol] = []
    assert ProtocolChoice("auto").open(partial(silent, opened), asked.append) is Protocol.MQTT_3_1_1
    assert (opened, asked) == (["5", "5", "3.1.1"], [Protocol.MQTT_3_1_1])


def test_a_fixed_version_is_the_only_one_tried() -> None:
    """If mqtt.protocol is set, no other version is tried."""
    tried: list[str] = []
    with pytest.raises(VersionRefused):
        ProtocolChoice("5").open(partial(silent, tried))
    assert tried == ["5"]


# --- retained messages


def test_retained_messages_are_read_filter_by_filter(broker: Mosquitto) -> None:
    """The reader receives more messages than a broker queues for one subscriber, and only those that match."""
    kept = fill(settings(broker.port), 3000)
    found = read_retained(settings(broker.port), ["nothing/here", "syncthing/nas/folder/+"])
    assert found == kept


def test_a_stop_ends_reading(broker: Mosquitto) -> None:
    """The reader does not wait for the remaining retained messages after a stop."""
    stop = threading.Event()
    stop.set()
    with suppress(BrokerUnreachable):
        assert read_retained(settings(broker.port), ["#"], stop=stop) == {}

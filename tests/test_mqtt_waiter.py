"""The waiter: the object on which a session waits for sockets and wake-ups."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from stbridge.core.messages import Message
from stbridge.errors import BrokerUnreachable
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.session import LOOP_S, Session
from stbridge.mqtt.waiter import Waiter
from stbridge.settings import MqttSettings
from tests.servers import Mosquitto


@pytest.fixture
def waiter() -> Iterator[Waiter]:
    """A waiter that watches no sockets yet."""
    one = Waiter()
    yield one
    one.close()


def test_a_wake_before_the_wait_ends_the_wait(waiter: Waiter) -> None:
    """A thread that queues a message does not need to know whether another thread already waits."""
    here, there = socket.socketpair()
    with here, there:
        waiter.wake()  # has no effect: nothing is watched yet, so all work will be looked for anyway
        waiter.watch(here)
        waiter.wake()
        assert waiter.wait(60) == (False, False)
        there.send(b"x")
        assert waiter.wait(60) == (True, False)


@contextmanager
def no_descriptors(more: int) -> Iterator[None]:
    """Limit how many more files this process may open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        first = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("more", [0, 1, 2, 3])
def test_without_file_descriptors_the_broker_cannot_be_reached(broker: Mosquitto, more: int) -> None:
    """Whichever file of a connection exceeds the limit, the message is readable, and no file is left open."""
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None)
    with no_descriptors(more), pytest.raises(BrokerUnreachable, match="Too many open files"):
        session.open(threading.Event())


def test_an_idle_session_waits_until_its_keepalive(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle bridge must not wake the processor every second; while the broker has to answer, it looks more often."""
    waits: list[float] = []
    wait = Waiter.wait

    def recorded(waiter: Waiter, timeout_s: float) -> tuple[bool, bool]:
        waits.append(timeout_s)
        return wait(waiter, min(timeout_s, 0.1))

    monkeypatch.setattr(Waiter, "wait", recorded)
    settings = MqttSettings(host="127.0.0.1", port=broker.port, keepalive_s=40)
    outbox = Outbox()
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None, outbox=outbox)
    session.open(threading.Event())
    session.loop_once()
    assert 30 < waits[-1] <= 40
    outbox.connected(session.window, session.largest_packet)
    outbox.put_state(Message(topic="syncthing/nas/state", payload=b"online"))
    session.loop_once()
    assert waits[-1] == LOOP_S
    while not outbox.wait_until_empty(0):
        session.loop_once()
    session.loop_once()
    assert 30 < waits[-1] <= 40
    session.close()


def test_a_session_is_not_woken_for_an_answer_that_it_will_check_soon(broker: Mosquitto) -> None:
    """Waking it costs as much as its own wake-up; a longer wait would delay the timeout of the acknowledgement."""
    settings, outbox = MqttSettings(host="127.0.0.1", port=broker.port), Outbox()
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None, outbox=outbox)
    session.open(threading.Event())
    outbox.connected(session.window, session.largest_packet)
    for waited_s, woken in ((LOOP_S / 2, False), (30.0, True)):
        session.wake()  # returns from the wait at once
        session.loop_once(waited_s)
        outbox.put_state(Message(topic="syncthing/nas/state", payload=str(waited_s).encode()))
        with session.io_lock:
            outbox.send(session)
        assert session.has_more is woken
        while not outbox.wait_until_empty(0):
            session.loop_once()
    session.close()


def test_every_packet_postpones_the_keepalive(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """No PINGREQ is needed while other packets are sent and answered (MQTT 5, section 3.1.2.10)."""
    deadlines: list[float] = []
    wait, pause_s = Waiter.wait, 0.1

    def recorded(waiter: Waiter, timeout_s: float) -> tuple[bool, bool]:
        deadlines.append(monotonic() + timeout_s)
        return wait(waiter, min(timeout_s, pause_s))

    monkeypatch.setattr(Waiter, "wait", recorded)
    settings, outbox = MqttSettings(host="127.0.0.1", port=broker.port, keepalive_s=40), Outbox()
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None, outbox=outbox)
    session.open(threading.Event())
    session.loop_once()
    before = deadlines[-1]
    outbox.connected(session.window, session.largest_packet)
    outbox.put_state(Message(topic="syncthing/nas/state", payload=b"online"))
    while not outbox.wait_until_empty(0):
        session.loop_once()
    session.loop_once()
    assert deadlines[-1] > before + pause_s / 2
    session.close()

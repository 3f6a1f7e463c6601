"""What a session waits on."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stbridge.errors import BrokerUnreachable
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.session import Session
from stbridge.mqtt.waiter import Waiter
from stbridge.settings import MqttSettings
from tests.servers import Mosquitto


@pytest.fixture
def waiter() -> Iterator[Waiter]:
    """A waiter that watches nothing yet."""
    one = Waiter()
    yield one
    one.close()


def test_a_wake_that_comes_first_ends_the_wait(waiter: Waiter) -> None:
    """Whoever has put something in need not know whether anybody waits already."""
    here, there = socket.socketpair()
    with here, there:
        waiter.wake()  # nobody will miss this one: nothing is watched, so all work is still to be looked for
        waiter.watch(here)
        waiter.wake()
        assert waiter.wait(60) == (False, False)
        there.send(b"x")
        assert waiter.wait(60) == (True, False)


@contextmanager
def no_descriptors(more: int) -> Iterator[None]:
    """Let this process open only so many files more."""
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
    """Whichever of the files of a connection is one too many, that is told in words, and nothing is left open."""
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    session = Session(settings, Protocol.MQTT_5, client_id="stbridge", received=lambda _: None)
    with no_descriptors(more), pytest.raises(BrokerUnreachable, match="Too many open files"):
        session.open(threading.Event())

"""Faults of the broker and of the connection to it: afterwards every topic is correct, and no other topic is left."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import count
from time import monotonic

import pytest

from tests.faults.world import World, wait_for_vitals
from tests.servers import ANONYMOUS, eventually, manifest

Fault = Callable[[World], AbstractContextManager[None]]

NUMBERS = count()
FEW_LINES = 4
"""Maximum number of log lines for an outage of any length: its start and its reason, but not each try."""
STATE = "syncthing/bridge/state"
LONG_S = 120.0


def persistent(world: World, data: str) -> tuple[str, ...]:
    """Return the configuration of a broker that keeps its data.

    Args:
        world: contains the broker.
        data: the directory of the data. Each test has its own, because the bridge does not clear topics that it cleared
            before and that a broker restores later.
    """
    directory = world.directory / "broker" / data
    directory.mkdir(exist_ok=True)
    return (ANONYMOUS, "persistence true", f"persistence_location {directory}/")


@contextmanager
def usual_broker_again(world: World) -> Iterator[None]:
    """Start the usual broker with its usual configuration at the end."""
    program, lines = world.broker.program, world.broker.lines
    try:
        yield
    finally:
        world.end_broker(world.broker.stop)
        world.broker.program, world.broker.lines = program, lines
        world.start_broker()


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The broker is stopped for a while and loses its data."""
    world.end_broker(world.broker.stop)
    yield
    world.start_broker()


@contextmanager
def killed_with_memory(world: World) -> Iterator[None]:
    """A broker with persistence crashes, and restores the data that it had saved shortly before."""
    world.end_broker(world.broker.stop)
    world.broker.lines = (*persistent(world, "crash"), "autosave_interval 1")
    since = world.witness.count
    world.start_broker()
    world.witness.wait_for(STATE, b"online", since=since)
    world.end_broker(world.broker.kill)
    yield
    world.start_broker()
    world.broker.lines = (ANONYMOUS,)


@contextmanager
def restarted_empty(world: World) -> Iterator[None]:
    """The broker crashes and is started again immediately, without its data."""
    yield
    world.end_broker(world.broker.kill)
    world.start_broker()


@contextmanager
def refuses_the_login(world: World) -> Iterator[None]:
    """After a restart the broker requires a password that the bridge does not have."""
    world.end_broker(world.broker.stop)
    world.broker.lines = ("allow_anonymous false",)
    world.broker.start()
    eventually(lambda: "not authorized" in world.bridge.log.read_text(encoding="utf-8").lower())
    yield
    world.broker.stop()
    world.broker.lines = (ANONYMOUS,)
    world.start_broker()


@contextmanager
def hung(world: World) -> Iterator[None]:
    """The broker's process is suspended: the kernel accepts connections, but the broker does not answer."""
    world.broker.hang()
    connections = world.broker_proxy.connections
    eventually(partial(world.broker_proxy.more_than, connections))  # the bridge has noticed it, and connects again
    yield
    world.broker.wake()


@contextmanager
def hung_for_two_minutes(world: World) -> Iterator[None]:
    """The broker hangs for two minutes while a folder changes: it is logged once, and the queue stays bounded."""
    world.broker.hang()
    began, size = monotonic(), world.bridge.log.stat().st_size
    for second in range(0, int(LONG_S), 2):
        world.rename(f"Documents {second} s later")
        eventually(partial(has_passed, began + second + 2))
    lines = world.bridge.log.read_bytes()[size:].splitlines()
    assert len(lines) <= FEW_LINES, lines
    yield
    world.broker.wake()


def has_passed(moment: float) -> bool:
    """Return whether a moment of the monotonic clock has passed."""
    return monotonic() > moment


@contextmanager
def half_open(world: World) -> Iterator[None]:
    """The network delays all data, and delivers it later."""
    since, connections = world.witness.count, world.broker_proxy.connections
    world.broker_proxy.hang()
    eventually(partial(world.broker_proxy.more_than, connections))
    world.witness.wait_for(STATE, b"offline", since=since)  # the broker has also noticed it
    yield
    world.broker_proxy.repair()


@contextmanager
def half_open_and_lost(world: World) -> Iterator[None]:
    """The network delivers no data, and then drops all connections silently."""
    since, connections = world.witness.count, world.broker_proxy.connections
    world.broker_proxy.hang()
    eventually(partial(world.broker_proxy.more_than, connections))
    world.witness.wait_for(STATE, b"offline", since=since)  # the broker has also noticed it
    yield
    world.broker_proxy.repair(lost=True)


@contextmanager
def cut(world: World) -> Iterator[None]:
    """The connection is closed while many messages are in flight."""
    yield
    since = world.witness.count
    world.broker_proxy.cut()
    world.witness.wait_for(STATE, b"offline", since=since)


@contextmanager
def reset(world: World) -> Iterator[None]:
    """The connection is reset, and reset again while it is established."""
    for _ in range(3):
        connections = world.broker_proxy.connections
        world.broker_proxy.reset()
        eventually(partial(world.broker_proxy.more_than, connections))
    yield


@contextmanager
def refused(world: World) -> Iterator[None]:
    """Every new connection is closed immediately."""
    world.broker_proxy.refuse()
    yield
    world.broker_proxy.repair()


@contextmanager
def slow(world: World) -> Iterator[None]:
    """The connection carries 2000 bytes a second while all topics are republished."""
    world.broker_proxy.slow(2000)
    world.broker_proxy.reset()
    yield
    world.broker_proxy.repair()


@contextmanager
def truncated(world: World) -> Iterator[None]:
    """Connections break in the middle of a packet: in CONNACK, in SUBACK."""
    for most in (1, 10):
        connections = world.broker_proxy.connections
        world.broker_proxy.truncate(most)
        eventually(partial(world.broker_proxy.more_than, connections + 1))
    yield
    world.broker_proxy.repair()


OF_THE_BROKER: tuple[Fault, ...] = (stopped, killed_with_memory, restarted_empty, refuses_the_login, hung, slow)
OF_THE_WAY: tuple[Fault, ...] = (half_open, half_open_and_lost, cut, reset, refused, truncated)
"""In these faults the broker keeps running, and publishes that the bridge is offline."""


@pytest.mark.parametrize(
    "fault",
    [*OF_THE_BROKER, *OF_THE_WAY, pytest.param(hung_for_two_minutes, marks=pytest.mark.timeout(LONG_S + 120))],
)
def test_after_a_fault_of_the_broker_every_topic_is_correct(
    world: World, fault: Fault, measure: Callable[[float], None]
) -> None:
    """Changes are published, topics of removed folders are cleared, and the bridge uses no more resources."""
    number = next(NUMBERS)
    world.add_folder(f"gone-{number}")
    world.wait_until_right(30)
    since = world.witness.count
    with fault(world):
        world.rename(f"Documents {number}")
        world.remove_folder(f"gone-{number}")
        world.add_folder(f"new-{number}")
        world.write(f"{number}.txt")
        world.wait_until_quiet()
        world.let_the_bridge_take_events()
        repaired = world.witness.count
    measure(world.wait_until_right())
    assert world.untrue_topics(repaired) == []
    wait_for_vitals(world)
    world.remove_folder(f"new-{number}")
    published = world.witness.seen(STATE, since)
    assert published[-1:] in ([], [b"online"])
    assert fault not in OF_THE_WAY or b"offline" in published
    assert json.loads(world.witness.tree["syncthing/bridge/info"])["mqtt_protocol"] == "5"


def test_after_an_upgrade_of_the_broker_every_topic_is_correct(world: World, measure: Callable[[float], None]) -> None:
    """Each newer version of Mosquitto restores what the older one saved, and the bridge publishes what has changed."""
    with usual_broker_again(world):
        for program in manifest()["mosquittos"].values():
            number = next(NUMBERS)
            world.add_folder(f"gone-{number}")
            world.wait_until_right(30)
            world.end_broker(world.broker.stop)
            world.rename(f"Documents {number}")
            world.remove_folder(f"gone-{number}")
            world.broker.program, world.broker.lines = program, persistent(world, "upgrade")
            world.start_broker()
            measure(world.wait_until_right())


def test_a_restart_of_the_bridge_clears_topics_that_the_broker_restored_after_a_crash(world: World) -> None:
    """The broker crashes before it has saved that a folder was removed, so the topics of the folder return."""
    folder = f"gone-{next(NUMBERS)}"
    with usual_broker_again(world):
        world.end_broker(world.broker.stop)
        world.broker.lines = persistent(world, "stale")
        world.start_broker()
        world.add_folder(folder)
        world.wait_until_right(30)
        world.end_broker(world.broker.stop)  # it saves
        world.start_broker()
        world.remove_folder(folder)
        world.wait_until_right(30)
        world.end_broker(world.broker.kill)
        world.start_broker()
        eventually(lambda: f"syncthing/alpha/folder/{folder}" in world.witness.tree)
        world.bridge.stop()
        world.start_bridge()
        world.wait_until_right(30)

"""Faults of the broker, and of the way to it: afterwards every topic is the truth, and nothing else is left."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import count
from time import monotonic

import pytest

from tests.faults.world import World, wait_for_vitals
from tests.servers import ANONYMOUS, eventually

Fault = Callable[[World], AbstractContextManager[None]]

NUMBERS = count()
FEW_LINES = 4
"""What a log may tell of an outage, however long: that it began, and why; not each try."""
STATE = "syncthing/bridge/state"
LONG_S = 120.0


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """Nobody listens for a while; what the broker kept is lost."""
    world.end_broker(world.broker.stop)
    yield
    world.start_broker()


@contextmanager
def killed_with_memory(world: World) -> Iterator[None]:
    """A broker that keeps everything on disk crashes, and has what it had saved a moment before."""
    lines = (ANONYMOUS, "persistence true", f"persistence_location {world.directory}/broker/", "autosave_interval 1")
    world.end_broker(world.broker.stop)
    world.broker.lines = lines
    since = world.witness.count
    world.start_broker()
    world.witness.wait_for(STATE, b"online", since=since)
    world.end_broker(world.broker.kill)
    yield
    world.start_broker()
    world.broker.lines = (ANONYMOUS,)


@contextmanager
def restarted_empty(world: World) -> Iterator[None]:
    """The broker crashes and is back at once, without anything."""
    yield
    world.end_broker(world.broker.kill)
    world.start_broker()


@contextmanager
def refuses_the_login(world: World) -> Iterator[None]:
    """After a restart the broker wants a password that the bridge does not have."""
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
    """The broker's process stops in its tracks: connections are accepted by the kernel, and nobody answers."""
    world.broker.hang()
    connections = world.broker_proxy.connections
    eventually(partial(world.broker_proxy.more_than, connections))  # it was noticed, and tried anew
    yield
    world.broker.wake()


@contextmanager
def hung_for_two_minutes(world: World) -> Iterator[None]:
    """The same for long, while Syncthing goes on: the log tells it once, and what waits is no more than there is."""
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
    """Tell whether it is later than a moment of the monotonic clock."""
    return monotonic() > moment


@contextmanager
def half_open(world: World) -> Iterator[None]:
    """The network holds everything back, and then delivers it."""
    since, connections = world.witness.count, world.broker_proxy.connections
    world.broker_proxy.hang()
    eventually(partial(world.broker_proxy.more_than, connections))
    world.witness.wait_for(STATE, b"offline", since=since)  # the broker has noticed, too
    yield
    world.broker_proxy.mend()


@contextmanager
def half_open_and_lost(world: World) -> Iterator[None]:
    """The network holds everything back, and then forgets all connections without a word."""
    since, connections = world.witness.count, world.broker_proxy.connections
    world.broker_proxy.hang()
    eventually(partial(world.broker_proxy.more_than, connections))
    world.witness.wait_for(STATE, b"offline", since=since)  # the broker has noticed, too
    yield
    world.broker_proxy.mend(lost=True)


@contextmanager
def cut(world: World) -> Iterator[None]:
    """The connection ends while much is on its way."""
    yield
    since = world.witness.count
    world.broker_proxy.cut()
    world.witness.wait_for(STATE, b"offline", since=since)


@contextmanager
def reset(world: World) -> Iterator[None]:
    """The connection breaks, and breaks again on the way up."""
    for _ in range(3):
        connections = world.broker_proxy.connections
        world.broker_proxy.reset()
        eventually(partial(world.broker_proxy.more_than, connections))
    yield


@contextmanager
def refused(world: World) -> Iterator[None]:
    """Whoever connects is hung up on."""
    world.broker_proxy.refuse()
    yield
    world.broker_proxy.mend()


@contextmanager
def slow(world: World) -> Iterator[None]:
    """A few hundred bytes a second, in the middle of everything that is sent again."""
    world.broker_proxy.slow(2000)
    world.broker_proxy.reset()
    yield
    world.broker_proxy.mend()


@contextmanager
def truncated(world: World) -> Iterator[None]:
    """Connections end in the middle of a packet: in CONNACK, in SUBACK."""
    for most in (1, 10):
        connections = world.broker_proxy.connections
        world.broker_proxy.truncate(most)
        eventually(partial(world.broker_proxy.more_than, connections + 1))
    yield
    world.broker_proxy.mend()


OF_THE_BROKER: tuple[Fault, ...] = (stopped, killed_with_memory, restarted_empty, refuses_the_login, hung, slow)
OF_THE_WAY: tuple[Fault, ...] = (half_open, half_open_and_lost, cut, reset, refused, truncated)
"""In these the broker lives, and tells everybody that the bridge is away."""


@pytest.mark.parametrize(
    "fault",
    [*OF_THE_BROKER, *OF_THE_WAY, pytest.param(hung_for_two_minutes, marks=pytest.mark.timeout(LONG_S + 120))],
)
def test_after_a_fault_of_the_broker_every_topic_is_the_truth(
    world: World, fault: Fault, measure: Callable[[float], None]
) -> None:
    """What changed meanwhile is told, what went meanwhile is cleared, and the bridge holds no more than before."""
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
        mended = world.witness.count
    measure(world.wait_until_right())
    assert world.lies(mended) == []
    wait_for_vitals(world)
    world.remove_folder(f"new-{number}")
    told = world.witness.seen(STATE, since)
    assert told[-1:] in ([], [b"online"])
    assert fault not in OF_THE_WAY or b"offline" in told
    assert json.loads(world.witness.tree["syncthing/bridge/info"])["mqtt_protocol"] == "5"

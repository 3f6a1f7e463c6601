"""Long outages: they are told once, however often is tried, and tries are neither many nor far between."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from time import monotonic

import pytest

from tests.faults.test_syncthing import Everywhere
from tests.faults.world import World, wait_for_vitals
from tests.servers import ANONYMOUS, eventually
from tests.syncthing.server import Behaviour, Exchange, ScriptedServer, stranger, truncates

Times = Sequence[float]
Outage = Callable[[World], AbstractContextManager[Times]]
"""Tells by the monotonic clock when somebody tried, and grows."""

LONG_S = 10.0
"""Longer than the longest wait between two tries, by far."""

ENOUGH = 4
FEW_LINES = 3
"""An outage of one side is told in a line or two: that it began, and what there is to it when that shows."""

LONGEST_GAP_S = 8.0
"""A try that nobody answers ends after 4 s, and the wait that follows is 3 s at most; the machine may be busy."""

MOST_TRIES_PER_S = 4.0


# --- of the broker


@contextmanager
def broker_refused(world: World) -> Iterator[Times]:
    """Whoever connects is hung up on."""
    world.broker_proxy.refuse()
    yield world.broker_proxy.tries


@contextmanager
def broker_silent(world: World) -> Iterator[Times]:
    """Connections are accepted, and nobody answers."""
    world.broker_proxy.hang()
    yield world.broker_proxy.tries
    world.broker_proxy.mend(lost=True)


@contextmanager
def broker_truncated(world: World) -> Iterator[Times]:
    """Connections end in the middle of the first packet."""
    world.broker_proxy.truncate(1)
    yield world.broker_proxy.tries


@contextmanager
def broker_wants_a_password(world: World) -> Iterator[Times]:
    """The broker refuses the login."""
    world.end_broker(world.broker.stop)
    world.broker.lines = ("allow_anonymous false",)
    world.broker.start()
    try:
        yield world.broker_proxy.tries
    finally:
        world.broker.stop()
        world.broker.lines = (ANONYMOUS,)
        world.start_broker()


# --- of Syncthing


@contextmanager
def syncthing_refused(world: World) -> Iterator[Times]:
    """Whoever connects is hung up on."""
    world.alpha_proxy.refuse()
    yield world.alpha_proxy.tries


@contextmanager
def syncthing_silent(world: World) -> Iterator[Times]:
    """Requests are taken, and nobody answers."""
    world.alpha_proxy.hang()
    yield world.alpha_proxy.tries
    world.alpha_proxy.mend(lost=True)


def syncthing_answers(behaviour: Behaviour) -> Outage:
    """Return an outage in which somebody else answers every request."""

    @contextmanager
    def outage(world: World) -> Iterator[Times]:
        times: list[float] = []

        def answer(exchange: Exchange) -> None:
            times.append(monotonic())
            behaviour(exchange)

        other = ScriptedServer(Everywhere(answer)).start()
        try:
            world.alpha_proxy.lead_to(other.port)
            yield times
        finally:
            world.alpha_proxy.lead_to(world.alpha.gui_port)
            other.stop()

    return outage


OUTAGES: Mapping[str, Outage] = {
    "broker refused": broker_refused,
    "broker silent": broker_silent,
    "broker truncated": broker_truncated,
    "broker wants a password": broker_wants_a_password,
    "syncthing refused": syncthing_refused,
    "syncthing silent": syncthing_silent,
    "syncthing answers 401": syncthing_answers(stranger(401, "Not Authorized")),
    "syncthing answers 500": syncthing_answers(stranger(500, "Internal Server Error")),
    "syncthing answers half": syncthing_answers(truncates),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
def test_an_outage_is_told_once_however_often_is_tried(
    world: World, outage: Outage, measure: Callable[[float], None]
) -> None:
    """A line for each change of condition, none for a try; the tries go on, with waits that are bounded and differ."""
    size = world.bridge.log.stat().st_size
    with outage(world) as times:
        began, before = monotonic(), len(times)
        eventually(lambda: monotonic() - began > LONG_S and len(times) >= before + ENOUGH)
        tries, lasted_s = times[before:], monotonic() - began
        lines = world.bridge.log.read_bytes()[size:].decode().splitlines()
        world.rename(f"renamed in an outage {began}")
    world.broker_proxy.mend()
    world.alpha_proxy.mend()
    measure(world.wait_until_right())
    assert 1 <= len(lines) <= FEW_LINES, lines
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert max(gaps) < LONGEST_GAP_S, gaps
    assert len({round(gap, 3) for gap in gaps}) > 1, gaps
    assert len(tries) < MOST_TRIES_PER_S * lasted_s, gaps
    wait_for_vitals(world)

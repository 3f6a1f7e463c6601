"""Long outages: the log reports each once, and the bridge tries again at a bounded rate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from time import monotonic

import pytest

from stbridge.mqtt.connection import SHORT_SESSION_S
from stbridge.mqtt.session import LOOP_S
from tests.faults.test_syncthing import Everywhere
from tests.faults.world import World, wait_for_vitals
from tests.servers import ANONYMOUS, eventually
from tests.syncthing.server import Behaviour, Exchange, ScriptedServer, stranger, truncates

Times = Sequence[float]
Outage = Callable[[World], AbstractContextManager[Times]]
"""Causes an outage; its context value is a growing list of the times of tries, by the monotonic clock."""

LONG_S = 10.0
"""Minimum duration of an outage, much longer than the longest wait between two tries."""

ENOUGH = 4
FEW_LINES = 3
"""Maximum number of log lines for an outage: its start, and its reason when it becomes known."""

LASTING_S = SHORT_SESSION_S + 2 * LOOP_S
"""Time after which the outage before is over for the bridge, which then logs the next one."""

LONGEST_GAP_S = 8.0
"""Maximum time between two tries: an unanswered try takes 4 s, the wait after it at most 3 s, plus 1 s of load."""

MOST_TRIES_PER_S = 4.0


# --- of the broker


@contextmanager
def broker_refused(world: World) -> Iterator[Times]:
    """Every new connection is closed immediately."""
    world.broker_proxy.refuse()
    yield world.broker_proxy.tries


@contextmanager
def broker_silent(world: World) -> Iterator[Times]:
    """Connections are accepted but not answered."""
    world.broker_proxy.hang()
    yield world.broker_proxy.tries
    world.broker_proxy.repair(lost=True)


@contextmanager
def broker_truncated(world: World) -> Iterator[Times]:
    """Connections break in the middle of the first packet."""
    world.broker_proxy.truncate(1)
    yield world.broker_proxy.tries


@contextmanager
def broker_requires_a_password(world: World) -> Iterator[Times]:
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
    """Every new connection is closed immediately."""
    world.alpha_proxy.refuse()
    yield world.alpha_proxy.tries


@contextmanager
def syncthing_silent(world: World) -> Iterator[Times]:
    """Requests are accepted but not answered."""
    world.alpha_proxy.hang()
    yield world.alpha_proxy.tries
    world.alpha_proxy.repair(lost=True)


def syncthing_answers(behaviour: Behaviour) -> Outage:
    """Return an outage in which another server answers every request."""

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
    "broker wants a password": broker_requires_a_password,
    "syncthing refused": syncthing_refused,
    "syncthing silent": syncthing_silent,
    "syncthing answers 401": syncthing_answers(stranger(401, "Not Authorized")),
    "syncthing answers 500": syncthing_answers(stranger(500, "Internal Server Error")),
    "syncthing answers half": syncthing_answers(truncates),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_is_logged_once_and_not_at_every_try(
    world: World, name: str, measure: Callable[[float], None]
) -> None:
    """Only changes of the condition are logged, and the tries continue with bounded, varying waits."""
    side = "broker" if name.startswith("broker") else "alpha: "
    connected_at = monotonic()
    eventually(lambda: monotonic() - connected_at > LASTING_S)
    size = world.bridge.log.stat().st_size
    with OUTAGES[name](world) as times:
        began, before = monotonic(), len(times)
        eventually(lambda: monotonic() - began > LONG_S and len(times) >= before + ENOUGH)
        tries, lasted_s = times[before:], monotonic() - began
        log = world.bridge.log.read_bytes()[size:].decode()
        lines = [line for line in log.splitlines() if side in line]
        world.rename(f"renamed in an outage {began}")
    world.broker_proxy.repair()
    world.alpha_proxy.repair()
    measure(world.wait_until_right())
    assert 1 <= len(lines) <= FEW_LINES, lines
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert max(gaps) < LONGEST_GAP_S, gaps
    assert len({round(gap, 3) for gap in gaps}) > 1, gaps
    assert len(tries) < MOST_TRIES_PER_S * lasted_s, gaps
    wait_for_vitals(world)

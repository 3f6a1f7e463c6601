"""Commands during faults: accepted commands are executed, and non-repeatable commands are never repeated."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.faults.changes import patient_request
from tests.faults.conftest import LOST
from tests.faults.orders import Order, Orders
from tests.faults.world import POOLED_CONNECTIONS, World, wait_for_vitals
from tests.servers import eventually

Fault = Callable[[World], AbstractContextManager[None]]

NUMBERS = count()
STATE = "syncthing/bridge/state"
BEFORE, MEANWHILE, AFTER = 4, 10, 4
"""Number of command pairs that are sent before, during and after a fault."""


# --- a stream of commands


@contextmanager
def the_bridge_is_killed(world: World) -> Iterator[None]:
    """The bridge crashes while it receives commands; some are sent while it is stopped."""
    world.bridge.kill()
    yield
    world.start_bridge()


@contextmanager
def the_bridge_is_stopped(world: World) -> Iterator[None]:
    """The bridge stops normally; some commands are sent while it is stopped."""
    assert world.bridge.stop() == 0
    yield
    world.start_bridge()


@contextmanager
def the_way_to_the_broker_is_cut(world: World) -> Iterator[None]:
    """Messages in flight in both directions are lost, and delivered again later."""
    world.broker_proxy.refuse()
    yield
    world.broker_proxy.repair()


@contextmanager
def the_way_to_the_broker_is_reset(world: World) -> Iterator[None]:
    """The connection is reset, and so is the next one."""
    for _ in range(2):
        connections = world.broker_proxy.connections
        world.broker_proxy.reset()
        eventually(partial(world.broker_proxy.more_than, connections))
    yield


@contextmanager
def the_way_to_the_broker_forgets(world: World) -> Iterator[None]:
    """No data is delivered in either direction, and sent messages are lost."""
    world.broker_proxy.hang()
    yield
    world.broker_proxy.repair(lost=True)


@contextmanager
def syncthing_hangs(world: World) -> Iterator[None]:
    """Syncthing accepts requests without answering, and executes them when it is resumed."""
    world.alpha.hang()
    yield
    world.alpha.wake()


@contextmanager
def syncthing_is_killed(world: World) -> Iterator[None]:
    """Syncthing crashes while the bridge executes commands."""
    world.alpha.kill()
    yield
    world.alpha.start()


@contextmanager
def the_way_to_syncthing_is_reset(world: World) -> Iterator[None]:
    """Requests and their responses are lost."""
    for _ in range(2):
        connections = world.alpha_proxy.connections
        world.alpha_proxy.reset()
        eventually(partial(world.alpha_proxy.more_than, connections))
    yield


OF_THE_BRIDGE: tuple[Fault, ...] = (the_bridge_is_killed, the_bridge_is_stopped)
OF_THE_WAY_TO_THE_BROKER: tuple[Fault, ...] = (
    the_way_to_the_broker_is_cut,
    the_way_to_the_broker_is_reset,
    the_way_to_the_broker_forgets,
)
OF_SYNCTHING: tuple[Fault, ...] = (syncthing_hangs, syncthing_is_killed, the_way_to_syncthing_is_reset)


def answered_ok(order: Order) -> bool:
    """Return whether a reply reported that the command was executed."""
    return any(reply["status"] == "ok" for reply in order.replies)


@pytest.mark.parametrize("fault", [*OF_THE_BRIDGE, *OF_THE_WAY_TO_THE_BROKER, *OF_SYNCTHING])
def test_commands_around_a_fault_are_neither_lost_nor_repeated(
    world: World, fault: Fault, measure: Callable[[float], None], record_property: Callable[[str, object], None]
) -> None:
    """Each command has a reply, `ok` means executed, non-repeatable commands run once, and the last setting wins."""
    orders, sent, number = Orders(world.witness), list[Order](), next(NUMBERS)

    def send(pairs: int) -> None:
        for _ in range(pairs):
            name = f"{number}.{len(sent)}."
            for command, arguments in (
                ("new_error", {"message": f"error of stream {name}"}),
                ("new_ignores", {"folder": "docs", "ignore": [name]}),
            ):
                sent.append(orders.send(command, arguments, f"{command} {name}", retain=False))

    send(BEFORE)
    with fault(world):
        send(MEANWHILE)
    send(AFTER)
    killed = fault is the_bridge_is_killed
    eventually(lambda: all(killed and not one.command.repeatable for one in orders.unanswered()))
    orders.unanswered()
    world.wait_until_quiet()
    measure(world.wait_until_right())
    log = (world.alpha.home / "syncthing.log").read_text(encoding="utf-8", errors="replace")
    for order in sent:
        assert len(order.replies) == 1 or fault not in OF_SYNCTHING, (order, order.replies)
        if not order.command.repeatable:
            times = log.count(f"error of stream {order.transaction.split()[1]}")
            assert times <= 1, order
            # a crash loses log lines that were not written yet
            assert times == 1 or not answered_ok(order) or fault is syncthing_is_killed, order
    assert answered_ok(sent[-1])
    ignores = world.alpha.request("GET", "/rest/db/ignores", {"folder": "docs"})["ignore"]
    assert ignores == sent[-1].arguments["ignore"]
    record_property(LOST, f"{sum(not one.replies for one in sent)} of {len(sent)} replies")
    wait_for_vitals(world, POOLED_CONNECTIONS)


# --- one command, disturbed while the bridge sends the request to Syncthing


@dataclass(frozen=True, slots=True)
class Once:
    """A command that must not be executed twice, and the request that executes it."""

    name: str
    request: bytes
    arguments: Mapping[str, Any]


# `upgrade` is missing, because no available build can upgrade itself.
ONCE: Mapping[str, Once] = {
    one.name: one
    for one in (
        Once("new_error", b"POST /rest/system/error ", {"message": "sent at a bad moment"}),
        Once("restart", b"POST /rest/system/restart", {}),
        Once("shutdown", b"POST /rest/system/shutdown", {}),
        Once("reset", b"POST /rest/system/reset", {"folder": "docs"}),
    )
}

Disturb = Callable[[World, Callable[[], None], Callable[[], None]], None]
"""Sends the command, waits for the request to Syncthing, and causes a fault at a critical moment."""


def killed_at_once(world: World, send: Callable[[], None], _asked: Callable[[], None]) -> None:
    """Kill the bridge immediately before or after it receives the command."""
    send()
    world.bridge.kill()
    world.start_bridge()


def killed_when_it_has_asked(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Kill the bridge after the request and before it can reply."""
    send()
    asked()
    world.bridge.kill()
    world.start_bridge()


def away(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Send the command while the bridge is stopped, and start the bridge."""
    world.bridge.kill()
    eventually(lambda: not world.broker_proxy.carries)  # before, the broker would send it to the killed bridge
    send()
    world.start_bridge()
    asked()


def cut_off_when_it_has_asked(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Cut the connection to the broker after the request and before the bridge can reply."""
    send()
    asked()
    world.broker_proxy.cut()


def cut_off_at_once(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Cut the connection after the command is delivered and before the broker has its acknowledgement."""
    send()
    world.broker_proxy.cut()
    asked()


def broken_when_it_has_asked(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Reset the connection to Syncthing, so that it is unknown whether it received the request."""
    send()
    asked()
    world.alpha_proxy.reset()


def hung_when_it_has_asked(world: World, send: Callable[[], None], asked: Callable[[], None]) -> None:
    """Suspend Syncthing until the bridge reports it offline."""
    since = world.witness.count
    world.alpha.hang()
    try:
        send()
        asked()
        world.witness.wait_for("syncthing/alpha/state", b"offline", since=since)
    finally:
        world.alpha.wake()


MOMENTS: Sequence[Disturb] = (
    killed_at_once,
    killed_when_it_has_asked,
    away,
    cut_off_when_it_has_asked,
    cut_off_at_once,
    broken_when_it_has_asked,
    hung_when_it_has_asked,
)
MAYBE_LOST = (killed_at_once, killed_when_it_has_asked)
"""In these faults the command may be lost with the bridge, which has acknowledged it: it must not be executed twice."""


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        *((command, moment) for command in ("new_error", "restart") for moment in MOMENTS),
        *(("shutdown", moment) for moment in (killed_when_it_has_asked, cut_off_at_once, hung_when_it_has_asked)),
        # reset sends other requests first: if Syncthing hangs by then, the reset itself is never requested
        *(("reset", moment) for moment in (killed_when_it_has_asked, cut_off_at_once, broken_when_it_has_asked)),
    ],
)
def test_a_command_that_must_not_be_repeated_is_executed_once_in_spite_of_a_fault(
    world: World,
    command: str,
    moment: Disturb,
    measure: Callable[[float], None],
    record_property: Callable[[str, object], None],
) -> None:
    """Syncthing receives one request in spite of the fault, and the reply arrives unless the bridge was killed."""
    once, since = ONCE[command], world.witness.count
    world.bridge.stop()  # a new process has not executed such a command recently; otherwise the rate limit rejects it
    world.start_bridge()
    world.wait_until_right()
    world.alpha_proxy.count(once.request)
    moment(
        world,
        partial(world.witness.publish, f"syncthing/alpha/command/{command}", json.dumps(once.arguments).encode()),
        partial(eventually, lambda: world.alpha_proxy.counted),
    )
    replies = partial(world.witness.seen, f"syncthing/alpha/response/{command}", since)
    if moment not in MAYBE_LOST:
        eventually(partial(answered, world, command, replies))
    repair(world, command)
    measure(world.wait_until_right())
    assert world.alpha_proxy.counted <= 1
    assert world.alpha_proxy.counted == 1 or moment is killed_at_once
    record_property(LOST, "the reply" if not replies() else "nothing")
    wait_for_vitals(world, POOLED_CONNECTIONS)


def answered(world: World, command: str, replies: Callable[[], list[bytes]]) -> bool:
    """Return whether there is a reply; a reset is answered when Syncthing has restarted."""
    if command == "reset":
        world.keep_alpha_alive()
    return bool(replies())


def repair(world: World, command: str) -> None:
    """Restore the state of Syncthing."""
    if command == "shutdown":
        eventually(lambda: not world.alpha.running)
    world.revive()
    if command == "reset":
        # a bridge that was killed during the reset has left the folder paused
        patient_request(world.alpha, "PATCH", "/rest/config/folders/docs", body={"paused": False})
    world.wait_until_quiet()

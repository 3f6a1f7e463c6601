"""Faults of the bridge itself and of the machine that it runs on."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from stbridge.errors import Failed
from stbridge.health import HealthFile
from tests.faults.world import RIGHT_AGAIN_S, World, wait_for_vitals
from tests.servers import eventually

STATE = "syncthing/bridge/state"
HOLDS_MUCH = 20
"""Approximate number of messages before a bridge is online."""


@pytest.mark.parametrize("messages", [0, 1, 5, 10, HOLDS_MUCH])
def test_a_killed_bridge_leaves_no_wrong_topics_behind(
    world: World, messages: int, measure: Callable[[float], None]
) -> None:
    """After a kill at any message, the last will publishes `offline`, and the next bridge the correct topics."""
    world.add_folder(f"killed-{messages}")
    world.wait_until_right(30)
    world.bridge.kill()
    since = world.witness.count
    world.bridge.start()
    eventually(lambda: world.witness.count >= since + messages)
    world.rename(f"killed after {messages}")
    world.bridge.kill()
    world.remove_folder(f"killed-{messages}")
    eventually(lambda: world.witness.tree[STATE] == b"offline")
    began = monotonic()
    world.start_bridge()
    world.wait_until_right(began + RIGHT_AGAIN_S - monotonic())
    measure(monotonic() - began)


# --- a stop at every stage of the start


@contextmanager
def fine(_world: World) -> Iterator[None]:
    """Cause no fault."""
    yield


@contextmanager
def hung_broker(world: World) -> Iterator[None]:
    """Make the broker accept connections without answering."""
    world.broker_proxy.hang()
    yield
    world.broker_proxy.repair(lost=True)


@contextmanager
def hung_syncthing(world: World) -> Iterator[None]:
    """Make Syncthing accept connections without answering."""
    world.alpha_proxy.hang()
    yield
    world.alpha_proxy.repair(lost=True)


STAGES = {
    "at once": (fine, lambda world, _: world.bridge.running),
    "syncthing asked": (fine, lambda world, before: world.alpha_proxy.more_than(before[0])),
    "syncthing silent": (hung_syncthing, lambda world, before: world.alpha_proxy.more_than(before[0])),
    "broker asked": (fine, lambda world, before: world.broker_proxy.more_than(before[1])),
    "broker silent": (hung_broker, lambda world, before: world.broker_proxy.more_than(before[1])),
    "first word": (fine, lambda world, before: world.witness.count > before[2]),
    "online": (fine, lambda world, before: b"online" in world.witness.seen(STATE, before[2])),
}


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_at_any_stage_of_the_start_stops_the_bridge_and_leaves_it_offline(world: World, stage: str) -> None:
    """SIGTERM always stops it soon, with status 0 once it handles signals, and never leaves `online` behind."""
    fault, reached = STAGES[stage]
    world.bridge.stop()
    before = (world.alpha_proxy.connections, world.broker_proxy.connections, world.witness.count)
    with fault(world):
        world.bridge.start()
        eventually(partial(reached, world, before))
        status = world.bridge.stop()
    assert status == 0 or (stage == "at once" and status == -signal.SIGTERM)
    eventually(lambda: world.witness.tree[STATE] == b"offline")
    world.start_bridge()
    world.wait_until_right()


# --- the machine


@pytest.mark.parametrize(
    "nowhere",
    [pytest.param("/dev/full", id="full"), pytest.param("/proc/nothing-can-be-made-here", id="read-only")],
)
def test_a_full_or_read_only_disk_does_not_stop_the_bridge(
    world: World, nowhere: str, measure: Callable[[float], None]
) -> None:
    """If neither the log nor the health file can be written, the health check fails and the bridge keeps running."""
    world.bridge.stop()
    full = world.new_bridge(STBRIDGE_LOG__LEVEL="debug", RUNTIME_DIRECTORY=nowhere)
    full.log = Path("/dev/full")
    since = world.witness.count
    try:
        full.start()
        world.witness.wait_for(STATE, b"online", since=since)
        world.rename("renamed while the disk was full")
        measure(world.wait_until_right())
        with pytest.raises(Failed):
            HealthFile(full.health_file).check()
        assert full.stop() == 0
    finally:
        full.kill()
    world.start_bridge()


def test_setting_the_clock_does_not_stop_publications_or_commands(
    world: World, measure: Callable[[float], None]
) -> None:
    """With the clock one year ahead, one year behind and correct again, changes are published and commands executed."""
    clock = world.directory / "clock"
    for seconds in (365 * 86400, -365 * 86400):
        clock.write_text(str(seconds))
        world.rename(f"renamed {seconds} s from now")
        world.wait_until_right()
        assert world.ask("get_ping")["status"] == "ok"
    clock.unlink()
    world.rename("renamed when the clock was right again")
    measure(world.wait_until_right())
    wait_for_vitals(world)


def test_names_that_do_not_resolve_are_tried_again(world: World, measure: Callable[[float], None]) -> None:
    """Without a resolver neither server is found; when names resolve again, the bridge reconnects to both."""
    since = world.witness.count
    nameless = world.directory / "nameless"
    nameless.touch()
    world.alpha_proxy.cut()
    world.broker_proxy.cut()
    world.witness.wait_for(STATE, b"offline", since=since)
    eventually(lambda: "check mqtt.host" in world.bridge.log.read_text(encoding="utf-8"))
    world.rename("renamed while there were no names")
    nameless.unlink()
    measure(world.wait_until_right())
    wait_for_vitals(world)


def test_a_process_without_file_descriptors_recovers(world: World, measure: Callable[[float], None]) -> None:
    """If no socket can be opened, no thread dies; when sockets are available again, the bridge reconnects."""
    limits = resource.prlimit(world.bridge.id, resource.RLIMIT_NOFILE)
    since = world.witness.count
    resource.prlimit(world.bridge.id, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        world.alpha_proxy.cut()
        world.broker_proxy.cut()
        world.witness.wait_for(STATE, b"offline", since=since)
        eventually(lambda: "Too many open files" in world.bridge.log.read_text(encoding="utf-8"))
        world.rename("renamed while there were no descriptors")
    finally:
        resource.prlimit(world.bridge.id, resource.RLIMIT_NOFILE, limits)
    measure(world.wait_until_right())
    wait_for_vitals(world)


def test_of_two_bridges_with_one_client_id_one_stays_disconnected(
    world: World, tmp_path: Path, measure: Callable[[float], None]
) -> None:
    """Both log the problem and its fix; one stays disconnected until the other one has stopped."""
    size = world.bridge.log.stat().st_size
    other = world.new_bridge()
    other.log = tmp_path / "other.log"
    since, before = world.witness.count, world.broker_proxy.connections
    try:
        other.start()
        for log, before_it in ((world.bridge.log, size), (other.log, 0)):
            eventually(partial(logs_the_reason, log, before_it))
        connections = eventually(partial(no_more_connections, world))
    finally:
        other.stop()
    measure(world.wait_until_right())
    assert connections - before < 30
    assert world.bridge.log.read_bytes()[size:].decode().count("no connection to the broker") < 10
    assert world.witness.seen(STATE, since)[-1] == b"online"
    wait_for_vitals(world)
    # Until its next connection, the bridge takes the other one for running, and would wait longer after a failure.
    world.bridge.stop()
    world.start_bridge()


def logs_the_reason(log: Path, size: int) -> bool:
    """Return whether the log, after its first `size` bytes, names the setting that both share."""
    return b"set another mqtt.client_id" in log.read_bytes()[size:]


def no_more_connections(world: World) -> int | None:
    """Return the number of connections if no new one is made within 4 s; otherwise None."""
    connections = world.broker_proxy.connections
    try:
        eventually(partial(world.broker_proxy.more_than, connections), 4)
    except AssertionError:
        return connections
    return None


# --- its threads


@pytest.mark.parametrize("name", ["schedule", "alpha-events", "alpha-polls"])
def test_a_thread_that_dies_is_started_again(world: World, name: str, measure: Callable[[float], None]) -> None:
    """`bridge/health` reports the death of any thread, and its missed work is done after the restart."""
    deaths = world.health["restarts"]
    (world.directory / "dying").write_text(name)
    world.rename(f"renamed while {name} died")
    eventually(lambda: world.health["restarts"] > deaths)
    world.rename(f"renamed when {name} had died")
    measure(world.wait_until_right())
    assert set(world.health["threads"]) == {"mqtt", "schedule", "alpha-events", "alpha-polls"}
    wait_for_vitals(world)


def test_a_connection_that_fails_unexpectedly_is_replaced(world: World, measure: Callable[[float], None]) -> None:
    """After any exception in the MQTT thread, it continues with a new connection."""
    since = world.witness.count
    (world.directory / "dying").write_text("mqtt")
    world.witness.wait_for(STATE, b"offline", since=since)
    world.rename("renamed while the connection failed")
    measure(world.wait_until_right())
    wait_for_vitals(world)


def test_a_thread_that_keeps_dying_stops_the_process_with_the_reason(world: World) -> None:
    """The exit status reports it to the service manager, and `offline` and the log to everyone else."""
    dying = world.directory / "dying"
    dying.write_text("alpha-polls again")
    try:
        assert world.bridge.wait() == 1
    finally:
        dying.unlink()
    assert "alpha-polls keeps dying of RuntimeError" in world.bridge.log.read_text(encoding="utf-8")
    eventually(lambda: world.witness.tree[STATE] == b"offline")
    with pytest.raises(Failed, match="has exited"):
        HealthFile(world.bridge.health_file).check()

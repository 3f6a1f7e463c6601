"""Faults of Syncthing and of the connection to it: the bridge reports each by its cause until it is over."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.faults.world import World, newest_is_version_2, version_1, wait_for_vitals
from tests.servers import change_gui, eventually
from tests.syncthing.server import Answer, Behaviour, ScriptedServer, answers, drips, stranger, truncates

Fault = Callable[[World], AbstractContextManager[None]]

NUMBERS = count()
STATE = "syncthing/alpha/state"
CONNECTION = "syncthing/alpha/connection"
EVENT_BUFFER = 1000
"""Number of events in Syncthing's event buffer."""


def wait_until_offline(world: World, since: int, *statuses: str) -> None:
    """Wait until the bridge reports Syncthing as offline, and the reason."""
    world.witness.wait_for(STATE, b"offline", since=since)
    if statuses:
        eventually(lambda: json.loads(world.witness.tree[CONNECTION])["status"] in statuses)


@contextmanager
def published_as(world: World, since: int, *statuses: str) -> Iterator[None]:
    """Wait until the bridge reports Syncthing as offline, and check that it reports nothing else in the context."""
    wait_until_offline(world, since, *statuses)
    since = world.witness.count
    yield
    assert world.witness.seen(STATE, since) == []


# --- the process


@contextmanager
def killed(world: World) -> Iterator[None]:
    """Syncthing crashes and is started again later."""
    since = world.witness.count
    world.alpha.kill()
    with published_as(world, since, "unreachable"):
        yield
    world.alpha.start()


@contextmanager
def restarted(world: World) -> Iterator[None]:
    """Syncthing restarts, as it does after some changes of its configuration."""
    started_at = world.alpha.request("GET", "/rest/system/status")["startTime"]
    world.alpha.request("POST", "/rest/system/restart")
    yield

    def another() -> bool:
        try:
            return bool(world.alpha.request("GET", "/rest/system/status")["startTime"] != started_at)
        except (OSError, ValueError):
            return False

    eventually(another)


@contextmanager
def hung(world: World) -> Iterator[None]:
    """Syncthing's process is suspended."""
    since = world.witness.count
    world.alpha.hang()
    with published_as(world, since, "unreachable"):
        yield
    world.alpha.wake()


@pytest.mark.parametrize("fault", [killed, restarted, hung])
def test_after_a_fault_of_syncthing_every_topic_is_correct(
    world: World, fault: Fault, measure: Callable[[float], None]
) -> None:
    """Syncthing is reported offline while it is stopped, and its new state is published soon after its return."""
    with fault(world):
        pass
    measure(world.wait_until_right())
    wait_for_vitals(world)


def test_a_rejected_api_key_is_reported_until_it_is_accepted_again(
    world: World, measure: Callable[[float], None]
) -> None:
    """The bridge reports a key that Syncthing rejects as `unauthorized`, and tries it until it is accepted again."""
    since, key = world.witness.count, world.alpha.api_key
    change_gui(world.alpha, apiKey="another-key-of-32-characters-long")
    world.alpha.api_key = "another-key-of-32-characters-long"
    with published_as(world, since, "unauthorized"):
        world.rename("renamed while the key was another")
    change_gui(world.alpha, apiKey=key)
    world.alpha.api_key = key
    measure(world.wait_until_right())


# --- the connection to Syncthing


@contextmanager
def cut(world: World) -> Iterator[None]:
    """Every connection is closed while events are in flight."""
    yield
    world.alpha_proxy.cut()


@contextmanager
def reset(world: World) -> Iterator[None]:
    """Connections are reset three times."""
    for _ in range(3):
        connections = world.alpha_proxy.connections
        world.alpha_proxy.reset()
        eventually(partial(world.alpha_proxy.more_than, connections))
    yield


@contextmanager
def refused(world: World) -> Iterator[None]:
    """Every new connection is closed immediately."""
    since = world.witness.count
    world.alpha_proxy.refuse()
    with published_as(world, since, "unreachable"):
        yield
    world.alpha_proxy.repair()


@contextmanager
def half_open(world: World) -> Iterator[None]:
    """The network delays all data, and delivers it later."""
    since = world.witness.count
    world.alpha_proxy.hang()
    with published_as(world, since, "unreachable"):
        yield
    world.alpha_proxy.repair()


@contextmanager
def half_open_and_lost(world: World) -> Iterator[None]:
    """The network delivers no data, and then drops all connections silently."""
    since = world.witness.count
    world.alpha_proxy.hang()
    with published_as(world, since, "unreachable"):
        yield
    world.alpha_proxy.repair(lost=True)


@contextmanager
def slow(world: World) -> Iterator[None]:
    """The connection carries 3000 bytes a second."""
    world.alpha_proxy.slow(3000)
    yield
    world.alpha_proxy.repair()


@contextmanager
def truncated(world: World) -> Iterator[None]:
    """Every response breaks off in the middle."""
    since = world.witness.count
    world.alpha_proxy.truncate(100)
    with published_as(world, since, "unreachable"):
        yield
    world.alpha_proxy.repair()


@pytest.mark.parametrize("fault", [cut, reset, refused, half_open, half_open_and_lost, slow, truncated])
def test_after_a_fault_of_the_connection_to_syncthing_every_topic_is_correct(
    world: World, fault: Fault, measure: Callable[[float], None]
) -> None:
    """Changes are published, topics of removed folders are cleared, and the bridge uses no more resources."""
    number = next(NUMBERS)
    world.add_folder(f"away-{number}")
    world.wait_until_right(30)
    with fault(world):
        world.rename(f"Documents on the way {number}")
        world.remove_folder(f"away-{number}")
        world.add_folder(f"came-{number}")
        world.write(f"way-{number}.txt")
        world.wait_until_quiet()
        repaired = world.witness.count
    measure(world.wait_until_right())
    assert world.untrue_topics(repaired) == []
    wait_for_vitals(world)
    world.remove_folder(f"came-{number}")


# --- another server answers


class Everywhere(dict[str, Any]):
    """A table that has the same behavior for every path."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__()
        self._behaviour = behaviour

    def get(self, _path: str, _default: Any = None) -> Behaviour:
        return self._behaviour


def huge(exchange: Any) -> None:
    """Answer with 50 MB of JSON."""
    Answer(body=b"[" + b'"' + b"x" * 50_000_000 + b'"' + b"]")(exchange)


ANSWERS: tuple[tuple[str, Behaviour, str], ...] = (
    ("401", stranger(401, "Not Authorized"), "unauthorized"),
    ("403", stranger(403, "Forbidden"), "unauthorized"),
    ("500", stranger(500, "Internal Server Error"), "unreachable"),
    ("html", stranger(200, "<html>It works!</html>"), "unreachable"),
    ("truncated", truncates, "unreachable"),
    ("list", answers([]), "unreachable"),
    ("word", answers("online"), "unreachable"),
    ("nothing", answers(None), "unreachable"),
    ("object", answers({"startTime": 7, "myID": [], "total": {}, "id": "x"}), "unreachable"),
    ("huge", huge, "unreachable"),
    ("endless", drips, "unreachable"),
)


@pytest.mark.parametrize(("behaviour", "status"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_an_invalid_answer_is_reported_and_clears_no_topic(
    world: World, behaviour: Behaviour, status: str, measure: Callable[[float], None]
) -> None:
    """If another server answers, no topic is cleared, and Syncthing is offline until it answers itself again."""
    since = world.witness.count
    other = ScriptedServer(Everywhere(behaviour)).start()
    try:
        world.alpha_proxy.lead_to(other.port)
        with published_as(world, since, status):
            world.rename(f"Documents while {status} {since}")
            world.wait_until_quiet()
        repaired = world.witness.count
    finally:
        world.alpha_proxy.lead_to(world.alpha.gui_port)
        other.stop()
    measure(world.wait_until_right())
    assert world.untrue_topics(repaired) == []
    cleared = {one for one in world.witness.topics(since) if b"" in world.witness.seen(one, since)}
    assert cleared == set()
    wait_for_vitals(world)


# --- missed events


def test_after_events_dropped_by_syncthings_buffer_everything_is_read_again(
    world: World, measure: Callable[[float], None]
) -> None:
    """If the event buffer overflows while the poll is suspended, the bridge reads the whole state again."""
    missed = "missed" in world.bridge.log.read_text(encoding="utf-8")
    with world.hung_bridge():
        for _ in range(EVENT_BUFFER // 2):
            world.alpha.request("POST", "/rest/db/scan", {"folder": "docs"})
        world.rename("renamed before thousands of events")
        world.add_folder("came-before-thousands")
        for _ in range(EVENT_BUFFER // 2):
            world.alpha.request("POST", "/rest/db/scan", {"folder": "docs"})
    measure(world.wait_until_right())
    assert missed or "events were missed" in world.bridge.log.read_text(encoding="utf-8")
    world.remove_folder("came-before-thousands")


def test_event_ids_that_start_again_are_noticed(world: World, measure: Callable[[float], None]) -> None:
    """An instance that restarted unseen, and has reached the same event IDs, is not taken for the old process."""
    with world.hung_bridge():
        world.alpha.kill()
        world.alpha.start()
        world.rename("renamed by another process")
        for _ in range(20):
            world.alpha.request("POST", "/rest/db/scan", {"folder": "docs"})
        world.wait_until_quiet()
    measure(world.wait_until_right())


@pytest.mark.skipif(not newest_is_version_2(), reason="no Syncthing 2.x is at hand")
def test_an_upgrade_from_version_1_to_version_2_is_followed(tmp_path: Path, measure: Callable[[float], None]) -> None:
    """After an upgrade that migrates the database, every topic is correct for version 2."""
    world = World(tmp_path, version_1())
    try:
        world.start()
        assert json.loads(world.witness.tree["syncthing/alpha/system"])["version"].startswith("v1.")
        world.alpha.stop()
        world.upgrade()
        world.alpha.start()
        measure(world.wait_until_right())
        assert json.loads(world.witness.tree["syncthing/alpha/system"])["version"].startswith("v2.")
    finally:
        world.stop()

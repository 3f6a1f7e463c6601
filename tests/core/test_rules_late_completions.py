"""Completions that Syncthing reports late after a device has sent changes of its index, or not at all."""

from datetime import timedelta

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from tests.core.world import BETA, DELTA, HOUR, World, after, completed, config, folder

READ = Read("late_completion", "docs", BETA)


def index(sequence: int, device: str = BETA, folder_id: str = "docs") -> seen.RemoteIndexChanged:
    """Return the event of changes of a device's index."""
    return seen.RemoteIndexChanged(device=device, folder=folder_id, sequence=sequence)


def reads_after(world: World, *observations: Observation, seconds: float = HOUR) -> list[Read]:
    """Return the reads of completions that follow some observations within some seconds."""
    world.reads.clear()
    world.see(*observations).later(seconds)
    return [one for one in world.reads if one.what == READ.what]


def test_a_completion_that_is_not_reported_is_read_once() -> None:
    """A busy Syncthing reports it many seconds later."""
    world = World().start()
    assert reads_after(world, index(7), seconds=2.9) == []
    assert reads_after(world, seconds=0.1) == [READ]
    assert reads_after(world) == []


def test_a_completion_that_is_reported_is_not_read() -> None:
    """This is the usual case, which must not cause requests."""
    world = World().start()
    world.see(index(7)).later(2)
    assert reads_after(world, completed(sequence=7)) == []


def test_a_completion_of_the_previous_index_does_not_count() -> None:
    """Syncthing may have computed it just before the change."""
    world = World().start()
    world.see(index(7))
    assert reads_after(world, completed(sequence=6)) == [READ]


def test_during_continuous_changes_nothing_is_read() -> None:
    """Each read would cost a busy Syncthing as much as its own computation; only the result after the last counts."""
    world = World().start()
    for sequence in range(20):
        assert reads_after(world, index(sequence), seconds=2) == []
    assert reads_after(world) == [READ]


def test_many_late_completions_are_read_one_after_another() -> None:
    """Syncthing reports most of them before their turn, and reads at the same time would delay its reports."""
    world = World().start(configured=config(*(folder(name, BETA) for name in "abc")))
    world.see(*(index(7, folder_id=name) for name in "abc"))
    assert [one.folder for one in reads_after(world, seconds=3)] == ["a"]
    assert world.state.next_due == after(3.5)
    assert reads_after(world, completed(folder_id="b", sequence=7), seconds=0.4) == []
    assert [one.folder for one in reads_after(world, seconds=0.1)] == ["c"]


def test_an_index_that_starts_again_counts() -> None:
    """A device whose database was reset sends lower sequences."""
    world = World().start()
    world.see(index(1000))
    assert reads_after(world, index(3), completed(sequence=3)) == []


def test_an_index_of_something_that_is_not_shared_is_ignored() -> None:
    """The event may arrive before or after the configuration that it belongs to."""
    world = World().start()
    assert reads_after(world, index(7, DELTA), index(7, folder_id="gone")) == []


def test_a_folder_that_is_no_longer_shared_is_not_read() -> None:
    """Syncthing would answer that it does not exist."""
    world = World().start()
    world.see(index(7))
    assert reads_after(world, config(folder("docs"))) == []


def test_while_the_instance_is_unreachable_nothing_is_read() -> None:
    """When it is back, it is read at once."""
    world = World().start()
    world.see(index(7))
    assert reads_after(world, seen.Unavailable(status="unreachable", message="gone")) == []
    assert reads_after(world, seen.Resumed()) == [READ]


def test_a_clock_that_is_set_changes_no_wait() -> None:
    """Only the time that has passed counts."""
    world = World().start()
    world.see(index(7))
    world.now += timedelta(days=1)
    assert reads_after(world, seen.ClockSet(by=timedelta(days=1)), seconds=2.9) == []
    assert reads_after(world, seconds=0.1) == [READ]

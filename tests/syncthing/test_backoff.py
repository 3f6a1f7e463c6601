"""How long is waited before Syncthing is tried again."""

from itertools import pairwise

from stbridge.syncthing.backoff import LEAST_S, LONGEST_S, SHORTEST_S, Backoff


def test_waits_grow_from_short_to_not_long() -> None:
    """Soon at first, and never so late that a Syncthing that is back goes unnoticed for long."""
    backoff = Backoff()
    waits = [backoff.next() for _ in range(100)]
    assert 0 < waits[0] <= SHORTEST_S
    assert all(later > earlier for earlier, later in pairwise(waits[:4]))
    assert max(waits) <= LONGEST_S
    assert min(waits[10:]) > LONGEST_S / 2


def test_waits_differ() -> None:
    """Many bridges do not come back at the same moment."""
    assert len({Backoff().next() for _ in range(20)}) > 1


def test_after_a_success_waits_are_short_again() -> None:
    """What went wrong before a success does not count."""
    backoff = Backoff()
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= SHORTEST_S


def test_a_try_that_was_a_long_wait_itself_counts() -> None:
    """Nobody answered for seconds: that is no reason to wait for as long again, but none to try without a pause."""
    backoff = Backoff()
    for _ in range(10):
        backoff.next()
    assert LONGEST_S * 0.7 - 1 <= backoff.next(1.0) <= LONGEST_S - 1
    assert 0 < backoff.next(60.0) <= LEAST_S

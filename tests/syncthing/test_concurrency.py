"""The limit on the number of instances that are read completely at the same time."""

import threading

import pytest

from stbridge.syncthing.concurrency import ConcurrencyLimit

NEVER_S = 3600.0


def has_to_wait(limit: ConcurrencyLimit) -> bool:
    """Take a slot, and return whether that required a wait; the first heartbeat ends the wait."""
    stop = threading.Event()
    with limit.slot(stop, heartbeat=stop.set):
        return stop.is_set()


def test_the_next_one_waits_until_another_has_finished() -> None:
    """As many as allowed work at the same time."""
    limit = ConcurrencyLimit(2, NEVER_S)
    with limit.slot(threading.Event(), int):
        assert not has_to_wait(limit)
        with limit.slot(threading.Event(), int):
            assert has_to_wait(limit)
        assert not has_to_wait(limit)


def test_one_that_continued_because_of_a_stop_does_not_count() -> None:
    """It has no slot, so it must not release one."""
    limit = ConcurrencyLimit(1, NEVER_S)
    with limit.slot(threading.Event(), int):
        assert has_to_wait(limit)
        assert has_to_wait(limit)
    assert not has_to_wait(limit)


def test_a_slow_one_no_longer_counts() -> None:
    """One slow or hung instance must not delay the others."""
    limit = ConcurrencyLimit(1, 0.0)
    with limit.slot(threading.Event(), int):
        assert not has_to_wait(limit)


def test_one_that_failed_does_not_count() -> None:
    """An instance that becomes unreachable must not delay the others."""
    limit = ConcurrencyLimit(1, NEVER_S)
    with pytest.raises(ConnectionError), limit.slot(threading.Event(), int):
        raise ConnectionError
    assert not has_to_wait(limit)

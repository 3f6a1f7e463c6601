"""An allowance: so many at once, and one more every so many seconds."""

import pytest

from stbridge.syncthing.allowance import Allowance


def taken(allowance: Allowance, now: float, *, tries: int = 100) -> int:
    """Return how many of so many tries were granted."""
    return sum(allowance.take(now) for _ in range(tries))


def test_a_burst_is_allowed_at_once() -> None:
    """The first few need not wait."""
    assert taken(Allowance(burst=3, every_s=10), now=1000) == 3


@pytest.mark.parametrize(("after_s", "more"), [(0, 0), (9.9, 0), (10, 1), (25, 2), (30, 3), (1_000_000, 3)])
def test_what_was_used_up_comes_back_with_time(after_s: float, more: int) -> None:
    """One more every so many seconds, and never more than the burst."""
    allowance = Allowance(burst=3, every_s=10)
    taken(allowance, now=1000)
    assert taken(allowance, now=1000 + after_s) == more


@pytest.mark.parametrize(("taken_before", "after_s", "left_s"), [(2, 0, 0), (3, 0, 10), (3, 4, 6), (3, 10, 0)])
def test_it_tells_when_there_will_be_more(taken_before: int, after_s: float, left_s: float) -> None:
    """Whoever waits for one need not ask again and again."""
    allowance = Allowance(burst=3, every_s=10)
    taken(allowance, now=1000, tries=taken_before)
    assert allowance.available_in(1000 + after_s) == pytest.approx(left_s)


def test_the_rate_is_kept_however_often_one_asks() -> None:
    """Parts of one are not lost between two questions."""
    allowance = Allowance(burst=2, every_s=10)
    assert sum(allowance.take(1000 + tick / 10) for tick in range(1000)) == 2 + 9

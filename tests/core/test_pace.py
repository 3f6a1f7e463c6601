"""How often a topic may be sent."""

import pytest

from stbridge.core.pace import BURST, Pace
from stbridge.core.topics import Address

DOCS, PHOTOS = Address("folder", folder="docs"), Address("folder", folder="photos")


def spent(pace: Pace, now: float) -> Pace:
    """Send of one address all that may go at once."""
    while not pace.holds(DOCS, now):
        pace.note(DOCS, now)
    return pace


def passed(pace: Pace, *, since: float, seconds: float, steps: int) -> int:
    """Change an address in even steps, and return how often it was sent."""
    count = 0
    for step in range(steps):
        now = since + seconds * step / steps
        pace.due(now)
        if not pace.holds(DOCS, now):
            pace.note(DOCS, now)
            count += 1
    return count


def test_a_few_changes_go_at_once() -> None:
    """What belongs together is not held back: a change seldom comes alone."""
    assert passed(Pace(2), since=1000, seconds=0.1, steps=100) == BURST


@pytest.mark.parametrize("updates_per_second", [0.5, 2, 10])
def test_what_keeps_changing_is_sent_at_an_even_pace(updates_per_second: float) -> None:
    """However often it changes, only so many updates a second go, beside those at the beginning."""
    sent = passed(Pace(updates_per_second), since=1000, seconds=60, steps=6000)
    assert sent == pytest.approx(BURST + 60 * updates_per_second, abs=1)


def test_zero_is_no_bound() -> None:
    """Whoever wants every change gets it, and nothing is kept about it."""
    pace = Pace(0)
    assert passed(pace, since=1000, seconds=1, steps=500) == 500
    assert pace.next is None


def test_one_address_does_not_wait_for_another() -> None:
    """Folders that keep changing are no reason to hold others back."""
    assert not spent(Pace(2), 1000).holds(PHOTOS, 1000)


def test_what_waits_is_released_when_its_time_has_come() -> None:
    """It is told beforehand when that will be, and it is released once, however often it changed meanwhile."""
    pace = spent(Pace(2), 1000)
    assert pace.holds(DOCS, 1000.1)
    assert pace.next == pytest.approx(1000.5)
    assert pace.due(1000.4) == []
    assert pace.due(1000.5) == [DOCS]
    assert pace.due(1000.5) == []
    assert pace.next is None
    assert not pace.holds(DOCS, 1000.5)


def test_at_the_end_all_is_released() -> None:
    """Nothing is left behind that waits."""
    pace = spent(Pace(2), 1000)
    assert pace.release() == [DOCS]
    assert pace.next is None


def test_after_a_rest_all_is_as_at_the_beginning() -> None:
    """What rested for long is forgotten, and may change a few times at once again."""
    pace = spent(Pace(2), 1000)
    assert passed(pace, since=1100, seconds=0.1, steps=100) == BURST

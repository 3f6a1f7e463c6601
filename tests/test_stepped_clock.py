"""The wall clock and its steps, with clocks that the test sets."""

from datetime import UTC, datetime, timedelta

import pytest

from stbridge.clock import SteppedClock, steady_s, utc_now

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Clocks:
    """A wall clock and a steady clock."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 1000.0

    def wait(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.mark.parametrize("by", [timedelta(days=20_000), timedelta(seconds=2), timedelta(hours=-1)])
def test_a_step_is_reported_once(by: timedelta) -> None:
    """Both directions; the time that passes meanwhile is no step."""
    clocks = Clocks()
    clock = SteppedClock(lambda: clocks.wall, lambda: clocks.steady)
    clocks.wait(3600)
    assert clock.read() == (clocks.wall, timedelta())
    clocks.wait(5)
    clocks.wall += by
    assert clock.read() == (clocks.wall, by)
    assert clock.read() == (clocks.wall, timedelta())


def test_drift_is_no_step() -> None:
    """NTP corrects half a millisecond per second; over a day that is more than a step."""
    clocks = Clocks()
    clock = SteppedClock(lambda: clocks.wall, lambda: clocks.steady)
    for _ in range(8640):
        clocks.wait(10)
        clocks.wall += timedelta(milliseconds=5)
        assert clock.read()[1] == timedelta()


def test_the_clocks_of_this_machine_show_no_step() -> None:
    """The default clocks run at the same speed."""
    clock = SteppedClock()
    assert clock.read()[1] == timedelta()
    assert steady_s() <= steady_s()
    assert utc_now().tzinfo is UTC

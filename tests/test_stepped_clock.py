"""Detection of steps of the wall clock, with clocks that the test sets."""

from datetime import UTC, datetime, timedelta

import pytest

from stbridge.clock import SteppedClock, steady_s, utc_now

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Clocks:
    """A wall clock and a monotonic clock."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 1000.0

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.mark.parametrize("by", [timedelta(days=20_000), timedelta(seconds=2), timedelta(hours=-1)])
def test_a_step_is_reported_once(by: timedelta) -> None:
    """Steps in both directions count; time that passes normally does not."""
    clocks = Clocks()
    clock = SteppedClock(lambda: clocks.wall, lambda: clocks.steady)
    clocks.wait(3600)
    assert clock.read() == (clocks.wall, timedelta())
    clocks.wait(5)
    clocks.wall += by
    assert clock.read() == (clocks.wall, by)
    assert clock.read() == (clocks.wall, timedelta())


def test_drift_is_not_a_step() -> None:
    """NTP corrects half a millisecond per second, which adds up to more than a step within a day."""
    clocks = Clocks()
    clock = SteppedClock(lambda: clocks.wall, lambda: clocks.steady)
    for _ in range(8640):
        clocks.wait(10)
        clocks.wall += timedelta(milliseconds=5)
        assert clock.read()[1] == timedelta()


def test_the_clocks_of_this_machine_show_no_step() -> None:
    """The default clocks run at the same rate."""
    clock = SteppedClock()
    assert clock.read()[1] == timedelta()
    assert steady_s() <= steady_s()
    assert utc_now().tzinfo is UTC

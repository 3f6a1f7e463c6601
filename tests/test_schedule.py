"""The thread that runs actions at their scheduled times."""

import logging
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from stbridge.schedule import Schedule
from tests.servers import PATIENCE_S, eventually

LATER_S = 3600.0


@pytest.fixture
def schedule() -> Iterator[Schedule]:
    """A running schedule."""
    one = Schedule()
    one.start()
    yield one
    one.stop()
    one.thread.join(PATIENCE_S)
    assert not one.thread.alive


def test_an_action_runs_once_at_its_time(schedule: Schedule) -> None:
    """An action does not run early, and runs again only if another time is set."""
    ran_at: list[float] = []
    schedule.add("action", lambda: ran_at.append(monotonic()))
    for count in (1, 2):
        at = monotonic() + 0.1
        schedule.set("action", at)
        eventually(lambda count=count: len(ran_at) == count)  # type: ignore[misc]
        assert ran_at[-1] >= at


def test_actions_run_in_the_order_of_their_times(schedule: Schedule) -> None:
    """The order in which they were added or set does not matter."""
    ran: list[str] = []
    now = monotonic()
    for name, wait_s in (("third", 0.3), ("first", 0.1), ("second", 0.2)):
        schedule.add(name, lambda name=name: ran.append(name))  # type: ignore[misc]
        schedule.set(name, now + wait_s)
    eventually(lambda: len(ran) == 3)
    assert ran == ["first", "second", "third"]


def test_an_earlier_time_wakes_the_thread(schedule: Schedule) -> None:
    """The thread waits for the next time that was set, and a later call may set an earlier one."""
    ran = threading.Event()
    schedule.add("action", ran.set)
    schedule.set("action", monotonic() + LATER_S)
    schedule.set("action", monotonic())
    assert ran.wait(PATIENCE_S)


def test_a_later_time_replaces_an_earlier_one(schedule: Schedule) -> None:
    """Each action has one time."""
    ran: list[str] = []
    schedule.add("postponed", lambda: ran.append("postponed"))
    schedule.add("other", lambda: ran.append("other"))
    now = monotonic()
    schedule.set("postponed", now + 0.2)
    schedule.set("postponed", now + LATER_S)
    schedule.set("other", now + 0.4)
    eventually(lambda: ran)
    assert ran == ["other"]


def test_an_action_may_set_its_next_time(schedule: Schedule) -> None:
    """Periodic actions do that."""
    ran: list[None] = []

    def action() -> None:
        ran.append(None)
        schedule.set("action", monotonic())

    schedule.add("action", action)
    schedule.set("action", monotonic())
    eventually(lambda: len(ran) >= 3)


def test_an_action_that_raises_does_not_stop_the_others(schedule: Schedule, caplog: pytest.LogCaptureFixture) -> None:
    """The exception is logged, and the thread keeps running."""
    ran = threading.Event()

    def fail() -> None:
        raise LookupError("no such folder")

    schedule.add("failing", fail)
    schedule.add("action", ran.set)
    with caplog.at_level(logging.ERROR):
        now = monotonic()
        schedule.set("failing", now)
        schedule.set("action", now)
        assert ran.wait(PATIENCE_S)
    assert "the scheduled action failing failed" in caplog.text
    assert "no such folder" in caplog.text
    assert schedule.thread.deaths == 0


def test_nothing_runs_after_stop() -> None:
    """Neither due actions nor actions set later run, and the thread exits."""
    schedule, ran = Schedule(), threading.Event()
    began, may_end = threading.Event(), threading.Event()

    def long_action() -> None:
        began.set()
        may_end.wait(PATIENCE_S)

    schedule.add("long", long_action)
    schedule.add("action", ran.set)
    schedule.start()
    schedule.set("long", monotonic())
    assert began.wait(PATIENCE_S)
    schedule.set("action", monotonic())
    schedule.stop()
    may_end.set()
    schedule.thread.join(PATIENCE_S)
    schedule.set("action", monotonic())
    assert not schedule.thread.alive
    assert not ran.is_set()

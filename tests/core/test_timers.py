"""Timers: for each key one, and a queue that does not grow with what is put off."""

from datetime import UTC, datetime, timedelta

from stbridge.core.timers import Timers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_what_is_due_comes_out_in_order_and_once() -> None:
    """Keys come out when their time has come, the earliest first, and not again."""
    timers: Timers[str] = Timers()
    for key, minutes in (("late", 30), ("early", 10), ("never", 20), ("later", 40)):
        timers.set(key, _at(minutes))
    timers.set("never", None)
    assert timers.next == _at(10)
    assert list(timers.due(_at(30))) == ["early", "late"]
    assert list(timers.due(_at(30))) == []
    assert timers.next == _at(40)


def test_only_the_last_time_counts() -> None:
    """A key that is set anew is due at its new time, whether that is earlier or later."""
    timers: Timers[str] = Timers()
    for minutes in (20, 40, 30, 10, 50):
        timers.set("key", _at(minutes))
        assert timers.next == _at(minutes)
    assert list(timers.due(_at(49))) == []
    assert list(timers.due(_at(50))) == ["key"]
    assert timers.next is None


def test_a_key_that_was_taken_away_can_be_set_again() -> None:
    """Taking a key away leaves nothing behind that would make a later time of it wrong."""
    timers: Timers[str] = Timers()
    timers.set("key", _at(10))
    timers.set("key", None)
    assert timers.next is None
    timers.set("key", _at(20))
    timers.set("key", _at(15))
    assert list(timers.due(_at(19))) == ["key"]
    assert timers.next is None

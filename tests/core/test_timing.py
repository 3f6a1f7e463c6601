"""Timestamps, durations and timers."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.core.timing import LONGEST_DURATION_S, Timers, from_utc, in_utc, is_duration, seconds

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
YEAR_S = 366 * 24 * 3600

# --- timestamps


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (None, None),
        (NOON, "2024-05-01T12:00:00Z"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2024-05-01T12:00:00Z"),
        (NOON.replace(microsecond=999), "2024-05-01T12:00:00Z"),
        (NOON.replace(microsecond=1000), "2024-05-01T12:00:00.001Z"),
        (NOON.replace(microsecond=999_999), "2024-05-01T12:00:00.999Z"),
    ],
)
def test_a_time_is_written_in_utc(stamp: datetime | None, text: str | None) -> None:
    """Fractions of a second are omitted if zero, and truncated, so the text is never later than the time."""
    assert in_utc(stamp) == text


@pytest.mark.parametrize("stamp", [NOON, NOON.replace(microsecond=250_000)])
def test_a_time_that_was_published_is_read_back(stamp: datetime) -> None:
    """The result is an aware time."""
    assert from_utc(in_utc(stamp)) == stamp


@pytest.mark.parametrize("text", [None, "", "soon", "Z", 5, [], "2024-05-01T12:00:00", "2024-13-01T12:00:00Z"])
def test_a_time_in_another_format_is_none(text: object) -> None:
    """Anybody may publish anything."""
    assert from_utc(text) is None


# --- durations


@pytest.mark.parametrize(
    ("duration", "in_seconds"),
    [
        (1, 1),
        (90, 90),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86400),
        ("1 h", 3600),
        ("007s", 7),
        ("366d", YEAR_S),
        (YEAR_S, YEAR_S),
    ],
)
def test_a_duration_is_a_number_with_a_unit(duration: Any, in_seconds: int) -> None:
    """Seconds, minutes, hours or days, up to a year; without a unit it is seconds."""
    assert is_duration(duration)
    assert seconds(duration) == in_seconds


@pytest.mark.parametrize(
    "value",
    [
        *(0, "0", "0m", -1, "-1", "+5", 1.5, "1.5h", 90.0, True, False, None, [], {}),
        *("", " ", "m", "90 s ", " 90s", "5M", "5w", "1h30m", "1e3", "1\u00a0h", "0x10", "٣m", "\ud800"),
        *("367d", YEAR_S + 1, "9" * 10, 10**4000),
    ],
)
def test_anything_else_is_no_duration(value: Any) -> None:
    """Zero, negative numbers, fractions, other units, other digits, and more than a year are refused."""
    assert not is_duration(value)


@given(st.integers() | st.text("0123456789 smhd", max_size=6))
def test_a_duration_is_at_least_a_second_and_at_most_a_year(value: Any) -> None:
    """Every accepted duration can be used in arithmetic."""
    if is_duration(value):
        assert 1 <= seconds(value) <= LONGEST_DURATION_S


# --- timers


def _at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_due_keys_are_returned_in_order_and_once() -> None:
    """Due keys are returned once, the earliest first."""
    timers: Timers[str, datetime] = Timers()
    for key, minutes in (("late", 30), ("early", 10), ("never", 20), ("later", 40)):
        timers.set(key, _at(minutes))
    timers.set("never", None)
    assert timers.next == _at(10)
    assert list(timers.due(_at(30))) == ["early", "late"]
    assert list(timers.due(_at(30))) == []
    assert timers.next == _at(40)


def test_only_the_last_time_counts() -> None:
    """A key that is set again is due at its new time, whether that is earlier or later."""
    timers: Timers[str, datetime] = Timers()
    for minutes in (20, 40, 30, 10, 50):
        timers.set("key", _at(minutes))
        assert timers.next == _at(minutes)
    assert list(timers.due(_at(49))) == []
    assert list(timers.due(_at(50))) == ["key"]
    assert timers.next is None


def test_a_removed_key_can_be_set_again() -> None:
    """Removing a key leaves no entry that would affect a later time."""
    timers: Timers[str, datetime] = Timers()
    timers.set("key", _at(10))
    timers.set("key", None)
    assert timers.next is None
    timers.set("key", _at(20))
    timers.set("key", _at(15))
    assert list(timers.due(_at(19))) == ["key"]
    assert timers.next is None


def test_the_queue_does_not_grow_with_the_changes() -> None:
    """A time that moves back and forth or is repeatedly postponed does not fill the queue with old entries."""
    timers: Timers[str, datetime] = Timers()
    for number in range(5000):
        timers.set("restless", _at(10 if number % 2 else 10_000))
        timers.set("busy", _at(number + 20))
        assert timers.next is not None
    assert len(timers) < 200
    assert list(timers.due(_at(10))) == ["restless"]
    assert list(timers.due(_at(5018))) == []
    assert list(timers.due(_at(5019))) == ["busy"]


def test_removed_timers_do_not_stay_in_the_queue() -> None:
    """They may have been due only in a year."""
    timers: Timers[str, datetime] = Timers()
    timers.set("kept", _at(20_000))
    for number in range(5000):
        timers.set(f"gone {number}", _at(10_000))
        timers.set(f"gone {number}", None)
    assert len(timers) < 200
    timers.set("gone 4999", _at(15_000))
    assert list(timers.due(_at(20_000))) == ["gone 4999", "kept"]


def test_timers_work_with_seconds_of_a_monotonic_clock() -> None:
    """Timers on the clock of the process do not move when the wall clock is set."""
    timers: Timers[str, float] = Timers()
    timers.set("late", 12.5)
    timers.set("early", 0.0)
    assert timers.next == 0.0
    assert list(timers.due(12.4)) == ["early"]
    assert list(timers.due(12.5)) == ["late"]

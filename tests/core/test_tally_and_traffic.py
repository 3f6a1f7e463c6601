"""Sums that are updated with their parts, and counters of transferred bytes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.core.model import ONLY_DELETES_LEFT, floored, percentage
from stbridge.core.tally import DevicePart, Tally
from stbridge.core.traffic import Lifetime, Rate

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

PARTS = st.builds(DevicePart, *[st.integers(0, 3)] * len(DevicePart._fields))
KEYS = st.sampled_from("abc")
STEPS = st.lists(st.tuples(KEYS, st.none() | PARTS))
"""Parts that are stored under a key, or removed from it."""


def after(seconds: float) -> datetime:
    """Return NOON plus some seconds."""
    return NOON + timedelta(seconds=seconds)


# --- sums


@given(STEPS)
def test_a_tally_equals_the_sum_of_its_parts(steps: list[tuple[str, DevicePart | None]]) -> None:
    """After any sequence of changes, the sum equals adding up all parts, and each change is reported."""
    tally, parts = Tally(DevicePart()), dict[str, DevicePart]()
    for key, part in steps:
        before = parts.get(key, DevicePart())
        if part is None:
            parts.pop(key, None)
            changed = tally.drop(key)
        else:
            parts[key] = part
            changed = tally.put(key, part)
        assert tally.total == DevicePart(*map(sum, zip(DevicePart(), *parts.values(), strict=True)))
        assert changed == (before != parts.get(key, DevicePart()))


# --- percentages

SIZES = st.integers(0, 2**63 - 1)


@given(need_bytes=SIZES, global_bytes=SIZES)
def test_only_complete_data_has_a_hundred_percent(need_bytes: int, global_bytes: int) -> None:
    """However little is missing, the percentage is at least 0 and less than 100."""
    assert 0 <= percentage(need_bytes=need_bytes, global_bytes=global_bytes, complete=False) < 100
    assert percentage(need_bytes=need_bytes, global_bytes=global_bytes, complete=True) == 100


@pytest.mark.parametrize(
    ("need_bytes", "global_bytes", "expected"),
    [
        (1, 4, 75.0),
        (1, 3, 66.66),
        (9_971, 10_000, 0.29),
        (1, 10**18, 99.99),
        (1, 1, 0.0),
        (7, 5, 0.0),  # Syncthing can briefly need more bytes than it knows of
        (0, 100, ONLY_DELETES_LEFT),
        (0, 0, ONLY_DELETES_LEFT),
        (5, 0, ONLY_DELETES_LEFT),
    ],
)
def test_a_percentage_is_truncated_to_two_decimals(need_bytes: int, global_bytes: int, expected: float) -> None:
    """It is computed in bytes. If only items without bytes are missing, it is 95, as in Syncthing."""
    assert percentage(need_bytes=need_bytes, global_bytes=global_bytes, complete=False) == expected


@pytest.mark.parametrize("value", [0.0, 12.34, 99.99, 95.0, 100.0])
def test_a_percentage_with_two_decimals_stays_unchanged(value: float) -> None:
    """Two decimals are kept."""
    assert floored(value) == value


# --- rates


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([], 0.0),
        ([(1000, 0)], 0.0),
        ([(1000, 0), (3000, 10)], 200.0),
        ([(0, 0), (1000, 10), (1000, 20)], 0.0),
        ([(0, 0), (1000, 3)], 333.3),
        ([(0, 0), (99, 1)], 0.0),
        ([(0, 0), (1000, 1), (1050, 2)], 0.0),
        ([(0, 0), (10_000, 10), (30_000, 20)], 1632.1),
        ([(5000, 0), (1000, 10)], 0.0),
        ([(5000, 0), (1000, 10), (2000, 20)], 100.0),
        ([(0, 0), (1000, 10), (9000, 10)], 100.0),
        ([(0, 0), (1000, 10), (9000, 5)], 100.0),
    ],
    ids=[
        "unread",
        "once",
        "twice",
        "at rest",
        "odd",
        "chatter",
        "at rest again",
        "faster",
        "anew",
        "anew and on",
        "same time",
        "back in time",
    ],
)
def test_a_rate_comes_from_the_last_reads(readings: list[tuple[int, float]], expected: float) -> None:
    """It starts and stops immediately and is smoothed in between. A counter that restarts gives no negative rate."""
    rate = Rate()
    for count, seconds in readings:
        rate.read(count, after(seconds))
    assert rate.value == expected


def test_a_stopped_rate_starts_from_scratch() -> None:
    """Bytes that were counted before the stop do not count as later traffic."""
    rate = Rate()
    rate.read(0, after(0))
    rate.read(1000, after(1))
    rate.stop()
    assert rate.value == 0
    rate.read(9000, after(2))
    assert rate.value == 0
    rate.read(9500, after(3))
    assert rate.value == 500


# --- lifetime totals


def test_a_lifetime_total_is_null_until_the_previous_total_is_restored() -> None:
    """Otherwise the counter of the running process would overwrite the total of all earlier ones."""
    lifetime = Lifetime()
    lifetime.read(100, NOON)
    assert (lifetime.value, lifetime.restored) == (None, False)
    lifetime.restore(5000, 40, same_process=False)
    assert (lifetime.value, lifetime.restored) == (5100, True)


@pytest.mark.parametrize(
    ("total", "current", "same_process", "expected"),
    [
        (None, None, False, 100),
        (None, None, True, 100),
        (5000, 40, False, 5100),
        (5000, 40, True, 5060),
        (5000, None, True, 5100),
        (40, 5000, True, 100),
    ],
)
def test_a_lifetime_total_continues_from_the_published_one(
    total: int | None, current: int | None, same_process: bool, expected: int
) -> None:
    """Bytes that the process had already counted are not counted twice. Without a published total, it starts now."""
    lifetime = Lifetime()
    lifetime.restore(total, current, same_process=same_process)
    assert lifetime.value is None
    lifetime.read(100, NOON)
    assert lifetime.value == expected


def test_a_lifetime_total_survives_restarts() -> None:
    """A counter that is lower than before belongs to a new process, and is added to the total of the earlier ones."""
    lifetime = Lifetime()
    lifetime.restore(None, None, same_process=False)
    totals = []
    for count in (100, 250, 30, 30, 80, 0, 5):
        lifetime.read(count, NOON)
        totals.append(lifetime.value)
    assert totals == [100, 250, 280, 280, 330, 330, 335]


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(0, 10**6))
def test_a_lifetime_total_never_decreases(counts: list[int], total: int) -> None:
    """Home Assistant treats a lower value as a replaced meter."""
    lifetime = Lifetime()
    lifetime.restore(total, None, same_process=False)
    values = [total]
    for count in counts:
        lifetime.read(count, NOON)
        assert lifetime.value is not None
        values.append(lifetime.value)
    assert values == sorted(values)


PROCESSES = st.lists(st.lists(st.integers(0, 1000), max_size=5), min_size=1, max_size=5)
"""For each process, the increments between the reads of its counter."""


@given(PROCESSES, st.lists(st.integers(0, 5)))
def test_a_lifetime_total_is_the_sum_of_all_processes(
    processes: list[list[int]], reads_before_status: list[int]
) -> None:
    """This holds even if the counter of a new process is already above the old value when it is read."""
    lifetime = Lifetime()
    lifetime.restore(None, None, same_process=False)
    at = total = 0
    for number, parts in enumerate(processes):
        count, started_at = 0, at + 1
        status_at = reads_before_status[number] if number < len(reads_before_status) else 0
        for place, part in enumerate([*parts, None]):
            at += 10
            if number and place == min(status_at, len(parts)):
                lifetime.restart(after(at), at - started_at)
            if part is not None:
                count += part
                lifetime.read(count, after(at))
        total += count
        assert lifetime.value == total or (lifetime.value is None and not total)


def test_a_clock_step_does_not_lose_counted_bytes() -> None:
    """A read with a time in the future came from the previous process."""
    lifetime = Lifetime()
    lifetime.restore(None, None, same_process=False)
    lifetime.read(100, after(5000))
    lifetime.restart(after(10), 10**400)  # longer than any process runs
    lifetime.read(150, after(20))
    assert lifetime.value == 250

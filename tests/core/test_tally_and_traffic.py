"""Sums that follow their parts, and bytes that went through."""

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
"""Parts that are put under a key, or taken away from it."""


def after(seconds: float) -> datetime:
    """Return a time."""
    return NOON + timedelta(seconds=seconds)


# --- sums


@given(STEPS)
def test_a_sum_is_that_of_its_parts(steps: list[tuple[str, DevicePart | None]]) -> None:
    """However parts come and go, the sum is what adding them up again would give, and it is told when it changes."""
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
def test_only_what_is_complete_has_a_hundred_percent(need_bytes: int, global_bytes: int) -> None:
    """However little is lacking of however much, it is between 0 and less than 100."""
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
        (7, 5, 0.0),  # Syncthing can need more than it knows of, for a moment
        (0, 100, ONLY_DELETES_LEFT),
        (0, 0, ONLY_DELETES_LEFT),
        (5, 0, ONLY_DELETES_LEFT),
    ],
)
def test_a_percentage_is_cut_after_two_decimals(need_bytes: int, global_bytes: int, expected: float) -> None:
    """It is reckoned in bytes; when these are all there and something is lacking yet, it is 95 as in Syncthing."""
    assert percentage(need_bytes=need_bytes, global_bytes=global_bytes, complete=False) == expected


@pytest.mark.parametrize("value", [0.0, 12.34, 99.99, 95.0, 100.0])
def test_a_percentage_that_needs_no_cut_stays(value: float) -> None:
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
def test_a_rate_comes_from_the_last_readings(readings: list[tuple[int, float]], expected: float) -> None:
    """It begins and ends at once and is smooth in between; a counter that begins anew gives no negative rate."""
    rate = Rate()
    for count, seconds in readings:
        rate.read(count, after(seconds))
    assert rate.value == expected


def test_a_rate_that_was_stopped_begins_anew() -> None:
    """What a counter had counted before is not taken for traffic of after."""
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


def test_a_lifetime_is_not_known_before_it_is_known_what_had_been_counted() -> None:
    """Otherwise the total of all earlier processes would be overwritten with that of the running one."""
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
def test_a_lifetime_goes_on_from_what_was_published(
    total: int | None, current: int | None, same_process: bool, expected: int
) -> None:
    """What the running process had counted by then is not counted twice; without a memory it begins now."""
    lifetime = Lifetime()
    lifetime.restore(total, current, same_process=same_process)
    assert lifetime.value is None
    lifetime.read(100, NOON)
    assert lifetime.value == expected


def test_a_lifetime_survives_restarts() -> None:
    """A counter that is less than before is that of a new process, and is added to what the one before had counted."""
    lifetime = Lifetime()
    lifetime.restore(None, None, same_process=False)
    totals = []
    for count in (100, 250, 30, 30, 80, 0, 5):
        lifetime.read(count, NOON)
        totals.append(lifetime.value)
    assert totals == [100, 250, 280, 280, 330, 330, 335]


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(0, 10**6))
def test_a_lifetime_never_goes_back(counts: list[int], total: int) -> None:
    """Home Assistant takes less than before for a meter that was exchanged."""
    lifetime = Lifetime()
    lifetime.restore(total, None, same_process=False)
    values = [total]
    for count in counts:
        lifetime.read(count, NOON)
        assert lifetime.value is not None
        values.append(lifetime.value)
    assert values == sorted(values)


PROCESSES = st.lists(st.lists(st.integers(0, 1000), max_size=5), min_size=1, max_size=5)
"""For each process what it counts between the readings of its counter."""


@given(PROCESSES, st.lists(st.integers(0, 5)))
def test_a_lifetime_is_the_sum_of_all_processes(processes: list[list[int]], reads_before_status: list[int]) -> None:
    """Also if the counter of a new process passes the old value unseen, before or after its status is read."""
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


def test_a_clock_that_was_set_does_not_lose_what_was_counted() -> None:
    """A reading that seems to lie ahead was counted by the previous process."""
    lifetime = Lifetime()
    lifetime.restore(None, None, same_process=False)
    lifetime.read(100, after(5000))
    lifetime.restart(after(10), 10**400)  # longer than anything runs
    lifetime.read(150, after(20))
    assert lifetime.value == 250

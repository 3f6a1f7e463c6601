"""Durations as people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.core.durations import LONGEST_S, is_duration, seconds

YEAR_S = 366 * 24 * 3600


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
def test_anything_else_is_none(value: Any) -> None:
    """Nothing, less than nothing, fractions, other units and digits, and more than a year."""
    assert not is_duration(value)


@given(st.integers() | st.text("0123456789 smhd", max_size=6))
def test_a_duration_is_at_least_a_second_and_at_most_a_year(value: Any) -> None:
    """Whatever passes the check can be reckoned with."""
    if is_duration(value):
        assert 1 <= seconds(value) <= LONGEST_S

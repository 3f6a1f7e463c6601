"""Progress: percentage, rate and estimated end of a running scan or sync."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.core.progress import Progress, SyncProgress, progress

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("done", "total", "rate", "expected"),
    [
        (50, 200, 10.0, Progress(25.0, 10.0, NOON + timedelta(seconds=15))),
        (200, 200, 10.0, Progress(100.0, 10.0, NOON)),
        (250, 200, 10.0, Progress(100.0, 10.0, None)),
        (50, 200, None, Progress(25.0)),
        (50, 200, 0.0, Progress(25.0)),
        (1, 10**18, 1.0, Progress(0.0, 1.0, None)),
        (9_996, 10_000, None, Progress(99.9)),
        (10**18 - 1, 10**18, None, Progress(99.9)),
    ],
)
def test_the_end_is_estimated_from_the_rate(done: int, total: int, rate: float | None, expected: Progress) -> None:
    """There is no estimate without a rate or if the end is years away. Percentages stay within 100."""
    assert progress(done=done, total=total, rate=rate, now=NOON) == expected


@given(missing=st.integers(1, 2**63), total=st.integers(1, 2**63))
def test_only_complete_work_has_a_hundred_percent(missing: int, total: int) -> None:
    """As long as anything is missing, the percentage is less than 100."""
    assert 0 <= progress(done=total - missing, total=total, rate=None, now=NOON).percent < 100


def test_a_sync_that_still_needs_deletions_is_not_at_a_hundred_percent() -> None:
    """Empty files and deletions may be missing when all bytes are there."""
    sync = SyncProgress(4000, NOON)
    almost, done = sync.read(0, NOON, complete=False), sync.read(0, NOON, complete=True)
    assert almost is not None
    assert done is not None
    assert (almost.percent, done.percent) == (99.9, 100.0)


def test_the_progress_of_a_sync_is_the_decrease_of_the_needed_bytes() -> None:
    """New changes during the sync increase the total, and bytes that are already done still count."""
    sync = SyncProgress(4000, NOON)
    half = sync.read(2000, NOON + timedelta(seconds=2), complete=False)
    assert half == Progress(50.0, 1000.0, NOON + timedelta(seconds=4))
    more = sync.read(6000, NOON + timedelta(seconds=4), complete=False)
    assert more is not None
    assert more.percent == 25.0
    assert SyncProgress(0, NOON).read(0, NOON, complete=True) is None

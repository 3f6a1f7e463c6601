"""Progress: percent, rate and estimated end of what is under way."""

from datetime import UTC, datetime, timedelta

import pytest

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
    ],
)
def test_the_end_is_estimated_from_the_rate(done: int, total: int, rate: float | None, expected: Progress) -> None:
    """Without a rate, or years ahead, there is no estimate; percent stay within 100."""
    assert progress(done=done, total=total, rate=rate, now=NOON) == expected


def test_the_progress_of_a_sync_is_what_is_lacking_less() -> None:
    """What comes in while it syncs makes the whole larger, and nothing done is undone."""
    sync = SyncProgress(4000, NOON)
    half = sync.read(2000, NOON + timedelta(seconds=2))
    assert half == Progress(50.0, 1000.0, NOON + timedelta(seconds=4))
    more = sync.read(6000, NOON + timedelta(seconds=4))
    assert more is not None
    assert more.percent == 25.0
    assert SyncProgress(0, NOON).read(0, NOON) is None

"""Times as they are published, and as they are read back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from stbridge.core.times import from_utc, in_utc

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


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
    """In whole seconds where that is all there is, and never later than it was."""
    assert in_utc(stamp) == text


@pytest.mark.parametrize("stamp", [NOON, NOON.replace(microsecond=250_000)])
def test_a_time_that_was_published_is_read_back(stamp: datetime) -> None:
    """As an aware time."""
    assert from_utc(in_utc(stamp)) == stamp


@pytest.mark.parametrize("text", [None, "", "soon", "Z", 5, [], "2024-05-01T12:00:00", "2024-13-01T12:00:00Z"])
def test_what_is_no_time_of_ours_is_none(text: object) -> None:
    """Anybody may publish anything."""
    assert from_utc(text) is None

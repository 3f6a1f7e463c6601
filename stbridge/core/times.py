"""Times as they are published: ISO 8601 in UTC with Z."""

from datetime import UTC, datetime

_FIRST = datetime(2013, 1, 1, tzinfo=UTC)


def in_utc(stamp: datetime | None) -> str | None:
    """Write an aware time down; fractions of a second are cut to milliseconds, and left out where there are none."""
    if stamp is None:
        return None
    utc = stamp.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"  # noqa: PLR2004 - 1 ms


def from_utc(text: object) -> datetime | None:
    """Read back a time that `in_utc` wrote; None for anything else, since anybody may publish."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def past_from_utc(text: object, now: datetime) -> datetime | None:
    """Read back when something began; what lies ahead, or before there was any Syncthing, cannot be true."""
    stamp = from_utc(text)
    return stamp if stamp is not None and _FIRST <= stamp <= now else None

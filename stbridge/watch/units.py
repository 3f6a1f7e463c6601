"""Formats numbers, sizes, rates and times for people."""

from datetime import datetime
from typing import Any

from stbridge.core.timing import from_utc

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_LARGEST = 1e30

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DURATIONS = ((2 * _MINUTE, 1, "s"), (100 * _MINUTE, _MINUTE, "min"), (2 * _DAY, _HOUR, "h"))
"""For durations below the first number of seconds: the seconds of the unit, and the unit; longer ones are in days."""


def number(value: object) -> float | None:
    """Return a number; None for anything else, because any client may publish."""
    return value if isinstance(value, int | float) and abs(value) < _LARGEST else None


def count(value: object) -> int:
    """Return a number of items; 0 for anything else."""
    return max(0, int(number(value) or 0))


def size(value: object) -> str:
    """Format a number of bytes with a unit: 1.2 MB."""
    rest = number(value)
    if rest is None:
        return "?"
    for unit in _UNITS[:-1]:
        if rest < _STEP:
            return f"{rest:.0f} {unit}" if unit == "B" else f"{rest:.1f} {unit}"
        rest /= _STEP
    return f"{rest:.1f} {_UNITS[-1]}"


def rate(value: object) -> str:
    """Format a number of bytes per second: 1.2 MB/s."""
    return f"{size(value)}/s"


def percent(value: object) -> float | None:
    """Return a percentage between 0 and 100; None for anything that is not a number."""
    known = number(value)
    return None if known is None else max(0.0, min(100.0, known))


def moment(value: object, now: datetime) -> datetime | None:
    """Return the time of a time stamp, in the time zone of `now`; None for anything else."""
    stamp = from_utc(value)
    try:
        return stamp and stamp.astimezone(now.tzinfo)
    except OverflowError:  # the first or the last day of the calendar
        return None


def seconds_until(value: object, now: datetime) -> float | None:
    """Return the seconds from `now` to a time stamp, negative if it is in the past; None if it is not a time stamp."""
    at = moment(value, now)
    return None if at is None else (at - now).total_seconds()


def duration(seconds: float) -> str:
    """Format a duration in whole units: 90 s, 5 min, 47 h, 3 d."""
    for limit, unit_s, unit in _DURATIONS:
        if seconds < limit:
            return f"{max(0.0, seconds) // unit_s:.0f} {unit}"
    return f"{seconds // _DAY:.0f} d"


def date_and_time(value: object, now: datetime) -> str:
    """Format a time stamp with its age: 2026-11-24 08:30 (3 h ago); "" for anything else."""
    at = moment(value, now)
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} ({duration((now - at).total_seconds())} ago)"


def text(value: object) -> str:
    """Return a string unchanged, and anything else as "": any client may publish other JSON to these topics."""
    return value if isinstance(value, str) else ""


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; anything else is not contained."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

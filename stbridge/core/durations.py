"""Durations as people write them: `90s`, `30m`, `2h`, `1d`, or a number of seconds."""

import re

LONGEST_S = 366 * 24 * 3600

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_DURATION = re.compile(r"([0-9]{1,9})\s*([smhd]?)", re.ASCII)


def is_duration(value: object) -> bool:
    """Tell whether a value is a duration, of at least one second and at most LONGEST_S."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not _DURATION.fullmatch(str(value)):
        return False
    return 0 < seconds(value) <= LONGEST_S


def seconds(duration: int | str) -> int:
    """Return in seconds what `is_duration` has nothing against."""
    found = _DURATION.fullmatch(str(duration))
    assert found, "is_duration() comes first"
    return int(found[1]) * _UNITS[found[2]]

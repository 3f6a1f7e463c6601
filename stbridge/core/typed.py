"""Type checks for JSON values: each function returns the value if it has the type, and raises an error otherwise.

Without a check, a value of another type would cause an error much later, and its origin would be hard to find.
The functions raise TypeError or ValueError.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_LARGEST = 2**63
"""Limit of numbers. Syncthing's have 64 bits; Python refuses to format numbers with thousands of digits."""


def text(value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not a text")
    return value


def text_or_none(value: Any) -> str | None:
    """Return a text; None if it is missing or empty."""
    return None if value is None else text(value) or None


def whole(value: Any) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is not a whole number")
    if not -_LARGEST <= value < _LARGEST:
        raise ValueError("the number is too large")
    return value


def number(value: Any) -> float:
    """Return a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is not a number")
    if not isfinite(value) or not -_LARGEST <= value < _LARGEST:
        raise ValueError("the number is too large")
    return float(value)


def flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is neither true nor false")
    return value


def flag_or_none(value: Any) -> bool | None:
    """Return true or false; None if it is missing."""
    return None if value is None else flag(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one if it is missing."""
    if not isinstance(value, dict | None):
        raise TypeError(f"{type(value).__name__} is not an object")
    return value or {}


def listed(value: Any) -> Sequence[Any]:
    """Return a list; an empty one if it is missing or null, as Go writes empty lists."""
    if not isinstance(value, list | None):
        raise TypeError(f"{type(value).__name__} is not a list")
    return value or []

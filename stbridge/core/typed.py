"""JSON as it should be: each function returns a value of its type, and takes nothing else for it.

What is of another type would go far into the state before it does harm, and then nobody would know where it came from.
They raise TypeError or ValueError.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_LARGEST = 2**63
"""Syncthing counts in 64 bits. Python's numbers have any size, and those of thousands of digits cannot be written."""


def text(value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return value


def text_or_none(value: Any) -> str | None:
    """Return a text; None if there is none, or an empty one."""
    return None if value is None else text(value) or None


def whole(value: Any) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is no whole number")
    if not -_LARGEST <= value < _LARGEST:
        raise ValueError("the number is too large")
    return value


def number(value: Any) -> float:
    """Return a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is no number")
    if not isfinite(value) or not -_LARGEST <= value < _LARGEST:
        raise ValueError("the number is too large")
    return float(value)


def flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} is neither true nor false")
    return value


def flag_or_none(value: Any) -> bool | None:
    """Return true or false; None if it is not said."""
    return None if value is None else flag(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one where there is none."""
    if not isinstance(value, dict | None):
        raise TypeError(f"{type(value).__name__} is no object")
    return value or {}


def listed(value: Any) -> Sequence[Any]:
    """Return a list; an empty one where there is none: Go writes such a list as null."""
    if not isinstance(value, list | None):
        raise TypeError(f"{type(value).__name__} is no list")
    return value or []

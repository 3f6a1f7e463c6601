"""Strict JSON: Python's reader also takes NaN, Infinity and 1e999, which no other reader would take from us again."""

import json
import math
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Return what a JSON document says.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")

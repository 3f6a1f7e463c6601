"""Texts of others, made fit to be shown: names of files, folders and devices may hold anything."""

from collections.abc import Mapping
from typing import Any

ELLIPSIS = "\u2026"

_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))

# What begins a new line, steers a terminal, turns the direction of what follows, or cannot be written as UTF-8.
_ESCAPES: Mapping[int, str] = {
    code: f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, *_DIRECTIONS, *range(0xD800, 0xE000))
}
_ESCAPES_IN_JSON = {code: escape for code, escape in _ESCAPES.items() if code >= ord(" ")}  # json escapes the others


def on_one_line(text: str) -> str:
    """Return a text without anything that would do more than stand there."""
    return text.translate(_ESCAPES)


def printable_json(text: str) -> str:
    """Return the same JSON, with what would do more than stand there as escapes of JSON."""
    return text.translate(_ESCAPES_IN_JSON)


def cut(text: str, longest: int) -> str:
    """Return a text that is no longer than this; an ellipsis tells that something is missing."""
    return text if len(text) <= longest else text[: longest - 1] + ELLIPSIS


def cut_all(value: Any, longest: int) -> Any:
    """Return JSON with all its texts cut, keys of objects left as they are."""
    if isinstance(value, str):
        return cut(value, longest)
    if isinstance(value, dict):
        return {key: cut_all(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [cut_all(item, longest) for item in value]
    return value

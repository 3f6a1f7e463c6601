"""Writes YAML that people read and edit: indented, texts without quotes where possible, long texts as blocks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/](?:(?:[\w ./-]|:(?=\w))*[\w/-])?", re.ASCII)
"""Texts that need no quotes, if they are no word with a meaning."""

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that mean no text in YAML 1.1, which Home Assistant reads."""

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_LAST_OF_16_BITS = 0xFFFF
_SURROGATES = range(0xD800, 0xE000)


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return a YAML document.

    Args:
        value: contains mappings, lists, texts, numbers and booleans; no mapping or list is empty.
    """
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    """Yield the lines of a mapping or a list, without indentation."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _member(f"{_scalar(key)}:", one)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            if _is_collection(one):
                first, *others = _lines(one)
                yield f"- {first}"
                yield from _indented(others)
            else:
                yield from _member("-", one)
    else:
        yield _scalar(value)


def _member(start: str, value: Any) -> Iterator[str]:
    if _is_collection(value):
        yield start
        yield from _indented(_lines(value))
    elif isinstance(value, str) and _is_block(value):
        yield f"{start} |-"
        yield from _indented(value.split("\n"))
    else:
        yield f"{start} {_scalar(value)}"


def _indented(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" if line else "" for line in lines)


def _is_collection(value: Any) -> bool:
    return not isinstance(value, str | int | float)


def _is_block(text: str) -> bool:
    """Return whether a text has several lines that YAML reads back as they are."""
    lines = text.split("\n")
    return (
        len(lines) > 1 and lines[0][:1].strip() != "" and lines[-1] != "" and all(line.isprintable() for line in lines)
    )


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return f'"{"".join(_escaped(one) for one in value)}"'


def _escaped(character: str) -> str:
    if character.isprintable() or character in _ESCAPES:
        return _ESCAPES.get(character, character)
    code = ord(character)
    if code in _SURROGATES:
        return "\\uFFFD"  # UTF-8 has none
    return f"\\u{code:04X}" if code <= _LAST_OF_16_BITS else f"\\U{code:08X}"

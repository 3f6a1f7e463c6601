"""JSON text: reads strictly, writes JSON that every broker and reader accepts, and makes texts safe to show.

Names of files, folders and devices may contain any character; messages of other clients may not be JSON at all.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 4096
"""Maximum length of a text in a payload, in characters: the longest path in Linux."""

SHORTER_TEXTS = (1024, 256, 64)
"""The limits to try next, in this order, for a payload that is larger than LARGEST_PAYLOAD."""

LARGEST_PAYLOAD = 128 * 1024
"""Maximum size of a payload in characters: brokers have limits, and so do readers that keep a history."""

DEEPEST = 100
"""Maximum number of nested objects and lists; documents of Syncthing have ten levels, except directory trees."""

ELLIPSIS = "\u2026"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

# Control characters of terminals, line breaks, changes of the text direction, and surrogates (UTF-8 has none). A table
# for `str.translate` would need an entry for each of 2,048 surrogates: 0.3 MB.
_UNSAFE_IN_JSON = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_IN_TEXT = re.compile(rf"[\x00-\x1f{_UNSAFE_IN_JSON}]")
_IN_JSON = re.compile(f"[{_UNSAFE_IN_JSON}]")  # json escapes the others


# --- reading


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON document.

    Python's reader also accepts NaN, Infinity and 1e999, which other readers would reject if the bridge published them.

    Raises:
        ValueError: the text is not JSON, or nested too deeply.
    """
    try:
        value = _DECODER.decode(text if isinstance(text, str) else _decoded(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    # Counting is fast, and most documents have fewer brackets than the allowed number of levels.
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if brackets > DEEPEST and not _is_shallow(value):
        raise ValueError("it is nested too deeply")
    return value


def _decoded(text: bytes) -> str:
    return text.decode(json.detect_encoding(text), "surrogatepass")  # as json.loads does


def _is_shallow(value: Any) -> bool:
    """Return whether a document has at most DEEPEST levels, without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for items in inside for one in items if isinstance(one, dict | list)]
        if not level:
            return True
    return False


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number)
"""Created once: json.loads would create one for each text."""


# --- writing


def as_json(payload: Mapping[str, Any], *, whole: bool = False) -> bytes:
    """Encode a payload as JSON in UTF-8; characters of file names that UTF-8 cannot encode are replaced.

    Args:
        payload: the payload.
        whole: keep the full length of every text; otherwise long texts, which a broker or reader may refuse, are cut.
    """
    text = _ENCODER.encode(payload)
    if not whole and len(text) > LONGEST_TEXT:
        lengths = iter((LONGEST_TEXT, *SHORTER_TEXTS))
        text = _ENCODER.encode(cut_all(payload, next(lengths)))
        while len(text) > LARGEST_PAYLOAD and (longest := next(lengths, 0)):
            text = _ENCODER.encode(cut_all(payload, longest))
    return text.encode("utf-8", "replace")


# --- showing


def on_one_line(text: str) -> str:
    """Return a text with line breaks and control characters as escapes."""
    return _IN_TEXT.sub(_escape, text)


def printable_json(text: str) -> str:
    """Return equivalent JSON with control characters as JSON escapes."""
    return _IN_JSON.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def cut(text: str, longest: int) -> str:
    """Return a text of at most this length; an ellipsis replaces the part that is cut off."""
    return text if len(text) <= longest else text[: longest - 1] + ELLIPSIS


def cut_all(value: Any, longest: int) -> Any:
    """Return a JSON value with all its texts cut; keys of objects stay unchanged."""
    if isinstance(value, str):
        return cut(value, longest)
    if isinstance(value, dict):
        return {key: cut_all(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [cut_all(item, longest) for item in value]
    return value

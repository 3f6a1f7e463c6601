"""How payloads are written down: as JSON that every broker and every reader can take."""

import json
from collections.abc import Mapping
from typing import Any

from stbridge.core.plain import cut_all

LONGEST_TEXT = 4096
"""Characters of a text: the longest path that Linux knows."""

SHORTER_TEXTS = (1024, 256, 64)
"""How long texts are instead in a payload that would be larger than LARGEST_PAYLOAD."""

LARGEST_PAYLOAD = 128 * 1024
"""In characters; brokers have limits, and readers that keep a history."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def as_json(payload: Mapping[str, Any], *, whole: bool = False) -> bytes:
    """Write a payload down as UTF-8; what a file name may hold and UTF-8 may not is replaced.

    Args:
        payload: the payload.
        whole: leave every text as long as it is; else those that no broker or reader could take are cut.
    """
    text = _dumped(payload)
    if not whole and len(text) > LONGEST_TEXT:
        lengths = iter((LONGEST_TEXT, *SHORTER_TEXTS))
        text = _dumped(cut_all(payload, next(lengths)))
        while len(text) > LARGEST_PAYLOAD and (longest := next(lengths, 0)):
            text = _dumped(cut_all(payload, longest))
    return text.encode("utf-8", "replace")


def _dumped(payload: Mapping[str, Any]) -> str:
    return _ENCODER.encode(payload)

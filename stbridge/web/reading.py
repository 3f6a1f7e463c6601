"""Reads the payloads of topics for the page: known keys only, each with a value of its documented type.

Any client may publish anything, and a bridge of another version may use other keys and words.
"""

import re
from collections.abc import Mapping
from typing import Any

from stbridge.core.json_text import cut, on_one_line, read_json
from stbridge.core.payload_types import EVENT_KEYS, KEYS, Schema

LONGEST_TEXT = 1024
"""Maximum length of a text, in characters."""

LONGEST_PAYLOAD = 1024 * 1024
"""Maximum size of a payload in bytes; the bridge publishes smaller ones."""

MOST_ITEMS = 100
"""Maximum number of entries of a list, such as that of failed items."""

LARGEST_NUMBER = 10**18
"""Larger numbers are unknown: JavaScript cannot show them exactly."""

_COMMON = ("completion", "in_sync", "need_bytes", "need_total_items", "problem")
_COUNTERS = ("conflicts", "pending_devices", "pending_folders")

KEPT: Mapping[str, tuple[str, ...]] = {
    "bridge_info": ("version", "started_at", "instances", "commands"),
    "bridge_health": ("message", "dropped", "failed"),
    "connection": ("status", "message", "since"),
    "system": (
        *("name", "device_id", "version", "os", "arch", "state", "all_in_sync", "folders", "devices"),
        *("last_error", "restart_required", "problems", *_COMMON, *_COUNTERS),
    ),
    "metrics": ("in_bytes", "out_bytes", "in_rate", "out_rate", "memory_bytes"),
    "errors": ("count", "items"),
    "pending": ("devices", "folders"),
    "upgrade": ("latest_version",),
    "folder": (
        *("label", "path", "type", "paused", "resume_at", "state", "status", "global_bytes", "failed", "error"),
        *("watch_error", "local_changes", "conflicts", "last_file", "last_file_at", "last_file_deleted"),
        *("scan_progress", "sync_progress", "sync_rate", "sync_ends_at", "scan_ends_at", *_COMMON),
    ),
    "failed": ("count", "items"),
    "conflicts": ("count", "items", "complete"),
    "device": (
        *("name", "paused", "resume_at", "status", "connected", "connection_type", "is_local", "client_version"),
        *("last_seen_at", "in_rate", "out_rate", *_COMMON),
    ),
    "completion": ("completion", "remote_state"),
}
"""The keys that the page shows, by kind of topic."""

EVENT_FIELDS = (
    *("event_type", "time", "late", "folder", "label", "device", "name", "path"),
    *("code", "message", "error", "address", "version"),
)
"""The keys of an event that the page shows."""

_NOTHING = object()


def read_object(payload: bytes) -> dict[str, Any]:
    """Return a payload that is a JSON object.

    Raises:
        ValueError: it is something else, or too large.
    """
    if len(payload) > LONGEST_PAYLOAD:
        raise ValueError("the payload is too large")
    value = read_json(payload)
    if not isinstance(value, dict):
        raise ValueError("the payload is not an object")  # noqa: TRY004 - it is data, not an argument
    return value


def read(kind: str, payload: bytes) -> dict[str, Any]:
    """Return the values of a payload that the page shows; unknown ones are missing.

    Args:
        kind: a key of KEPT.
        payload: the payload of a topic of this kind.

    Raises:
        ValueError: the payload is not a JSON object.
    """
    return _values(read_object(payload), KEPT[kind], KEYS[kind])


def read_event(payload: bytes) -> dict[str, Any]:
    """Return the values of an event that the page shows.

    Raises:
        ValueError: the payload is not a JSON object.
    """
    return _values(read_object(payload), EVENT_FIELDS, EVENT_KEYS)


def _values(payload: Mapping[str, Any], keys: tuple[str, ...], types: Mapping[str, Schema]) -> dict[str, Any]:
    found = ((key, _fitting(payload[key], types[key])) for key in keys if payload.get(key) is not None)
    return {key: value for key, value in found if value is not _NOTHING}


def word(payload: bytes) -> str:
    """Return the payload of a `state` topic: `online`, `offline`, or any other text."""
    return shown(payload[:LONGEST_TEXT].decode("utf-8", "replace"))


def shown(text: str) -> str:
    """Return a text without control characters, of limited length."""
    return on_one_line(cut(text, LONGEST_TEXT))


def _fitting(value: Any, schema: Schema) -> Any:
    """Return a value if it has the type of a schema, without parts that do not fit; else _NOTHING."""
    if "const" in schema:
        return value if value == schema["const"] else _NOTHING
    types = schema.get("type", ())
    for name in (types,) if isinstance(types, str) else types:
        if name in _CHECKS and (found := _CHECKS[name](value, schema)) is not _NOTHING:
            return found
    return _NOTHING


def _text(value: Any, schema: Schema) -> Any:
    if not isinstance(value, str) or ("pattern" in schema and not re.search(schema["pattern"], value)):
        return _NOTHING
    return shown(value)


def _boolean(value: Any, _: Schema) -> Any:
    return value if isinstance(value, bool) else _NOTHING


def _number(value: Any, schema: Schema) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NOTHING
    least, most = schema.get("minimum", -LARGEST_NUMBER), schema.get("maximum", LARGEST_NUMBER)
    return value if least <= value <= most else _NOTHING


def _integer(value: Any, schema: Schema) -> Any:
    return _number(value, schema) if isinstance(value, int) else _NOTHING


def _array(value: Any, schema: Schema) -> Any:
    if not isinstance(value, list):
        return _NOTHING
    fitting = (_fitting(item, schema["items"]) for item in value[:MOST_ITEMS])
    return [item for item in fitting if item is not _NOTHING]


def _object(value: Any, schema: Schema) -> Any:
    if not isinstance(value, dict):
        return _NOTHING
    types = schema.get("properties", {})
    return _values(value, tuple(types), types)


_CHECKS = {
    "string": _text,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _array,
    "object": _object,
}

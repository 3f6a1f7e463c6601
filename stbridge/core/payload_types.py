"""The types of all keys of all payloads, as JSON Schema; a test compares them with what the bridge renders.

`scripts/schemas` makes the published schemas of them, and takes the descriptions of the keys from the documentation.
"""

from collections.abc import Mapping
from typing import Any

from stbridge.core.bridge_events import COMMON_KEYS, DEVICE_KEYS, EVENTS, FOLDER_KEYS, EventRow
from stbridge.core.command import Argument, Command, Type
from stbridge.core.own_events import DEVICE_EVENTS, FOLDER_EVENTS
from stbridge.core.slow_topics import SLOW

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
PERCENT: Schema = {"type": "number", "minimum": 0, "maximum": 100}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$"}
SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
ANYTHING: Schema = {}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _by_name(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def object_of(keys: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object; later versions may add keys.

    Args:
        keys: the schemas of its values, by key.
        optional: the keys that may be missing.
    """
    return {
        "type": "object",
        "properties": dict(keys),
        "required": [key for key in keys if key not in optional],
    }


def _counts(*keys: str) -> Schema:
    return object_of(dict.fromkeys(keys, COUNT))


TEXT_OR_NULL = _or_null(TEXT)
COUNT_OR_NULL = _or_null(COUNT)
RATE_OR_NULL = _or_null(NUMBER)
PERCENT_OR_NULL = _or_null(PERCENT)
TIME_OR_NULL = _or_null(TIME)
BOOLEAN_OR_NULL = _or_null(BOOLEAN)

ONLINE_OR_OFFLINE: Schema = {"type": "string", "enum": ["online", "offline"]}
"""The payload of the `state` topics, which is not JSON."""

_PROBLEM: Mapping[str, Schema] = {"code": TEXT, "message": TEXT, "since": TIME_OR_NULL}
_SUBJECT: Mapping[str, Schema] = dict.fromkeys((*FOLDER_KEYS, *DEVICE_KEYS), TEXT)

_KEYS: Mapping[str, Mapping[str, Schema]] = {
    "bridge_info": {
        "version": TEXT,
        "started_at": TIME,
        "mqtt_protocol": {"type": "string", "enum": ["5", "3.1.1"]},
        "broker": TEXT,
        "instances": _list(TEXT),
        "commands": _list(TEXT),
    },
    "bridge_health": {
        "uptime_s": COUNT,
        "queued": COUNT,
        "sent": COUNT,
        "dropped": COUNT,
        "failed": COUNT,
        "reconnects": COUNT,
        "connected_s": COUNT_OR_NULL,
        "message": TEXT_OR_NULL,
        "threads": _by_name(NUMBER),
        "restarts": COUNT,
        "instances": _by_name(TEXT),
    },
    "bridge_discovery": {"topics": _list(TEXT)},
    "bridge_sentinel": {"started_at": TIME},
    "connection": {"status": TEXT, "message": TEXT, "since": TIME_OR_NULL},
    "system": {
        "name": TEXT,
        "device_id": TEXT,
        "version": TEXT_OR_NULL,
        "os": TEXT_OR_NULL,
        "arch": TEXT_OR_NULL,
        "started_at": TIME_OR_NULL,
        "state": TEXT,
        "in_sync": BOOLEAN_OR_NULL,
        "all_in_sync": BOOLEAN_OR_NULL,
        "completion": PERCENT_OR_NULL,
        "need_bytes": COUNT,
        "need_items": COUNT,
        "need_deletes": COUNT,
        "need_total_items": COUNT,
        "folders": _counts("total", "paused", "syncing", "out_of_sync", "error"),
        "devices": _counts("total", "connected", "paused", "out_of_sync"),
        "errors": COUNT_OR_NULL,
        "last_error": TEXT_OR_NULL,
        "restart_required": BOOLEAN_OR_NULL,
        "max_send_kbps": COUNT_OR_NULL,
        "max_recv_kbps": COUNT_OR_NULL,
        "conflicts": COUNT,
        "pending_devices": COUNT_OR_NULL,
        "pending_folders": COUNT_OR_NULL,
        "listeners_ok": BOOLEAN_OR_NULL,
        "discovery_ok": BOOLEAN_OR_NULL,
        "problem": BOOLEAN_OR_NULL,
        "problems": _or_null(_list(object_of({**_PROBLEM, **_SUBJECT}, optional=tuple(_SUBJECT)))),
    },
    "metrics": {
        "in_bytes": COUNT_OR_NULL,
        "out_bytes": COUNT_OR_NULL,
        "in_rate": RATE_OR_NULL,
        "out_rate": RATE_OR_NULL,
        "in_bytes_lifetime": COUNT_OR_NULL,
        "out_bytes_lifetime": COUNT_OR_NULL,
        "memory_bytes": COUNT_OR_NULL,
        "goroutines": COUNT_OR_NULL,
        "uptime_s": COUNT_OR_NULL,
        "started_at": TIME_OR_NULL,
    },
    "errors": {"count": COUNT_OR_NULL, "items": _or_null(_list(object_of({"when": TIME_OR_NULL, "message": TEXT})))},
    "upgrade": {
        "installed_version": TEXT_OR_NULL,
        "latest_version": TEXT,
        "title": TEXT,
        "release_url": TEXT,
        "in_progress": BOOLEAN,
    },
    "pending": {
        "devices": _or_null(_list(object_of({"device": TEXT, "name": TEXT, "address": TEXT, "time": TIME_OR_NULL}))),
        "folders": _or_null(_list(object_of({"folder": TEXT, "label": TEXT, "device": TEXT, "time": TIME_OR_NULL}))),
    },
    "folder": {
        "id": TEXT,
        "label": TEXT,
        "path": TEXT,
        "type": TEXT,
        "paused": BOOLEAN,
        "resume_at": TIME_OR_NULL,
        "state": TEXT,
        "status": TEXT,
        "state_changed_at": TIME_OR_NULL,
        "completion": PERCENT_OR_NULL,
        "in_sync": BOOLEAN_OR_NULL,
        "global_bytes": COUNT_OR_NULL,
        "global_files": COUNT_OR_NULL,
        "local_bytes": COUNT_OR_NULL,
        "local_files": COUNT_OR_NULL,
        "need_bytes": COUNT_OR_NULL,
        "need_items": COUNT_OR_NULL,
        "need_deletes": COUNT_OR_NULL,
        "need_total_items": COUNT_OR_NULL,
        "failed": COUNT_OR_NULL,
        "error": TEXT_OR_NULL,
        "watch_error": TEXT_OR_NULL,
        "local_changes": COUNT_OR_NULL,
        "conflicts": COUNT,
        "last_scan_at": TIME_OR_NULL,
        "last_file": TEXT_OR_NULL,
        "last_file_at": TIME_OR_NULL,
        "last_file_deleted": BOOLEAN_OR_NULL,
        "scan_progress": PERCENT_OR_NULL,
        "scan_rate": RATE_OR_NULL,
        "scan_ends_at": TIME_OR_NULL,
        "sync_progress": PERCENT_OR_NULL,
        "sync_rate": RATE_OR_NULL,
        "sync_ends_at": TIME_OR_NULL,
        "out_of_sync_since": TIME_OR_NULL,
        "devices": _list(TEXT),
        "problem": BOOLEAN_OR_NULL,
        "problems": _or_null(_list(object_of(_PROBLEM))),
    },
    "failed": {"count": COUNT, "items": _list(object_of({"path": TEXT, "error": TEXT}))},
    "conflicts": {"count": COUNT, "items": _list(TEXT), "complete": BOOLEAN},
    "device": {
        "id": TEXT,
        "name": TEXT,
        "paused": BOOLEAN,
        "resume_at": TIME_OR_NULL,
        "status": TEXT,
        "connected": BOOLEAN,
        "address": TEXT_OR_NULL,
        "connection_type": TEXT_OR_NULL,
        "is_local": BOOLEAN_OR_NULL,
        "crypto": TEXT_OR_NULL,
        "client_version": TEXT_OR_NULL,
        "connection_error": TEXT_OR_NULL,
        "last_seen_at": TIME_OR_NULL,
        "completion": PERCENT_OR_NULL,
        "in_sync": BOOLEAN_OR_NULL,
        "need_bytes": COUNT_OR_NULL,
        "need_items": COUNT_OR_NULL,
        "need_deletes": COUNT_OR_NULL,
        "need_total_items": COUNT_OR_NULL,
        "in_bytes": COUNT_OR_NULL,
        "out_bytes": COUNT_OR_NULL,
        "in_rate": RATE_OR_NULL,
        "out_rate": RATE_OR_NULL,
        "unseen_since": TIME_OR_NULL,
        "out_of_sync_since": TIME_OR_NULL,
        "problem": BOOLEAN_OR_NULL,
        "problems": _or_null(_list(object_of(_PROBLEM))),
    },
    "completion": {
        "completion": PERCENT_OR_NULL,
        "need_bytes": COUNT_OR_NULL,
        "need_items": COUNT_OR_NULL,
        "need_deletes": COUNT_OR_NULL,
        "need_total_items": COUNT_OR_NULL,
        "global_bytes": COUNT_OR_NULL,
        "remote_state": TEXT_OR_NULL,
    },
    "raw": {"id": COUNT, "globalID": COUNT, "type": TEXT, "time": TEXT, "data": ANYTHING},
    "response": {
        "command": TEXT,
        "status": {"type": "string", "enum": ["ok", "accepted", "error"]},
        "data": ANYTHING,
        "error": _or_null(object_of({"code": TEXT, "message": TEXT})),
        "transaction": SCALAR,
        "took_ms": COUNT,
    },
}

EVENT_KEYS: Mapping[str, Schema] = {
    **dict.fromkeys(("event_type", "folder", "label", "device", "path", "original", "code", "message"), TEXT),
    **dict.fromkeys(("error", "username", "version", "address", "name"), TEXT_OR_NULL),
    "time": TIME,
    "since": TIME_OR_NULL,
    "late": {"const": True},
    "transaction": SCALAR,
}
"""The types of the keys of events."""


def _own_event(names: Mapping[str, str]) -> Mapping[str, Schema]:
    """Return the keys of the events on the topic of a folder or device, by event and its shorter name there."""
    keys = {key: EVENT_KEYS[key] for row in EVENTS if row.name in names for key in (*row.keys, "late")}
    return {"event_type": {"type": "string", "enum": list(names.values())}, "time": TIME, **keys}


_OWN_EVENTS = {"folder_event": _own_event(FOLDER_EVENTS), "device_event": _own_event(DEVICE_EVENTS)}

KEYS: Mapping[str, Mapping[str, Schema]] = {
    **_KEYS,
    **{copy: _KEYS[kind] for kind, copy in SLOW.items()},
    **_OWN_EVENTS,
}
"""The keys of each kind of topic whose payload is JSON, except events of any kind and commands."""

OPTIONAL_KEYS: Mapping[str, tuple[str, ...]] = {
    "raw": ("globalID",),  # old versions of Syncthing do not send it
    **{
        kind: tuple(key for key in keys if key not in ("event_type", "time", kind.removesuffix("_event")))
        for kind, keys in _OWN_EVENTS.items()
    },
}
"""Keys that may be missing; an event has only its own."""

_SOME_TEXT: Schema = {"type": "string", "minLength": 1}
_ARGUMENTS: Mapping[Type, Schema] = {
    **dict.fromkeys(("folder", "device", "pending_folder", "pending_device", "text"), _SOME_TEXT),
    "folder_type": {"type": "string", "enum": ["sendreceive", "sendonly", "receiveonly", "receiveencrypted"]},
    "integer": COUNT,
    "boolean": BOOLEAN,
    "texts": _list(TEXT),
    "object": {"type": "object"},
    "duration": {"type": ["string", "number"]},
}


def payload_schema(kind: str) -> Schema:
    """Return the schema of the payloads of a kind of topic in KEYS."""
    return object_of(KEYS[kind], optional=OPTIONAL_KEYS.get(kind, ()))


def event_schema(row: EventRow) -> Schema:
    """Return the schema of an event."""
    subject = (*FOLDER_KEYS, *DEVICE_KEYS) if row.has_subject else ()
    keys = {key: EVENT_KEYS[key] for key in (*COMMON_KEYS, *subject, *row.keys)}
    return object_of({**keys, "event_type": {"const": row.name}}, optional=("late", *subject))


def any_event_schema() -> Schema:
    """Return the schema of all events: each known event has its keys, and later versions may add events."""
    conditions = [
        {"if": {"properties": {"event_type": {"const": row.name}}}, "then": event_schema(row)} for row in EVENTS
    ]
    common = object_of({key: EVENT_KEYS[key] for key in COMMON_KEYS}, optional=("late",))
    return {**common, "allOf": conditions}


def command_schema(command: Command) -> Schema:
    """Return the schema of the payload of a command: an object, or the value of its main argument as text or JSON."""
    arguments = {row.name: _argument(row) for row in command.arguments}
    required = tuple(row.name for row in command.arguments if row.required)
    whole: dict[str, Any] = {
        **object_of({**arguments, "transaction": {"description": "repeated in the reply", **SCALAR}}),
        "required": list(required),
        "additionalProperties": False,
    }
    if command.either:
        whole["oneOf"] = [{"required": [name]} for name in command.either]
    if command.main:
        return {"anyOf": [whole, arguments[command.main]]}
    return {"anyOf": [whole, {"const": "PRESS"}]} if not command.arguments else whole


def _argument(row: Argument) -> Schema:
    limit = {} if row.largest is None else {"maximum": row.largest}
    return {"description": row.meaning, **_ARGUMENTS[row.type], **limit}

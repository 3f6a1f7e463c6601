"""Describes messages of the bridge in one line each, or not at all if users need not see them."""

from collections.abc import Callable, Mapping
from typing import Any

from stbridge.core.json_text import cut_all, on_one_line, read_json
from stbridge.core.messages import Received
from stbridge.core.model import floored
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.core.wording import counted
from stbridge.errors import MALFORMED
from stbridge.watch.units import size

Payload = Mapping[str, Any]

LONGEST_SHOWN = 300
"""Maximum number of characters of a text that are shown."""


def describe(address: Address, payload: Payload) -> str | None:
    """Return a line that describes the payload of an address; None if users need not see it."""
    row = _ROWS.get(address.kind)
    try:
        return on_one_line(row(address, payload) or "") or None if row else None
    except MALFORMED:
        return None  # another client has published this


def describe_received(topics: Topics, received: Received) -> str | None:
    """Return a line that describes a message of the bridge; None if users need not see it."""
    parsed = topics.parse(received.topic)
    try:
        payload = cut_all(read_json(received.payload), LONGEST_SHOWN)
    except (ValueError, RecursionError):
        return None
    if parsed is None or parsed[0] == BRIDGE or not isinstance(payload, dict):
        return None
    line = describe(parsed[1], payload)
    return line and on_one_line(f"{parsed[0]:>7}  {line}")


def _folder(_: Address, payload: Payload) -> str:
    name = payload["label"] or payload["id"]
    parts = [f"folder {name}: {payload['state']}"]
    if payload["completion"] is not None:
        parts.append(f"{floored(payload['completion']):g} % of {size(payload['global_bytes'])}")
    if payload["need_items"]:
        parts.append(f"needs {counted(payload['need_items'], 'item')}, {size(payload['need_bytes'])}")
    if payload["failed"]:
        parts.append(f"{payload['failed']} failed")
    if payload["last_file"]:
        parts.append(f"last {'deleted' if payload['last_file_deleted'] else 'changed'} {payload['last_file']}")
    return ", ".join(parts)


def _device(_: Address, payload: Payload) -> str:
    words = "paused" if payload["paused"] else "connected" if payload["connected"] else "not connected"
    if payload["completion"] is not None:
        words += f", has {floored(payload['completion']):g} %"
    return f"device {payload['name'] or payload['id']}: {words}"


def _completion(address: Address, payload: Payload) -> str | None:
    if payload["completion"] is None:
        return None
    return f"device {address.device} has {floored(payload['completion']):g} % of folder {address.folder}"


def _system(_: Address, payload: Payload) -> str:
    if payload["in_sync"]:
        sync = "in sync, all peers in sync" if payload["all_in_sync"] else "in sync"
    elif payload["need_bytes"]:
        sync = f"needs {size(payload['need_bytes'])}"
    else:  # null if all folders are paused: then nothing is known
        sync = "out of sync" if payload["in_sync"] is False else ""
    return ": ".join(filter(None, (payload["state"], sync)))


def _errors(_: Address, payload: Payload) -> str | None:
    if not payload["items"]:
        return None
    what = "1 error" if payload["count"] == 1 else f"{payload['count']} errors, the last"
    return f"{what}: {payload['items'][-1]['message']}"


def _connection(_: Address, payload: Payload) -> str:
    return f"Syncthing is {payload['status']} {payload['message']}".rstrip()


def _event(address: Address, payload: Payload) -> str:
    if address.name in ("problem_raised", "problem_cleared"):
        return _problem(payload, cleared=address.name == "problem_cleared")
    data = " ".join(f"{key}={value}" for key, value in payload.items() if key not in ("event_type", "time"))
    return f"event {address.name} {data}".rstrip()


def _problem(payload: Payload, *, cleared: bool) -> str:
    subject = ""
    if "folder" in payload:
        subject = f" of folder {payload['label'] or payload['folder']}"
    elif "device" in payload:
        subject = f" of device {payload['name'] or payload['device']}"
    late = " (late)" if payload.get("late") else ""
    what = " is cleared" if cleared else f": {payload['message']}"
    return f"problem {payload['code']}{subject}{what}{late}"


def _response(address: Address, payload: Payload) -> str:
    error = payload["error"]
    why = f" ({error['message']})" if error else ""
    return f"reply to {address.name}: {payload['status']}{why} in {payload['took_ms']} ms"


_ROWS: Mapping[str, Callable[[Address, Payload], str | None]] = {
    "folder": _folder,
    "device": _device,
    "completion": _completion,
    "system": _system,
    "errors": _errors,
    "connection": _connection,
    "event": _event,
    "response": _response,
}

"""What needs attention on a board, and how to fix it: connections, problems, pending devices and folders."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stbridge.core.alerts import DEVICE, FOLDER
from stbridge.core.json_text import on_one_line
from stbridge.core.problems import ROWS
from stbridge.core.topics import Address, Topics
from stbridge.watch.board import Board, InstanceBoard, Place, by_name, name_of
from stbridge.watch.units import objects, text

OFFLINE = "offline"
BRIDGE_OFFLINE = "The bridge is offline: all values may be outdated."
UNREACHABLE = "Syncthing is not reachable."
NO_STATE = "The bridge does not publish the state of this instance."
START_BRIDGE = "Start stbridge on its machine. If it runs, its log shows why it is not connected."
ACCEPT = "Accept or dismiss it on Syncthing's page, or with the commands accept_{kind} and dismiss_{kind}."

_FIXES: Mapping[str, str] = {row.code: row.fix_and_details for row in ROWS}
_CODE = re.compile(r"`([^`]*)`")

_ADDRESSES: Mapping[str, Address] = {
    "folder/F/failed": Address("failed"),
    "folder/F/conflicts": Address("conflicts"),
    "completion/D/F": Address("completion", folder="F"),
    "errors": Address("errors"),
}
"""The topics in the texts of `core/problems.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that needs attention.

    Attributes:
        instance: the name of the instance; "" if it concerns the bridge.
        place: the folder or device; None if it concerns the whole instance.
        name: the name of the folder or device; "" if it concerns the whole instance.
        code: the code of the problem, OFFLINE, or `pending`.
        message: what is wrong.
        fix: how to fix it; "" if that is unknown, or part of the message.
        since: the time stamp of its beginning, if it is known.
    """

    instance: str = ""
    place: Place | None = None
    name: str = ""
    code: str
    message: str
    fix: str = ""
    since: object = None

    @property
    def is_request(self) -> bool:
        """Whether it is a device or folder that waits for a decision, and not a problem."""
        return self.code == "pending"


def notices(board: Board) -> list[Notice]:
    """Return everything that needs attention: connections first, then problems, then requests."""
    found = [*_of_bridge(board), *(_offline(name, one) for name, one in sorted(board.instances.items()) if is_off(one))]
    online = [(name, one) for name, one in sorted(board.instances.items()) if not is_off(one)]
    for name, one in online:
        found += _problems(board.topics, name, one)
    for name, one in online:
        found += _requests(name, one)
    return found


def is_off(board: InstanceBoard) -> bool:
    """Return whether an instance cannot be used, so that everything else about it may be outdated."""
    return board.state != "online"


def _of_bridge(board: Board) -> Iterator[Notice]:
    if board.bridge_state == OFFLINE:
        yield Notice(code=OFFLINE, message=BRIDGE_OFFLINE, fix=START_BRIDGE)
    elif message := text((board.bridge_health or {}).get("message")):
        yield Notice(code="bridge", message=message)


def _offline(name: str, board: InstanceBoard) -> Notice:
    connection = board.connection or {}
    reason = text(connection.get("message")) or (UNREACHABLE if board.state == OFFLINE else NO_STATE)
    return Notice(instance=name, code=OFFLINE, message=reason, since=connection.get("since"))


def _problems(topics: Topics, instance: str, board: InstanceBoard) -> Iterator[Notice]:
    """Yield each problem once: the list of the instance is limited, and contains those of folders and devices, too."""
    system = board.system or {}
    for problem in objects(system.get("problems")):
        if not {FOLDER, DEVICE} & problem.keys():
            yield _problem(topics, instance, None, "", problem)
    for kind in (FOLDER, DEVICE):
        entries = {key: payload for key, payload in board.entries(kind).items() if payload.get("problems")}
        for identifier in by_name(kind, entries):
            place, payload = Place(instance, kind, identifier), entries[identifier]
            for problem in objects(payload["problems"]):
                yield _problem(topics, instance, place, name_of(place, payload), problem)


def _problem(topics: Topics, instance: str, place: Place | None, name: str, problem: Mapping[str, Any]) -> Notice:
    code = text(problem.get("code"))
    return Notice(
        instance=instance,
        place=place,
        name=name,
        code=code,
        message=text(problem.get("message")) or code,
        fix=_fix(topics, instance, place, code),
        since=problem.get("since"),
    )


def _fix(topics: Topics, instance: str, place: Place | None, code: str) -> str:
    """Return the fix of a problem, with the topics of its folder or device in full."""
    return _CODE.sub(lambda found: _in_full(topics, instance, place, found[1]), _FIXES.get(code, ""))


def _in_full(topics: Topics, instance: str, place: Place | None, words: str) -> str:
    address = _ADDRESSES.get(words)
    if address is None:
        return words
    key = {} if place is None else {place.kind: place.identifier}
    return on_one_line(topics.build(instance, address._replace(**key)))


def _requests(instance: str, board: InstanceBoard) -> Iterator[Notice]:
    pending = board.pending or {}
    for kind in ("devices", "folders"):
        for request in objects(pending.get(kind)):
            yield _request(instance, board, kind, request)


def _request(instance: str, board: InstanceBoard, kind: str, request: Mapping[str, Any]) -> Notice:
    if kind == "devices":
        identifier = text(request.get("device"))
        name, message = text(request.get("name")), f"device {identifier} at {text(request.get('address')) or '?'}"
    else:
        device = text(request.get("device"))
        name, message = text(request.get("label")), f"folder {text(request.get('folder'))}"
        message += f", offered by {name_of(Place(instance, DEVICE, device), board.devices.get(device, {}))}"
    return Notice(
        instance=instance,
        name=name,
        code="pending",
        message=f"Pending {message}",
        fix=ACCEPT.format(kind=kind.removesuffix("s")),
        since=request.get("time"),
    )

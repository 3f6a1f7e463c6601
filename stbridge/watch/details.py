"""Everything about one folder or device, as lines of text."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from rich.text import Text

from stbridge.core.alerts import DEVICE, FOLDER
from stbridge.core.json_text import on_one_line
from stbridge.core.wording import counted
from stbridge.watch.board import Board, InstanceBoard, Payload, Place, name_of
from stbridge.watch.cells import STYLES, wrapped
from stbridge.watch.notices import notices
from stbridge.watch.rows import last_seen, needs
from stbridge.watch.status import status_of
from stbridge.watch.units import count, date_and_time, number, objects, percent, rate, size, text

TITLE = 18
"""The width of the names of the values."""

Value = Callable[[Payload, datetime], str]


def _plain(key: str) -> Value:
    return lambda payload, _: text(payload.get(key))


def _time(key: str) -> Value:
    return lambda payload, now: date_and_time(payload.get(key), now)


def _rate(key: str) -> Value:
    return lambda payload, _: "" if number(payload.get(key)) is None else rate(payload[key])


def _amount(place: str) -> Value:
    return lambda payload, _: (
        ""
        if number(payload.get(f"{place}_bytes")) is None
        else f"{size(payload[f'{place}_bytes'])}, {counted(count(payload.get(f'{place}_files')), 'file')}"
    )


def _latest_change(payload: Payload, now: datetime) -> str:
    at = date_and_time(payload.get("last_file_at"), now)
    name = text(payload.get("last_file"))
    return name and f"{name}{' deleted' if payload.get('last_file_deleted') else ''}{f', {at}' if at else ''}"


def _connection(payload: Payload, _: datetime) -> str:
    kinds = (text(payload.get(key)) for key in ("connection_type", "crypto"))
    return ", ".join(filter(None, (*kinds, "local network" if payload.get("is_local") else "")))


ROWS: Mapping[str, Mapping[str, Value]] = {
    FOLDER: {
        "ID": _plain("id"),
        "Path": _plain("path"),
        "Type": _plain("type"),
        "Status since": _time("state_changed_at"),
        "Size": _amount("global"),
        "On this device": _amount("local"),
        "Needs": lambda payload, _: ", ".join(needs(payload)),
        "Out of sync since": _time("out_of_sync_since"),
        "Sync rate": _rate("sync_rate"),
        "Scan rate": _rate("scan_rate"),
        "Last scan": _time("last_scan_at"),
        "Latest change": _latest_change,
        "Error": _plain("error"),
        "Watcher error": _plain("watch_error"),
    },
    DEVICE: {
        "ID": _plain("id"),
        "Address": _plain("address"),
        "Connection": _connection,
        "Version": _plain("client_version"),
        "Last seen": lambda payload, now: date_and_time(payload.get("last_seen_at"), now) or last_seen(payload, now),
        "Needs": lambda payload, _: ", ".join(needs(payload)),
        "Out of sync since": _time("out_of_sync_since"),
        "In": _rate("in_rate"),
        "Out": _rate("out_rate"),
    },
}
"""The values of a folder and of a device; a value that is not known is not shown."""


def details(board: Board, place: Place, *, now: datetime, width: int) -> Iterator[Text]:
    """Yield everything about a folder or a device.

    Args:
        board: the messages received so far.
        place: the folder or device.
        now: the current time.
        width: the number of columns of the terminal.
    """
    payload, instance = board.payload(place), board.instances[place.instance]
    status = status_of(place, payload)
    heading = f"{place.instance}: {place.kind} {name_of(place, payload)}  "
    yield Text.assemble((on_one_line(heading), "bold"), (status.word, STYLES[status.tone]), _complete(payload))
    for notice in notices(board):
        if notice.place == place:
            yield from _lines("Problem", notice.message, width, "red")
            yield from _lines("What to do", notice.fix, width)
    for title, value in ROWS[place.kind].items():
        yield from _lines(title, value(payload, now), width)
    yield from _items("Failed items", instance.failed.get(place.identifier), width)
    yield from _items("Conflict files", instance.conflicts.get(place.identifier), width)
    yield from _shares(place, instance, width)


def _complete(payload: Payload) -> str:
    known = percent(payload.get("completion"))
    return "" if known is None else f"  {int(known)} %"


def _lines(title: str, value: str, width: int, style: str = "") -> Iterator[Text]:
    for index, line in enumerate(wrapped(value, width - TITLE)):
        yield Text.assemble(("" if index else title).ljust(TITLE), (line, style))


def _items(title: str, payload: Payload | None, width: int) -> Iterator[Text]:
    """Yield the count and the items of a list, which may be truncated."""
    if payload is None or not count(payload.get("count")):
        return
    yield Text()
    yield Text(f"{title} ({count(payload['count'])})", "bold")
    items = payload.get("items")
    names = [text(one) for one in items] if isinstance(items, list) else []
    names = [name for name in names if name]
    names += [f"{text(one.get('path'))}: {text(one.get('error'))}" for one in objects(items)]
    for name in names:
        yield from (Text(f"  {line}") for line in wrapped(name, width - 2))
    if len(names) < count(payload["count"]):
        yield Text("  ...", "bright_black")


def _shares(place: Place, instance: InstanceBoard, width: int) -> Iterator[Text]:
    """Yield how complete the folder is on each device, or each folder on the device."""
    own, other, kind = (1, 0, DEVICE) if place.kind == FOLDER else (0, 1, FOLDER)
    shares = [(pair[other], payload) for pair, payload in instance.completions.items() if pair[own] == place.identifier]
    if not shares:
        return
    yield Text()
    yield Text("On other devices" if kind == DEVICE else "Folders on this device", "bold")
    for identifier, payload in shares:
        name = name_of(Place(place.instance, kind, identifier), instance.entries(kind).get(identifier, {}))
        yield from (Text(f"  {line}") for line in wrapped(f"{name}: {_share(payload)}", width - 2))


def _share(payload: Payload) -> str:
    known = percent(payload.get("completion"))
    parts = ["completion unknown" if known is None else f"{int(known)} %"]
    parts += [f"needs {', '.join(needs(payload))}"] if needs(payload) else []
    state = text(payload.get("remote_state"))
    return ", ".join([*parts, *([state] if state not in ("", "valid", "unknown") else [])])

"""The rows of folders and devices: the columns that fit the width of the terminal, the same for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from stbridge.core.alerts import FOLDER
from stbridge.core.wording import counted
from stbridge.watch.board import Board, Place, name_of
from stbridge.watch.cells import STYLES, bar, fitted
from stbridge.watch.status import Status, needs_attention, status_of
from stbridge.watch.units import count, duration, number, percent, rate, seconds_until, size

Payload = Mapping[str, Any]

SELECTED, ATTENTION = ">", "!"
MARK = 1
"""The width of the mark of the selection."""

LEAST_NAME, LEAST_STATUS, LARGEST_BAR = 14, 12, 30

SHORT = {"Disconnected (inactive)": "Inactive"}
"""Shorter words for narrow terminals."""

WIDE = 100
"""The width of a terminal from which all words are used in full."""


class Column(NamedTuple):
    """A column: its headings above folders and above devices, and its width; texts of numbers are at its right."""

    folder: str
    device: str
    width: int = 0
    right: bool = False


COLUMNS: Mapping[str, Column] = {
    "name": Column("folder", "device"),
    "flag": Column("", "", 1),
    "status": Column("status", "status", LEAST_STATUS),
    "bar": Column("", "", 8),
    "percent": Column("", "", 5, right=True),
    "needs": Column("needs", "needs", 19, right=True),
    "need": Column("needs", "needs", 9, right=True),
    "size": Column("size", "", 9, right=True),
    "in": Column("rate", "in", 10, right=True),
    "out": Column("", "out", 10, right=True),
    "rate": Column("rate", "in + out", 10, right=True),
    "time": Column("left", "last seen", 10, right=True),
}

LAYOUTS: Sequence[tuple[str, ...]] = (
    ("name", "flag", "status", "bar", "percent", "needs", "size", "in", "out", "time"),
    ("name", "flag", "status", "bar", "percent", "needs", "in", "out", "time"),
    ("name", "flag", "status", "bar", "percent", "needs", "rate", "time"),
    ("name", "flag", "status", "bar", "percent", "need", "rate", "time"),
    ("name", "flag", "status", "percent", "need", "rate", "time"),
    ("name", "flag", "status", "percent", "need"),
    ("name", "flag", "status"),
)
"""The columns to try, in this order, until the name has enough width."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The widths of the columns that are shown, in their order, and whether words are shown in full."""

    widths: Mapping[str, int]
    full: bool

    def heading(self, kind: str) -> Text:
        """Return the headings above the folders or the devices."""
        titles = (fitted(_title(kind, key), width, right=COLUMNS[key].right) for key, width in self.widths.items())
        return Text.assemble(" " * MARK, Text(" ").join(titles), style="bright_black")

    def row(self, board: Board, place: Place, *, selected: bool, outdated: bool, now: datetime) -> Text:
        """Return the row of a folder or a device.

        Args:
            board: the messages received so far.
            place: the folder or device.
            selected: whether the keys act on it.
            outdated: whether its values may be outdated.
            now: the current time.
        """
        payload = board.payload(place)
        cells = _folder(payload, now) if place.kind == FOLDER else _device(payload, now)
        status = status_of(place, payload)
        style = "" if selected or outdated else STYLES[status.tone]  # on a reversed row, colors are hard to read
        known = percent(payload.get("completion")) if cells.progress is None else cells.progress
        attention = needs_attention(place, payload)
        whole, short = ", ".join(cells.needs), cells.needs[-1] if cells.needs else ""
        shown: dict[str, Text | str] = {
            "name": name_of(place, payload),
            "flag": Text(ATTENTION if attention else "", "" if selected else "bold red"),
            "status": Text(_word(status, full=self.full), style),
            "bar": ""
            if known is None
            else bar(known, self.widths.get("bar", 0), style, rest="" if selected else "bright_black"),
            "percent": "" if known is None else f"{int(known)} %",
            "needs": whole if len(whole) <= COLUMNS["needs"].width else short,
            "need": short,
            "size": "" if number(payload.get("global_bytes")) is None else size(payload["global_bytes"]),
            "in": _rate_or_nothing(cells.into),
            "out": _rate_or_nothing(cells.out),
            "rate": _rate_or_nothing(_sum(cells.into, cells.out)),
            "time": cells.time,
        }
        row = Text(" ").join(fitted(shown[key], width, right=COLUMNS[key].right) for key, width in self.widths.items())
        mark = SELECTED if selected else " "
        return Text.assemble(mark, row, style="reverse" if selected else "dim" if outdated else "")


class _Cells(NamedTuple):
    """The values of a row that folders and devices have in different keys; None is unknown."""

    progress: float | None
    needs: Sequence[str]
    into: object
    out: object
    time: str


def _folder(payload: Payload, now: datetime) -> _Cells:
    scanning = number(payload.get("scan_progress")) is not None
    work = "scan" if scanning else "sync"
    ends = payload.get("resume_at") if payload.get("paused") else payload.get(f"{work}_ends_at")
    left = seconds_until(ends, now)
    return _Cells(
        progress=percent(payload.get("scan_progress")),
        needs=needs(payload),
        into=payload.get(f"{work}_rate"),
        out=None,
        time="" if left is None else duration(left),
    )


def _device(payload: Payload, now: datetime) -> _Cells:
    connected = bool(payload.get("connected"))
    return _Cells(
        progress=None,
        needs=needs(payload),
        into=payload.get("in_rate") if connected else None,
        out=payload.get("out_rate") if connected else None,
        time=last_seen(payload, now),
    )


def needs(payload: Payload) -> list[str]:
    """Return what a folder or a device needs: the number of items and their size; empty if it needs nothing."""
    items = count(payload.get("need_total_items", payload.get("need_items")))
    size_of_all = number(payload.get("need_bytes"))
    return [
        *([counted(items, "item")] if items else []),
        *([size(size_of_all)] if size_of_all else []),
        *([f"{failed} failed"] if (failed := count(payload.get("failed"))) and not items else []),
    ]


def last_seen(payload: Payload, now: datetime) -> str:
    """Return when a device was last connected: "now", "3 h ago", "never", or "" if that is unknown."""
    if payload.get("connected"):
        return "now"
    if "last_seen_at" not in payload:
        return ""
    left = seconds_until(payload["last_seen_at"], now)
    return "never" if left is None else f"{duration(-left)} ago"


def layout(board: Board, places: Sequence[Place], width: int) -> Layout:
    """Return the columns that fit a terminal.

    Args:
        board: the messages received so far.
        places: all folders and devices in the list, also those that are not on the screen, so that the columns stay
            where they are while the list moves.
        width: the number of columns of the terminal.
    """
    seen = [(place, board.payload(place)) for place in places]
    full = width >= WIDE
    status = max([LEAST_STATUS, *(cell_len(_word(status_of(*one), full=full)) for one in seen)])
    for keys in LAYOUTS:
        widths = {key: status if key == "status" else COLUMNS[key].width for key in keys}
        left = width - MARK - sum(widths.values()) - len(keys) + 1
        if left >= LEAST_NAME:
            break
    widths["name"] = min(left, max([LEAST_NAME, *(cell_len(name_of(*one)) for one in seen)]))
    if "bar" in widths:
        widths["bar"] = min(LARGEST_BAR, widths["bar"] + left - widths["name"])
    return Layout(widths, full)


def _word(status: Status, *, full: bool) -> str:
    return status.word if full else SHORT.get(status.word, status.word)


def _title(kind: str, key: str) -> str:
    return COLUMNS[key].folder if kind == FOLDER else COLUMNS[key].device


def _rate_or_nothing(value: object) -> str:
    return "" if number(value) is None else rate(value)


def _sum(*values: object) -> float | None:
    known = [one for one in map(number, values) if one is not None]
    return sum(known) if known else None

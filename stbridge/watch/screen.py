"""Draws the screen of `stbridge watch`: what needs attention on top, then folders and devices, then latest events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from rich.text import Text

from stbridge.core.json_text import on_one_line
from stbridge.core.wording import counted
from stbridge.watch.board import Board, InstanceBoard, Place
from stbridge.watch.cells import MISSING, STYLES, fitted, wrapped
from stbridge.watch.details import details
from stbridge.watch.lines import describe
from stbridge.watch.notices import Notice, is_off, notices
from stbridge.watch.rows import Layout, layout, needs
from stbridge.watch.status import status_of_instance
from stbridge.watch.units import date_and_time, duration, number, rate, seconds_until
from stbridge.watch.view import Page, View

HELP: Mapping[Page, Sequence[str]] = {
    Page.LIST: ("up/down select", "enter details", "tab problems", "f filter", "s scan", "p pause", "q quit"),
    Page.PROBLEMS: ("up/down scroll", "tab back", "q quit"),
    Page.DETAILS: ("up/down scroll", "enter back", "s scan", "p pause", "q quit"),
}
"""The keys of each page; the first ones are left out if the terminal is narrow."""

GAP = "  "
NOTHING_RECEIVED = "No messages yet: check that the bridge is running and has the same mqtt.base_topic."
NOTHING_WRONG = "Nothing needs attention. Press f to show everything."

FRAME = 2
"""Lines of the heading and of the help."""

EVENTS = 4
"""Least number of lines of the latest events, with their heading."""

LEAST_WITH_EVENTS = 14
"""The number of lines from which the latest events are shown below a list that does not fit."""

SHARE = 3
"""What needs attention fills at most the SHAREth part of the screen, except if the rest is not needed."""

STICKY = 2
"""Lines of headings that stay on top while the list moves below them: of the instance, and of folders or devices."""

LEAST_STICKY = 6
"""The number of lines of the list from which its headings stay on top."""

LONGEST_FIX = 4
"""Maximum number of lines of a fix, and of a message that contains its fix, beside the list."""

INDENT = "  "


class Entry(NamedTuple):
    """A line of the list: the heading of an instance (`kind` is ""), of its folders or devices, or a row."""

    instance: str
    kind: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What every part of the screen is drawn with."""

    board: Board
    view: View
    now: datetime
    width: int
    height: int


def screen(board: Board, view: View, *, now: datetime, width: int, height: int) -> Text:
    """Return the whole screen.

    Args:
        board: the messages received so far.
        view: what the user has chosen.
        now: the current time.
        width: the number of columns of the terminal.
        height: the number of lines of the terminal.
    """
    frame = Frame(board, view, now, width, height)
    found = notices(board)
    body = _BODIES[view.page](frame, found)
    room = max(0, height - FRAME)
    lines = [_heading(frame, found), *body[:room], *[Text()] * (room - len(body)), _footer(frame)]
    shown = Text("\n", no_wrap=True, overflow="crop", end="").join(fitted(line, width) for line in lines[-height:])
    shown.no_wrap, shown.end = True, ""
    return shown


def _heading(frame: Frame, found: Sequence[Notice]) -> Text:
    state = frame.board.bridge_state or "not seen"
    heading = Text.assemble(("stbridge", "bold"), "  the bridge is ", (state, "green" if state == "online" else "red"))
    requests = sum(one.is_request for one in found)
    if problems := len(found) - requests:
        heading.append(f"  {counted(problems, 'problem')}", "bold red")
    if requests:
        heading.append(f"  {counted(requests, 'pending request')}", "yellow")
    if not found and frame.board.instances:
        heading.append("  no problems", "green")
    if frame.view.attention_only:
        heading.append(GAP).append("filtered", "reverse")
    return heading


def _footer(frame: Frame) -> Text:
    shown = HELP[frame.view.page]
    while len(GAP.join(shown)) > frame.width and len(shown) > 1:
        shown = shown[1:]
    return Text(on_one_line(frame.view.note) or GAP.join(shown), style="bright_black")


# --- the page of the list


def _list(frame: Frame, found: Sequence[Notice]) -> list[Text]:
    places = frame.view.places(frame.board)
    entries = list(_entries(frame, places))
    room = frame.height - FRAME
    events = EVENTS if room >= LEAST_WITH_EVENTS else 0
    top = list(_top(frame, found, max(frame.height // SHARE, room - events - len(entries))))
    selected = frame.view.shown = frame.view.selected(frame.board)
    visible, first = _window(entries, selected, room - events - len(top))
    columns = layout(frame.board, places, frame.width)
    shown = [_entry(frame, columns, entry, selected) for entry in visible]
    if not frame.board.instances:
        shown += map(Text, wrapped(NOTHING_RECEIVED, frame.width))
    elif not entries:
        shown.append(Text(NOTHING_WRONG, "green"))
    rest = room - len(top) - len(shown)
    position = f"lines {first + 1} to {first + len(visible)} of {len(entries)}" if len(visible) < len(entries) else ""
    return [*top, *shown, *_events(frame, rest, position)]


def _top(frame: Frame, found: Sequence[Notice], most: int) -> Iterator[Text]:
    """Yield what needs attention, in at most this number of lines."""
    left = most
    for index, notice in enumerate(found):
        lines = list(_notice(notice, frame.width))
        spare = 0 if index == len(found) - 1 else 1  # for the last line
        if len(lines) + spare > left:
            more = len(found) - index
            yield Text(f"{INDENT}{more} more: press tab" if index else f"{counted(more, 'message')}: press tab", "bold")
            return
        yield from lines
        left -= len(lines)


def _notice(notice: Notice, width: int) -> Iterator[Text]:
    """Yield the lines of a notice; the end of a long message is left out, unless it contains the fix."""
    style = "yellow" if notice.is_request else "red"
    subject = " ".join(filter(None, (on_one_line(notice.instance), notice.name)))
    whole = ": ".join(filter(None, (subject, notice.message)))
    room = width - len(INDENT)
    message = list(wrapped(whole, room))[:LONGEST_FIX] if not notice.fix else [whole]
    for index, line in enumerate(message):
        mark = INDENT if index else ("? " if notice.is_request else "! ")
        yield Text.assemble((mark, f"bold {style}"), fitted(Text(line, style), room))
    for line in list(wrapped(notice.fix, room - len(INDENT)))[:LONGEST_FIX]:
        yield Text(f"{INDENT}{INDENT}{line}")


def _entries(frame: Frame, places: Sequence[Place]) -> Iterator[Entry]:
    of_instance = {name: list(some) for name, some in groupby(places, lambda place: place.instance)}
    for name, board in sorted(frame.board.instances.items()):
        if frame.view.attention_only and name not in of_instance and not is_off(board):
            continue
        yield Entry(name)
        for kind, some in groupby(of_instance.get(name, ()), lambda place: place.kind):
            yield Entry(name, kind)
            yield from (Entry(name, kind, place) for place in some)


def _window(entries: Sequence[Entry], selected: Place | None, room: int) -> tuple[Sequence[Entry], int]:
    """Return the entries that fit, around the selection, and the index of the first one."""
    if len(entries) <= room:
        return entries, 0
    index = next((index for index, entry in enumerate(entries) if entry.place == selected), 0)
    first = max(0, min(index - room // 2, len(entries) - room))
    visible = list(entries[first : first + room])
    if first and room >= LEAST_STICKY and visible[STICKY].place is not None:
        below = visible[STICKY]
        visible[:STICKY] = [Entry(below.instance), Entry(below.instance, below.kind)]
    return visible, first


def _entry(frame: Frame, columns: Layout, entry: Entry, selected: Place | None) -> Text:
    board = frame.board.instances[entry.instance]
    if entry.place is not None:
        return columns.row(
            frame.board,
            entry.place,
            selected=entry.place == selected,
            outdated=is_off(board) or frame.board.bridge_state == "offline",
            now=frame.now,
        )
    if entry.kind:
        return columns.heading(entry.kind)
    return _ruled(_instance(entry.instance, board, frame.now), frame.width)


def _instance(name: str, board: InstanceBoard, now: datetime) -> Text:
    status = status_of_instance(board)
    heading = Text.assemble((on_one_line(name), "bold"), "  ", (status.word, STYLES[status.tone]))
    if is_off(board):
        since = seconds_until((board.connection or {}).get("since"), now)
        return heading if since is None else heading.append(f" for {duration(-since)}", "red")
    if missing := ", ".join(needs(board.system or {})):
        heading.append(f", needs {missing}")
    for direction in ("in", "out"):
        speed = (board.metrics or {}).get(f"{direction}_rate")
        if number(speed) is not None:
            heading.append(f"  {direction} {rate(speed)}")
    return heading


def _ruled(text: Text, width: int, end: str = "") -> Text:
    """Return a text, and another one at the right, in a horizontal line."""
    before = Text.assemble((MISSING * 2, "bright_black"), " ", text, " ")
    after = Text.assemble(" ", (end, "yellow"), " ", (MISSING * 2, "bright_black")) if end else Text()
    line = MISSING * max(0, width - before.cell_len - after.cell_len)
    return Text.assemble(before, (line, "bright_black"), after)


def _events(frame: Frame, room: int, position: str) -> Iterator[Text]:
    if room < 1:
        return
    yield _ruled(Text("latest events", "bright_black"), frame.width, position)
    for event in list(frame.board.events)[-(room - 1) :] if room > 1 else ():
        line = describe(event.address, event.payload) or ""
        yield Text.assemble((f"{event.at:%H:%M:%S} ", "bright_black"), f"{on_one_line(event.instance):>7}  ", line)


# --- the pages that are texts


def _problems(frame: Frame, found: Sequence[Notice]) -> list[Text]:
    lines: list[Text] = []
    for notice in found:
        style = "yellow" if notice.is_request else "red"
        subject = " ".join(filter(None, (on_one_line(notice.instance), notice.name)))
        since = date_and_time(notice.since, frame.now)
        lines.append(Text.assemble((subject or "stbridge", f"bold {style}"), f"  since {since}" if since else ""))
        lines += [Text(f"{INDENT}{line}") for line in wrapped(notice.message, frame.width - len(INDENT))]
        lines += [Text(f"{INDENT}{line}", "bold") for line in wrapped(notice.fix, frame.width - len(INDENT))]
        lines.append(Text())
    return _scrolled(frame, lines or [Text("Nothing needs attention.", "green")])


def _details(frame: Frame, _: Sequence[Notice]) -> list[Text]:
    selected = frame.view.selected(frame.board)
    if selected is None:
        return [Text("The folder or device does not exist any more.")]
    return _scrolled(frame, list(details(frame.board, selected, now=frame.now, width=frame.width)))


def _scrolled(frame: Frame, lines: Sequence[Text]) -> list[Text]:
    """Return the lines that fit; only here it is known how far the page can be scrolled."""
    room = max(1, frame.height - FRAME)
    frame.view.first = min(frame.view.first, max(0, len(lines) - room))
    return list(lines[frame.view.first : frame.view.first + room])


_BODIES: Mapping[Page, Callable[[Frame, Sequence[Notice]], list[Text]]] = {
    Page.LIST: _list,
    Page.PROBLEMS: _problems,
    Page.DETAILS: _details,
}

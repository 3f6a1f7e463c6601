"""Draws the screen of `stbridge watch`: instances, folders and devices with progress bars, the latest events."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stbridge.core.json_text import on_one_line
from stbridge.core.wording import counted
from stbridge.watch.board import Board, InstanceBoard, Place
from stbridge.watch.lines import describe, number, size

HELP = "up/down select   s scan   p pause/resume   q quit"
BAR_WIDTH = 20

_COLORS = {
    "idle": "green",
    "online": "green",
    "syncing": "blue",
    "sync-preparing": "blue",
    "sync-waiting": "blue",
    "scanning": "cyan",
    "scan-waiting": "cyan",
    "paused": "bright_black",
    "error": "red",
}


def screen(board: Board, selected: Place | None, note: str, *, height: int) -> RenderableType:
    """Return the whole screen.

    Args:
        board: the messages received so far.
        selected: the folder that the keys act on.
        note: a message to the user that replaces the help.
        height: the number of lines of the terminal; the latest events fill the remaining lines, at least three.
    """
    parts: list[RenderableType] = [_heading(board)]
    used = 4  # lines for the heading and the help, rounded up
    for name, instance in sorted(board.instances.items()):
        parts.append(_instance(name, instance, selected))
        used += 6 + len(instance.folders) + len(instance.devices)  # 6 for the border and the table headings, rounded up
    if not board.instances:
        parts.append(Text("no messages yet: check that the bridge is running and has the same mqtt.base_topic"))
    parts.append(_events(board, max(3, height - used)))
    parts.append(Text(on_one_line(note) or HELP, style="bright_black"))
    return Group(*parts)


def _heading(board: Board) -> Text:
    state = board.bridge_state or "not seen"
    return Text.assemble(("stbridge", "bold"), "  the bridge is ", (state, _COLORS.get(state, "yellow")))


def _instance(name: str, board: InstanceBoard, selected: Place | None) -> Panel:
    marked = selected.folder if selected and selected.instance == name else None
    return Panel(
        Group(_folders(board, marked), _devices(board)),
        title=_title(name, board),
        title_align="left",
        border_style="" if board.state == "online" else "red",
    )


def _title(name: str, board: InstanceBoard) -> Text:
    title = Text.assemble((on_one_line(name), "bold"), "  ")
    if board.state != "online":
        reason = _text((board.connection or {}).get("message")) or "not reachable"
        return title.append(f"{board.state or 'unknown'}: {reason}", "red")
    system, metrics = board.system or {}, board.metrics or {}
    state = _text(system.get("state")) or "unknown"
    title.append(state, _COLORS.get(state, "yellow"))
    if system.get("problem"):
        title.append("  " + "; ".join(_messages(system)), "red")
    return title.append(f"  in {_rate(metrics.get('in_rate'))}  out {_rate(metrics.get('out_rate'))}")


def _folders(board: InstanceBoard, marked: str | None) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column(" folder", ratio=2, no_wrap=True)
    table.add_column("state", width=14, no_wrap=True)
    table.add_column("", width=BAR_WIDTH)
    table.add_column("%", width=6, justify="right")
    table.add_column("size", width=9, justify="right", no_wrap=True)
    table.add_column("needs", ratio=1, no_wrap=True)
    for identifier, folder in sorted(board.folders.items()):
        state, completion = _text(folder.get("state")), _percent(folder.get("completion"))
        table.add_row(
            Text(f"{'>' if identifier == marked else ' '}{_text(folder.get('label')) or on_one_line(identifier)}"),
            Text(state, _COLORS.get(state, "yellow")),
            ProgressBar(total=100, completed=completion or 0, width=BAR_WIDTH),
            "" if completion is None else f"{int(completion)}",
            size(folder.get("global_bytes")),
            Text(_needs(folder), "red" if folder.get("problem") or folder.get("error") else ""),
            style="reverse" if identifier == marked else "",
        )
    return table


def _needs(folder: Mapping[str, Any]) -> str:
    words = [_text(folder["error"])] if folder.get("error") else []
    words += _messages(folder)
    if folder.get("need_items"):
        words.append(f"{counted(folder['need_items'], 'item')}, {size(folder.get('need_bytes'))}")
    if folder.get("resume_at"):
        words.append(f"until {folder['resume_at']}")
    return "; ".join(words)


def _messages(payload: Mapping[str, Any]) -> list[str]:
    problems = payload.get("problems")
    return (
        [_text(one.get("message")) for one in problems if isinstance(one, dict)] if isinstance(problems, list) else []
    )


def _text(value: object) -> str:
    """Return a string unchanged, and anything else as "": any client may publish other JSON to these topics."""
    return value if isinstance(value, str) else ""


def _percent(value: object) -> float | None:
    percent = number(value)
    return None if percent is None else max(0.0, min(100.0, percent))


def _devices(board: InstanceBoard) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column(" device", ratio=2, no_wrap=True)
    table.add_column("connection", width=14, no_wrap=True)
    table.add_column("", width=BAR_WIDTH)
    table.add_column("%", width=6, justify="right")
    table.add_column("rates", width=28, no_wrap=True)
    for identifier, device in sorted(board.devices.items()):
        completion = _percent(device.get("completion"))
        table.add_row(
            Text(f" {_text(device.get('name')) or on_one_line(identifier)}"),
            _connection(device),
            ProgressBar(total=100, completed=completion or 0, width=BAR_WIDTH),
            "" if completion is None else f"{int(completion)}",
            f"in {_rate(device.get('in_rate'))}  out {_rate(device.get('out_rate'))}"
            if device.get("connected")
            else "",
        )
    return table


def _connection(device: Mapping[str, Any]) -> Text:
    if device.get("paused"):
        return Text("paused", "bright_black")
    return Text("connected", "green") if device.get("connected") else Text("not connected", "yellow")


def _rate(rate: object) -> str:
    return f"{size(rate)}/s"


def _events(board: Board, count: int) -> Text:
    return Text("\n").join(_latest(board, count))


def _latest(board: Board, count: int) -> Iterator[Text]:
    for event in list(board.events)[-count:]:
        line = describe(event.address, event.payload) or ""
        yield Text.assemble((f"{event.at:%H:%M:%S} ", "bright_black"), f"{on_one_line(event.instance):>7}  ", line)

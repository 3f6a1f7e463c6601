"""Fits texts into cells of a terminal: many characters are two cells wide, some have no width."""

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells
from rich.text import Text

from stbridge.watch.status import Tone

STYLES = {
    Tone.GOOD: "green",
    Tone.BUSY: "cyan",
    Tone.PAUSED: "bright_black",
    Tone.AWAY: "magenta",
    Tone.NOTE: "yellow",
    Tone.BAD: "red",
    Tone.UNKNOWN: "magenta",
}

DONE, HALF, MISSING = "━", "╸", "─"
"""The parts of a bar; they differ in shape because a terminal may have no colors."""

_ASCII = str.maketrans({DONE: "=", HALF: "-", MISSING: "-", "\u2026": "~"})


def fitted(text: Text | str, width: int, *, right: bool = False) -> Text:
    """Return a text of exactly this width: cut with an ellipsis, or padded."""
    shown = text.copy() if isinstance(text, Text) else Text(text)
    shown.truncate(max(0, width), overflow="ellipsis")
    missing = " " * (width - shown.cell_len)
    return Text.assemble(missing, shown) if right else Text.assemble(shown, missing)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Split a text into lines of at most this width, between words where that is possible."""
    line = ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) <= width:
            line += f" {word}"
            continue
        if line:
            yield line
        *whole, line = chop_cells(word, max(2, width))
        yield from whole
    if line:
        yield line


def bar(percent: float, width: int, style: str, *, rest: str) -> Text:
    """Return a progress bar of this width; `style` is that of what is done, and `rest` that of what is missing."""
    halves = int(2 * width * percent / 100)
    done = DONE * (halves // 2) + HALF * (halves % 2)
    return Text.assemble((done, style), (MISSING * (width - len(done)), rest))


def in_ascii(text: Text) -> Text:
    """Replace the characters that the screen draws with, for terminals that support only ASCII."""
    text.plain = text.plain.translate(_ASCII)
    return text

"""docs/troubleshooting.md and docs/monitoring.md quote only messages that the program prints."""

import ast
import re
from functools import cache

import pytest

from tests.documents import ROOT, rows, spans, text_of

PAGE = ROOT / "docs/troubleshooting.md"
MONITORING = ROOT / "docs/monitoring.md"
LOGGED = {"is skipped from now on", "is refused by the broker", "is too large", "packet too large"}
"""Messages that the page quotes in a column with symptoms."""

REASON_OF_MQTT = "packet too large"
"""The name of a reason code of MQTT 5, as paho spells it except for the case."""

EXAMPLE = "`nas: online, 3 folders, 2 devices`"
"""A line of the log with values."""

QUOTED = {cells[0] for cells in rows(text_of(PAGE), "message")}
QUOTED |= {cells[0] for cells in rows(text_of(MONITORING), "line contains")} - {EXAMPLE}


@cache
def messages() -> str:
    """Return every string of the program, one per line, with `...` in place of each inserted value."""
    found = []
    for path in (ROOT / "stbridge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(one.value) if isinstance(one, ast.Constant) else "..." for one in node.values))
    return "\n".join(one.replace("\n", " ") for one in found)


def is_printed(message: str) -> bool:
    """Return whether a string of the program contains the pieces of a message, in their order."""
    pieces = [re.escape(piece.strip()) for piece in message.split("...") if piece.strip()]
    return re.search(".*".join(pieces), messages()) is not None


@pytest.mark.parametrize("cell", sorted(QUOTED))
def test_each_quoted_message_is_one_of_the_program(cell: str) -> None:
    """Readers search the page for the text that they see."""
    assert spans(cell)
    assert [message for message in spans(cell) if not is_printed(message)] == []


@pytest.mark.parametrize("message", sorted(LOGGED - {REASON_OF_MQTT}))
def test_each_quoted_line_of_the_log_is_one_of_the_program(message: str) -> None:
    """The same for messages that the page describes as a symptom."""
    assert f"`{message}`" in text_of(PAGE)
    assert is_printed(message)


def test_a_message_that_the_program_does_not_print_is_found() -> None:
    """Also if only the order of its pieces is wrong."""
    assert is_printed("nothing listens at ...")
    assert not is_printed("nobody listens at ...")
    assert not is_printed("mqtt.host ... nothing listens at")

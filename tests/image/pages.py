"""What a reader of an installation page does: types commands, and writes files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.documents import FENCE, spans, text_of

_HEREDOC = re.compile(r"<<'(\w+)'$", re.MULTILINE)
FILES = ("ini", "toml", "yaml")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the reader types.

    Attributes:
        section: the heading of its section.
        text: the command, which may have several lines.
    """

    section: str
    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader writes.

    Attributes:
        section: the heading of its section.
        path: the last path in backticks before the block.
        text: its content.
        added: whether the text is added to an existing file.
    """

    section: str
    path: str
    text: str
    added: bool


Step = Command | File


def steps(document: Path, *sections: str) -> Iterator[Step]:
    """Yield the steps of a page in their order; with names of sections, only the steps of these."""
    text = text_of(document)
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        section = re.findall(r"^##+ (.*)$", before, re.MULTILINE)[-1]
        if sections and section not in sections:
            continue
        content = dedent(fence["text"])
        if fence["language"] == "console":
            yield from (Command(section, command) for command in _commands(content))
        elif fence["language"] in FILES:
            paragraph = before.rstrip().rpartition("\n\n")[2]
            path = [name for name in spans(paragraph) if name.endswith((".conf", ".toml", ".yaml"))][-1]
            yield File(section, path, content, added="Add to" in paragraph)


def _commands(block: str) -> Iterator[str]:
    """Yield each command after the prompt `$`, with the lines of its here-document."""
    waiting: list[str] = []
    ends = ""
    for line in block.splitlines():
        assert waiting or line.startswith("$ "), f"neither a command nor part of one: {line}"
        waiting.append(line if waiting else line.removeprefix("$ "))
        opened = _HEREDOC.search(line)
        ends = opened[1] if opened else ends
        if not ends or line == ends:
            yield "\n".join(waiting)
            waiting, ends = [], ""
    assert not waiting, "a here-document has no end"

"""Parsers for the project's Markdown documents."""

import re
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from textwrap import dedent
from types import ModuleType

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = (README, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md")))

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def text_of(document: Path) -> str:
    """Return the text of a document."""
    return document.read_text(encoding="utf-8")


def prose_of(document: Path) -> str:
    """Return the text of a document without its code blocks."""
    return FENCE.sub("", text_of(document))


def blocks(document: Path, *languages: str) -> list[str]:
    """Return the code blocks in one of these languages; "" selects blocks without a language."""
    return [dedent(found["text"]) for found in FENCE.finditer(text_of(document)) if found["language"] in languages]


def spans(text: str) -> list[str]:
    """Return the text inside backticks."""
    return _SPAN.findall(text)


def spoken_code(document: Path) -> str:
    """Return the code that a reader might type or encounter: text in backticks, and shell blocks."""
    return "\n".join([*spans(prose_of(document)), *blocks(document, "", "console", "sh", "text")])


def links(document: Path) -> list[str]:
    """Return the targets of the links in a document."""
    return [found["target"] for found in _LINK.finditer(prose_of(document))]


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings."""
    headings = _HEADING.findall(prose_of(document))
    return {_NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def sections(document: Path) -> dict[str, str]:
    """Return the sections of a document by their headings."""
    _, *parts = re.split(r"^## ", text_of(document), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def rows(text: str, first: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables whose first column has this heading."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not set(cells[0]) <= set("-:"):
            yield cells


def loaded(script: Path) -> ModuleType:
    """Load a script as a module; scripts of this project have no suffix or are outside of every package."""
    loader = SourceFileLoader(script.stem, str(script))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module

"""The prose of the project: documents, docstrings, comments and messages, and the words that they avoid."""

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = ("stbridge", "tests", "benchmarks", "scripts")
THIS = "tests/prose.py"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose.

    Attributes:
        where: file and line.
        text: without code.
    """

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word or phrase to avoid.

    Attributes:
        pattern: how it is found, whatever the case.
        instead: what to write.
    """

    pattern: re.Pattern[str]
    instead: str


def _word(pattern: str, instead: str) -> Word:
    return Word(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), instead)


_APOSTROPHE = "['\u2019]"

WORDS = (
    _word("Syncthings", "Syncthing instances"),
    _word(r"(?:a|one|each|every|another|which|this) Syncthing(?! \w)", "a Syncthing instance"),
    _word("amiss", "wrong; a problem"),
    _word("mend(?:s|ed|ing)?|cure[sd]?", "fix"),
    _word("tell(?:s|ing)?|told", "report, publish, log, show, return; of two things: distinguish"),
    _word("say(?:s|ing)?|said", "report, publish, log, show, state"),
    _word("lack(?:s|ed|ing)?", "is missing, needs"),
    _word("carr(?:y|ies|ied|ying) (?:it |them |this )?out", "run, execute"),
    _word(
        r"(?:process|thread|service|bridge|broker|connection|session|program|it|Syncthing|server) (?:has )?end(?:s|ed)",
        "stop, exit, close",
    ),
    _word(r"(?:the|its|a|own|our|bridge's|other's) will(?= |$)(?! \w+ (?:be|not|have))|wills", "last will"),
    _word("access lists?", "ACL"),
    _word("signs? of life", "heartbeat, keepalive"),
    _word("go(?:es)? before", "overrides, takes precedence; is sent first"),
    _word("anew|afresh", "again, from scratch"),
    _word("but for", "except"),
    _word("whoever|whomever", "the user, the client, the caller: what it is"),
    _word("thick and fast|now and then|just then|for long", "a number or a rate"),
    _word(r"(?:an |its |one |earlier |previous )?(?:earlier life|lives|life) of (?:the|a) bridge|earlier life", "run"),
    _word("(?:is|was|are|were|been|be) away", "is stopped, is disconnected, is offline"),
    _word("told late", "published late"),
    _word("wait(?:s|ed)? for (?:its|their) turns?|held back|hold(?:s|ing)? back", "is rate limited, is queued, delays"),
    _word("the ring|a ring", "Syncthing's event buffer"),
    _word("knock(?:s|ed|ing)?|wants in", "is pending"),
    _word("from so many on|so many (?:seconds|times|bytes|at once)", "the number; minimum count; N seconds"),
    _word("unambiguous|called like that", "unique"),
    _word("birth(?: message)?s? (?:is|are) told", "is received"),
    _word("believe[sd]?", "accept, trust, take for"),
    _word("wants? to", "needs to, must; of a user: would like to"),
    _word("nobody knows|nobody is told|knock at", "a statement about a thing"),
    _word("half known|once in a life|in peace|to rest|rests", "plain words"),
    _word("whilst|amongst|shall|thereof|thereby|hence|lest|albeit", "plain words"),
    _word(
        "behaviours?|colou?red by|colours?|favours?|honours?|centres?|licences?|grey|catalogues?", "American spelling"
    ),
    _word("recognis\\w+|organis\\w+|initialis\\w+|normalis\\w+|serialis\\w+|summaris\\w+|synchronis\\w+", "-ize"),
    _word(rf"(?:do|does|is|are|was|were|ca|wo|did|could|should|would|has|have|had)n{_APOSTROPHE}t", "no contraction"),
    _word(
        rf"(?:it|that|there|what|who|let|here){_APOSTROPHE}s|(?:you|we|they){_APOSTROPHE}(?:re|ve|ll)|I{_APOSTROPHE}m",
        "no contraction",
    ),
)


def passages() -> Iterator[Passage]:
    """Yield all prose."""
    for file in sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "homeassistant-app").rglob("*.md")]
    ):
        yield from _document(file)
    for name in PYTHON:
        for file in sorted((ROOT / name).rglob("*")):
            if file.is_file() and _is_python(file) and _name(file) != THIS:
                yield from _source(file)


def _is_python(file: Path) -> bool:
    if file.suffix:
        return file.suffix == ".py"
    with file.open("rb") as content:
        return b"python" in content.readline()


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _document(file: Path) -> Iterator[Passage]:
    text = re.sub(
        r"^ *```.*?^ *```|^ {4}.*?$", _blank, file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", _blank, text, flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), 1):
        yield Passage(f"{_name(file)}:{number}", line)


def _blank(found: re.Match[str]) -> str:
    """Return as many line breaks, so that the numbers of lines stay."""
    return " - " + "\n" * found[0].count("\n")


def _source(file: Path) -> Iterator[Passage]:
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    documentation = set(_docstrings(tree))
    with file.open("rb") as content:
        for token in tokenize.tokenize(content.readline):
            if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
                yield Passage(f"{_name(file)}:{token.start[0]}", _without_code(token.string))
    is_product = _name(file).startswith("stbridge/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_prose = node in documentation or (is_product and len(re.findall(r"\b[a-z]{2,}\b", node.value)) > 2)
            for number, line in enumerate(node.value.splitlines() if is_prose else (), node.lineno):
                yield Passage(f"{_name(file)}:{number}", _without_code(line))


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield docstrings, also those of attributes and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _without_code(text: str) -> str:
    return re.sub(r"`[^`]*`|\{[^}]*\}|\"[^\"]*\"|'[^' ]*'", " - ", text)


def findings() -> Iterator[str]:
    """Yield each word to avoid, with its place and what to write instead."""
    for passage in passages():
        for word in WORDS:
            for found in word.pattern.finditer(passage.text):
                yield f"{passage.where}: {found[0]!r}: {word.instead}"


if __name__ == "__main__":
    found = list(findings())
    for one in found:
        print(one)  # noqa: T201 - what it is for
    sys.exit(1 if found else 0)

"""The prose of documents, docstrings, comments and messages avoids the words that readers stumble over."""

import pytest

from tests import prose
from tests.prose import WORDS, findings


def test_no_prose_contains_a_word_to_avoid() -> None:
    """`python -m tests.prose` lists the same findings, each with what to write instead."""
    assert list(findings()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Two Syncthings are told anew.", ["Syncthings", "told", "anew"]),
        ("The broker believes that the bridge has ended.", ["believes", "bridge has ended"]),
        ("It isn't carried out, but for scans.", ["isn't", "carried out", "but for"]),
        ("Publishes every retained topic again, also to an access list.", ["access list"]),
        ("A Syncthing instance is out of sync.", []),
        ("Publish the last will.", []),
    ],
)
def test_words_to_avoid_are_found(text: str, found: list[str]) -> None:
    """Each word is found in any case, and words that contain it are not."""
    matches = sorted((match.start(), match[0]) for word in WORDS for match in word.pattern.finditer(text))
    assert [match for _, match in matches] == found


def test_all_prose_is_read() -> None:
    """Documents, docstrings, comments and messages of every part are among the passages."""
    places = {passage.where.partition(":")[0] for passage in prose.passages()}
    assert {"README.md", "docs/security.md", "stbridge/cli.py", "tests/test_language.py", "scripts/tables"} <= places

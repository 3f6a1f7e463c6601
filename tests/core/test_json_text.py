"""Parsing of JSON from untrusted sources."""

import pytest

from stbridge.core.json_text import DEEPEST, as_json, cut_all, read_json


def nested(depth: int) -> bytes:
    """Return a document of alternating objects and lists, nested this deeply."""
    opening = [b'{"a":' if level % 2 else b"[" for level in range(depth)]
    closing = [b"}" if level % 2 else b"]" for level in range(depth)]
    return b"".join([*opening, b"1", *reversed(closing)])


@pytest.mark.parametrize("depth", [DEEPEST + 1, 450, 990, 100_000])
def test_a_document_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    """Code that walks through a document may use one level of recursion per level."""
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(nested(depth))


def test_the_deepest_document_can_be_written_and_cut() -> None:
    """Every document that can be parsed can be published again."""
    value = read_json(nested(DEEPEST))
    assert read_json(as_json({"a": value["a"]} if isinstance(value, dict) else {"a": value[0]}))
    assert cut_all(value, 10) == value


def test_brackets_in_texts_and_long_lists_do_not_count_as_depth() -> None:
    """A name may hold any number of brackets."""
    assert read_json(b'["' + b"[" * 1000 + b'"]') == ["[" * 1000]
    assert len(read_json(b"[" + b",".join([b"[{}]"] * 1000) + b"]")) == 1000

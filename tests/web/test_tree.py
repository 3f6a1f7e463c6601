"""The tree of the page, whose changes are merge patches (RFC 7386)."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stbridge.web.tree import Tree, merge_patch


def applied(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a merge patch, computed as the RFC describes it."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            target[key] = applied(inner if isinstance(inner, dict) else {}, value)
        else:
            target[key] = value
    return target


def test_only_changed_keys_are_in_the_patch() -> None:
    """A folder of which only the progress changes costs a few bytes."""
    tree = Tree()
    tree.put(("instances", "nas", "folders", "a"), {"label": "A", "completion": 1})
    assert tree.take_patch() == {"instances": {"nas": {"folders": {"a": {"label": "A", "completion": 1}}}}}
    tree.put(("instances", "nas", "folders", "a"), {"label": "A", "completion": 2})
    assert tree.take_patch() == {"instances": {"nas": {"folders": {"a": {"completion": 2}}}}}
    assert tree.take_patch() == {}


def test_empty_parents_disappear() -> None:
    """The last topic of an instance takes the instance along."""
    tree = Tree()
    tree.put(("instances", "nas", "folders", "a"), {"label": "A"})
    tree.put(("instances", "box", "state"), "online")
    tree.take_patch()
    assert tree.put(("instances", "nas", "folders", "a"), None)
    assert tree.take_patch() == {"instances": {"nas": None}}
    assert tree.root == {"instances": {"box": {"state": "online"}}}


def test_a_change_that_is_undone_is_no_change() -> None:
    """Between two ticks, a value may change and change back."""
    tree = Tree()
    tree.put(("a", "b"), 1)
    tree.take_patch()
    tree.put(("a", "b"), 2)
    tree.put(("a", "b"), 1)
    assert tree.take_patch() == {}
    assert not tree.put(("a", "c"), None)


values = st.none() | st.integers(0, 3) | st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), min_size=1)
steps = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), values))


@given(st.lists(steps))
def test_patches_lead_to_the_tree(rounds: list[list[tuple[str, str, Any]]]) -> None:
    """A reader that applies all patches has the same tree, for any changes in between."""
    tree = Tree()
    copy: dict[str, Any] = {}
    for one in rounds:
        for first, second, value in one:
            tree.put((first, second), value)
        copy = applied(copy, tree.take_patch())
        assert copy == tree.root


@given(
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2)),
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2)),
)
def test_a_merge_patch_changes_one_object_into_the_other(old: dict[str, int], new: dict[str, int]) -> None:
    """The patch contains the removal of keys, too."""
    assert applied(dict(old), merge_patch(old, new)) == new

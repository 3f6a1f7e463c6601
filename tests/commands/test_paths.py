"""Paths on Syncthing's machine: which names are safe as directories, and which paths overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.commands.paths import WINDOWS, PathRules, is_directory_name

POSIX = PathRules(home="/home/someone", separator="/")
DRIVES = PathRules(home="C:\\Users\\me", separator=WINDOWS)


@pytest.mark.parametrize(
    "name", ["Photos", "my photos 2026", "\u00dcbung", "a.b", "con-artists", "x" * 255, "\u00fc" * 127]
)
def test_a_common_name_is_a_directory_name(name: str) -> None:
    """These are typical names of folders."""
    assert is_directory_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            ".",
            "..",
            ".ssh",
            "~",
            "~root",
            "a/b",
            "a\\b",
            "C:",
            "a ",
            "a.",
            "con",
            "COM1.txt",
            "nul .x",
            "\ud800",
        ),
        *("a\0b", "a\x1bb", "a\nb", "a\u202eb", "a\u2028b", "x" * 256, "\u00fc" * 128, "what?", "a*", "<a>"),
    ],
)
def test_an_unsafe_name_is_no_directory_name(name: str) -> None:
    """It could lead elsewhere, or some operating system does not allow it."""
    assert not is_directory_name(name)


@given(st.text(st.sampled_from("./\\~ :aC"), max_size=8))
def test_no_name_leaves_its_directory(name: str) -> None:
    """The path has exactly one more level, for any accepted name."""
    if is_directory_name(name):
        assert POSIX.absolute(f"/data/{name}") == f"/data/{name}"
        assert DRIVES.absolute(f"D:\\{name}") == f"D:\\{name}"


@pytest.mark.parametrize(
    ("rules", "path", "absolute"),
    [
        (POSIX, "~", "/home/someone"),
        (POSIX, "~/a/", "/home/someone/a"),
        (POSIX, "~you/a", None),
        (POSIX, "a", None),
        (POSIX, "", None),
        (POSIX, "//a//b/../c/.", "/a/c"),
        (POSIX, "/..", "/"),
        (DRIVES, "~\\a", "C:\\Users\\me\\a"),
        (DRIVES, "~/a", "C:\\Users\\me\\a"),
        (DRIVES, "D:/a/../b", "D:\\b"),
        (DRIVES, "\\\\?\\D:\\a", "D:\\a"),
        (DRIVES, "\\\\nas\\share\\a", "\\\\nas\\share\\a"),
        (DRIVES, "\\a", None),
        (DRIVES, "D:a", None),
    ],
)
def test_a_path_has_one_spelling(rules: PathRules, path: str, absolute: str | None) -> None:
    """The result is None if the beginning of the path is unknown."""
    assert rules.absolute(path) == absolute


@pytest.mark.parametrize(
    ("path", "other", "expected"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/a", "/a/b", True),
        ("/", "/a", True),
        ("/a", "/A/b", True),
        ("/\u00e9", "/e\u0301/b", True),
        ("/a", "/ab", False),
        ("/a/b", "/a/c", False),
    ],
)
def test_paths_overlap_if_one_holds_the_other(path: str, other: str, expected: bool) -> None:
    """Case is ignored, because it may not matter on that system."""
    assert POSIX.overlap(path, other) == expected
    drive = [f"C:{one}".replace("/", WINDOWS) for one in (path, other)]
    assert DRIVES.overlap(*drive) == expected

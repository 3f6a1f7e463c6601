"""Paths on the machine of a Syncthing instance, which may run another operating system than the bridge."""

import ntpath
import posixpath
import unicodedata
from dataclasses import dataclass

WINDOWS = "\\"
LONGEST_NAME = 255
"""Of a file, in bytes: the limit of nearly every file system."""

_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_NOT_FIRST = frozenset(".~ ")
_NOT_LAST = frozenset(". ")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10)}
)
"""Names that Windows does not use for files, with any extension."""


def is_directory_name(name: str) -> bool:
    """Return whether a name that a stranger has chosen is one new, visible directory on every operating system."""
    return (
        bool(name)
        and name.isprintable()  # false also for halves of surrogate pairs, and for marks that turn the text around
        and not set(name) & _NOT_IN_NAMES
        and name[0] not in _NOT_FIRST
        and name[-1] not in _NOT_LAST
        and name.partition(".")[0].rstrip().casefold() not in _DEVICES
        and len(name.encode()) <= LONGEST_NAME
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """How a machine writes its paths.

    Attributes:
        home: what Syncthing puts in the place of `~`.
        separator: between the levels of a path.
    """

    home: str
    separator: str

    def absolute(self, path: str) -> str | None:
        """Return the absolute path without `~`, `..` and superfluous separators; None for a relative path."""
        if self.separator == WINDOWS:
            path = path.replace("/", WINDOWS).removeprefix("\\\\?\\")
        if path == "~" or path.startswith(f"~{self.separator}"):
            path = self.home + path[1:]
        if self.separator == WINDOWS:
            return ntpath.normpath(path) if all(ntpath.splitdrive(path)) and ntpath.isabs(path) else None
        # POSIX gives two slashes at the beginning a meaning of their own; no system that Syncthing runs on does
        return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else None

    def same(self, path: str, other: str) -> bool:
        """Return whether two absolute paths may be those of one directory."""
        return _folded(path) == _folded(other)

    def overlap(self, path: str, other: str) -> bool:
        """Return whether two absolute paths may be equal, or one may be inside the other."""
        one, two = (_folded(each).rstrip(self.separator) + self.separator for each in (path, other))
        return one.startswith(two) or two.startswith(one)


def _folded(path: str) -> str:
    """Return a path in the form in which file systems compare that ignore case, or the way accents are encoded."""
    return unicodedata.normalize("NFC", path).casefold()

"""Paths on the machine of a Syncthing instance, whose operating system may differ from the bridge's."""

import ntpath
import posixpath
import unicodedata
from dataclasses import dataclass

WINDOWS = "\\"
LONGEST_NAME = 255
"""Maximum length of a file name in bytes, on nearly every file system."""

_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_NOT_FIRST = frozenset(".~ ")
_NOT_LAST = frozenset(". ")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10)}
)
"""Names that Windows reserves for devices, with any extension."""


def is_directory_name(name: str) -> bool:
    """Return whether a name that a peer may have chosen names one new, visible directory on any operating system."""
    return (
        bool(name)
        and name.isprintable()  # also false for lone surrogates, and for marks that change the direction of the text
        and not set(name) & _NOT_IN_NAMES
        and name[0] not in _NOT_FIRST
        and name[-1] not in _NOT_LAST
        and name.partition(".")[0].rstrip().casefold() not in _DEVICES
        and len(name.encode()) <= LONGEST_NAME
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """The rules for paths on a machine.

    Attributes:
        home: the path that Syncthing substitutes for `~`.
        separator: the separator between the levels of a path.
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
        # POSIX allows a special meaning for two leading slashes; no system that Syncthing runs on uses it
        return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else None

    def same(self, path: str, other: str) -> bool:
        """Return whether two absolute paths may refer to the same directory."""
        return _folded(path) == _folded(other)

    def overlap(self, path: str, other: str) -> bool:
        """Return whether two absolute paths may be the same, or one may be inside the other."""
        one, two = (_folded(each).rstrip(self.separator) + self.separator for each in (path, other))
        return one.startswith(two) or two.startswith(one)


def _folded(path: str) -> str:
    """Return a path normalized as by file systems that ignore case or the encoding of accents."""
    return unicodedata.normalize("NFC", path).casefold()

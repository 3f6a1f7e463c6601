"""Incremental sums: replacing one part takes the same time for any number of parts."""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar


class FolderPart(NamedTuple):
    """The numbers that one folder adds to the sums of the instance."""

    total: int = 0
    paused: int = 0
    unknown: int = 0
    error: int = 0
    syncing: int = 0
    scanning: int = 0
    out_of_sync: int = 0
    need_bytes: int = 0
    need_items: int = 0
    need_deletes: int = 0
    global_bytes: int = 0
    conflicts: int = 0


class DevicePart(NamedTuple):
    """The numbers that one remote device adds to the sums of the instance."""

    total: int = 0
    connected: int = 0
    paused: int = 0
    unknown: int = 0
    out_of_sync: int = 0


class SharePart(NamedTuple):
    """The numbers that one folder adds to the sums of a device that shares it.

    `known`, `incomplete` and `need_total_items` also count folders that the device has paused or not accepted, because
    Syncthing's page does; the other numbers do not.
    """

    counted: int = 0
    unknown: int = 0
    out_of_sync: int = 0
    need_bytes: int = 0
    need_items: int = 0
    need_deletes: int = 0
    global_bytes: int = 0
    known: int = 0
    incomplete: int = 0
    need_total_items: int = 0


Part = TypeVar("Part", FolderPart, DevicePart, SharePart)


class Tally(Generic[Part]):
    """A sum of parts, each under a key.

    Args:
        nothing: the part that adds nothing.
    """

    def __init__(self, nothing: Part) -> None:
        self.total: Part = nothing
        self._nothing: Part = nothing
        self._parts: dict[Hashable, Part] = {}

    def put(self, key: Hashable, part: Part) -> bool:
        """Replace the part of a key, and return whether the sum changed."""
        before = self._parts.get(key, self._nothing)
        if part == before:
            return False
        self._parts[key] = part
        self.total = type(part)._make(
            [total - old + new for total, old, new in zip(self.total, before, part, strict=True)]
        )
        return True

    def drop(self, key: Hashable) -> bool:
        """Remove the part of a key, and return whether the sum changed."""
        changed = self.put(key, self._nothing)
        self._parts.pop(key, None)
        return changed

"""A tree of JSON objects that reports its changes as a JSON Merge Patch (RFC 7386)."""

from typing import Any

Path = tuple[str, ...]

_MISSING = object()


class Tree:
    """Nested objects, whose changes since the last patch are known; it contains neither null nor empty parents."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        """The whole tree; only `put` changes it."""
        self._before: dict[Path, Any] = {}

    def get(self, *path: str) -> Any:
        """Return a value; None if there is none."""
        value: Any = self.root
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                return None
        return value

    def put(self, path: Path, value: Any) -> bool:
        """Set a value, or remove it with None; return whether that changed the tree.

        Args:
            path: the keys from the root. No path may lead through the value of another.
            value: a JSON value, which is not changed afterwards.
        """
        old = self.get(*path)
        if old == value:
            return False
        self._before.setdefault(path, old)
        if value is None:
            self._remove(path)
            return True
        parent = self.root
        for key in path[:-1]:
            parent = parent.setdefault(key, {})
        parent[path[-1]] = value
        return True

    def _remove(self, path: Path) -> None:
        for length in range(len(path), 0, -1):
            parent = self.get(*path[: length - 1])
            del parent[path[length - 1]]
            if parent:
                return

    def take_patch(self) -> dict[str, Any]:
        """Return what has changed since the last call, as a merge patch; empty if nothing has."""
        patch: dict[str, Any] = {}
        for path, old in self._before.items():
            new = self.get(*path)
            if new != old:
                self._add(patch, path, merge_patch(old, new))
        self._before = {}
        return patch

    def _add(self, patch: dict[str, Any], path: Path, change: Any) -> None:
        """Put a change into the patch; the removal of a parent replaces the changes below it."""
        target = patch
        for length, key in enumerate(path[:-1], 1):
            if self.get(*path[:length]) is None:
                target[key] = None
                return
            target = target.setdefault(key, {})
        target[path[-1]] = change


def merge_patch(old: Any, new: Any) -> Any:
    """Return the merge patch between two values; None removes the value."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: None for key in old if key not in new}
    for key, value in new.items():
        if (before := old.get(key, _MISSING)) != value:
            patch[key] = merge_patch(before, value)
    return patch

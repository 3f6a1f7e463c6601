"""The setting `homeassistant.exclude`: folders, devices and entities that Home Assistant does not show."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

KINDS = ("folder", "device", "entity")
"""The first level of a pattern."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Patterns such as `folder/backup-*`, `device/phone` and `entity/sensor.syncthing_*_last_scan`.

    Attributes:
        patterns: the patterns, each with the kind that it applies to as first level.
    """

    patterns: tuple[str, ...] = ()

    def exclude(self, kind: str, names: Iterable[str]) -> bool:
        """Return whether a pattern matches one of the names of a folder, device or entity.

        Args:
            kind: one of KINDS.
            names: the names; they are read only if there are patterns of this kind.
        """
        globs = [pattern.removeprefix(f"{kind}/") for pattern in self.patterns if pattern.startswith(f"{kind}/")]
        return bool(globs) and any(fnmatchcase(name, glob) for name in names for glob in globs)


NOTHING = Exclusions()

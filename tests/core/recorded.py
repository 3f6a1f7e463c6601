"""Recorded answers of real Syncthing instances, one directory per version below tests/fixtures."""

import json
from pathlib import Path
from typing import Any

_FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

VERSIONS = sorted(directory.name for directory in _FIXTURES.iterdir())


def recorded(version: str, name: str) -> Any:
    """Return a recorded document."""
    return json.loads((_FIXTURES / version / f"{name}.json").read_text(encoding="utf-8"))


def recorded_id(version: str, name: str) -> str:
    """Return the device ID of "alpha", the instance that was recorded, or of "beta", its peer."""
    (device_id,) = [device["deviceID"] for device in recorded(version, "config")["devices"] if device["name"] == name]
    assert isinstance(device_id, str)
    return device_id


def is_before(version: str, other: str) -> bool:
    """Return whether a version is older than another one."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]

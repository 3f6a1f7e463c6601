"""Differences between versions of Syncthing."""

import pytest

from stbridge.core.versions import reports_completion_of_disconnected_devices


@pytest.mark.parametrize(
    ("version", "reports"),
    [
        ("v1.19.2", False),
        ("v1.20.4", False),
        ("v1.21.0-rc.1", True),
        ("v1.21.0", True),
        ("v1.21.0+dev.1-gabcdef", True),
        ("v1.100.0", True),
        ("v2.0.0", True),
        ("v10.0.0", True),
        ("v0.14.55", False),
        (None, False),
        ("", False),
        ("unknown-dev", False),
        ("v1", False),
        ("1.29.5", False),
        (" v1.29.5", False),
        ("v" + "9" * 5000 + ".1.0", False),
    ],
)
def test_completion_of_disconnected_devices_is_reported_by_newer_versions(
    version: str | None, *, reports: bool
) -> None:
    """An unknown or invalid version counts as an old one: an additional read does no harm."""
    assert reports_completion_of_disconnected_devices(version) is reports

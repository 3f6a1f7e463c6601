"""Differences between versions of Syncthing."""

import pytest

from stbridge.core.versions import reports_completion_of_disconnected_devices, reports_remote_states


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


@pytest.mark.parametrize(
    ("version", "reports"),
    [("v1.19.2", False), ("v1.20.0", True), ("v2.1.3", True), ("unknown-dev", True), (None, True)],
)
def test_remote_states_are_reported_by_newer_versions(version: str | None, *, reports: bool) -> None:
    """An unknown version counts as a new one: an additional read does no harm."""
    assert reports_remote_states(version) is reports

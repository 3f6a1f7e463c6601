"""Differences between versions of Syncthing that the rules depend on, each with its version."""

import re
from functools import lru_cache


@lru_cache(maxsize=16)  # it is asked for with most events, and an instance has one version
def _release(version: str | None) -> tuple[int, int] | None:
    """Return the major and minor number of a version such as `v1.19.2-rc.1`; None if it is not a release."""
    match = re.match(r"v(\d{1,6})\.(\d{1,6})\.", version or "")
    return (int(match[1]), int(match[2])) if match else None


OLDEST = (1, 19)
"""The oldest release whose API supports everything that the bridge needs."""


def is_too_old(version: str) -> bool:
    """Return whether a release is older than the oldest supported one; other builds count as new enough."""
    release = _release(version)
    return release is not None and release < OLDEST


def reports_completion_of_disconnected_devices(version: str | None) -> bool:
    """Return whether FolderCompletion is also sent for devices that are not connected.

    Up to 1.20 it is sent for connected devices only (Syncthing, lib/model/folder_summary.go).
    """
    release = _release(version)
    return release is not None and release >= (1, 21)


def reports_remote_states(version: str | None) -> bool:
    """Return whether a completion contains `remoteState`, which exists since 1.20; so do unknown builds."""
    release = _release(version)
    return release is None or release >= (1, 20)

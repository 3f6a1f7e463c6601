"""Recognizes conflict files by their names, because Syncthing sends no event for them."""

import re

MARK = ".sync-conflict-"

_NAME = re.compile(r"\.sync-conflict-\d{8}-\d{6}-(?P<device>[A-Z2-7]{7})(?P<rest>[^/]*)$")


def is_conflict(path: str) -> bool:
    """Return whether a path is a conflict file: `name.sync-conflict-YYYYMMDD-HHMMSS-SHORTID.ext`."""
    return MARK in path and _NAME.search(path) is not None  # `in` is faster, and most paths do not have the mark


def original(path: str) -> str:
    """Return the path of the original of a conflict file."""
    return _NAME.sub(r"\g<rest>", path)


def winner(path: str) -> str:
    """Return the short ID of the device whose change won the conflict."""
    found = _NAME.search(path)
    return found["device"] if found else ""

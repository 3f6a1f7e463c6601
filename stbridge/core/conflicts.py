"""Conflict files, told by their names: Syncthing sends no event of their own."""

import re

MARK = ".sync-conflict-"

_NAME = re.compile(r"\.sync-conflict-\d{8}-\d{6}-(?P<device>[A-Z2-7]{7})(?P<rest>[^/]*)$")


def is_conflict(path: str) -> bool:
    """Tell whether a path is that of a conflict file: `name.sync-conflict-YYYYMMDD-HHMMSS-SHORTID.ext`."""
    return MARK in path and _NAME.search(path) is not None  # most have no mark, which is found out faster


def original(path: str) -> str:
    """Return the path of the file that a conflict file is the loser of."""
    return _NAME.sub(r"\g<rest>", path)


def winner(path: str) -> str:
    """Return the short ID of the device whose change won."""
    found = _NAME.search(path)
    return found["device"] if found else ""

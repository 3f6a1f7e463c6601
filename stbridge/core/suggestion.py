"""Suggests an existing name for an unknown one."""

import difflib
from collections.abc import Collection, Iterable

LONGEST_NAME = 100
"""In characters. A client chooses the name of a command; comparing 64 KB with every known name would take long."""


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return the end of a message, such as `; did you mean scan?`; empty if no known name is similar.

    Args:
        name: the unknown name.
        known: the existing names.
        prefix: text that is shown before the suggestion.
    """
    if len(name) > LONGEST_NAME:
        return ""
    by_lower_case = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"; did you mean {prefix}{by_lower_case[found[0]]}?" if found else ""


def suggestion_or_list(name: str, known: Collection[str]) -> str:
    """Return the end of a message: the similar name, or all known names if none is similar.

    Args:
        name: the unknown name.
        known: the existing names; few enough for a message.
    """
    return did_you_mean(name, known) or f", only {', '.join(known)}"

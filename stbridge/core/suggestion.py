"""What somebody may have meant by a name that does not exist."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return the end of a message, such as `; did you mean scan?`; empty if no known name is similar.

    Args:
        name: the name that does not exist.
        known: the names that do.
        prefix: shown before the suggestion.
    """
    by_lower_case = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"; did you mean {prefix}{by_lower_case[found[0]]}?" if found else ""

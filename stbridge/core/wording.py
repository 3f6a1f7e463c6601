"""Formats counts in messages for users."""


def counted(count: object, noun: str) -> str:
    """Return a count and its noun: `1 folder`, `2 folders`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"

"""The commands that the page can offer, and which of them a setting allows."""

from collections.abc import Collection, Iterable

from stbridge.core.commands import allowed

OFFERED = (
    "scan",
    "pause",
    "resume",
    "clear_errors",
    "accept_device",
    "dismiss_device",
    "accept_folder",
    "dismiss_folder",
)
"""The commands that the page has buttons for; it sends no others."""


def offered(allow: Iterable[str]) -> Collection[str]:
    """Return the commands of the page that an allow-list of groups and names allows.

    Raises:
        ValueError: an entry is neither a group nor a command.
    """
    names = allowed(allow)
    return tuple(name for name in OFFERED if name in names)

"""The types of command arguments, and the checks of their values."""

from collections.abc import Callable, Mapping

from stbridge.core.command import Type
from stbridge.core.timing import is_duration

FOLDER_TYPES = ("sendreceive", "sendonly", "receiveonly", "receiveencrypted")
"""The types of folders. Syncthing reads any other word as `sendreceive`, so a typo would change files elsewhere."""


def is_text(value: object) -> bool:
    """Return whether a value is a non-empty text without unpaired surrogates."""
    return isinstance(value, str) and value != "" and value.encode("utf-8", "ignore").decode() == value


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(one == "" or is_text(one) for one in value)


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


TYPES: Mapping[Type, tuple[str, Callable[[object], bool]]] = {
    "folder": ("a text", is_text),
    "device": ("a text", is_text),
    "pending_folder": ("a text", is_text),
    "pending_device": ("a text", is_text),
    "folder_type": (f"{', '.join(FOLDER_TYPES[:-1])} or {FOLDER_TYPES[-1]}", lambda value: value in FOLDER_TYPES),
    "text": ("a text", is_text),
    "integer": ("a whole number, 0 or more", _is_whole_number),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "texts": ("a list of texts", _is_list_of_texts),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "duration": ("a duration such as 90s, 30m, 2h or 1d, or a number of seconds", is_duration),
}
"""The description of each type in messages, and its check."""

"""IDs of devices that are not there, which Syncthing accepts for their check characters."""

import base64
import secrets
from textwrap import wrap

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def new_device_id() -> str:
    """Return an ID that nobody has."""
    text = base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=")
    return "-".join(wrap("".join(part + _check_character(part) for part in wrap(text, 13)), 7))


def _check_character(text: str) -> str:
    total = 0
    for place, character in enumerate(text):
        addend = ALPHABET.index(character) * (1 + place % 2)
        total += addend // len(ALPHABET) + addend % len(ALPHABET)
    return ALPHABET[-total % len(ALPHABET)]

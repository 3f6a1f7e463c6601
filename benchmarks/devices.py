"""IDs of devices that do not exist; Syncthing accepts them because their check characters are correct."""

import base64
import secrets
from textwrap import wrap

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def new_device_id() -> str:
    """Return a random device ID."""
    text = base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=")
    return "-".join(wrap("".join(part + _check_character(part) for part in wrap(text, 13)), 7))


def _check_character(text: str) -> str:
    total = 0
    for place, character in enumerate(text):
        addend = ALPHABET.index(character) * (1 + place % 2)
        total += addend // len(ALPHABET) + addend % len(ALPHABET)
    return ALPHABET[-total % len(ALPHABET)]

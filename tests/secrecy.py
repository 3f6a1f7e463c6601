"""Checks that no output of a test run contains a secret."""

import logging

SHORTEST = 16
"""The minimum length of a secret: shorter ones occur in many texts by chance."""


class Secrecy:
    """Holds the secrets of a test run, and looks for them in all output that it is given."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._found: list[str] = []

    def keep(self, secret: str, what: str) -> str:
        """Look for a secret from now on, and return it."""
        if len(secret) >= SHORTEST:
            self._secrets.setdefault(secret, what)
        return secret

    def look(self, where: str, content: str | bytes) -> None:
        """Look for every secret in content that others can see."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        self._found += [f"{what} is in {where}" for secret, what in self._secrets.items() if secret in text]

    def take(self) -> list[str]:
        """Return the findings since the previous call."""
        found, self._found = self._found, []
        return found


SECRECY = Secrecy()
"""The secrets of this test run."""


class Listener(logging.Handler):
    """Checks every log record before the last filter removes secrets from it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Check a log record and its traceback."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        SECRECY.look(f"the log of {record.name}", f"{record.getMessage()}\n{trace}")

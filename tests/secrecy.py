"""What must not be told in a run of the tests, and where it was told all the same."""

import logging

SHORTEST = 16
"""Shorter secrets are in many texts by chance."""


class Secrecy:
    """Knows the secrets of a run, and looks for them in all that it is shown."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._found: list[str] = []

    def keep(self, secret: str, what: str) -> str:
        """Look for a secret from now on, and return it."""
        if len(secret) >= SHORTEST:
            self._secrets.setdefault(secret, what)
        return secret

    def look(self, where: str, content: str | bytes) -> None:
        """Look for every secret in something that others can see."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        self._found += [f"{what} is in {where}" for secret, what in self._secrets.items() if secret in text]

    def take(self) -> list[str]:
        """Return what was found since this was called last."""
        found, self._found = self._found, []
        return found


SECRECY = Secrecy()
"""That of this run."""


class Listener(logging.Handler):
    """Looks at every record of the log, before the last guard takes secrets out of it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record and its traceback."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        SECRECY.look(f"the log of {record.name}", f"{record.getMessage()}\n{trace}")

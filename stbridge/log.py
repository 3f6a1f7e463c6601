"""The log, on standard error: text for people, or one JSON object a line; never with a secret."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from stbridge.core.json_text import cut, on_one_line, printable_json
from stbridge.core.timing import in_utc
from stbridge.settings import LogSettings, Settings

log = logging.getLogger(__name__)

HIDDEN = "***"
SHORTEST_SECRET = 4

LONGEST_MESSAGE = 2000
"""In characters; what a client or a peer sends may be in it."""


class HideSecrets(logging.Filter):
    """A safety net: replaces secrets in log records.

    Args:
        secrets: the API keys and passwords.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        # the longest first, because one may begin like another
        self._secrets = sorted((one for one in secrets if len(one) >= SHORTEST_SECRET), key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the secrets; keep every record."""
        record.msg, record.args = self._without_secrets(record.getMessage()), None
        if record.exc_info:
            lines = self._without_secrets(logging.Formatter().formatException(record.exc_info)).split("\n")
            record.exc_text = "\n".join(map(on_one_line, lines))
        return True

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN).replace(repr(secret)[1:-1], HIDDEN)
        return text


class TextFormatter(logging.Formatter):
    """One line for people; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Format the line."""
        record.message = _shown(record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        entry = {
            "time": in_utc(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _shown(record.getMessage()),
        }
        if record.exc_text:
            entry["exception"] = record.exc_text
        return printable_json(json.dumps(entry, ensure_ascii=False))


def _shown(message: str) -> str:
    """Return a message without line breaks and control characters, which names and messages of others may hold."""
    return on_one_line(cut(message, LONGEST_MESSAGE))


def start_logging(settings: LogSettings, secrets: Iterable[str], stream: TextIO = sys.stderr) -> None:
    """Set up logging.

    Args:
        settings: level and format.
        secrets: texts that must never be logged.
        stream: where the log goes.
    """
    handler = logging.StreamHandler(stream)
    handler.addFilter(HideSecrets(secrets))
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        # systemd's journal has the time already
        time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
        handler.setFormatter(TextFormatter(f"{time}%(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    # It logs every retry with a traceback; our own code logs each failure once.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def log_death(death: threading.ExceptHookArgs) -> None:
    """Log the exception of a thread: Python itself would print it with any secrets in it."""
    exception = (death.exc_type, death.exc_value, death.exc_traceback)
    log.error("%s died", death.thread and death.thread.name, exc_info=exception)  # type: ignore[arg-type]


def secrets_of(settings: Settings) -> list[str]:
    """Return every API key and password of the settings."""
    keys = [instance.api_key.get_secret_value() for instance in settings.syncthing.values()]
    return [settings.mqtt.password.get_secret_value(), *keys]

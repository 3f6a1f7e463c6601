"""The log on standard error: plain text or one JSON object per line, without secrets."""

import json
import linecache
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
"""In characters; a message may contain text of any length from a client or a peer."""


class HideSecrets(logging.Filter):
    """Replaces secrets in log records, as a safety net.

    Args:
        secrets: the API keys and passwords.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        # the longest first, because one secret may be the beginning of another
        self._secrets = sorted((one for one in secrets if len(one) >= SHORTEST_SECRET), key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the secrets in a record; never drop the record."""
        record.msg, record.args = self._without_secrets(record.getMessage()), None
        if record.exc_info:
            lines = self._without_secrets(logging.Formatter().formatException(record.exc_info)).split("\n")
            record.exc_text = "\n".join(map(on_one_line, lines))
            linecache.clearcache()  # it would keep all lines of each file in a traceback, such as 0.4 MB of paho
        return True

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN).replace(repr(secret)[1:-1], HIDDEN)
        return text


class TextFormatter(logging.Formatter):
    """Formats a record as one line of plain text; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Format the line without its traceback."""
        record.message = _shown(record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, with its traceback."""
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
    """Return a message without line breaks and control characters, which names from other programs may contain."""
    return on_one_line(cut(message, LONGEST_MESSAGE))


def start_logging(settings: LogSettings, secrets: Iterable[str], stream: TextIO = sys.stderr) -> None:
    """Set up logging.

    Args:
        settings: level and format.
        secrets: texts that must never be logged.
        stream: the stream that the log is written to.
    """
    handler = logging.StreamHandler(stream)
    handler.addFilter(HideSecrets(secrets))
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        # systemd's journal already records the time
        time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
        handler.setFormatter(TextFormatter(f"{time}%(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    # urllib3 logs every retry with a traceback; our own code logs each failure once.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def log_crash(death: threading.ExceptHookArgs) -> None:
    """Log the exception of a thread; Python's own hook would print it with any secrets that it contains."""
    exception = (death.exc_type, death.exc_value, death.exc_traceback)
    log.error("%s died", death.thread and death.thread.name, exc_info=exception)  # type: ignore[arg-type]


def secrets_of(settings: Settings) -> list[str]:
    """Return all API keys and passwords of the settings."""
    keys = [instance.api_key.get_secret_value() for instance in settings.syncthing.values()]
    return [settings.mqtt.password.get_secret_value(), settings.web.password.get_secret_value(), *keys]

"""The log, on standard error: text for people, or one JSON object a line; never with a secret."""

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from stbridge.core.times import in_utc
from stbridge.settings import LogSettings, Settings

HIDDEN = "***"
SHORTEST_SECRET = 4


class HideSecrets(logging.Filter):
    """A last guard: takes secrets out of what is logged, whoever put them there.

    Args:
        secrets: the API keys and passwords.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        message = record.getMessage()
        if any(secret in message for secret in self._secrets):
            for secret in self._secrets:
                message = message.replace(secret, HIDDEN)
            record.msg, record.args = message, None
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record down."""
        entry = {
            "time": in_utc(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def start_logging(settings: LogSettings, secrets: Iterable[str], stream: TextIO = sys.stderr) -> None:
    """Log from now on.

    Args:
        settings: level and format.
        secrets: what must never be shown.
        stream: where to.
    """
    handler = logging.StreamHandler(stream)
    handler.addFilter(HideSecrets(secrets))
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        # systemd's journal has the time already
        time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
        handler.setFormatter(logging.Formatter(f"{time}%(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # its debug messages show every request


def secrets_of(settings: Settings) -> list[str]:
    """Return every API key and password of the settings."""
    keys = [instance.api_key.get_secret_value() for instance in settings.syncthing.values()]
    return [settings.mqtt.password.get_secret_value(), *keys]

"""The log of commands that are refused or fail: one warning each, at a limited rate."""

import logging
import threading
from collections.abc import Callable
from time import monotonic

from stbridge.core.json_text import cut
from stbridge.core.token_bucket import TokenBucket

log = logging.getLogger(__name__)

BURST = 10
EVERY_S = 60.0
"""Anybody who may send commands can send wrong ones without end, and the log may be on a small disk."""

LONGEST_NAME, LONGEST_REASON = 100, 500
"""In characters; the sender chooses the name of a command, and the reason may quote it."""

FAILURES = frozenset({"syncthing_error", "timeout", "unauthorized", "unreachable"})
"""Error codes of commands that were accepted; all the others are refusals."""


class RefusalLog:
    """Logs the commands to one instance that are refused or fail; thread-safe.

    Args:
        instance: the name of the instance.
        monotonic: the clock.
    """

    def __init__(self, instance: str, monotonic: Callable[[], float] = monotonic) -> None:
        self._instance = instance
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._bucket = TokenBucket(BURST, EVERY_S)
        self._left_out = 0

    def add(self, name: str, code: str, reason: str) -> None:
        """Log a command that was refused or failed.

        Args:
            name: of the command.
            code: of the error.
            reason: the message of the error.
        """
        with self._lock:
            granted, left_out = self._bucket.take(self._monotonic()), self._left_out
            self._left_out = 0 if granted else left_out + 1
        if granted:
            what = "failed" if code in FAILURES else "refused"
            more = f" ({left_out} more were not logged)" if left_out else ""
            name, reason = cut(name, LONGEST_NAME), cut(reason, LONGEST_REASON)
            log.warning("command %s/%s %s: %s: %s%s", self._instance, name, what, code, reason, more)
        elif not left_out:
            log.warning("%s: too many commands are refused or fail: most of them are not logged", self._instance)

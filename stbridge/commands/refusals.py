"""Logs commands that are refused or fail, at a limited rate."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from stbridge.core.json_text import cut
from stbridge.core.token_bucket import TokenBucket

log = logging.getLogger(__name__)

BURST = 10
EVERY_S = 60.0
"""The rate limit, because any client that may send commands can send invalid ones endlessly, and the log may be on a
small disk."""

MOST_REMEMBERED = 100

LONGEST_NAME, LONGEST_REASON = 100, 500
"""In characters; limited because the sender chooses the name of a command, and the reason may quote it."""

FAILURES = frozenset({"syncthing_error", "timeout", "unauthorized", "unreachable"})
"""Error codes of commands that were accepted and then failed; all other codes are refusals."""


class RefusalLog:
    """Logs the refused and failed commands of one instance; thread-safe.

    Each command is logged with each error code at most once in EVERY_S, and all together at a limited rate.

    Args:
        instance: the name of the instance.
        monotonic: the clock.
    """

    def __init__(self, instance: str, monotonic: Callable[[], float] = monotonic) -> None:
        self._instance = instance
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._bucket = TokenBucket(BURST, EVERY_S)
        self._logged_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._left_out = 0

    def add(self, name: str, code: str, reason: str) -> None:
        """Log a command that was refused or failed.

        Args:
            name: the name of the command.
            code: the error code.
            reason: the message of the error.
        """
        name, reason = cut(name, LONGEST_NAME), cut(reason, LONGEST_REASON)
        with self._lock:
            granted, left_out = self._is_due((name, code)), self._left_out
            self._left_out = 0 if granted else left_out + 1
        if granted:
            what = "failed" if code in FAILURES else "refused"
            more = f" ({left_out} more were not logged)" if left_out else ""
            log.warning("command %s/%s %s: %s: %s%s", self._instance, name, what, code, reason, more)

    def _is_due(self, key: tuple[str, str]) -> bool:
        now = self._monotonic()
        if now - self._logged_at.get(key, -EVERY_S) < EVERY_S or not self._bucket.take(now):
            return False
        self._logged_at[key] = now
        self._logged_at.move_to_end(key)
        while len(self._logged_at) > MOST_REMEMBERED:
            self._logged_at.popitem(last=False)
        return True

"""Scans under way: each runs once, however often it is asked for meanwhile."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from stbridge.core.command import ALL_FOLDERS
from stbridge.core.envelope import CommandError, Request
from stbridge.errors import StbridgeError

log = logging.getLogger(__name__)

MOST = 100
"""How many different scans may be under way at once; each holds a request to Syncthing until it has ended."""


_Scan = tuple[str, str | None]

MOST_JOINED = 1000
"""How many may wait for the end of one scan, which may take hours."""


class Scans:
    """Runs scans, and lets those who ask for one that is under way join it.

    Args:
        name: the name of the instance, for the threads.
        carry_out: carries out a scan and returns when it has ended.
    """

    def __init__(self, name: str, carry_out: Callable[[Request], Any]) -> None:
        self._name = name
        self._carry_out = carry_out
        self._lock = threading.Lock()
        self._under_way: dict[_Scan, Future[None]] = {}
        self._joined: Counter[_Scan] = Counter()

    def start(self, request: Request) -> "Future[None]":
        """Start a scan, or join one that covers it; the future ends with it.

        Raises:
            CommandError: too many are under way.
        """
        folder, sub = request.arguments["folder"], request.arguments.get("sub")
        with self._lock:
            for covering in ((folder, sub), (folder, None), (ALL_FOLDERS, None)):
                if covering in self._under_way:
                    return self._join(covering)
            if len(self._under_way) >= MOST:
                raise CommandError("rate_limited", f"{MOST} scans are under way already")
            future: Future[None] = Future()
            self._under_way[folder, sub] = future
        threading.Thread(
            target=self._run, args=((folder, sub), request, future), name=f"{self._name}-scan", daemon=True
        ).start()
        return future

    def _join(self, scan: _Scan) -> "Future[None]":
        if self._joined[scan] >= MOST_JOINED:
            raise CommandError("rate_limited", f"{MOST_JOINED} wait for the end of the scan already")
        self._joined[scan] += 1
        return self._under_way[scan]

    def _run(self, scan: _Scan, request: Request, future: "Future[None]") -> None:
        failure: Exception | None = None
        try:
            self._carry_out(request)
        except (StbridgeError, CommandError) as error:
            failure = error
        except Exception as error:  # whatever it is, those who wait for the end are told, and the log the traceback
            log.exception("scan of %s failed", self._name)
            failure = error
        with self._lock:
            del self._under_way[scan]
            self._joined.pop(scan, None)
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

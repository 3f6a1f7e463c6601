"""Running scans: equal scans that are requested at the same time share one run."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from stbridge.commands.pool import WorkerPool
from stbridge.core.command import EVERY_FOLDER
from stbridge.core.envelope import CommandError, Request
from stbridge.errors import StbridgeError

log = logging.getLogger(__name__)

MAX_SCANS = 100
"""Maximum number of different scans that are running or queued."""

MAX_JOINED = 1000
"""Maximum number of commands that wait for the same scan, which may take hours."""

_Target = tuple[str, str | None]


class Scans:
    """Runs scans on a separate pool, because each keeps a request to Syncthing open until it has finished.

    Args:
        pool: the pool that runs the scans.
        execute: runs a scan and returns when it has finished.
    """

    def __init__(self, pool: WorkerPool, execute: Callable[[Request], Any]) -> None:
        self._pool = pool
        self._execute = execute
        self._lock = threading.Lock()
        self._running: dict[_Target, Future[None]] = {}
        self._joined: Counter[_Target] = Counter()

    def start(self, request: Request) -> "Future[None]":
        """Start a scan, or join a running one that covers it; the future is done when the scan has finished.

        Raises:
            CommandError: there are too many scans, or too many commands wait for this one.
        """
        folder, sub = request.arguments["folder"], request.arguments.get("sub")
        with self._lock:
            for covering in ((folder, sub), (folder, None), (EVERY_FOLDER, None)):
                if covering in self._running:
                    return self._join(covering)
            if len(self._running) >= MAX_SCANS:
                raise CommandError("rate_limited", f"{MAX_SCANS} scans are already running or queued")
            future: Future[None] = Future()
            self._running[folder, sub] = future
        if not self._pool.submit(self._run, request, future):
            self._finish(future, CommandError("rate_limited", "no thread can be started for the scan"))
        return future

    def end_all(self, failure: Exception) -> None:
        """Fail all scans, and let no command join them; this does not affect the scans in Syncthing itself."""
        with self._lock:
            futures = list(self._running.values())
        for future in futures:
            self._finish(future, failure)

    def _join(self, target: _Target) -> "Future[None]":
        if self._joined[target] >= MAX_JOINED:
            raise CommandError("rate_limited", f"{MAX_JOINED} commands are already waiting for this scan to finish")
        self._joined[target] += 1
        return self._running[target]

    def _run(self, request: Request, future: "Future[None]") -> None:
        if future.done():  # it was failed while it was queued
            return
        failure: Exception | None = None
        try:
            self._execute(request)
        except (StbridgeError, CommandError) as error:
            failure = error
        except Exception as error:  # all waiting commands are answered with this error; the log has the traceback
            log.exception("a scan failed")
            failure = error
        self._finish(future, failure)

    def _finish(self, future: "Future[None]", failure: Exception | None) -> None:
        with self._lock:
            target = next((target for target, one in self._running.items() if one is future), None)
            if target is None:
                return
            del self._running[target]
            self._joined.pop(target, None)
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

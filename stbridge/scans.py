"""Scans under way: each runs once, however often it is asked for meanwhile."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from stbridge.core.envelope import Request
from stbridge.errors import StbridgeError


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
        self._under_way: dict[tuple[str, str | None], Future[None]] = {}

    def start(self, request: Request) -> "Future[None]":
        """Start a scan, or join the same one; the future ends with it."""
        scan = (request.arguments["folder"], request.arguments.get("sub"))
        with self._lock:
            future = self._under_way.get(scan)
            if future is None:
                future = self._under_way[scan] = Future()
                threading.Thread(
                    target=self._run, args=(scan, request, future), name=f"{self._name}-scan", daemon=True
                ).start()
            return future

    def _run(self, scan: tuple[str, str | None], request: Request, future: "Future[None]") -> None:
        failure: BaseException | None = None
        try:
            self._carry_out(request)
        except StbridgeError as error:
            failure = error
        with self._lock:
            del self._under_way[scan]
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

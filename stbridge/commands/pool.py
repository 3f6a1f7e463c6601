"""Where commands run: bounded pools of threads, and lanes that keep an order."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)

WARNING_INTERVAL_S = 60.0


class WorkerPool:
    """A ThreadPoolExecutor that loses nothing when no thread can be started: its other threads run it.

    Args:
        name: prefix of the threads' names.
        max_workers: how many threads there are at most.
    """

    def __init__(self, name: str, max_workers: int) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(max_workers, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._open = False
        self._has_threads = False
        self._warned_at: float | None = None

    def start(self) -> None:
        """Accept functions; the first thread starts with the first of them."""
        self._open = True

    def submit(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function in one of the threads; an exception that it raises is logged.

        Returns:
            False if the function will not be called: the pool is not running, or cannot start its first thread.
        """
        task = _Task(self._name, function, arguments)
        with self._lock:
            if not self._open:
                return False
            try:
                self._executor.submit(task.run)
            except RuntimeError as error:
                # ThreadPoolExecutor has queued the task before it starts a thread: an existing thread will run it
                self._warn(error)
                task.void = not self._has_threads
            else:
                self._has_threads = True
            return not task.void

    def stop(self) -> None:
        """Drop what is queued, and let the threads exit when they are done with what they run."""
        with self._lock:
            self._open = False
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _warn(self, error: RuntimeError) -> None:
        now = monotonic()
        if self._warned_at is None or now - self._warned_at > WARNING_INTERVAL_S:
            self._warned_at = now
            log.warning("%s: %s; raise the limit of processes or threads (ulimit -u, pids_limit)", self._name, error)


@dataclass(slots=True)
class _Task:
    """A function in the queue of a pool; a void one is not called, because `submit` has returned False for it."""

    pool: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    void: bool = False

    def run(self) -> None:
        try:
            if not self.void:
                self.function(*self.arguments)
        except Exception:  # no thread reads the future, so only the log can report the exception
            log.exception("%s: a task failed", self.pool)


class OrderedLane:
    """Runs functions one after the other, in the order in which they were submitted.

    One task of the pool at a time empties the queue, so that no thread waits for its turn.

    Args:
        pool: where they run.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._draining = False

    def submit(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function after those that were submitted before it; an exception that it raises is logged.

        Returns:
            False if the pool is not running, so that the function is not called.
        """
        with self._lock:
            self._queue.append((function, arguments))
            if not self._draining:
                self._draining = self._pool.submit(self._drain)
                if not self._draining:
                    self._queue.clear()
            return self._draining

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._draining = False
                    return
                function, arguments = self._queue.popleft()
            try:
                function(*arguments)
            except Exception:  # the next function in the lane does not depend on this one
                log.exception("a task failed")

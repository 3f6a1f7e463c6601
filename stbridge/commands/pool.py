"""Bounded thread pools for commands, and lanes that run functions in order."""

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
    """A ThreadPoolExecutor that loses no task if a thread cannot be started: its existing threads run the task.

    Args:
        name: prefix of the names of the threads.
        max_workers: maximum number of threads.
    """

    def __init__(self, name: str, max_workers: int) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(max_workers, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._open = False
        self._has_threads = False
        self._warned_at: float | None = None

    def start(self) -> None:
        """Start accepting functions; the first thread starts with the first function."""
        self._open = True

    def submit(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function in one of the threads, and log its exception if it raises one.

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
                # ThreadPoolExecutor queues the task before it starts a thread, so an existing thread will run the task
                self._warn(error)
                task.void = not self._has_threads
            else:
                self._has_threads = True
            return not task.void

    def stop(self) -> None:
        """Drop all queued functions, and let each thread exit when its current function returns."""
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
    """A function in the queue of a pool; a void task is not called, because `submit` has returned False for it."""

    pool: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    void: bool = False

    def run(self) -> None:
        try:
            if not self.void:
                self.function(*self.arguments)
        except Exception:  # the future is never read, so only the log can report the exception
            log.exception("%s: a task failed", self.pool)


class OrderedLane:
    """Runs functions one after another, in the order in which they were submitted.

    One task of the pool at a time drains the queue, so that no thread is blocked.

    Args:
        pool: the pool that runs the functions.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._draining = False

    def submit(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function after those that were submitted earlier, and log its exception if it raises one.

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

"""One thread for the whole process that runs each action when it is due."""

import logging
import threading
from collections.abc import Callable
from time import monotonic

from stbridge.core.timing import Timers
from stbridge.supervision import HEARTBEAT_S, SupervisedThread

log = logging.getLogger(__name__)

MAX_SILENCE_S = 120.0


class Schedule:
    """Runs each action at its scheduled time; an action sets its next time itself.

    Actions run one after another, so each must be short.
    """

    def __init__(self) -> None:
        self._actions: dict[str, Callable[[], None]] = {}
        self._timers: Timers[str, float] = Timers()
        self._condition = threading.Condition()
        self._stopped = False
        self.thread = SupervisedThread("schedule", self._run, max_silence_s=MAX_SILENCE_S)

    def add(self, name: str, action: Callable[[], None]) -> None:
        """Register an action; it runs when a time is set for it."""
        self._actions[name] = action

    def start(self) -> None:
        """Start running actions."""
        self.thread.start()

    def stop(self) -> None:
        """Stop running actions."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def set(self, name: str, at: float) -> None:
        """Set the time of an action, in seconds of the monotonic clock; it replaces an earlier setting."""
        with self._condition:
            earlier = self._timers.next is None or at < self._timers.next
            self._timers.set(name, at)
            if earlier:
                self._condition.notify_all()

    def _run(self) -> None:
        while not self._stopped:
            self.thread.heartbeat()
            for name in self._wait():
                try:
                    self._actions[name]()
                except Exception:  # the actions of the other instances must still run
                    log.exception("the scheduled action %s failed", name)

    def _wait(self) -> list[str]:
        """Wait until an action is due, and return the due actions."""
        with self._condition:
            now, next_at = monotonic(), self._timers.next
            if not self._stopped and (next_at is None or next_at > now):
                self._condition.wait(HEARTBEAT_S if next_at is None else min(HEARTBEAT_S, next_at - now))
            return [] if self._stopped else list(self._timers.due(monotonic()))

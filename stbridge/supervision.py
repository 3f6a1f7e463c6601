"""Supervised threads: each sends heartbeats, is restarted when it dies, and is reported when it hangs."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

log = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
"""Maximum seconds between two heartbeats of a thread that has nothing to do; each one wakes the processor."""

MAX_DEATHS = 5
DEATHS_WITHIN_S = 600.0


class SupervisedThread:
    """A thread of the service.

    Args:
        name: name of the thread.
        run: the function that the thread runs; it returns only on a stop, and is called again after an exception.
        max_silence_s: maximum seconds between two heartbeats; a thread that is silent for longer counts as hung.
    """

    def __init__(self, name: str, run: Callable[[], None], *, max_silence_s: float) -> None:
        self.name = name
        self.deaths = 0
        """How often the thread died of an exception since the start of the process."""
        self._run = run
        self._max_silence_s = max_silence_s
        self._heartbeat_at = monotonic()
        self._died_at: deque[float] = deque(maxlen=MAX_DEATHS)
        self._reason = ""
        self._dead = threading.Event()
        self._thread: threading.Thread | None = None
        self.on_death: Callable[[], None] = lambda: None
        """Called by the thread itself when it has died."""

    def start(self) -> None:
        """Start the thread, or start it again."""
        self._dead.clear()
        self.heartbeat()
        self._thread = threading.Thread(target=self._supervised_run, name=self.name, daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has stopped."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def heartbeat(self) -> None:
        """Record that the thread is not hung; called by the thread itself."""
        self._heartbeat_at = monotonic()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def dead(self) -> bool:
        """Whether the thread died of an exception."""
        return self._dead.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return monotonic() - self._heartbeat_at

    @property
    def fault(self) -> str | None:
        """A fault of the thread that a restart does not fix; None if there is none."""
        if self.alive and self.silent_s > self._max_silence_s:
            return f"{self.name} hangs: no heartbeat for {self.silent_s:.0f} s"
        if self.dead and len(self._died_at) == MAX_DEATHS and monotonic() - self._died_at[0] < DEATHS_WITHIN_S:
            return f"{self.name} keeps dying of {self._reason}"
        return None

    def _supervised_run(self) -> None:
        try:
            self._run()
        except Exception as error:  # any exception: the supervision restarts the thread
            # The text of an exception may contain a secret, so it goes only to the log, which hides secrets.
            self._reason = type(error).__name__
            self.deaths += 1
            self._died_at.append(monotonic())
            log.exception("%s died", self.name)
            self._dead.set()
            self.on_death()


class Supervision:
    """Checks the heartbeats of threads, and restarts threads that died.

    Args:
        threads: the threads to supervise.
        every_s: approximate seconds between two checks.
    """

    def __init__(self, threads: Sequence[SupervisedThread], every_s: float) -> None:
        self._threads = threads
        self._every_s = every_s
        self._checked_at = monotonic()

    def on_death(self, callback: Callable[[], None]) -> None:
        """Set what each thread calls when it has died."""
        for thread in self._threads:
            thread.on_death = callback

    def check(self) -> str:
        """Check every thread once.

        Returns:
            which threads hang or keep dying; empty if none does.
        """
        suspended, self._checked_at = monotonic() - self._checked_at > 3 * self._every_s, monotonic()
        faults = [thread.fault for thread in self._threads if thread.fault]
        if faults and not suspended:  # if the supervision itself was late, too, the whole process was suspended
            return ", ".join(faults)
        for thread in self._threads:
            if thread.dead:
                log.warning("%s is restarted", thread.name)
                thread.start()
        return ""

    @property
    def silent_s(self) -> Mapping[str, float]:
        """Seconds since the last heartbeat, by thread."""
        return {thread.name: round(thread.silent_s, 1) for thread in self._threads}

    @property
    def deaths(self) -> int:
        """How often threads died since the start of the process."""
        return sum(thread.deaths for thread in self._threads)

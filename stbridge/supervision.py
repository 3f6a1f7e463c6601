"""The threads that must not die: each says that it lives, is started again when it dies, and missed when it hangs."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

log = logging.getLogger(__name__)

BEAT_S = 10.0
"""How long a part that has nothing to do waits at most until it says again that it lives."""

MOST_DEATHS = 5
DEATHS_WITHIN_S = 600.0


class Part:
    """A thread of the service.

    Args:
        name: of the thread.
        run: what it does; it may be run again after it raised something, and returns only when it was told to.
        longest_s: how long it may be silent at most.
    """

    def __init__(self, name: str, run: Callable[[], None], *, longest_s: float) -> None:
        self.name = name
        self.deaths = 0
        """How often it has died, ever."""
        self._run = run
        self._longest_s = longest_s
        self._beat_at = monotonic()
        self._died_at: deque[float] = deque(maxlen=MOST_DEATHS)
        self._reason = ""
        self._dead = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        self._dead.clear()
        self.beat()
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def beat(self) -> None:
        """Say that it lives; called by itself."""
        self._beat_at = monotonic()

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def dead(self) -> bool:
        """Whether it has died of something."""
        return self._dead.is_set()

    @property
    def silent_s(self) -> float:
        """For how many seconds nothing was heard of it."""
        return monotonic() - self._beat_at

    @property
    def fault(self) -> str | None:
        """What is wrong with it that starting it again does not mend; None if nothing is."""
        if self.alive and self.silent_s > self._longest_s:
            return f"{self.name} hangs: it has been silent for {self.silent_s:.0f} s"
        if self.dead and len(self._died_at) == MOST_DEATHS and monotonic() - self._died_at[0] < DEATHS_WITHIN_S:
            return f"{self.name} keeps dying of {self._reason}"
        return None

    def _live(self) -> None:
        try:
            self._run()
        except Exception as error:  # whatever it was: whoever supervises it goes on from here
            # The text of an error may hold anything; the log, which hides secrets, has all of it.
            self._reason = type(error).__name__
            self.deaths += 1
            self._died_at.append(monotonic())
            log.exception("%s died", self.name)
            self._dead.set()


class Supervision:
    """Looks at the parts, and starts those again that have died.

    Args:
        parts: all that there are.
        every_s: about how many seconds are between two looks.
    """

    def __init__(self, parts: Sequence[Part], every_s: float) -> None:
        self._parts = parts
        self._every_s = every_s
        self._looked_at = monotonic()

    def look(self) -> str:
        """Look at every part once.

        Returns:
            which ones hang or keep dying; nothing if none does.
        """
        stopped, self._looked_at = monotonic() - self._looked_at > 3 * self._every_s, monotonic()
        faults = [part.fault for part in self._parts if part.fault]
        if faults and not stopped:  # if this thread could not run for so long either, the whole process was stopped
            return ", ".join(faults)
        for part in self._parts:
            if part.dead:
                log.warning("%s is started again", part.name)
                part.start()
        return ""

    @property
    def silent_s(self) -> Mapping[str, float]:
        """For how many seconds nothing was heard of each part."""
        return {part.name: round(part.silent_s, 1) for part in self._parts}

    @property
    def deaths(self) -> int:
        """How often parts have died, ever."""
        return sum(part.deaths for part in self._parts)

"""The thread that reads what no event tells: by the clock, and when something asks for it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from time import monotonic

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.errors import CallFailed, SyncthingError, SyncthingUnavailable, TimedOut
from stbridge.supervision import BEAT_S, Part
from stbridge.syncthing.allowance import Allowance
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.reads import Reader
from stbridge.syncthing.retry import new_backoff

log = logging.getLogger(__name__)

THRIFTY: Mapping[str, int] = {"scan_errors": 1, "statistics": 2}
"""Reads that every scan of every folder asks for, and how many requests each is: they come out of an allowance, so
that the number of requests does not grow with the number of folders."""

THRIFTY_AT_ONCE, THRIFTY_EVERY_S = 20, 90.0
"""How many requests of these there may be at once, and after how many seconds there may be one more."""

SYNCED = "last_file"
"""What every sync asks for, for all folders in one request: at once at first, then every second."""

SYNCED_AT_ONCE, SYNCED_EVERY_S = 10, 1.0

RECONCILE = "reconcile"

MOST_PATHS = 1000
"""How many single files wait to be looked up; of more it is only known that there may be some."""

MOST_REFUSED = 1000
"""How many refusals are remembered, to be logged once."""

LONGEST_SILENCE_S = 180.0
"""Several tries, or a resolver that does not answer, can take most of this."""


class Poller:
    """Reads one Syncthing by the clock, and on request.

    Args:
        name: the name of the instance, for the thread and the log.
        client: the way to it; for this thread alone.
        intervals: seconds between two readings, by name of the read; RECONCILE reads one folder after the other.
        report: takes observations in; called by this thread only.
        recovered: takes in that Syncthing answers again, after it was reported not to.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        *,
        intervals: Mapping[str, float],
        report: Callable[[Observation], None],
        recovered: Callable[[], None],
    ) -> None:
        self._client = client
        self._reader = Reader(client)
        self._report = report
        self._recovered = recovered
        self._intervals = dict(intervals)
        self._due = {what: monotonic() + seconds for what, seconds in intervals.items()}
        self._scans = Allowance(burst=THRIFTY_AT_ONCE, every_s=THRIFTY_EVERY_S)
        self._syncs = Allowance(burst=SYNCED_AT_ONCE, every_s=SYNCED_EVERY_S)
        self._requested: dict[Read, None] = {}
        self._paths = 0
        self._folders: deque[str] = deque()
        self._condition = threading.Condition()
        self._enabled = False
        self._enabled_anew = False
        self._idle = True
        self._blocked = False
        self._backoff = new_backoff()
        self._refused: dict[Read, str] = {}
        self._stopped = False
        self.part = Part(f"{name}-polls", self._run, longest_s=LONGEST_SILENCE_S)

    def start(self) -> None:
        """Begin to wait; nothing is read before `enable`."""
        self.part.start()

    def stop(self) -> None:
        """End, and break off the request that is under way."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._client.close()

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self.part.alive

    def enable(self, *, enabled: bool) -> None:
        """Read, or leave it while Syncthing cannot be reached anyway."""
        with self._condition:
            if enabled and not self._enabled:
                self._reader.forget()
                self._enabled_anew = True
            self._enabled = enabled
            self._condition.notify_all()

    def request(self, reads: Iterable[Read]) -> None:
        """Read these soon, each once however often it was asked for.

        Folders and devices are as many as there are; paths are as many as a device cares to send.
        """
        with self._condition:
            for read in reads:
                if read.path and self._paths >= MOST_PATHS:
                    self._requested[Read("conflicts_lost", read.folder)] = None
                elif read not in self._requested:
                    self._requested[read] = None
                    self._paths += bool(read.path)
                self._idle = False
            self._condition.notify_all()

    def settle(self, give_way: Callable[[float], bool], longest_s: float) -> None:
        """Read what is asked for because of what was told just now, and wait until that is taken in; another thread.

        Args:
            give_way: waits until what was told is taken in, and tells whether it is.
            longest_s: the longest wait.
        """
        deadline = monotonic() + longest_s
        self.enable(enabled=True)
        if not self._idle:
            self._client.break_off()  # it may wait on a connection that has died without a word, as others have
        while (left := deadline - monotonic()) > 0 and give_way(left):
            with self._condition:
                if self._idle or self._stopped:
                    return
                self._condition.wait_for(lambda: self._idle or self._stopped, deadline - monotonic())

    def reconcile(self, folders: Iterable[str]) -> None:
        """Take these folders round, from now on."""
        with self._condition:
            self._folders = deque(folders)

    def every(self, what: str, seconds: float) -> None:
        """Change the interval of a read."""
        with self._condition:
            if self._intervals[what] != seconds:
                self._intervals[what] = seconds
                self._due[what] = min(self._due[what], monotonic() + seconds)
                self._condition.notify_all()

    def _run(self) -> None:
        while (read := self._next()) is not None:
            began = monotonic()
            try:
                for observation in self._reader.read(read):
                    self._report(observation)
            except (SyncthingUnavailable, TimedOut) as error:
                self._block(error, read, monotonic() - began)
                continue
            except CallFailed as error:
                self._refuse(read, str(error))
            else:
                self._refused.pop(read, None)
            self._unblock()

    def _next(self) -> Read | None:
        """Wait for the next thing to be read; None at the end."""
        with self._condition:
            while not self._stopped:
                self.part.beat()
                now = monotonic()
                read = self._ready(now) if self._enabled else None
                if read is not None:
                    self._idle = False
                    return read
                if self._enabled and not self._idle:
                    self._idle = True
                    self._condition.notify_all()
                self._condition.wait(min(BEAT_S, self._time_to_wait(now)) if self._enabled else BEAT_S)
            return None

    def _ready(self, now: float) -> Read | None:
        for what, due in self._due.items():
            if due <= now:
                self._due[what] = now + self._intervals[what]
                if what != RECONCILE:
                    return Read(what)
                if self._folders:
                    self._folders.rotate(-1)
                    return Read("folder", self._folders[-1])
        used_up: list[Allowance] = []  # whose reads wait in their order, or the cheap ones would pass by for ever
        for read in self._requested:
            allowance, cost = self._ration(read)
            if cost and allowance not in used_up and not allowance.take(now, cost):
                used_up.append(allowance)
            if not cost or allowance not in used_up:
                del self._requested[read]
                self._paths -= bool(read.path)
                return read
        return None

    def _time_to_wait(self, now: float) -> float:
        nearest = min(self._due.values()) - now
        for first in (next(iter(self._requested), None), Read(SYNCED)):
            if first in self._requested:
                allowance, cost = self._ration(first)
                nearest = min(nearest, allowance.available_in(now, cost))
        return max(0.0, nearest)

    def _ration(self, read: Read) -> tuple[Allowance, int]:
        """Return what a read is taken out of, and how much: nothing for what an event tells to have changed."""
        return (self._syncs, 1) if read.what == SYNCED else (self._scans, THRIFTY.get(read.what, 0))

    def _refuse(self, read: Read, message: str) -> None:
        """Log what Syncthing refuses, unless it did so the last time."""
        if self._refused.get(read) != message and len(self._refused) < MOST_REFUSED:
            self._refused[read] = message
            log.warning("%s: %s", read.what, message)

    def _block(self, error: SyncthingError, read: Read, waited_s: float) -> None:
        with self._condition:
            if self._stopped:
                return
            self._blocked = True
            self._enabled_anew = False
        self.request([read])
        self._report(seen.Unavailable(way=seen.POLLS, status=error.status, message=str(error)))
        with self._condition:
            timeout_s = self._backoff.next(waited_s)
            self._condition.wait_for(lambda: self._stopped or self._enabled_anew, timeout=timeout_s)

    def _unblock(self) -> None:
        self._backoff.reset()
        if self._blocked:
            self._blocked = False
            self._recovered()

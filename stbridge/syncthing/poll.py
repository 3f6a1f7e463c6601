"""The thread that reads what no event reports: at intervals, and when an event or a command asks for it."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.timing import Timers
from stbridge.core.token_bucket import TokenBucket
from stbridge.errors import SyncthingError
from stbridge.supervision import HEARTBEAT_S, SupervisedThread
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.reads import SLOW, Reader
from stbridge.syncthing.retry import new_backoff

RECONCILE = "reconcile"
"""The interval at which the next folder and the next completions are read, although no event asked for it."""

COMPLETIONS_PER_ROUND = 2

GATHER_S = 0.02
"""Reads that follow each other are taken into the state together for this long."""

MAX_PATHS = 1000
"""How many single files wait to be read; of more it is only known that there may be some."""

RETRY_S, MAX_RETRY_S = 5.0, 600.0
"""The first and the longest wait until a read is repeated that failed although the instance can be used."""

MAX_RETRIES = 10_000

MAX_SILENCE_S = 180.0
"""Several attempts, or a resolver that does not answer, can take most of this."""


@dataclass(slots=True)
class ReadQueue:
    """Reads that wait, each once, in the order in which they were asked for.

    Attributes:
        limit: how often one of them may be read; None is no limit.
    """

    limit: TokenBucket | None = None
    reads: OrderedDict[Read, None] = field(default_factory=OrderedDict)

    def pop(self, now: float) -> Read | None:
        """Return the next read if there is one and it may be read now."""
        if not self.reads or (self.limit and not self.limit.take(now)):
            return None
        return self.reads.popitem(last=False)[0]  # the first of a plain dict is found behind all deleted ones

    def ready_in(self, now: float) -> float | None:
        """Return the seconds until the next one may be read; None if there is none."""
        if not self.reads:
            return None
        return self.limit.available_in(now) if self.limit else 0.0


def rate_limits() -> Mapping[str, ReadQueue]:
    """Return the queues of rate-limited reads, by read.

    Every scan and every sync of every folder asks for these, so that without a limit the number of requests would grow
    with the number of folders. With intervals and long polls, scans cause at most 240 requests an hour.
    """
    scans = ReadQueue(TokenBucket(burst=20, every_s=110.0))
    syncs = ReadQueue(TokenBucket(burst=10, every_s=1.0))
    completions = ReadQueue(TokenBucket(burst=50, every_s=1.0))
    return {
        "scan_errors": scans,
        "folder_statistics": scans,
        "last_file": syncs,
        "completion_without_event": completions,
    }


@dataclass(slots=True)
class _Results:
    """What was read and has not been taken into the State yet; `epoch` and `began_at` are those of the first read."""

    epoch: int | None = None
    began_at: float = 0.0
    found: list[Observation] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


class Poller:
    """Reads one instance at intervals, and on request.

    Args:
        name: the name of the instance, for the thread and the log.
        client: its REST client; for this thread alone.
        slow_client: another one, for slow reads.
        intervals: seconds between two reads, by name of the read, and RECONCILE.
        take: takes observations into the State, and returns what has to be read because of them; it drops those of
            an earlier epoch.
        epoch: returns a number that changes whenever events may have been missed; None while the instance cannot be
            used. Nothing is read then.
        revalidate: has the follower check whether the instance can be used.
        check_connection: has the follower check its connection, because a call timed out on another one. The connection
            of slow reads is replaced as well.
        run_slow: runs slow reads one after the other in another thread, so that they delay no others; returns False
            if it cannot.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        slow_client: SyncthingClient,
        *,
        intervals: Mapping[str, float],
        take: Callable[[Iterable[Observation], int | None], Collection[Read]],
        epoch: Callable[[], int | None],
        revalidate: Callable[[], None],
        check_connection: Callable[[], None],
        run_slow: Callable[[Callable[[Read], None], Read], bool],
    ) -> None:
        self._client = client
        self._slow_client = slow_client
        self._reader = Reader(client, name)
        self._slow_reader = Reader(slow_client, name)
        self._take = take
        self._epoch = epoch
        self._revalidate = revalidate
        self._check_connection = check_connection
        self._run_slow = run_slow
        self._intervals = dict(intervals)
        self._due = {what: monotonic() + seconds for what, seconds in intervals.items()}
        self._requested = ReadQueue()
        self._slow = ReadQueue()
        self._slow_submitted: set[Read] = set()
        self._limited = rate_limits()
        self._queues = [self._requested, *{id(one): one for one in self._limited.values()}.values()]
        self._paths = 0
        self._folders: deque[Read] = deque()
        self._completions: deque[Read] = deque()
        self._condition = threading.Condition()
        self._backoff = new_backoff()
        self._failures: dict[Read, int] = {}
        self._retries: Timers[Read, float] = Timers()
        self._stopped = False
        self.thread = SupervisedThread(f"{name}-polls", self._run, max_silence_s=MAX_SILENCE_S)

    def start(self) -> None:
        """Start to wait for what is to be read."""
        self.thread.start()

    def stop(self) -> None:
        """Stop, and cut off the request that is under way."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._client.close()
        self._slow_client.close()

    def wake(self) -> None:
        """Check again whether the instance can be used."""
        with self._condition:
            self._condition.notify_all()

    def request(self, reads: Collection[Read]) -> None:
        """Read these soon, each once however often it is asked for.

        Folders and devices are as many as there are; paths are as many as a device cares to send.
        """
        if not reads:
            return
        with self._condition:
            for read in reads:
                self._enqueue(read)
            self._condition.notify_all()

    def _enqueue(self, read: Read) -> None:
        if read.path and self._paths >= MAX_PATHS:
            read = Read("conflicts_lost", read.folder)
        queue = self._slow if read.what in SLOW else self._limited.get(read.what, self._requested)
        if read not in queue.reads:
            queue.reads[read] = None
            self._paths += bool(read.path)

    def withdraw(self) -> Collection[Read]:
        """Take back what was requested and has not been read, or failed, except what is rate limited or slow.

        A read that failed while the instance went away must not be a problem of the instance when it is back.
        """
        with self._condition:
            reads, self._requested.reads = self._requested.reads, OrderedDict()
            self._paths = 0
            failed = (read for read in self._failures if read not in reads and read.what not in SLOW)
            return [*reads, *failed]

    def reconcile(self, folders: Iterable[Read], completions: Iterable[Read]) -> None:
        """Read these in turn from now on, some of them each time."""
        with self._condition:
            self._folders, self._completions = deque(folders), deque(completions)

    def every(self, what: str, seconds: float) -> None:
        """Change the interval of a read."""
        if self._intervals[what] == seconds:
            return
        with self._condition:
            self._intervals[what] = seconds
            self._due[what] = min(self._due[what], monotonic() + seconds)
            self._condition.notify_all()

    def _run(self) -> None:
        results = _Results()
        while not self._stopped:
            read = self._next(wait=not results.found)
            if read is not None:
                if not results.found:
                    results = _Results(epoch=self._epoch(), began_at=monotonic())
                if results.epoch is None:  # it can no longer be used
                    self.request([read])
                    continue
                self._read(read, results)
            if results.found and (read is None or monotonic() - results.began_at > GATHER_S):
                self._take_results(results)
                results = _Results()

    def _take_results(self, results: _Results) -> None:
        """Take what was read, and read again what is out of date.

        While a call was under way, the follower may have read the same, newer, after events were missed.
        """
        self.request(self._take(results.found, results.epoch))
        if results.epoch != self._epoch():
            self.request(results.reads)

    def _read(self, read: Read, results: _Results) -> None:
        began_at = monotonic()
        try:
            self._attempt(self._reader, read, results)
            self._backoff.reset()
        except SyncthingError:  # also the status cannot be read
            self.request([read])
            self._revalidate()
            with self._condition:
                timeout_s = self._backoff.next(monotonic() - began_at)
                self._condition.wait_for(lambda: self._stopped, timeout=timeout_s)

    def _read_slow(self, read: Read) -> None:
        """Run a slow read; a thread of the pool calls it."""
        with self._condition:
            self._slow_submitted.discard(read)
        results = _Results(epoch=self._epoch())
        if results.epoch is None:
            self.request([read])
            return
        # The last slow read may be hours ago, and a network may have forgotten its connection since then.
        self._slow_client.break_off()
        try:
            self._attempt(self._slow_reader, read, results)
        except SyncthingError:
            with self._condition:
                self._retries.set(read, monotonic() + RETRY_S)
            self._revalidate()
        else:
            self._take_results(results)

    def _attempt(self, reader: Reader, read: Read, results: _Results) -> None:
        results.reads.append(read)
        for observation in reader.attempt(read):
            results.found.append(observation)
            if isinstance(observation, seen.ReadFinished):
                self._note(observation)

    def _note(self, finished: seen.ReadFinished) -> None:
        """Repeat a read that failed, less and less often."""
        if finished.timed_out:
            self._check_connection()
            if finished.read.what not in SLOW:
                self._slow_client.break_off()
        with self._condition:
            self._set_retry(finished)
            self._condition.notify_all()

    def _set_retry(self, finished: seen.ReadFinished) -> None:
        read = finished.read
        if finished.error is None:
            if self._failures.pop(read, None):
                self._retries.set(read, None)
        elif read in self._failures or len(self._failures) < MAX_RETRIES:
            count = self._failures[read] = self._failures.get(read, 0) + 1
            wait_s = min(MAX_RETRY_S, RETRY_S * 2 ** min(count - 1, 10))
            self._retries.set(read, monotonic() + wait_s)

    def _next(self, *, wait: bool) -> Read | None:
        """Return the next thing to be read; None if there is none now, and at the end."""
        with self._condition:
            while not self._stopped:
                self.thread.heartbeat()
                live, now = self._epoch() is not None, monotonic()
                if not live:
                    self._reader.forget()  # another instance may answer at the same address afterwards
                if read := self._pop(now) if live else None:
                    return read
                if not wait:
                    return None
                self._condition.wait(min(HEARTBEAT_S, self._ready_in(now)) if live else HEARTBEAT_S)
            return None

    def _pop(self, now: float) -> Read | None:
        for what, due_at in self._due.items():
            if due_at <= now:
                self._due[what] = now + self._intervals[what]
                if what == RECONCILE:
                    self._reconcile_some()
                elif what in SLOW:
                    self._enqueue(Read(what))
                else:
                    return Read(what)
        for read in self._retries.due(now):
            self._enqueue(read)
        self._submit_slow(now)
        for queue in self._queues:
            if found := queue.pop(now):
                self._paths -= bool(found.path)
                return found
        return None

    def _submit_slow(self, now: float) -> None:
        while read := self._slow.pop(now):
            if read not in self._slow_submitted and self._run_slow(self._read_slow, read):
                self._slow_submitted.add(read)

    def _reconcile_some(self) -> None:
        for reads, count in ((self._folders, 1), (self._completions, COMPLETIONS_PER_ROUND)):
            for _ in range(min(count, len(reads))):
                self._enqueue(reads[0])
                reads.rotate(-1)

    def _ready_in(self, now: float) -> float:
        times = [queue.ready_in(now) for queue in self._queues]
        waits = [wait_s for wait_s in times if wait_s is not None]
        if self._retries.next is not None:
            waits.append(self._retries.next - now)
        return max(0.0, min([min(self._due.values()) - now, *waits]))

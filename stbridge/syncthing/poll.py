"""The thread that reads values that no event reports: at intervals, and when an event or a command requires it."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from stbridge.core import observations as seen
from stbridge.core.expected_completions import INTERVAL
from stbridge.core.observations import Observation, Read
from stbridge.core.read_order import Moment
from stbridge.core.timing import Timers
from stbridge.core.token_bucket import TokenBucket
from stbridge.errors import SyncthingError
from stbridge.supervision import HEARTBEAT_S, SupervisedThread
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.reads import SLOW, Reader
from stbridge.syncthing.retry import new_backoff

RECONCILE = "reconcile"
"""The name of the interval at which one folder and some completions, in turn, are read without an event."""

COMPLETIONS_PER_ROUND = 2

GATHER_S = 0.02
"""Seconds for which the results of consecutive reads are collected before they are applied to the state."""

MAX_PATHS = 1000
"""Maximum number of single files queued to be read; beyond it, only the existence of more is recorded."""

RETRY_S, MAX_RETRY_S = 5.0, 600.0
"""First and maximum seconds before a read is retried that failed although the instance can be used."""

DELAYS_S: Mapping[str, float] = {"outdated_errors": 2.0}
"""Seconds before a requested read is run, because Syncthing changes the value some time after the event."""

MAX_RETRIES = 10_000
"""Maximum number of failed reads that are retried."""

UNUSABLE_S = 10.0
"""Maximum seconds until the poller checks again whether the instance can be used."""

MAX_SILENCE_S = 180.0
"""Maximum seconds without a heartbeat; several attempts or a slow name resolver can take most of this time."""


@dataclass(slots=True)
class ReadQueue:
    """A queue of reads without duplicates, in the order in which they were requested.

    Attributes:
        limit: the rate limit of these reads; None is no limit.
    """

    limit: TokenBucket | None = None
    reads: OrderedDict[Read, None] = field(default_factory=OrderedDict)

    def pop(self, now: float) -> Read | None:
        """Remove and return the next read; None if there is none or it is rate limited now."""
        if not self.reads or (self.limit and not self.limit.take(now)):
            return None
        return self.reads.popitem(last=False)[0]  # in a plain dict, finding the first key skips all deleted ones

    def ready_in(self, now: float) -> float | None:
        """Return the seconds until the next read is allowed; None if there is none."""
        if not self.reads:
            return None
        return self.limit.available_in(now) if self.limit else 0.0


def rate_limits() -> Mapping[str, ReadQueue]:
    """Return the queues of rate-limited reads, by the name of the read.

    Every scan and every sync of every folder requests these reads, so without a limit the number of HTTP requests would
    grow with the number of folders. Together with intervals and long polls, scans cause at most 240 requests per hour.
    """
    scans = ReadQueue(TokenBucket(burst=20, every_s=110.0))
    syncs = ReadQueue(TokenBucket(burst=10, every_s=1.0))
    completions = ReadQueue(TokenBucket(burst=50, every_s=1.0))
    late_completions = ReadQueue(
        TokenBucket(burst=10, every_s=INTERVAL.total_seconds())
    )  # the rules request them at this rate
    remote_states = ReadQueue(TokenBucket(burst=50, every_s=0.02))
    return {
        "scan_errors": scans,
        "outdated_errors": scans,
        "folder_statistics": scans,
        "last_file": syncs,
        "completion_without_event": completions,
        "late_completion": late_completions,
        "remote_state": remote_states,
    }


@dataclass(slots=True)
class _Results:
    """Results that are not applied to the State yet; `since` and `began_at` are those of the first request."""

    since: Moment | None = None
    began_at: float = 0.0
    found: list[Observation] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


def _in_turn(reads: Iterable[Read], before: Sequence[Read]) -> deque[Read]:
    """Return reads in their order, beginning after the one that was run last, which is the last of those before."""
    found = deque(reads)
    if before and before[-1] in found:
        found.rotate(-1 - found.index(before[-1]))
    return found


class Poller:
    """Reads an instance at intervals and on request.

    Args:
        name: the name of the instance, for the thread and the log.
        client: its REST client, used only by this thread.
        slow_client: another client, for slow reads.
        intervals: seconds between two reads, by the name of the read or RECONCILE.
        take: applies observations to the State, and returns the reads that they require, given a moment before their
            requests; it drops observations of an earlier epoch.
        moment: returns the current moment, whose epoch changes whenever events may have been missed. It returns None
            while the instance cannot be used; nothing is read during that time.
        revalidate: makes the follower check whether the instance can be used.
        check_connection: makes the follower check its connection, because a call timed out on another one. The
            connection of slow reads is also replaced.
        run_slow: runs slow reads one after another in another thread, so that they do not delay others; returns False
            if it cannot.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        slow_client: SyncthingClient,
        *,
        intervals: Mapping[str, float],
        take: Callable[[Iterable[Observation], Moment | None], Collection[Read]],
        moment: Callable[[], Moment | None],
        revalidate: Callable[[], None],
        check_connection: Callable[[], None],
        run_slow: Callable[[Callable[[Read], None], Read], bool],
    ) -> None:
        self._client = client
        self._slow_client = slow_client
        self._reader = Reader(client, name)
        self._slow_reader = Reader(slow_client, name)
        self._take = take
        self._moment = moment
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
        self._later: Timers[Read, float] = Timers()
        self._stopped = False
        self.thread = SupervisedThread(f"{name}-polls", self._run, max_silence_s=MAX_SILENCE_S)

    def start(self) -> None:
        """Start running reads."""
        self.thread.start()

    def stop(self) -> None:
        """Stop, and abort the request in progress."""
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
        """Queue some reads; a read that is already queued is not added again.

        The number of folders and devices is limited by the configuration, but a device can send any number of paths.
        """
        if not reads:
            return
        with self._condition:
            for read in reads:
                if read.what in DELAYS_S:
                    self._later.set(read, monotonic() + DELAYS_S[read.what])
                else:
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
        """Remove and return the reads that have not been run or have failed, except rate-limited and slow ones.

        A read that failed while the instance became unavailable must not cause a problem when the instance is back.
        """
        with self._condition:
            reads, self._requested.reads = self._requested.reads, OrderedDict()
            self._paths = 0
            failed = (read for read in self._failures if read not in reads and read.what not in SLOW)
            return [*reads, *failed]

    def reconcile(self, folders: Iterable[Read], completions: Iterable[Read]) -> None:
        """Set the reads of the RECONCILE interval, which runs some of them in turn each time, after the last one."""
        with self._condition:
            self._folders = _in_turn(folders, self._folders)
            self._completions = _in_turn(completions, self._completions)

    def every(self, what: str, seconds: float) -> None:
        """Set the interval of a read."""
        if self._intervals[what] == seconds:
            return
        with self._condition:
            self._intervals[what] = seconds
            self._due[what] = min(self._due[what], monotonic() + seconds)
            self._condition.notify_all()

    def _run(self) -> None:
        results = _Results()
        try:
            while not self._stopped:
                results = self._run_once(results)
        finally:
            # After an unexpected exception, the thread is started again, and no event reports these values again.
            self.request([one.read for one in results.found if isinstance(one, seen.ReadFinished)])

    def _run_once(self, results: _Results) -> _Results:
        """Run the next read, and return the results that are not taken into the state yet."""
        read = self._next(wait=not results.found)
        if read is not None:
            if not results.found:
                results = _Results(since=self._moment(), began_at=monotonic())
            if results.since is None:  # the instance can no longer be used
                self.request([read])
                return results
            self._read(read, results)
        if results.found and (read is None or monotonic() - results.began_at > GATHER_S):
            self._take_results(results)
            return _Results()
        return results

    def _take_results(self, results: _Results) -> None:
        """Apply results to the state, and repeat reads whose results are out of date.

        During a call, the follower may have read newer values, after events were missed.
        """
        self.request(self._take(results.found, results.since))
        now = self._moment()
        if results.since is None or now is None or now.epoch != results.since.epoch:
            self.request(results.reads)

    def _read(self, read: Read, results: _Results) -> None:
        began_at = monotonic()
        try:
            self._attempt(self._reader, read, results)
            self._backoff.reset()
        except SyncthingError:  # the status cannot be read either
            self.request([read])
            self._revalidate()
            with self._condition:
                timeout_s = self._backoff.next(monotonic() - began_at)
                self._condition.wait_for(lambda: self._stopped, timeout=timeout_s)

    def _read_slow(self, read: Read) -> None:
        """Run a slow read; called by a thread of the pool."""
        with self._condition:
            self._slow_submitted.discard(read)
        results = _Results(since=self._moment())
        if results.since is None:
            self.request([read])
            return
        # The last slow read may be hours ago, and the network may have dropped its connection since then.
        self._slow_client.break_off()
        try:
            self._attempt(self._slow_reader, read, results)
        except SyncthingError:
            with self._condition:
                self._later.set(read, monotonic() + RETRY_S)
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
        """Schedule the retry of a failed read, with increasing waits."""
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
                self._later.set(read, None)
        elif read in self._failures or len(self._failures) < MAX_RETRIES:
            count = self._failures[read] = self._failures.get(read, 0) + 1
            wait_s = min(MAX_RETRY_S, RETRY_S * 2 ** min(count - 1, 10))
            self._later.set(read, monotonic() + wait_s)

    def _next(self, *, wait: bool) -> Read | None:
        """Return the next read; None if there is none now, or after a stop."""
        with self._condition:
            while not self._stopped:
                self.thread.heartbeat()
                live, now = self._moment() is not None, monotonic()
                if not live:
                    self._reader.forget()  # another instance may respond at the same address afterwards
                if read := self._pop(now) if live else None:
                    return read
                if not wait:
                    return None
                self._condition.wait(min(HEARTBEAT_S, self._ready_in(now)) if live else UNUSABLE_S)
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
        for read in self._later.due(now):
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
        if self._later.next is not None:
            waits.append(self._later.next - now)
        return max(0.0, min([min(self._due.values()) - now, *waits]))

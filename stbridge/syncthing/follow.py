"""The thread that follows the events of one Syncthing instance and owns its availability."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import IntEnum
from time import monotonic
from typing import Any

from stbridge.backoff import Backoff
from stbridge.core import events
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.token_bucket import TokenBucket
from stbridge.errors import BadReply, SyncthingError, SyncthingUnavailable, TimedOut, with_setting_path
from stbridge.supervision import SupervisedThread
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.concurrency import ConcurrencyLimit
from stbridge.syncthing.event_stream import EventsLost, EventStream
from stbridge.syncthing.reads import SLOW, Reader
from stbridge.syncthing.retry import new_backoff

log = logging.getLogger(__name__)

MAX_SILENCE_S = 180.0
"""Maximum seconds without a heartbeat; a long poll or a slow name resolver can take most of this time."""

BURST, GATHER_S = 10, 0.05
"""After BURST requests in a row, requests follow at intervals of GATHER_S seconds, so that in a storm of events each
request returns several events."""

GATHERED = 200
"""The next request follows sooner if more events than this would accumulate; Syncthing's event buffer holds 1000."""

CATCH_UP_S = 2.0
"""Maximum seconds for the reads that missed events require, before the instance is published as online again."""

FETCH_S = 0.05
"""Interval in seconds at which events are fetched during a full read, so that Syncthing's event buffer does not
overflow."""

MAX_MISSED = 1000
"""If more events than this occur during a full read, they are not kept until its end, which may be minutes later."""

MAX_UNKNOWN_TYPES = 50
"""Maximum number of event types that cannot be decoded and are logged, each once."""


class Demand(IntEnum):
    """A request from another thread to the follower; a higher value includes the lower ones."""

    NOTHING = 0
    REVALIDATE = 1
    READ_EVERYTHING = 2


class Follower:
    """Follows the events of an instance, and reads everything whenever events may have been missed.

    Args:
        name: the name of the instance, for the thread, the log and messages.
        client: its REST client, used only by this thread.
        raw: types of events that are also passed through unchanged.
        take: applies observations to the state, and returns the reads that they require.
        request: makes the poller run some reads.
        withdraw: takes back the reads that the poller has not run yet.
        limit: limits how many followers read everything at the same time.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        *,
        raw: Sequence[str],
        take: Callable[[Iterable[Observation]], Collection[Read]],
        request: Callable[[Collection[Read]], None],
        withdraw: Callable[[], Collection[Read]],
        limit: ConcurrencyLimit,
    ) -> None:
        self._name = name
        self._client = client
        self._raw = frozenset(raw)
        self._take = take
        self._request = request
        self._withdraw = withdraw
        self._limit = limit
        self._reader = Reader(client, name)
        self._stream = EventStream(client, sorted({*events.EVENT_TYPES, *raw}))
        self._token_bucket = TokenBucket(burst=BURST, every_s=GATHER_S)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._demand = Demand.NOTHING
        self._unknown_types: set[str] = set()
        self.thread = SupervisedThread(f"{name}-events", self._run, max_silence_s=MAX_SILENCE_S)

    def start(self) -> None:
        """Start following events."""
        self.thread.start()

    def stop(self) -> None:
        """Stop, and abort the request in progress."""
        self._stop.set()
        self._client.close()

    def read_everything(self) -> None:
        """Read everything again, because Syncthing was restarted or the state was lost; thread-safe."""
        self._ask_for(Demand.READ_EVERYTHING)

    def revalidate(self) -> None:
        """Check whether the instance can be used, because another request failed; thread-safe.

        The long poll is aborted, because it may be waiting on a connection whose peer is gone.
        """
        self._ask_for(Demand.REVALIDATE)

    def check_connection(self) -> None:
        """Repeat the long poll on a new connection, because a call timed out on another one; thread-safe.

        If a network or proxy drops connections silently, the long poll gets no answer until its own timeout.
        """
        self._client.break_off()

    def _ask_for(self, demand: Demand) -> None:
        with self._lock:
            self._demand = max(self._demand, demand)
        self._client.break_off()

    def _run(self) -> None:
        backoff = new_backoff()
        self._stream.forget()  # after a restart of the thread, do not process the event again that may have stopped it
        while not self._stop.is_set():
            began = monotonic()
            try:
                self._synchronize()
                self._follow(backoff)
            except EventsLost:
                if backoff.fresh:
                    log.info("%s: events were missed, or Syncthing restarted; reading everything again", self._name)
                self._stop.wait(backoff.next())
            except SyncthingError as error:
                self._report(error)
                self._stop.wait(backoff.next(monotonic() - began))
            self.thread.heartbeat()

    def _report(self, error: SyncthingError) -> None:
        if not self._stop.is_set():
            known = isinstance(error, SyncthingUnavailable | TimedOut | BadReply)
            text = str(error) if known else f"url: {self._client.url} does not serve Syncthing's API ({error})"
            message = with_setting_path(self._name, text)
            self._take([seen.Unavailable(status=error.status, message=message)])

    def _synchronize(self) -> None:
        """Continue at the old cursor if it is valid, else read everything; no event is missed from then on."""
        with self._lock:
            demand, self._demand = self._demand, Demand.NOTHING
        if demand is not Demand.NOTHING:
            self._take([seen.Suspected()])
        if demand is Demand.READ_EVERYTHING:
            self._stream.forget()
        if self._stream.can_resume():
            self._catch_up()
        else:
            self._read_everything()

    def _catch_up(self) -> None:
        """Apply the events since the interruption, run the reads they require, and publish the instance as online."""
        deadline = monotonic() + CATCH_UP_S
        reads, failed = deque(self._withdraw()), list[Read]()
        try:
            reads.extend(self._take(self._observe(self._stream.wait(timeout_s=0))))
            while reads and monotonic() < deadline and not self._stop.is_set():
                self.thread.heartbeat()
                if reads[0].what in SLOW:
                    self._request([reads.popleft()])
                    continue
                found = list(self._reader.attempt(reads[0]))
                failed += [one.read for one in found if isinstance(one, seen.ReadFinished) and one.error is not None]
                reads.extend(self._take(found))
                reads.popleft()
            reads.extend(self._take([seen.Resumed()]))
        finally:  # always request these reads, because the cursor is already past the events that require them
            self._request([*reads, *failed])

    def _read_everything(self) -> None:
        same_process = self._stream.open()
        with self._limit.slot(self._stop, self.thread.heartbeat) as waited:
            if self._stop.is_set():
                return
            if waited:  # Syncthing may have restarted during the wait, or dropped events
                same_process = self._stream.open() and same_process
            # After an overflow of Syncthing's event buffer, the known completions are nearly right, and reading them
            # takes the most time. They are read later, when the instance is online.
            max_completions = 0 if same_process else None
            try:
                missed = self._read_and_fetch(max_completions)
            except BaseException:  # the cursor is invalid without a complete read
                self._stream.forget()
                raise
        self._request(self._take(self._observe(missed)))

    def _read_and_fetch(self, max_completions: int | None) -> list[dict[str, Any]]:
        """Read everything; also fetch the new events, before Syncthing's event buffer loses them.

        If there are many, they are taken in between, in the order in which everything was read. Otherwise they are
        taken after the read, because the bridge events that they cause are not late then.

        Returns:
            the events that are still to be taken.
        """
        self._take([seen.SnapshotStarted()])
        missed: list[dict[str, Any]] = []
        found: list[Observation] = []
        later: dict[Read, None] = {}
        fetched_at = monotonic()
        for observation in self._reader.snapshot(max_completions=max_completions):
            self.thread.heartbeat()
            if len(missed) > MAX_MISSED:
                self._take(found)
                later.update(dict.fromkeys(self._take(self._observe(missed))))
                found, missed = [], []
            found.append(observation)
            if isinstance(observation, seen.DeviceCompletionRead):  # affects all folders of a device
                self._take(found[:-1])
                later.update(dict.fromkeys(self._take(found[-1:])))
                found = []
            if monotonic() - fetched_at > FETCH_S:
                missed += self._stream.wait(timeout_s=0)
                fetched_at = monotonic()
        self._take(found[:-1])  # the reads that these require have just been run
        self._request([*later, *self._take([seen.SnapshotComplete(), found[-1]])])
        return missed

    def _follow(self, backoff: Backoff) -> None:
        answered_at = monotonic()
        while not self._stop.is_set() and self._demand is Demand.NOTHING:
            self.thread.heartbeat()
            found = self._stream.wait()
            answered_before, answered_at = answered_at, monotonic()
            if count := len(found):
                self._request(self._take(self._observe(found)))
            del found  # ConfigSaved is large; keeping it until the next event wastes memory, and freeing it then time
            backoff.reset()
            if not self._token_bucket.take(monotonic()):  # also without events: another server may answer at once
                now = monotonic()
                wait_s = self._token_bucket.available_in(now)
                if count:
                    enough_at = answered_at + (answered_at - answered_before) * GATHERED / count
                    wait_s = min(wait_s, enough_at - now)
                self._stop.wait(max(0.0, wait_s))

    def _observe(self, found: Sequence[dict[str, Any]]) -> Iterator[Observation]:
        for event in found:
            try:
                observation = events.observe(event, self._reader.own_id)
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                self._log_unknown(event, error)
                continue
            if observation is not None:
                yield observation
            if event["type"] in self._raw:
                yield seen.RawEvent(type=event["type"], event=event)

    def _log_unknown(self, event: dict[str, Any], error: Exception) -> None:
        event_type = str(event.get("type"))
        if event_type not in self._unknown_types and len(self._unknown_types) < MAX_UNKNOWN_TYPES:
            self._unknown_types.add(event_type)
            log.warning("%s: cannot decode event %s %s: %r", self._name, event.get("id"), event_type, error)

"""The thread that follows the events of one Syncthing, and reads everything whenever some may have been missed."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from stbridge.backoff import Backoff
from stbridge.core import events
from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from stbridge.errors import BadReply, SyncthingError, SyncthingUnavailable, TimedOut
from stbridge.supervision import Part
from stbridge.syncthing.allowance import Allowance
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.event_stream import EventsLost, EventStream
from stbridge.syncthing.reads import Reader
from stbridge.syncthing.retry import new_backoff

log = logging.getLogger(__name__)

LONGEST_SILENCE_S = 180.0
"""A long poll, or a resolver that does not answer, can take most of this."""

GATHER_S = 0.05
BURST = 10
"""So many requests follow each other at once, then one every GATHER_S, until there was a rest.

Of events that come thick and fast each request brings several then; one that comes now and then is not delayed.
"""

GATHERED = 200
"""It follows sooner when more events than that would gather: the ring is small."""

GIVE_WAY_S = 0.02
"""How long the next request for events may wait until what the last one told is published.

Events that happen meanwhile wait at Syncthing; after this long they go first, because its ring holds 1000.
"""

SETTLE_S = 2.0
"""How long what was missed may take to be taken in, with all that is read for it, before Syncthing is online again."""

REMIND_S = 1.0

FETCH_S = 0.05
"""While everything is being read, what happens meanwhile is fetched so often."""
MOST_KINDS = 50
"""How many kinds of events that are not understood are told, each once."""


class Follower:
    """Follows one Syncthing by its events.

    Args:
        name: the name of the instance, for the thread and the log.
        client: the way to it; for this thread alone.
        raw: types of events that are handed on as they are, too.
        report: takes observations in; called by this thread only.
        give_way: waits until what they tell is published, for so many seconds at most.
        settle: waits until all that is read because of what they tell is taken in, too.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        *,
        raw: Sequence[str],
        report: Callable[[Observation], None],
        give_way: Callable[[float], object],
        settle: Callable[[float], object],
    ) -> None:
        self._client = client
        self._raw = frozenset(raw)
        self._report = report
        self._give_way = give_way
        self._settle = settle
        self._reader = Reader(client)
        self._stream = EventStream(client, sorted({*events.EVENT_TYPES, *raw}))
        self._allowance = Allowance(burst=BURST, every_s=GATHER_S)
        self._stop = threading.Event()
        self._again = threading.Event()
        self._look = threading.Event()
        self._polls_wait = False
        self._waiting_since: float | None = None
        self._whole = False
        self._not_understood: set[str] = set()
        self._was_whole = False
        self.part = Part(f"{name}-events", self._run, longest_s=LONGEST_SILENCE_S)

    def start(self) -> None:
        """Begin to follow."""
        self.part.start()

    def stop(self) -> None:
        """End, and break off the request that is under way."""
        self._stop.set()
        self._client.close()

    def read_again(self) -> None:
        """Read everything again: somebody saw that Syncthing restarted."""
        self._again.set()
        self._client.break_off()

    def look_again(self) -> None:
        """Make sure that nothing is missed, and tell then that polls are served again, as somebody saw.

        The request for events may wait on a connection that has died without a word, as others have.
        """
        self._look.set()
        self._client.break_off()

    def remind(self) -> None:
        """Break off a request for events that began in the very moment in which it should not have; now and then."""
        since = self._waiting_since
        if since is not None and self._asked and monotonic() - since > REMIND_S:
            self._client.break_off()

    @property
    def _asked(self) -> bool:
        """Whether somebody wants more than to wait for events."""
        return self._again.is_set() or self._look.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self.part.alive

    def _run(self) -> None:
        backoff = new_backoff()
        self._whole = self._was_whole = False  # if it died on an event, that one is missed
        while not self._stop.is_set():
            began = monotonic()
            try:
                self._synchronise()
                self._follow(backoff)
            except EventsLost:
                if backoff.fresh:
                    log.info("events were missed or Syncthing restarted: reading everything again")
                self._stop.wait(backoff.next())
            except SyncthingError as error:
                self._tell(error)
                self._stop.wait(backoff.next(monotonic() - began))
            self.part.beat()

    def _tell(self, error: SyncthingError) -> None:
        if not self._stop.is_set():
            known = isinstance(error, SyncthingUnavailable | TimedOut | BadReply)
            message = str(error) if known else f"url: {self._client.url} does not serve Syncthing's API ({error})"
            self._report(seen.Unavailable(way=seen.EVENTS, status=error.status, message=message))

    def _synchronise(self) -> None:
        """Be where nothing is missed from here on: at the old cursor if it holds, else after a full read."""
        if self._look.is_set():
            self._look.clear()
            self._polls_wait = True
        if self._whole and not self._again.is_set() and self._stream.can_resume():
            self._take(self._stream.wait(timeout_s=0))
            self._settle(SETTLE_S)  # or it would be called online with what was
            self._report(seen.Available(way=seen.EVENTS))
        else:
            self._read_all()
        if self._polls_wait:
            self._polls_wait = False
            self._report(seen.Available(way=seen.POLLS))

    def _read_all(self) -> None:
        known = self._was_whole and not self._again.is_set()
        self._whole = False
        self._again.clear()
        overrun = self._stream.open() and known
        # Nothing is published before all is read. After a flood of events that overran the ring the completions that
        # are known are not far from the truth, and most of what there is to be read: they follow.
        for observation in [*self._read_everything(most_completions=0 if overrun else None)]:
            self._report(observation)
        self._whole = self._was_whole = True

    def _read_everything(self, most_completions: int | None) -> Iterator[Observation]:
        """Report everything, and give what happened meanwhile, which the ring might lose before it is all read."""
        fetched_at = monotonic()
        for observation in self._reader.snapshot(most_completions=most_completions):
            self.part.beat()
            self._report(observation)
            if monotonic() - fetched_at > FETCH_S:
                for event in self._stream.wait(timeout_s=0):
                    yield from self._observe(event)
                fetched_at = monotonic()

    def _follow(self, backoff: Backoff) -> None:
        answered_at = monotonic()
        while not self._stop.is_set() and not self._asked:
            self.part.beat()
            self._waiting_since = monotonic()
            try:
                found = self._stream.wait()
            finally:
                self._waiting_since = None
            answered_before, answered_at = answered_at, monotonic()
            self._take(found)
            self._give_way(GIVE_WAY_S)
            backoff.reset()
            if found and not self._allowance.take(monotonic()):
                enough_at = answered_at + (answered_at - answered_before) * GATHERED / len(found)
                now = monotonic()
                self._stop.wait(max(0.0, min(enough_at - now, self._allowance.available_in(now))))

    def _take(self, found: Sequence[dict[str, Any]]) -> None:
        for event in found:
            for observation in self._observe(event):
                self._report(observation)

    def _observe(self, event: dict[str, Any]) -> Iterator[Observation]:
        try:
            observation = events.observe(event, self._reader.own_id)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            kind = str(event.get("type"))
            if kind not in self._not_understood and len(self._not_understood) < MOST_KINDS:
                self._not_understood.add(kind)
                log.warning("events such as %s %s are not understood: %r", event.get("id"), kind, error)
            return
        if observation is not None:
            yield observation
        if event["type"] in self._raw:
            yield seen.RawEvent(type=event["type"], event=event)

"""The thread that follows the events of one Syncthing, and reads everything whenever some may have been missed."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from stbridge.core import events
from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from stbridge.errors import BadReply, CallFailed, SyncthingUnavailable
from stbridge.supervision import Part
from stbridge.syncthing.backoff import Backoff
from stbridge.syncthing.client import SyncthingClient
from stbridge.syncthing.event_stream import EventsLost, EventStream
from stbridge.syncthing.reads import Reader

log = logging.getLogger(__name__)

LONGEST_SILENCE_S = 180.0
"""A long poll, or a resolver that does not answer, can take most of this."""

MOST_KINDS = 50
"""How many kinds of events that are not understood are told, each once."""


class Follower:
    """Follows one Syncthing by its events.

    Args:
        name: the name of the instance, for the thread and the log.
        client: the way to it; for this thread alone.
        raw: types of events that are handed on as they are, too.
        report: takes observations in; called by this thread only.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        *,
        raw: Sequence[str],
        report: Callable[[Observation], None],
    ) -> None:
        self._client = client
        self._raw = frozenset(raw)
        self._report = report
        self._reader = Reader(client)
        self._stream = EventStream(client, sorted({*events.EVENT_TYPES, *raw}))
        self._stop = threading.Event()
        self._again = threading.Event()
        self._whole = False
        self._not_understood: set[str] = set()
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
        """Wait for events on a new connection: the old one may have died without a word, as others have."""
        self._client.break_off()

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self.part.alive

    def _run(self) -> None:
        backoff = Backoff()
        self._whole = False  # if it died on an event, that one is missed
        while not self._stop.is_set():
            try:
                self._synchronise()
                self._follow(backoff)
            except EventsLost:
                if backoff.fresh:
                    log.info("events were missed or Syncthing restarted: reading everything again")
                self._stop.wait(backoff.next())
            except SyncthingUnavailable as error:
                self._tell(error)
                self._stop.wait(backoff.next())
            except CallFailed as error:  # a path that every Syncthing has is refused: it is none
                self._tell(BadReply(f"url: what answers does not serve Syncthing's API ({error})"))
                self._stop.wait(backoff.next())
            self.part.beat()

    def _tell(self, error: SyncthingUnavailable) -> None:
        if not self._stop.is_set():
            self._report(seen.Unavailable(way=seen.EVENTS, status=error.status, message=str(error)))

    def _synchronise(self) -> None:
        """Be where nothing is missed from here on: at the old cursor if it holds, else after a full read."""
        if self._whole and not self._again.is_set() and self._stream.can_resume():
            self._report(seen.Available(way=seen.EVENTS))
            return
        self._whole = False
        self._again.clear()
        self._stream.open()
        for observation in self._reader.snapshot():
            self.part.beat()
            self._report(observation)
        self._whole = True

    def _follow(self, backoff: Backoff) -> None:
        while not self._stop.is_set() and not self._again.is_set():
            self.part.beat()
            for event in self._stream.wait():
                self._take(event)
            backoff.reset()

    def _take(self, event: dict[str, Any]) -> None:
        try:
            observation = events.observe(event, self._reader.own_id)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            kind = str(event.get("type"))
            if kind not in self._not_understood and len(self._not_understood) < MOST_KINDS:
                self._not_understood.add(kind)
                log.warning("events such as %s %s are not understood: %r", event.get("id"), kind, error)
            return
        if observation is not None:
            self._report(observation)
        if event["type"] in self._raw:
            self._report(seen.RawEvent(type=event["type"], event=event))

"""Collects the messages of the broker, and once per second makes one update of them for all browsers.

Messages are kept as bytes until the tick, and of each retained topic only the newest, because parsing every message of
a storm would delay everything else.
"""

import json
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple

from stbridge.core.messages import Received
from stbridge.core.timing import in_utc
from stbridge.web.fleet import Fleet
from stbridge.web.reading import LONGEST_PAYLOAD

log = logging.getLogger(__name__)

TICK_S = 1.0
RATES_S = 10.0
"""Seconds between two points of the graphs."""

KEPT_TICKS = 60
"""A browser that has missed more ticks gets everything again."""

MOST_PENDING_BYTES = 32_000_000
"""If more is waiting for the next tick, no further messages are read from the broker."""

MOST_PENDING_EVENTS = 1000

LONGEST_TOPIC = 1024
"""Maximum length of a topic in characters: an ID of a folder is a part of it."""

MESSAGE_BYTES = 250
"""Approximate memory that a message needs besides its topic and payload."""

QUIET_S = 5.0
"""The page asks for the topics that have not arrived again when the broker has been silent for this time."""

MOST_ASKED = 5000
"""If more topics have not arrived again, all of them are kept."""


class Tick(NamedTuple):
    """One update, as JSON in UTF-8."""

    number: int
    data: bytes


class Hub:
    """The state of the page, and its latest updates.

    Args:
        fleet: the state; only the hub uses it.
        ticked: called in the hub's thread after each update.
        died: called in the same thread with an unexpected error, after which there are no more updates.
    """

    def __init__(
        self,
        fleet: Fleet,
        ticked: Callable[[], None] = lambda: None,
        died: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self.boot = secrets.token_hex(4)
        """Identifies this process: numbers of ticks are valid for one process."""
        self.ticked = ticked
        self.ask: Callable[[Sequence[str]], None] = lambda _topics: None
        """Called in the hub's thread with topics that may not exist any more, before they are removed by `answer`."""
        self._died = died
        self._fleet = fleet
        self._lock = threading.Lock()  # guards the fleet and the ticks; held while a tick is made
        self._ticks: deque[Tick] = deque(maxlen=KEPT_TICKS)
        self._number = 0
        self._changed = threading.Condition()  # guards what the network thread hands over
        self._newest: dict[str, bytes] = {}
        self._passing: deque[tuple[str, bytes]] = deque(maxlen=MOST_PENDING_EVENTS)
        self._pending_bytes = 0
        self._broker: dict[str, Any] = {"connected": False}
        fleet.tree.put(("broker",), dict(self._broker))
        self._reconnected = False
        self._answer: Mapping[str, bytes] | None = None
        self._asked = False
        self._stopped = False
        self._rates_at = 0.0
        self._quiet_since: tuple[tuple[int, int], float] | None = None
        self._thread = threading.Thread(target=self._run, name="web-ticks", daemon=True)

    def start(self) -> None:
        """Start to make updates."""
        self._thread.start()

    def stop(self) -> None:
        """Stop."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # --- the network thread

    def take(self, received: Received) -> None:
        """Keep a message for the next tick, unless it is larger than those of bridges.

        While too much is waiting, it blocks until the next tick, and the connection to the broker with it: nothing is
        sent or received meanwhile.
        """
        if len(received.payload) > LONGEST_PAYLOAD or len(received.topic) > LONGEST_TOPIC:
            return
        passing = self._fleet.bases.is_of_kind(received.topic, "event")
        with self._changed:
            self._changed.wait_for(lambda: self._pending_bytes < MOST_PENDING_BYTES or self._stopped)
            self._pending_bytes += len(received.payload) + len(received.topic) + MESSAGE_BYTES
            if passing:
                self._passing.append((received.topic, received.payload))
            else:
                self._newest.pop(received.topic, None)  # so that the order is that of arrival
                self._newest[received.topic] = received.payload
            if self._pending_bytes >= MOST_PENDING_BYTES:
                self._changed.notify_all()

    def expect_again(self) -> None:
        """Note that the broker is about to send every retained message."""
        with self._changed:
            self._reconnected = True
            self._answer = None

    def answer(self, found: Mapping[str, bytes]) -> None:
        """Note the retained messages, by topic, of the topics that `ask` was called with."""
        with self._changed:
            self._answer = found

    def connected(self) -> None:
        """Note that there is a connection to the broker."""
        with self._changed:
            self._broker = {"connected": True}

    def disconnected(self, reason: str) -> None:
        """Note that there is no connection to the broker."""
        with self._changed:
            since = self._broker.get("since") or in_utc(datetime.now(UTC))
            self._broker = {"connected": False, "message": reason, "since": since}

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._broker["connected"] is True

    # --- the thread of the ticks

    def _run(self) -> None:
        try:
            self._tick_until_stopped()
        except Exception as error:  # noqa: BLE001 - otherwise the page would stay as it is, and look current
            with self._changed:  # otherwise `take` would block forever, and the stop of the page with it
                self._stopped = True
                self._changed.notify_all()
            self._died(error)

    def _tick_until_stopped(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._pending_bytes >= MOST_PENDING_BYTES, TICK_S)
                if self._stopped:
                    return
            if self.tick(monotonic()):
                self.ticked()

    def tick(self, now: float) -> bool:
        """Process what has arrived, and make an update; return whether something has changed.

        Args:
            now: the current time, by time.monotonic().
        """
        with self._changed:
            newest, self._newest = self._newest, {}
            passing, self._passing = self._passing, deque(maxlen=MOST_PENDING_EVENTS)
            self._pending_bytes = 0
            broker, reconnected = dict(self._broker), self._reconnected
            self._reconnected = False
            answer, self._answer = self._answer, None
            self._changed.notify_all()
        at = datetime.now(UTC)
        with self._lock:
            if reconnected:
                self._fleet.expect_again()
                self._quiet_since = None
                self._asked = False
            self._take_all((*newest.items(), *passing), at)
            if self._asked and answer is not None:
                self._fleet.confirm(answer, at)
                self._fleet.remove_unconfirmed()
            if broker["connected"]:
                broker |= self._look_for_removed(now)
            self._fleet.tree.put(("broker",), broker)
            changes = self._fleet.take_changes()
            if now >= self._rates_at:
                self._rates_at = now + RATES_S
                if rates := self._fleet.sample_rates():
                    changes["rates"] = rates
            if not changes:
                return False
            self._number += 1
            self._ticks.append(Tick(self._number, encoded({"number": self._number, "now": in_utc(at), **changes})))
        return True

    def _take_all(self, messages: Iterable[tuple[str, bytes]], at: datetime) -> None:
        for topic, payload in messages:
            self._fleet.take(topic, payload, at)

    def _look_for_removed(self, now: float) -> dict[str, int]:
        """Look for topics that were cleared while there was no connection; return what the page shows about that.

        The broker does not mark the last retained message, so it has to be silent about the remaining topics for some
        time. It may also have dropped some of them, so the page asks for these again before it removes them.
        """
        left = self._fleet.unconfirmed()
        if left is None:
            return {}
        if self._asked and left:
            return {"missing": left}
        progress = (left, self._fleet.topics)
        if self._quiet_since is None or self._quiet_since[0] != progress:
            self._quiet_since = (progress, now)
        if not self._asked and now - self._quiet_since[1] < QUIET_S:
            return {"reading": self._fleet.topics}
        if not left:
            self._fleet.remove_unconfirmed()
            return {}
        self._asked = True
        if left <= MOST_ASKED:
            self.ask(self._fleet.unconfirmed_topics())
        return {"missing": left}

    # --- the threads of the server

    def whole(self, further: Mapping[str, Any]) -> bytes:
        """Return the state after the last update, as JSON.

        Args:
            further: further keys.
        """
        with self._lock:
            state = {"boot": self.boot, "number": self._number, "now": in_utc(datetime.now(UTC)), **further}
            return encoded({**state, **self._fleet.whole()})

    def since(self, boot: str, number: int) -> list[Tick] | None:
        """Return the updates after the given one; None if they are not available any more.

        Args:
            boot: the process that the number is valid for.
            number: the last update that a browser has.
        """
        ticks = tuple(self._ticks)
        if boot != self.boot or not 0 <= number <= self._number:
            return None
        missing = [tick for tick in ticks if tick.number > number]
        return missing if len(missing) == (ticks[-1].number if ticks else number) - number else None

    def knows(self, base: str, instance: str) -> bool:
        """Return whether an instance exists."""
        with self._lock:
            return self._fleet.tree.get("instances", f"{base}/{instance}") is not None


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON in UTF-8; lone surrogates become `?`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

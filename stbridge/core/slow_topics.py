"""Decides when the slow copy of a topic is published, for readers that store every message; time is an argument.

Home Assistant cannot debounce MQTT: it records each message that changes an entity, and shows each change of a text in
its activity list. The slow copy of a topic has the same payload, but omits states that last only for a moment.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stbridge.core.json_text import read_json
from stbridge.core.topics import Address, Topics

SETTLING_S = 2.0
"""Seconds that a state must last."""

INTERVAL_S = 15.0
"""Minimum seconds between two messages in which only numbers differ."""

LONGEST_WAIT_S = 30.0
"""Maximum seconds until a change is published, also if its state keeps changing."""

SLOW: Mapping[str, str] = {kind: f"slow_{kind}" for kind in ("system", "metrics", "folder", "device")}
"""The kinds of topics that have a slow copy, with the kind of the copy."""

_ORIGINALS = {copy: kind for kind, copy in SLOW.items()}

_STATES = (
    "state",
    "status",
    "paused",
    "connected",
    "in_sync",
    "all_in_sync",
    "problems",
    "error",
    "failed",
    "conflicts",
    "local_changes",
    "errors",
    "restart_required",
    "pending_devices",
    "pending_folders",
)
"""Keys of states, in any payload; all other keys count as numbers."""


def slow(address: Address) -> Address:
    """Return the address of the slow copy of a topic."""
    return address._replace(kind=SLOW[address.kind])


def copies(topics: Topics, among: Iterable[str]) -> dict[str, str]:
    """Return the topics that are slow copies, each with the topic that it is a copy of."""
    parsed = {topic: topics.parse(topic) for topic in among if "/slow/" in topic}  # few of many topics
    return {
        topic: topics.build(one[0], one[1]._replace(kind=_ORIGINALS[one[1].kind]))
        for topic, one in parsed.items()
        if one is not None and one[1].kind in _ORIGINALS
    }


@dataclass(slots=True)
class _Copy:
    """A topic and its slow copy.

    Attributes:
        payload: the latest payload of the topic.
        states: the states in it.
        states_since: when they began.
        waiting_since: since when the copy has been out of date; None if it is up to date.
        sent: the payload of the copy.
        sent_states: the states in it.
        sent_at: when it was published.
        due: when the copy is to be published; None if it is up to date.
    """

    payload: bytes
    states: Any
    states_since: float
    waiting_since: float | None
    sent: bytes = b""
    sent_states: Any = None
    sent_at: float = 0.0
    due: float | None = None


class SlowTopics:
    """The slow copies of the topics of one instance. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._copies: dict[Address, _Copy] = {}
        self._queue: list[tuple[float, Address]] = []  # may contain times that no longer apply

    @property
    def next(self) -> float | None:
        """When the next copy is to be published; None if all are up to date."""
        while self._queue and not self._applies(*self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def offer(self, address: Address, payload: bytes, now: float) -> None:
        """Note the payload that a topic has now; the first one of a topic is due at once."""
        copy = self._copies.get(address)
        if copy is None:
            copy = self._copies[address] = _Copy(payload, _states(payload), now, now)
            self._schedule(address, copy, now)
        elif payload != copy.payload:
            copy.payload, states = payload, _states(payload)
            if states != copy.states:
                copy.states, copy.states_since = states, now
            self._schedule(address, copy, self._when(copy, now))

    def due(self, now: float) -> list[tuple[Address, bytes]]:
        """Return the copies to publish now, with their payloads."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            at, address = heapq.heappop(self._queue)
            if self._applies(at, address):
                found.append(self._send(address, now))
        return found

    def release(self, now: float) -> list[tuple[Address, bytes]]:
        """Return all copies that are out of date, with their payloads."""
        waiting = [address for address, copy in self._copies.items() if copy.due is not None]
        self._queue.clear()
        return [self._send(address, now) for address in waiting]

    def remove(self, address: Address) -> None:
        """Forget a topic that was cleared."""
        self._copies.pop(address, None)

    def _when(self, copy: _Copy, now: float) -> float | None:
        if copy.payload == copy.sent:
            copy.waiting_since = None
            return None
        if copy.waiting_since is None:
            copy.waiting_since = now
        if copy.states == copy.sent_states:
            return max(copy.waiting_since + SETTLING_S, copy.sent_at + INTERVAL_S)
        return min(copy.states_since + SETTLING_S, copy.waiting_since + LONGEST_WAIT_S)

    def _schedule(self, address: Address, copy: _Copy, at: float | None) -> None:
        if at != copy.due:
            copy.due = at
            if at is not None:
                heapq.heappush(self._queue, (at, address))

    def _applies(self, at: float, address: Address) -> bool:
        copy = self._copies.get(address)
        return copy is not None and copy.due == at

    def _send(self, address: Address, now: float) -> tuple[Address, bytes]:
        copy = self._copies[address]
        copy.sent, copy.sent_states, copy.sent_at = copy.payload, copy.states, now
        copy.due = copy.waiting_since = None
        return address, copy.payload


def _states(payload: bytes) -> Any:
    value = read_json(payload)
    return [value.get(key) for key in _STATES]

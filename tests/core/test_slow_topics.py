"""The slow copies of topics: which states and numbers readers that store every message receive."""

import json
from typing import Any

import pytest

from stbridge.core.outcome import folder_address
from stbridge.core.slow_topics import INTERVAL_S, LONGEST_WAIT_S, SETTLING_S, SlowTopics, copies, slow
from stbridge.core.topics import Address, Topics

DOCS, MUSIC = folder_address("docs"), folder_address("music")


class Clock:
    """Slow copies, and the messages that were published so far, with their times."""

    def __init__(self) -> None:
        self.slow = SlowTopics()
        self.published: list[tuple[float, Any]] = []
        self.sees(0, "idle", 0)
        self.until(100)
        self.published.clear()

    def sees(self, at: float, state: str, need: int) -> None:
        """Publish a payload of the folder."""
        self.until(at)
        self.slow.offer(DOCS, json.dumps({"state": state, "need_items": need}).encode(), at)

    def until(self, now: float) -> None:
        """Publish copies when they are due."""
        while self.slow.next is not None and self.slow.next <= now:
            at = self.slow.next
            self.published += [(at, json.loads(payload)) for _, payload in self.slow.due(at)]

    @property
    def states(self) -> list[tuple[float, str]]:
        """The states that were published."""
        self.until(10_000)
        return [(at, payload["state"]) for at, payload in self.published]


@pytest.fixture
def clock() -> Clock:
    """An idle folder."""
    return Clock()


def test_the_first_payload_is_published_at_once() -> None:
    """A new folder appears without a delay."""
    one = SlowTopics()
    one.offer(DOCS, b"{}", 5.0)
    assert one.due(5.0) == [(DOCS, b"{}")]
    assert one.next is None


def test_a_state_that_lasts_for_a_moment_is_omitted(clock: Clock) -> None:
    """A scan of one second is not published; if only the state changed, nothing is."""
    clock.sees(100, "scanning", 0)
    clock.sees(101, "idle", 0)
    assert clock.states == []


def test_a_state_that_lasts_is_published_soon(clock: Clock) -> None:
    """It is published when it has lasted for two seconds, without the short states around it."""
    clock.sees(100, "sync-preparing", 5)
    clock.sees(101, "syncing", 5)
    clock.sees(110, "scanning", 0)
    clock.sees(110.5, "idle", 0)
    assert clock.states == [(101 + SETTLING_S, "syncing"), (110.5 + SETTLING_S, "idle")]


def test_numbers_are_published_at_a_low_rate(clock: Clock) -> None:
    """During a long sync, only some numbers are published, and always the last ones."""
    for second in range(301):
        clock.sees(100 + second, "syncing", 300 - second)
    clock.sees(401, "idle", 0)
    assert len(clock.states) <= 300 / INTERVAL_S + 2
    assert clock.published[-1][1] == {"state": "idle", "need_items": 0}


def test_numbers_do_not_precede_their_state(clock: Clock) -> None:
    """While a new state is not old enough, numbers wait for it, too."""
    clock.sees(100, "idle", 5)
    clock.sees(101.5, "syncing", 4)
    clock.until(102.5)
    assert clock.published == []
    assert clock.states == [(101.5 + SETTLING_S, "syncing")]


def test_a_state_that_keeps_changing_is_published_in_the_end(clock: Clock) -> None:
    """A reader never sees values that are out of date for longer than the limit."""
    for step in range(60):
        clock.sees(100 + step, ("syncing", "scanning")[step % 2], step)
    assert clock.states[0][0] == 100 + LONGEST_WAIT_S


def test_everything_is_published_when_an_instance_returns_or_the_bridge_stops(clock: Clock) -> None:
    """All copies are then up to date, and nothing is left to do."""
    clock.sees(100, "syncing", 5)
    clock.slow.offer(MUSIC, b"{}", 100)
    assert [address for address, _ in clock.slow.release(100)] == [DOCS, MUSIC]
    assert clock.slow.next is None


def test_a_removed_folder_is_forgotten(clock: Clock) -> None:
    """Its copy is not published any more."""
    clock.sees(100, "syncing", 5)
    clock.slow.remove(DOCS)
    assert clock.slow.next is None
    assert clock.states == []


def test_a_copy_knows_its_original() -> None:
    """Copies of removed folders are found by the topic that they are a copy of."""
    topics = Topics("home/slow/base")
    original, copy = (topics.build("nas", one) for one in (DOCS, slow(DOCS)))
    assert copies(topics, [copy, original, topics.build("nas", Address("state")), "a/slow/b"]) == {copy: original}

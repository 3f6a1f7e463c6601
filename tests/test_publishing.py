"""What of one Syncthing is published, and when."""

import json
from collections.abc import Iterator
from dataclasses import replace

from stbridge.core import observations as seen
from stbridge.core.outcome import folder_address
from stbridge.core.payloads import render
from stbridge.core.topic_rate import BURST
from stbridge.core.topics import Topics
from stbridge.homeassistant.discovery import Site
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.mqtt.outbox import Outbox
from stbridge.publishing import Publisher
from tests.core.world import (
    BETA,
    COUNTS,
    World,
    config,
    folder,
    read,
)
from tests.wire import drain

TOPICS = Topics("syncthing")
DOCS, PHOTOS = "syncthing/nas/folder/docs", "syncthing/nas/folder/photos"
AT_ONCE, LATER = 1000.0, 1000.5
STORM = range(1, 501)
LIMIT = 1000


class Nas:
    """A Syncthing with two folders, all of which has been published, and a broker that takes everything."""

    def __init__(self, updates_per_second: float = 2) -> None:
        self.world = World().start(configured=config(folder("docs", BETA), folder("photos", BETA)))
        self.outbox = Outbox()
        self.outbox.connected()
        self.publisher = Publisher("nas", TOPICS, self.outbox, None, updates_per_second)
        self.publisher.change(self.world.state.everything())
        self.publisher.publish(self.world.state, AT_ONCE - 100, LIMIT)
        self.news()

    def sees(self, name: str, need: int, *, now: float = AT_ONCE) -> None:
        """See that a folder lacks so many bytes, and publish what is to be published."""
        self.world.see(read(name, of=replace(COUNTS, need_bytes=need, need_items=need)))
        self.publisher.change(self.world.changed)
        self.publisher.publish(self.world.state, now, LIMIT)

    def news(self) -> list[tuple[str, bytes]]:
        """Return what goes to the broker."""
        return list(self._sent())

    def of(self, topic: str) -> list[int | None]:
        """Return what a folder was told to lack, message by message."""
        return [json.loads(payload)["need_bytes"] for name, payload in self.news() if name == topic]

    def _sent(self) -> Iterator[tuple[str, bytes]]:
        for message in drain(self.outbox):
            yield message.topic, message.payload


def test_a_single_change_is_published_at_once() -> None:
    """Nothing waits that does not come in masses."""
    nas = Nas()
    nas.sees("docs", 1)
    assert nas.of(DOCS) == [1]


def test_a_topic_that_keeps_changing_is_sent_now_and_then() -> None:
    """A storm of changes becomes a few messages, although each of them could have been sent."""
    nas = Nas()
    sent = []
    for need in STORM:
        nas.sees("docs", need, now=AT_ONCE + need / 100)
        sent += nas.of(DOCS)
    assert sent[:BURST] == list(STORM[:BURST])
    assert len(sent) <= BURST + 2 * 5


def test_the_last_value_always_follows() -> None:
    """What was held back is sent when its time has come, with its newest value, though nothing happens any more."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    assert nas.publisher.next == LATER
    nas.publisher.publish(nas.world.state, LATER, LIMIT)
    assert nas.of(DOCS) == [STORM[-1]]
    assert nas.publisher.next is None


def test_other_topics_do_not_wait_for_one_that_keeps_changing() -> None:
    """A change of a folder is published at once, whatever happens in another."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    nas.sees("photos", 7)
    assert nas.of(PHOTOS) == [7]


def test_what_is_the_same_again_is_not_counted() -> None:
    """Only what is sent uses the allowance up: a change waits for nothing after many looks that found none."""
    nas = Nas()
    for _ in STORM:
        nas.sees("docs", 1)
    nas.news()
    nas.sees("docs", 2)
    assert nas.of(DOCS) == [2]


def test_whether_syncthing_can_be_reached_is_never_held_back() -> None:
    """Availability is told at once, however often it changes."""
    nas = Nas()
    told = []
    for _ in STORM:
        for seen_of_it in (
            seen.Unavailable(status="unreachable", message="gone"),
            seen.Resumed(),
        ):
            nas.world.see(seen_of_it)
            nas.publisher.change(nas.world.changed)
            nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
            told += [payload for topic, payload in nas.news() if topic == "syncthing/nas/state"]
    assert told == [b"offline", b"online"] * len(STORM)


def test_nothing_is_sent_twice_because_it_waited_while_everything_is_read_again() -> None:
    """What comes due meanwhile waits until the truth is known."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    nas.world.see(seen.SnapshotStarted())
    nas.publisher.publish(nas.world.state, LATER, LIMIT)
    assert nas.news() == []
    nas.world.snapshot(read("docs"), read("photos"))
    nas.publisher.change(nas.world.changed)
    nas.publisher.publish(nas.world.state, LATER, LIMIT)
    assert nas.of(DOCS) == [0]


def test_a_syncthing_is_called_online_after_all_that_is_known_of_it() -> None:
    """What would have to wait goes before that: whoever reads `online` believes the rest."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.world.see(seen.Unavailable(status="unreachable", message="gone"))
    nas.publisher.change(nas.world.changed)
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    nas.news()
    nas.world.see(read("docs", of=replace(COUNTS, need_bytes=7, need_items=7)), seen.Resumed())
    nas.publisher.change(nas.world.changed)
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    news = nas.news()
    assert [json.loads(payload)["need_bytes"] for topic, payload in news if topic == DOCS] == [7]
    assert news[-1] == ("syncthing/nas/state", b"online")


def test_discovery_goes_before_a_new_topic_and_before_a_removed_one_and_after_a_changed_one() -> None:
    """Home Assistant needs to know a new thing first, and cannot read the empty payload of a removed one."""
    world = World().start(configured=config(folder("docs", BETA)))
    outbox = Outbox()
    outbox.connected()
    site = Site(instance="nas", topics=TOPICS, allowed=frozenset(), link="http://nas:8384", version="1")
    publisher = Publisher("nas", Topics("syncthing", "homeassistant"), outbox, DiscoveryPublisher(site), 0)

    def sent() -> list[str]:
        while publisher.publish(world.state, AT_ONCE, LIMIT):
            pass
        topics = [message.topic for message in drain(outbox)]
        return [one for one in topics if one == DOCS or "_folder_" in one]

    publisher.change(world.state.everything())
    docs, state = sent()
    assert state == DOCS
    world.see(config(folder("docs", BETA, label="Renamed")))
    publisher.change(world.changed)
    assert [one == DOCS for one in sent()] == [True, False]
    world.see(config(folder("photos", BETA)))
    publisher.change(world.changed)
    of_docs = [one for one in sent() if one in (DOCS, docs)]
    assert of_docs == [docs, DOCS]


def test_at_the_end_nothing_is_left_behind() -> None:
    """The bridge stops with the last value of everything on the broker."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT, unlimited_rate=True)
    assert nas.of(DOCS) == [STORM[-1]]
    assert nas.outbox.states()[DOCS] == render(nas.world.state, folder_address("docs"))

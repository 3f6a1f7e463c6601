"""The publications of one instance: which messages are sent, and when."""

import gc
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

from stbridge.core import observations as seen
from stbridge.core.model import Completion
from stbridge.core.outcome import STATE, folder_address
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
    LACKING,
    World,
    after,
    completed,
    config,
    folder,
    read,
)
from tests.wire import drain

TOPICS = Topics("syncthing", "homeassistant")
DOCS, PHOTOS = "syncthing/nas/folder/docs", "syncthing/nas/folder/photos"
SLOW_DOCS = "syncthing/nas/slow/folder/docs"
AT_ONCE, LATER = 1000.0, 1000.5
STORM = range(1, 501)
LIMIT = 1000
MOST_KEPT_BYTES = 30
"""More bytes for each folder that is gone again are a leak: one entry of a set has more."""


class Nas:
    """An instance with two folders and all topics published, and a broker that accepts every message."""

    def __init__(self, updates_per_second: float = 2, discovery: DiscoveryPublisher | None = None) -> None:
        self.world = World().start(configured=config(folder("docs", BETA), folder("photos", BETA)))
        self.outbox = Outbox()
        self.outbox.connected()
        self.publisher = Publisher("nas", TOPICS, self.outbox, discovery, updates_per_second)
        self.publisher.change(self.world.state.everything())
        self.publisher.publish(self.world.state, AT_ONCE - 100, LIMIT)
        self.news()

    def sees(self, name: str, need: int, *, now: float = AT_ONCE) -> None:
        """Observe that a folder needs this number of bytes, and publish the messages that are due."""
        self.world.see(read(name, of=replace(COUNTS, need_bytes=need, need_items=need)))
        self.publisher.change(self.world.changed)
        self.publisher.publish(self.world.state, now, LIMIT)

    def news(self) -> list[tuple[str, bytes]]:
        """Return the messages that are sent to the broker."""
        return list(self._sent())

    def of(self, topic: str) -> list[int | None]:
        """Return the needed bytes of a folder in each of its messages."""
        return [json.loads(payload)["need_bytes"] for name, payload in self.news() if name == topic]

    def _sent(self) -> Iterator[tuple[str, bytes]]:
        for message in drain(self.outbox):
            yield message.topic, message.payload


def with_home_assistant() -> Nas:
    """Return an instance that Home Assistant shows, with all topics published."""
    site = Site(instance="nas", topics=TOPICS, allowed=frozenset(), link=None, version="1")
    return Nas(discovery=DiscoveryPublisher(site))


def test_the_slow_copy_of_a_topic_follows_later() -> None:
    """The topic itself is published at once, its copy for Home Assistant at a low rate, with the last value."""
    nas = with_home_assistant()
    for need in (3, 2, 1):
        nas.sees("docs", need, now=AT_ONCE - need / 10)
    sent = dict(nas.news())
    assert json.loads(sent[DOCS])["need_bytes"] == 1
    assert SLOW_DOCS not in sent
    assert nas.publisher.next is not None
    nas.publisher.publish(nas.world.state, nas.publisher.next, LIMIT)
    assert nas.of(SLOW_DOCS) == [1]


def test_the_slow_copies_are_current_when_the_instance_comes_online() -> None:
    """They are put into the outbox together with `online`, which is sent last."""
    nas = with_home_assistant()
    nas.world.see(read("docs", of=replace(COUNTS, need_bytes=1, need_items=1)))
    nas.publisher.change((*nas.world.changed, STATE))
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    assert nas.of(SLOW_DOCS) == [1]


def test_the_slow_copy_of_a_removed_folder_is_cleared() -> None:
    """Its retained message does not outlive the folder."""
    nas = with_home_assistant()
    nas.world.see(config(folder("photos", BETA)))
    nas.publisher.change(nas.world.changed)
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    assert dict(nas.news())[SLOW_DOCS] == b""


def test_without_home_assistant_there_are_no_copies() -> None:
    """Only Home Assistant needs them."""
    nas = Nas()
    nas.publisher.forget()
    nas.publisher.change(nas.world.state.everything())
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT, unlimited_rate=True)
    assert not [topic for topic in nas.outbox.topics() if "/slow/" in topic]


def test_a_single_change_is_published_at_once() -> None:
    """A topic that changes rarely is not rate limited."""
    nas = Nas()
    nas.sees("docs", 1)
    assert nas.of(DOCS) == [1]


def test_a_topic_that_keeps_changing_is_rate_limited() -> None:
    """Many changes lead to a few messages, although the connection could send each of them."""
    nas = Nas()
    sent = []
    for need in STORM:
        nas.sees("docs", need, now=AT_ONCE + need / 100)
        sent += nas.of(DOCS)
    assert sent[:BURST] == list(STORM[:BURST])
    assert len(sent) <= BURST + 2 * 5


def test_a_rate_limited_completion_is_cleared_before_its_removed_device() -> None:
    """If the bridge is killed in between, its next run finds the completions by the topic of the device."""
    nas = Nas()
    for need in range(BURST + 2):
        completion = Completion(
            completion=50, need_bytes=need, need_items=1, need_deletes=0, global_bytes=100, remote_state="valid"
        )
        nas.world.see(seen.CompletionRead(device=BETA, folder="docs", completion=completion))
        nas.publisher.change(nas.world.changed)
        nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    nas.news()
    nas.world.see(config(folder("docs"), devices=()))
    nas.publisher.change(nas.world.changed)
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
    cleared = [topic for topic, payload in nas.news() if "BETABET" in topic and not payload]
    assert cleared[-1] == "syncthing/nas/device/BETABET"
    assert "syncthing/nas/completion/BETABET/docs" in cleared


def test_the_last_value_is_always_published() -> None:
    """A rate-limited topic is published with its newest value after its wait, even without a further change."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    assert nas.publisher.next == LATER
    nas.publisher.publish(nas.world.state, LATER, LIMIT)
    assert nas.of(DOCS) == [STORM[-1]]
    assert nas.publisher.next is None


def test_a_topic_that_keeps_changing_does_not_delay_others() -> None:
    """A change of one folder is published at once, however often another folder changes."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    nas.sees("photos", 7)
    assert nas.of(PHOTOS) == [7]


def test_an_unchanged_value_does_not_use_up_the_rate_limit() -> None:
    """Only sent messages count: reads without a change do not delay the next change."""
    nas = Nas()
    for _ in STORM:
        nas.sees("docs", 1)
    nas.news()
    nas.sees("docs", 2)
    assert nas.of(DOCS) == [2]


def test_the_availability_of_syncthing_is_not_rate_limited() -> None:
    """Availability is published at once, however often it changes."""
    nas = Nas()
    published = []
    for _ in STORM:
        for seen_of_it in (
            seen.Unavailable(status="unreachable", message="gone"),
            seen.Resumed(),
        ):
            nas.world.see(seen_of_it)
            nas.publisher.change(nas.world.changed)
            nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT)
            published += [payload for topic, payload in nas.news() if topic == "syncthing/nas/state"]
    assert published == [b"offline", b"online"] * len(STORM)


def test_a_rate_limited_topic_is_not_sent_twice_around_a_snapshot() -> None:
    """Messages that become due during a snapshot wait until it is complete."""
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


def test_an_instance_is_published_as_online_after_all_its_topics() -> None:
    """Rate-limited topics are sent first, because a client that receives `online` relies on all other topics."""
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


def test_discovery_precedes_new_and_removed_topics_and_follows_changed_ones() -> None:
    """Home Assistant must know a topic before its first payload, and cannot parse the empty one of a removed topic."""
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


def test_folders_that_come_and_go_leave_nothing_behind() -> None:
    """The memory of a bridge depends on what exists, and not on what has existed since its start."""
    nas, rounds = Nas(), 1000
    tracemalloc.start()
    try:
        _add_and_remove(nas, range(rounds))  # fills the caches of limited size
        before = _allocated()
        _add_and_remove(nas, range(rounds, 2 * rounds))
        kept = _allocated() - before
    finally:
        tracemalloc.stop()
    assert kept / rounds < MOST_KEPT_BYTES


def _allocated() -> int:
    """Return the number of bytes that are allocated since the trace was started."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _add_and_remove(nas: Nas, numbers: range) -> None:
    """Add a folder that has a problem, and remove it, repeatedly."""
    world, docs = nas.world, folder("docs", BETA)
    for number in numbers:
        name, world.now = f"folder-{number}", after(number)
        for observation in (
            config(docs, folder(name, BETA)),
            read(name, of=LACKING, error="no space left"),
            completed(BETA, name, need_bytes=1, need_items=1),
            config(docs),
        ):
            world.see(observation)
            nas.publisher.change(world.changed)
            nas.publisher.publish(world.state, AT_ONCE + number, LIMIT)
            nas.news()
        world.events.clear()
        world.reads.clear()


def test_a_stop_publishes_the_last_values() -> None:
    """The broker has the last value of every topic when the bridge stops."""
    nas = Nas()
    for need in STORM:
        nas.sees("docs", need)
    nas.news()
    nas.publisher.publish(nas.world.state, AT_ONCE, LIMIT, unlimited_rate=True)
    assert nas.of(DOCS) == [STORM[-1]]
    assert nas.outbox.states()[DOCS] == render(nas.world.state, folder_address("docs"))

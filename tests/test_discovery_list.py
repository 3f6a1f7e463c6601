"""The list of the discovery topics of an instance, by which the next run reads back only its own messages."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import pytest
from paho.mqtt.client import topic_matches_sub

from stbridge.core.json_text import as_json
from stbridge.core.messages import Message
from stbridge.core.observations import ConfigRead
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant import listed
from stbridge.homeassistant.discovery import Site
from stbridge.homeassistant.discovery import config as discovery_message
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.homeassistant.ownership import may_be_owned, owned
from stbridge.mqtt.outbox import Outbox
from stbridge.publishing import Publisher
from tests.core.world import BETA, World, config, folder
from tests.wire import Wire

TOPICS = Topics("syncthing", "homeassistant")
LIST = "syncthing/bridge/discovery/nas"
SITE = Site(instance="nas", topics=TOPICS, allowed=frozenset(), link=None, version="1")
ELSEWHERE = replace(SITE, topics=Topics("other", "homeassistant"))
OWN = TOPICS.discovery(SITE.bridge.object_id)
ALL = 10**6
"""More messages than a run publishes."""

Broker = dict[str, bytes]
"""The retained messages of a broker."""


class Run:
    """A run of the bridge on a broker, which accepts a limited number of messages until the bridge is killed.

    It reads, restores and publishes discovery in the order of `bridge.py`.
    """

    def __init__(self, broker: Broker, folders: Sequence[str], site: Site = SITE) -> None:
        lists = _under(broker, [site.topics.discovery_list("+")])
        self.filters = listed.filters(lists, site.topics, ["nas"])
        """The filters of the discovery messages that it reads."""
        self._broker = broker
        self._outbox = Outbox()
        self._wire = Wire(self._outbox)
        self._publisher = Publisher("nas", site.topics, self._outbox, DiscoveryPublisher(site), 0)
        self._world = World().start(configured=_configured(folders))
        bridge = as_json(discovery_message(site.bridge, site))
        own = Message(topic=site.topics.discovery(site.bridge.object_id), payload=bridge, retain=True)
        self._outbox.put_state(own, first=True)
        found = _under(broker, self.filters)
        stored = listed.stored_lists(lists, site.topics)
        ours = owned(found, site.topics, {topic for one in stored.values() for topic in one})
        announced = {topic: found[topic] for topic, instance in ours.items() if instance == "nas"}
        self._publisher.restore_discovery(announced, stored.get("nas"), complete=True)
        self._publish(self._world.state.everything())

    def connect(self, *, accepted: int = ALL) -> int:
        """Connect, publish until the broker has accepted this number of messages, and return their number."""
        self._outbox.disconnected()
        self._outbox.connected()
        return self.send(accepted=accepted)

    def send(self, *, accepted: int = ALL) -> int:
        """Publish until the broker has accepted this number of messages, and return their number."""
        count = 0
        while count < accepted and (self._wire.send() or self._wire.in_flight):
            message = self._wire.answer()
            count += 1
            if message.payload:
                self._broker[message.topic] = message.payload
            else:
                self._broker.pop(message.topic, None)
        return count

    def has(self, folders: Sequence[str]) -> None:
        """Change the folders of the instance."""
        self._world.see(_configured(folders))
        self._publish(self._world.changed)

    def _publish(self, changed: Iterable[Address]) -> None:
        self._publisher.change(changed)
        while self._publisher.publish(self._world.state, 1000.0, 3):
            pass


def _configured(folders: Sequence[str]) -> ConfigRead:
    return config(*(folder(name, BETA) for name in folders))


def _under(broker: Broker, filters: Sequence[str]) -> Broker:
    return {topic: one for topic, one in broker.items() if any(topic_matches_sub(each, topic) for each in filters)}


def discovery(broker: Broker) -> set[str]:
    """Return the discovery topics on a broker."""
    return {topic for topic in broker if "/device/stbridge_" in topic}


def complete(folders: Sequence[str], site: Site = SITE) -> Broker:
    """Return a broker on which a bridge has published everything."""
    broker: Broker = {}
    Run(broker, folders, site).connect()
    return broker


def test_a_bridge_reads_only_its_own_discovery_messages() -> None:
    """The messages of other bridges and programs stay on the broker, however many there are."""
    broker = complete(["docs", "art"])
    ours = discovery(broker)
    Run(broker, ["docs", "art", "photos"], ELSEWHERE).connect()
    assert set(Run(broker, ["docs"]).filters) == ours


def test_without_a_list_the_messages_of_all_bridges_are_read() -> None:
    """The list was lost, or the previous run was of a version that publishes none, or this is the first run."""
    broker = complete(["docs", "gone"])
    del broker[LIST]
    run = Run(broker, ["docs"])
    assert run.filters == [TOPICS.discovery_filter]
    run.connect()
    assert discovery(broker) == discovery(complete(["docs"]))
    assert TOPICS.discovery_filter not in Run(broker, ["docs"]).filters


def test_after_a_crash_at_any_time_the_next_run_clears_what_was_removed() -> None:
    """Each run is killed after each number of messages, and a folder that it has added is removed before the next."""
    first = Run({}, ["docs", "art"]).connect()
    second = Run(complete(["docs", "art"]), ["art", "new"]).connect()
    right = discovery(complete(["other"]))
    for killed_after, killed_again_after in product(range(0, first + 1, 2), range(0, second + 1, 3)):
        broker: Broker = {}
        Run(broker, ["docs", "art"]).connect(accepted=killed_after)
        Run(broker, ["art", "new"]).connect(accepted=killed_again_after)
        Run(broker, ["other"]).connect()
        assert discovery(broker) == right, (killed_after, killed_again_after)


@pytest.mark.parametrize("reconnects", [False, True])
def test_after_a_crash_while_a_folder_is_added_the_next_run_clears_it(reconnects: bool) -> None:
    """The broker has the longer list first, also if the connection was lost before it had acknowledged the list."""
    for killed_after in range(20):
        broker: Broker = {}
        run = Run(broker, ["docs"])
        run.connect()
        run.has(["docs", "new"])
        run.connect(accepted=killed_after) if reconnects else run.send(accepted=killed_after)
        Run(broker, ["docs"]).connect()
        assert discovery(broker) == discovery(complete(["docs"])), killed_after


def test_on_each_connect_discovery_comes_before_the_list() -> None:
    """Unless the list has become longer, its place is after all discovery messages."""
    broker: Broker = complete(["docs"])
    for folders, ahead in ((["docs"], False), (["docs", "new"], True)):
        before: Broker = dict(broker)
        Run(before, folders).connect(accepted=1)
        assert (before[LIST] != broker[LIST]) is ahead
    empty: Broker = {}
    Run(empty, ["docs"]).connect(accepted=len(discovery(broker)))
    assert discovery(empty) == discovery(broker)


def test_the_list_of_a_run_contains_all_topics_at_once() -> None:
    """It is published once, not again for each folder, although a large instance is published in parts."""
    broker: Broker = {}
    run = Run(broker, [f"folder-{number}" for number in range(20)])
    run.connect()
    assert set(json.loads(broker[LIST])["topics"]) == discovery(broker)
    assert len(discovery(broker)) == 23


def test_messages_with_another_prefix_are_cleared() -> None:
    """The list contains whole topics, so a bridge with another `homeassistant.discovery_prefix` finds them."""
    moved = replace(SITE, topics=Topics("syncthing", "ha"))
    broker = complete(["docs"])
    old = discovery(broker)
    Run(broker, ["docs"], moved).connect()
    assert discovery(broker) & old <= {OWN}  # the message of the bridge belongs to no instance
    assert len(discovery(broker) - old) == len(old)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"topics": {}}', b'{"topics": "#"}', b"[" * 10_000, b"9" * 5000],
)
def test_a_payload_that_is_no_list_counts_as_lost(payload: bytes) -> None:
    """Any client may publish below the base topic."""
    assert listed.read_list(payload) is None


@pytest.mark.parametrize(
    "topic",
    [
        "#",
        "homeassistant/device/+/config",
        "+/device/stbridge_A/config",
        "homeassistant/#/device/stbridge_A/config",
        "homeassistant/device/stbridge_A/set",
        "homeassistant/device/zigbee_lamp/config",
        "homeassistant/device/stbridge_A/b/config",
        "a\x00b/device/stbridge_A/config",
        "\ud800/device/stbridge_A/config",
        f"{'a' * 300}/device/stbridge_A/config",
        f"{'/' * 200}device/stbridge_A/config",
        f"{'a/' * 50}device/stbridge_A/config",
        "$SYS/device/stbridge_A/config",
        7,
        None,
        ["homeassistant/device/stbridge_A/config"],
    ],
)
def test_only_topics_that_a_bridge_may_have_published_are_read(topic: object) -> None:
    """A forged list cannot make the bridge subscribe to a filter, or to a topic that MQTT forbids."""
    ours = "homeassistant/device/stbridge_A/config"
    assert listed.read_list(json.dumps({"topics": [topic, ours]}).encode()) == (ours,)


def test_messages_of_other_bridges_are_dropped_undecoded() -> None:
    """Without a list, the bridge reads the messages of a whole fleet, and needs none of them."""
    for base in ("syncthing", 'fleet/ü "1"'):
        site = replace(SITE, topics=Topics(base, "homeassistant"))
        for topic, payload in complete(["docs"], site).items():
            assert may_be_owned(site.topics, topic, payload)
            assert may_be_owned(TOPICS, topic, payload) is (base == "syncthing" or topic not in discovery({topic: b""}))

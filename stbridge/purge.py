"""`stbridge purge`: clears the retained topics and the discovery messages of this bridge."""

from collections.abc import Iterator

from stbridge.core.ownership import OwnTopics
from stbridge.core.payloads import ONLINE
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.core.wording import counted
from stbridge.errors import Failed
from stbridge.homeassistant.ownership import owned
from stbridge.mqtt.retained import clear_retained, read_retained
from stbridge.settings import Settings

MOST_ROUNDS = 50
"""Maximum number of reads: a broker may omit some of many retained messages, so they are read until none is left."""


def purge(
    settings: Settings, *, force: bool = False, dry_run: bool = False, client_id: str | None = None
) -> Iterator[str]:
    """Clear every retained topic of this bridge, and every discovery message.

    Other programs may use the base topic, too: only topics that provably belong to a bridge are cleared.

    Args:
        settings: the settings of the bridge; they need not contain an instance.
        force: clear the topics also while the bridge is online.
        dry_run: clear nothing.
        client_id: the client ID; None derives client IDs from the client ID of the bridge.

    Yields:
        each topic, when the broker has cleared it, or in a dry run when it was found.

    Raises:
        BrokerUnavailable: the broker cannot be used, or refuses.
        Failed: the bridge is online, or cleared topics are published again.
    """
    topics = Topics(settings.mqtt.base_topic, settings.homeassistant.discovery_prefix)
    state = topics.build(BRIDGE, Address("bridge_state"))
    own = OwnTopics(topics)
    cleared: set[str] = set()
    for _ in range(MOST_ROUNDS):
        found = read_retained(
            settings.mqtt, [topics.discovery_filter, *topics.everything_retained], client_id=client_id
        )
        discovery = owned(found, topics)
        own.instances.update(discovery.values())
        # Discovery first: Home Assistant removes the entities before their values are cleared.
        ours = [*discovery, *own.find(found)]
        if dry_run:
            yield from ours
            return
        if not force and state in ours and found[state] == ONLINE.encode():
            raise Failed(
                f"{state} is {ONLINE}: stop the bridge that publishes there, or use --force if it no longer exists"
            )
        again = cleared.intersection(ours)
        if again and not force:
            count, example = counted(len(again), "topic"), min(again)
            raise Failed(f"cleared {count} that came back, such as {example}: stop the bridge that publishes there")
        if not (left := [topic for topic in ours if topic not in again]):
            return
        clear_retained(settings.mqtt, left, client_id=client_id)
        cleared.update(left)
        yield from left
    raise Failed(f"topics are left after clearing {counted(len(cleared), 'topic')}: run the purge again")

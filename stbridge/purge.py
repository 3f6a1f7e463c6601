"""`stbridge purge`: clears what the broker keeps of this bridge, and what it keeps for Home Assistant."""

from collections.abc import Iterator

from stbridge.core.topics import Topics, is_retained
from stbridge.errors import Failed
from stbridge.homeassistant.ownership import owned
from stbridge.mqtt.retained import clear_retained, read_retained
from stbridge.settings import Settings

MOST_ROUNDS = 50
"""A broker may leave out some of what it keeps when there is much of it, so it is asked until nothing is left."""


def purge(settings: Settings) -> Iterator[str]:
    """Clear every retained topic below the base topic, and every discovery message of this bridge.

    Args:
        settings: of the bridge, which need not know any Syncthing.

    Yields:
        each topic, when the broker has cleared it.

    Raises:
        BrokerUnavailable: the broker cannot be used, or refuses.
        Failed: topics come again.
    """
    topics = Topics(settings.mqtt.base_topic, settings.homeassistant.discovery_prefix)
    cleared: set[str] = set()
    for _ in range(MOST_ROUNDS):
        found = read_retained(settings.mqtt, [topics.discovery_filter, *topics.everything_retained])
        # Discovery first: Home Assistant forgets the entities before their values end.
        ours = [*owned(found, topics), *(topic for topic in found if _is_ours(topic, topics))]
        if again := cleared.intersection(ours):
            raise Failed(f"{len(again)} topics come again, such as {min(again)}: end the bridge that publishes them")
        if not ours:
            return
        clear_retained(settings.mqtt, ours)
        cleared.update(ours)
        yield from ours
    raise Failed(f"there is still more after {len(cleared)} topics: run it again")


def _is_ours(topic: str, topics: Topics) -> bool:
    parsed = topics.parse(topic)
    return parsed is not None and is_retained(parsed[1].kind)

"""What the bridge had published in an earlier life, read back from the broker."""

import json
from collections.abc import Container, Mapping
from typing import Any

from stbridge.core.topics import Address, Topics


def recall(
    topics: Topics, instance: str, payloads: Mapping[str, bytes], kinds: Container[str]
) -> dict[Address, Mapping[str, Any] | None]:
    """Sort out what the broker keeps of one instance.

    Args:
        topics: parses the topics.
        instance: the name of the instance.
        payloads: what the broker keeps, by topic.
        kinds: the kinds of addresses that the bridge publishes; anything else is left alone.

    Returns:
        payloads by address, None for what is no JSON object.
    """
    recalled: dict[Address, Mapping[str, Any] | None] = {}
    for topic, payload in payloads.items():
        parsed = topics.parse(topic)
        if parsed is None or parsed[0] != instance or parsed[1].kind not in kinds:
            continue
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):  # whatever is there, it is not what the bridge published
            value = None
        recalled[parsed[1]] = value if isinstance(value, dict) else None
    return recalled

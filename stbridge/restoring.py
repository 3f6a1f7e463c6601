"""Decodes the messages that the previous run of the bridge published, as read back from the broker."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from stbridge.core.json_text import read_json
from stbridge.core.topics import Address, Topics

Payload = Mapping[str, Any] | None


class RestoredPayloads(Mapping[Address, Payload]):
    """Payloads by address; None for a payload that is not a JSON object.

    A payload is decoded only when it is used, and few are used. Decoded JSON takes twenty times the memory, which any
    client that may publish below the base topic could exploit.
    """

    def __init__(self, payloads: Mapping[Address, bytes]) -> None:
        self._payloads = payloads

    def __getitem__(self, address: Address) -> Payload:
        try:
            value = read_json(self._payloads[address])
        except ValueError:  # the bridge publishes only valid JSON, so this is not its payload
            return None
        return value if isinstance(value, dict) else None

    def __iter__(self) -> Iterator[Address]:
        return iter(self._payloads)

    def __len__(self) -> int:
        return len(self._payloads)


def payloads_of(topics: Topics, payloads: Mapping[str, bytes], kinds: Container[str]) -> RestoredPayloads:
    """Return the retained messages of one instance by address.

    Args:
        topics: parses the topics.
        payloads: retained messages of the instance by topic.
        kinds: the kinds of addresses that the bridge publishes; other kinds are ignored.
    """
    parsed = ((topics.parse(topic), payload) for topic, payload in payloads.items())
    return RestoredPayloads({one[1]: payload for one, payload in parsed if one is not None and one[1].kind in kinds})

"""What the bridge had published in an earlier life, read back from the broker."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from stbridge.core.json_text import read_json
from stbridge.core.topics import Address, Topics

Payload = Mapping[str, Any] | None


class Recalled(Mapping[Address, Payload]):
    """Payloads by address, None for what is no JSON object.

    Each is read when somebody asks for it: little of it is ever asked for, and JSON takes twenty times the memory, as
    whoever may publish here can arrange.
    """

    def __init__(self, payloads: Mapping[Address, bytes]) -> None:
        self._payloads = payloads

    def __getitem__(self, address: Address) -> Payload:
        try:
            value = read_json(self._payloads[address])
        except ValueError:  # whatever is there, it is not what the bridge published
            return None
        return value if isinstance(value, dict) else None

    def __iter__(self) -> Iterator[Address]:
        return iter(self._payloads)

    def __len__(self) -> int:
        return len(self._payloads)


def recall(topics: Topics, instance: str, payloads: Mapping[str, bytes], kinds: Container[str]) -> Recalled:
    """Sort out what the broker keeps of one instance.

    Args:
        topics: parses the topics.
        instance: the name of the instance.
        payloads: what the broker keeps, by topic.
        kinds: the kinds of addresses that the bridge publishes; anything else is left alone.
    """
    found: dict[Address, bytes] = {}
    for topic, payload in payloads.items():
        parsed = topics.parse(topic)
        if parsed is not None and parsed[0] == instance and parsed[1].kind in kinds:
            found[parsed[1]] = payload
    return Recalled(found)

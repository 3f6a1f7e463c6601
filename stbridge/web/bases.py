"""The base topics that the page shows, which may contain `+`: finds the base topic of a received topic."""

from collections.abc import Iterable, Sequence

from stbridge.core.topics import Address, Topics

MOST_BASES = 1000
"""Maximum number of base topics: with `+`, any client may create more."""

_PATTERNS = ("+/+", "+/event/+", "+/response/+", "+/device/#", "+/folder/#", "+/completion/#")
"""The topics below a base topic that the page needs: neither commands nor the copies below `slow`; the most last."""


class BaseTopics:
    """The topics of all bridges that match some patterns.

    Args:
        patterns: base topics, in which a level may be `+`.
        strict: whether the setting `mqtt.topic_encoding` is `strict`.
    """

    def __init__(self, patterns: Sequence[str], *, strict: bool) -> None:
        self._patterns = tuple(dict.fromkeys(tuple(pattern.split("/")) for pattern in patterns))
        self._strict = strict
        self._topics: dict[str, Topics] = {}

    @property
    def filters(self) -> list[str]:
        """The topic filters to subscribe to."""
        return [f"{'/'.join(pattern)}/{below}" for pattern in self._patterns for below in _PATTERNS]

    def parse(self, topic: str) -> tuple[str, str, Address] | None:
        """Return the base topic, the instance and the address of a topic; None if it is not a topic of a bridge."""
        levels = topic.split("/")
        for pattern in self._patterns:
            if len(levels) > len(pattern) and all(
                one in ("+", level) for one, level in zip(pattern, levels, strict=False)
            ):
                base = "/".join(levels[: len(pattern)])
                topics = self._topics.get(base)
                if topics is None and len(self._topics) < MOST_BASES:
                    topics = Topics(base, strict=self._strict)
                if topics is not None and (parsed := topics.parse(topic)):
                    self._topics[base] = topics  # only now: topics of other programs must not use up the limit
                    return base, *parsed
        return None

    def is_of_kind(self, topic: str, kind: str) -> bool:
        """Return whether a topic is that of an event (`event`) or of a reply (`response`); thread-safe.

        The IDs of folders and the names of instances may be the same words.
        """
        if f"/{kind}/" not in topic:  # parsing is slower
            return False
        parsed = self.parse(topic)
        return parsed is not None and parsed[2].kind == kind

    def topics_of(self, addresses: Iterable[tuple[str, str, Address]]) -> list[str]:
        """Return the topics of base topics, instances and addresses, in both encodings: each bridge has its own."""
        found: dict[str, None] = {}
        both: dict[str, list[Topics]] = {}
        for base, instance, address in addresses:
            if base not in both:
                both[base] = [Topics(base, strict=strict) for strict in (False, True)]
            found.update((topics.build(instance, address), None) for topics in both[base])
        return list(found)

    def build(self, base: str, instance: str, address: Address) -> str:
        """Return the topic of an address of an instance."""
        return Topics(base, strict=self._strict).build(instance, address)

"""Builds and parses every topic, from one table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

BRIDGE = "bridge"

HOME_ASSISTANT = "homeassistant"
"""Home Assistant's default discovery prefix, which it may use although another one is set here."""

CACHED_TOPICS = 512
"""How many built topics are cached, because the same topics are published again and again; most homes have fewer."""

LONGEST_RESPONSE_TOPIC = 1024
"""Maximum length of a response topic in bytes; ordinary clients use much shorter ones."""


class Address(NamedTuple):
    """The parts of a topic except the instance: its kind (a row of TOPICS) and the IDs in it.

    `folder` is a folder ID, `device` a device's short ID, `name` the last level of events, commands, replies and lists
    of discovery topics.
    """

    kind: str
    folder: str = ""
    device: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRow:
    """One row of the table of topics.

    Attributes:
        kind: the name of the row.
        pattern: the levels below the base topic; each `{...}` is replaced by an encoded ID.
        retained: whether its messages are retained.
        meaning: the text of the documentation.
    """

    kind: str
    pattern: str
    retained: bool
    meaning: str


TOPICS = (
    TopicRow(
        kind="bridge_state",
        pattern="bridge/state",
        retained=True,
        meaning="`online` or `offline`: the bridge itself (also its last will)",
    ),
    TopicRow(
        kind="bridge_info",
        pattern="bridge/info",
        retained=True,
        meaning="version, start, MQTT protocol, instances, allowed commands",
    ),
    TopicRow(
        kind="bridge_health",
        pattern="bridge/health",
        retained=True,
        meaning="counters of the bridge itself; expires on MQTT 5",
    ),
    TopicRow(
        kind="bridge_discovery",
        pattern="bridge/discovery/{name}",
        retained=True,
        meaning="list of Home Assistant's discovery topics for an instance, for the bridge's own use",
    ),
    TopicRow(
        kind="bridge_sentinel",
        pattern="bridge/sentinel",
        retained=True,
        meaning="present only while the bridge, when it starts, reads back its retained topics",
    ),
    TopicRow(
        kind="state",
        pattern="{instance}/state",
        retained=True,
        meaning="`online` or `offline`: whether the bridge can reach the instance",
    ),
    TopicRow(
        kind="connection",
        pattern="{instance}/connection",
        retained=True,
        meaning="state of the connection to the instance: status, message, since",
    ),
    TopicRow(
        kind="system",
        pattern="{instance}/system",
        retained=True,
        meaning="summary of the whole instance",
    ),
    TopicRow(
        kind="metrics",
        pattern="{instance}/metrics",
        retained=True,
        meaning="fast-changing counters: bytes, rates, memory",
    ),
    TopicRow(kind="errors", pattern="{instance}/errors", retained=True, meaning="Syncthing's own error list"),
    TopicRow(
        kind="upgrade",
        pattern="{instance}/upgrade",
        retained=True,
        meaning="installed and latest version; absent if Syncthing cannot upgrade itself",
    ),
    TopicRow(
        kind="pending",
        pattern="{instance}/pending",
        retained=True,
        meaning="pending devices and folders",
    ),
    TopicRow(kind="folder", pattern="{instance}/folder/{folder}", retained=True, meaning="one folder"),
    TopicRow(
        kind="failed",
        pattern="{instance}/folder/{folder}/failed",
        retained=True,
        meaning="failed items of the folder (full count, truncated list)",
    ),
    TopicRow(
        kind="conflicts",
        pattern="{instance}/folder/{folder}/conflicts",
        retained=True,
        meaning="conflict files of the folder (full count, truncated list)",
    ),
    TopicRow(kind="device", pattern="{instance}/device/{device}", retained=True, meaning="one remote device"),
    TopicRow(
        kind="completion",
        pattern="{instance}/completion/{device}/{folder}",
        retained=True,
        meaning="how complete a folder is on a device",
    ),
    TopicRow(
        kind="slow_system",
        pattern="{instance}/slow/system",
        retained=True,
        meaning="copy of `syncthing/I/system` that changes less often",
    ),
    TopicRow(
        kind="slow_metrics",
        pattern="{instance}/slow/metrics",
        retained=True,
        meaning="copy of `syncthing/I/metrics` that changes less often",
    ),
    TopicRow(
        kind="slow_folder",
        pattern="{instance}/slow/folder/{folder}",
        retained=True,
        meaning="copy of `syncthing/I/folder/F` that changes less often",
    ),
    TopicRow(
        kind="slow_device",
        pattern="{instance}/slow/device/{device}",
        retained=True,
        meaning="copy of `syncthing/I/device/D` that changes less often",
    ),
    TopicRow(kind="event", pattern="{instance}/event/{name}", retained=False, meaning="an event"),
    TopicRow(
        kind="folder_event",
        pattern="{instance}/activity/folder/{folder}",
        retained=False,
        meaning="an event of the folder, with a shorter name",
    ),
    TopicRow(
        kind="device_event",
        pattern="{instance}/activity/device/{device}",
        retained=False,
        meaning="an event of the device, with a shorter name",
    ),
    TopicRow(
        kind="raw",
        pattern="{instance}/raw/{name}",
        retained=False,
        meaning="a raw event of Syncthing, for the types in `events.raw`",
    ),
    TopicRow(
        kind="command",
        pattern="{instance}/command/{name}",
        retained=False,
        meaning="commands; the bridge's own commands go to the instance `bridge`",
    ),
    TopicRow(
        kind="response",
        pattern="{instance}/response/{name}",
        retained=False,
        meaning="exactly one reply per command",
    ),
)

_ROWS: Mapping[str, TopicRow] = {row.kind: row for row in TOPICS}

# Characters that a level cannot contain: separators and wildcards, in IDs also the escape character `%`, and characters
# that MQTT forbids or for which a broker may close the connection (MQTT 5, 1.5.4): control characters, surrogates and
# non-characters.
_UNFIT_IN_A_NAME = re.compile(
    "[/+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane | low) for plane in range(0, 0x110000, 0x10000) for low in (0xFFFE, 0xFFFF))
    + "]"
)
"""In the names of commands, `%` is not encoded, so that the topic of a reply ends with the name of its command."""

_UNFIT = re.compile(_UNFIT_IN_A_NAME.pattern.replace("#", "#%"))


_UNFIT_FOR_SOME = re.compile(r"[ .*>$]|[^\x00-\x7f]")
_UNFIT_IN_STRICT = re.compile(f"{_UNFIT.pattern}|{_UNFIT_FOR_SOME.pattern}")
"""Also characters that some brokers cannot carry: NATS maps topics to subjects, where they are special or forbidden."""


def encode(level: str, *, strict: bool = False) -> str:
    """Percent-encode the characters that a topic level cannot contain; everything else stays readable.

    Args:
        level: an ID.
        strict: encode also characters that only some brokers cannot carry.
    """
    return (_UNFIT_IN_STRICT if strict else _UNFIT).sub(_percent_encoded, level)


def _percent_encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def decode(level: str) -> str:
    """Return the ID that `encode` has encoded.

    Raises:
        ValueError: the level is not a result of `encode`.
    """
    return unquote_to_bytes(level).decode("utf-8", "surrogatepass")


def is_strict(topic: str) -> bool:
    """Return whether every broker can carry a topic, also a broker that supports fewer characters than MQTT (NATS)."""
    return not _UNFIT_FOR_SOME.search(topic)


def is_retained(kind: str) -> bool:
    """Return whether messages to this kind of topic are retained."""
    return _ROWS[kind].retained


def is_publishable(topic: str) -> bool:
    """Return whether a topic has only characters that MQTT allows in the topic of a message."""
    return not any(_UNFIT_IN_A_NAME.search(level) for level in topic.split("/"))


class Topics:
    """Builds and parses the topics below one base topic, and the topics of Home Assistant's discovery.

    Args:
        base: the setting `mqtt.base_topic`.
        discovery_prefix: the setting `homeassistant.discovery_prefix`; Home Assistant acts on messages below it.
        strict: whether the setting `mqtt.topic_encoding` is `strict`; topics of both encodings are parsed.
    """

    def __init__(self, base: str, discovery_prefix: str = "", *, strict: bool = False) -> None:
        self.base = base
        """The base topic."""
        self._discovery_prefix = discovery_prefix
        self._strict = strict
        self._parsers = tuple((row.kind, re.compile(_as_expression(row.pattern))) for row in TOPICS)
        self.build = lru_cache(maxsize=CACHED_TOPICS)(self._build)
        """Return the topic of an address of an instance."""

    def _build(self, instance: str, address: Address) -> str:
        """Return the topic of an address; IDs are encoded only here."""
        levels = _ROWS[address.kind].pattern.format(
            instance=instance,
            folder=encode(address.folder, strict=self._strict),
            device=encode(address.device, strict=self._strict),
            name=_UNFIT_IN_A_NAME.sub(_percent_encoded, address.name),
        )
        return f"{self.base}/{levels}"

    def parse(self, topic: str) -> tuple[str, Address] | None:
        """Return the instance and the address of a topic, or None if it is not a topic of the bridge."""
        if not topic.startswith(f"{self.base}/"):
            return None
        levels = topic[len(self.base) + 1 :]
        for kind, expression in self._parsers:
            if found := expression.fullmatch(levels):
                return _address(kind, found.groupdict())
        return None

    def is_obsolete(self, topic: str) -> bool:
        """Return whether a retained topic has another encoding than the current one, so that it is never updated."""
        parsed = self.parse(topic)
        return parsed is not None and is_retained(parsed[1].kind) and self._build(*parsed) != topic

    def of_instance(self, instance: str, payloads: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the messages, by topic, whose topics belong to an instance."""
        prefix = f"{self.base}/{instance}/"
        return {topic: payload for topic, payload in payloads.items() if topic.startswith(prefix)}

    def may_answer_on(self, topic: str) -> bool:
        """Return whether a reply may be published to the response topic that a command names.

        It refuses topics that a broker would reject, the broker's own topics, topics that Home Assistant acts on, and
        the bridge's own topics, where a client could forge a reply to another client.
        """
        if not 0 < len(topic.encode("utf-8", "replace")) <= LONGEST_RESPONSE_TOPIC or topic.startswith("$"):
            return False
        if not is_publishable(topic):
            return False
        return not any(_is_below(topic, prefix) for prefix in (self.base, self._discovery_prefix, HOME_ASSISTANT))

    def command_filter(self, instance: str) -> str:
        """Return the filter of all commands to an instance."""
        return f"{self.base}/{instance}/command/+"

    def retained_filters(self, instance: str) -> list[str]:
        """Return filters that match every retained topic of an instance, and no command to it."""
        return [*self.filters_without_completions(instance), f"{self.base}/{instance}/completion/#"]

    def filters_without_completions(self, instance: str) -> list[str]:
        """Return filters that match every retained topic of an instance except completions, of which there are most."""
        below = f"{self.base}/{instance}"
        return [f"{below}/+", *(f"{below}/{branch}/#" for branch in ("folder", "device", "slow"))]

    def completion_filters(self, topics: Iterable[str]) -> list[str]:
        """Return a filter for the completions on each device that has its topic among these."""
        found = ((topic, self.parse(topic)) for topic in topics)
        return [
            f"{self.base}/{parsed[0]}/completion/{topic.rpartition('/')[2]}/+"
            for topic, parsed in found
            if parsed is not None and parsed[1].kind == "device"
        ]

    @property
    def everything_retained(self) -> list[str]:
        """The filters that match every retained topic of the bridge and of all instances."""
        return [*self.retained_filters("+"), self.discovery_list("+")]

    def discovery_list(self, instance: str) -> str:
        """Return the topic of the list of the discovery topics of an instance; with `+`, the filter of all lists."""
        return f"{self.base}/{_ROWS['bridge_discovery'].pattern.format(name=instance)}"

    def listed_instance(self, topic: str) -> str | None:
        """Return the instance whose list of discovery topics has this topic; None if it is another topic."""
        above = self.discovery_list("")
        name = topic[len(above) :] if topic.startswith(above) else ""
        return name if name and "/" not in name else None

    def event_filter(self, instance: str) -> str:
        """Return the filter of all events of an instance."""
        return f"{self.base}/{instance}/event/+"

    # Topics of Home Assistant: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery

    def discovery(self, object_id: str) -> str:
        """Return the discovery topic of a device; Home Assistant accepts only a-z, A-Z, 0-9, _ and - in its ID."""
        return f"{self._discovery_prefix}/device/{object_id}/config"

    def is_discovery(self, topic: str) -> bool:
        """Return whether a topic is the discovery topic of a device."""
        levels = topic.removeprefix(f"{self._discovery_prefix}/").split("/")
        return len(levels) == 3 and topic == self.discovery(levels[1])  # noqa: PLR2004 - the levels of `discovery`

    @property
    def discovery_filter(self) -> str:
        """The filter of the discovery topics of all devices, also of those that other programs publish."""
        return self.discovery("+")

    @property
    def home_assistant_status(self) -> str:
        """The topic where Home Assistant publishes `online` when it has started."""
        return f"{self._discovery_prefix}/status"


def _is_below(topic: str, prefix: str) -> bool:
    return prefix != "" and (topic == prefix or topic.startswith(f"{prefix}/"))


def _address(kind: str, levels: Mapping[str, str]) -> tuple[str, Address] | None:
    """Return the instance and the address in the levels of a topic; None if the bridge does not encode an ID like this.

    Any client may publish below the base topic.
    """
    try:
        folder, device = (decode(levels.get(key, "")) for key in ("folder", "device"))
    except ValueError:
        return None
    return levels.get("instance", BRIDGE), Address(kind, folder, device, levels.get("name", ""))


def _as_expression(pattern: str) -> str:
    """Return a regular expression that matches a pattern; the name of a command may be any text, even empty."""
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern).replace("(?P<name>[^/]+)", "(?P<name>[^/]*)")

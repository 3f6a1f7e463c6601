"""Every topic, built and parsed in one place, from one table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

BRIDGE = "bridge"

HOME_ASSISTANT = "homeassistant"
"""Where Home Assistant listens by default, whatever is set here."""

CACHED_TOPICS = 4096
"""Topics that change often are built once."""

LONGEST_RESPONSE_TOPIC = 1024
"""In bytes; a longer one is no honest one."""


class Address(NamedTuple):
    """What a topic is about, apart from the instance: the kind (a row of TOPICS) and the IDs in it.

    `folder` is a folder ID, `device` a device's short ID, `name` the last level of events, commands and replies.
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
        pattern: the levels below the base topic; `{...}` are filled with encoded IDs.
        retained: whether the broker keeps it.
        meaning: for the documentation.
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
        meaning="`online` or `offline`: the bridge itself (also its will)",
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
        kind="state",
        pattern="{instance}/state",
        retained=True,
        meaning="`online` or `offline`: whether the bridge can reach this Syncthing",
    ),
    TopicRow(
        kind="connection",
        pattern="{instance}/connection",
        retained=True,
        meaning="why it is (not) reachable: status, message, since",
    ),
    TopicRow(
        kind="system",
        pattern="{instance}/system",
        retained=True,
        meaning="the instance as a whole, rolled up",
    ),
    TopicRow(
        kind="metrics",
        pattern="{instance}/metrics",
        retained=True,
        meaning="numbers that move by themselves: bytes, rates, memory",
    ),
    TopicRow(kind="errors", pattern="{instance}/errors", retained=True, meaning="Syncthing's own error list"),
    TopicRow(
        kind="upgrade",
        pattern="{instance}/upgrade",
        retained=True,
        meaning="installed and latest version; absent where Syncthing cannot upgrade itself",
    ),
    TopicRow(
        kind="pending",
        pattern="{instance}/pending",
        retained=True,
        meaning="devices and folders that wait to be accepted",
    ),
    TopicRow(kind="folder", pattern="{instance}/folder/{folder}", retained=True, meaning="one folder"),
    TopicRow(
        kind="failed",
        pattern="{instance}/folder/{folder}/failed",
        retained=True,
        meaning="items of the folder that failed (the count is the true one, the list is cut)",
    ),
    TopicRow(
        kind="conflicts",
        pattern="{instance}/folder/{folder}/conflicts",
        retained=True,
        meaning="conflict files of the folder (the count is the true one, the list is cut)",
    ),
    TopicRow(kind="device", pattern="{instance}/device/{device}", retained=True, meaning="one remote device"),
    TopicRow(
        kind="completion",
        pattern="{instance}/completion/{device}/{folder}",
        retained=True,
        meaning="how far a device has a folder",
    ),
    TopicRow(kind="event", pattern="{instance}/event/{name}", retained=False, meaning="something happened"),
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

# What no level can hold: separators and wildcards, in IDs also our own escape, and what MQTT forbids or lets a broker
# close the connection for (MQTT 5, 1.5.4): control characters, surrogates and non-characters.
_UNFIT_IN_A_NAME = re.compile(
    "[/+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane | low) for plane in range(0, 0x110000, 0x10000) for low in (0xFFFE, 0xFFFF))
    + "]"
)
"""The names of commands are levels as they came, so that a reply has the name of its command, whatever that is."""

_UNFIT = re.compile(_UNFIT_IN_A_NAME.pattern.replace("#", "#%"))


_UNFIT_FOR_SOME = re.compile(r"[ .*>$]|[^\x00-\x7f]")
_UNFIT_IN_STRICT = re.compile(f"{_UNFIT.pattern}|{_UNFIT_FOR_SOME.pattern}")
"""What some brokers cannot carry: NATS makes subjects of topics, in which these have a meaning or are forbidden."""


def encode(level: str, *, strict: bool = False) -> str:
    """Percent-encode what a topic level cannot hold; everything else stays readable.

    Args:
        level: an ID.
        strict: encode also what only some brokers cannot carry.
    """
    return (_UNFIT_IN_STRICT if strict else _UNFIT).sub(_percent_encoded, level)


def _percent_encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def decode(level: str) -> str:
    """Undo `encode`.

    Raises:
        ValueError: nothing is encoded like that.
    """
    return unquote_to_bytes(level).decode("utf-8", "surrogatepass")


def is_strict(topic: str) -> bool:
    """Tell whether every broker can carry a topic, also one that supports fewer characters than MQTT (NATS)."""
    return not _UNFIT_FOR_SOME.search(topic)


def is_retained(kind: str) -> bool:
    """Tell whether the broker keeps what is published to this kind of topic."""
    return _ROWS[kind].retained


class Topics:
    """The topics below one base topic, and those of Home Assistant's discovery.

    Args:
        base: the setting `mqtt.base_topic`.
        discovery_prefix: the setting `homeassistant.discovery_prefix`; what is published there acts, too.
        strict: whether the setting `mqtt.topic_encoding` is `strict`; topics of both encodings are parsed.
    """

    def __init__(self, base: str, discovery_prefix: str = "", *, strict: bool = False) -> None:
        self._base = base
        self._discovery_prefix = discovery_prefix
        self._strict = strict
        self._parsers = tuple((row.kind, re.compile(_as_expression(row.pattern))) for row in TOPICS)
        self.build = lru_cache(maxsize=CACHED_TOPICS)(self._build)
        """Return the topic of an address, given the name of the instance."""

    def _build(self, instance: str, address: Address) -> str:
        """Return the topic of an address; IDs are encoded here and nowhere else."""
        levels = _ROWS[address.kind].pattern.format(
            instance=instance,
            folder=encode(address.folder, strict=self._strict),
            device=encode(address.device, strict=self._strict),
            name=_UNFIT_IN_A_NAME.sub(_percent_encoded, address.name),
        )
        return f"{self._base}/{levels}"

    def parse(self, topic: str) -> tuple[str, Address] | None:
        """Return the instance and the address of a topic, or None if it is none of ours."""
        if not topic.startswith(f"{self._base}/"):
            return None
        levels = topic[len(self._base) + 1 :]
        for kind, expression in self._parsers:
            if found := expression.fullmatch(levels):
                return _address(kind, found.groupdict())
        return None

    def is_obsolete(self, topic: str) -> bool:
        """Tell whether a topic of state was built with another encoding than is set, so that nothing updates it."""
        parsed = self.parse(topic)
        return parsed is not None and is_retained(parsed[1].kind) and self._build(*parsed) != topic

    def of_instance(self, instance: str, payloads: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return those of some messages, by topic, that are below the topics of an instance."""
        prefix = f"{self._base}/{instance}/"
        return {topic: payload for topic, payload in payloads.items() if topic.startswith(prefix)}

    def may_answer_on(self, topic: str) -> bool:
        """Tell whether a reply may go to a topic that a command names: never to anything that is not for replies.

        That is what no broker takes, the broker's own topics, what Home Assistant acts on, and our own tree, where a
        reply to somebody else could be forged.
        """
        if not 0 < len(topic.encode("utf-8", "replace")) <= LONGEST_RESPONSE_TOPIC or topic.startswith("$"):
            return False
        if any(_UNFIT_IN_A_NAME.search(level) for level in topic.split("/")):
            return False
        return not any(_is_below(topic, prefix) for prefix in (self._base, self._discovery_prefix, HOME_ASSISTANT))

    def command_filter(self, instance: str) -> str:
        """Return the filter of all commands to an instance."""
        return f"{self._base}/{instance}/command/+"

    def retained_filters(self, instance: str) -> list[str]:
        """Return filters that find everything retained of an instance, and no command to it."""
        below = f"{self._base}/{instance}"
        return [f"{below}/+", *(f"{below}/{branch}/#" for branch in ("folder", "device", "completion"))]

    @property
    def everything_retained(self) -> list[str]:
        """The filters of everything that is retained of the bridge and of any instance."""
        return self.retained_filters("+")

    def event_filter(self, instance: str) -> str:
        """Return the filter of everything that happens at an instance."""
        return f"{self._base}/{instance}/event/+"

    # Home Assistant's own: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery

    def discovery(self, object_id: str) -> str:
        """Return the discovery topic of a device; Home Assistant knows only a-z, A-Z, 0-9, _ and - in its ID."""
        return f"{self._discovery_prefix}/device/{object_id}/config"

    def is_discovery(self, topic: str) -> bool:
        """Tell whether a topic is the discovery topic of some device."""
        levels = topic.removeprefix(f"{self._discovery_prefix}/").split("/")
        return len(levels) == 3 and topic == self.discovery(levels[1])  # noqa: PLR2004 - the levels of `discovery`

    @property
    def discovery_filter(self) -> str:
        """The filter of the discovery topics of all devices, of which only some are ours."""
        return self.discovery("+")

    @property
    def home_assistant_status(self) -> str:
        """Where Home Assistant says `online` when it has started."""
        return f"{self._discovery_prefix}/status"


def _is_below(topic: str, prefix: str) -> bool:
    return prefix != "" and (topic == prefix or topic.startswith(f"{prefix}/"))


def _address(kind: str, levels: Mapping[str, str]) -> tuple[str, Address] | None:
    """Return the instance and the address that the levels of a topic make; None if an ID is not encoded as ours are.

    Anybody may publish below our base topic.
    """
    try:
        folder, device = (decode(levels.get(key, "")) for key in ("folder", "device"))
    except ValueError:
        return None
    return levels.get("instance", BRIDGE), Address(kind, folder, device, levels.get("name", ""))


def _as_expression(pattern: str) -> str:
    """Return what recognises a pattern; the name of a command may be anything, even nothing."""
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern).replace("(?P<name>[^/]+)", "(?P<name>[^/]*)")

"""Topics: every topic is parsed back for any ID, and foreign topics are not taken for topics of the bridge."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from stbridge.core.topics import (
    BRIDGE,
    LONGEST_RESPONSE_TOPIC,
    TOPICS,
    Address,
    TopicRow,
    Topics,
    decode,
    encode,
    is_retained,
)

ODD = "a/b +#%ü"
IDS = st.text(st.characters(exclude_categories=()), min_size=1)
"""Any string, lone surrogates included."""

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="/+#"))
"""Names are unchanged topic levels: everything that a topic can hold, including text that looks like an escape."""

TOPICS_OF_A_HOUSE = Topics("home/syncthing")
PLAIN = {"folder": "docs", "device": "ABCDEFG", "name": "scan"}


def filled(row: TopicRow, **ids: str) -> Address:
    """Return an address of this kind with those of the IDs that its pattern contains."""
    return Address(row.kind, **{key: value for key, value in ids.items() if f"{{{key}}}" in row.pattern})


def instance_of(row: TopicRow) -> str:
    """Return an instance that this kind can belong to."""
    return "nas" if "{instance}" in row.pattern else BRIDGE


every_kind = pytest.mark.parametrize("row", TOPICS, ids=[row.kind for row in TOPICS])


# --- IDs


@given(IDS)
@example(ODD)
@example("%2F")
@example("\ufffe\U0010ffff\ud800\udfff")
def test_an_encoded_id_is_decoded_unchanged(level: str) -> None:
    """Encoding loses nothing."""
    assert decode(encode(level)) == level


@given(IDS)
@example(ODD)
@example("\x00\x7f\x9f\ufdd0\ufdef\ufffe\U0003ffff\ud800")
def test_an_encoded_id_is_one_topic_level_that_every_broker_accepts(level: str) -> None:
    """It has no separator, wildcard, control character or non-character, and percent signs only in escapes."""
    encoded = encode(level)
    assert not set(encoded) & set("/+#")
    assert not {unicodedata.category(character) for character in encoded} & {"Cc", "Cs"}
    assert not any(ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef" for character in encoded)
    assert re.fullmatch("(?:[^%]|%[0-9A-F]{2})+", encoded, re.DOTALL)


@pytest.mark.parametrize(
    ("level", "encoded"),
    [
        ("abcd-efgh", "abcd-efgh"),
        ("Fotos 2024 (ü)", "Fotos 2024 (ü)"),
        (ODD, "a%2Fb %2B%23%25ü"),
        ("a\nb", "a%0Ab"),
        ("\ufffe", "%EF%BF%BE"),
    ],
)
def test_an_id_stays_readable(level: str, encoded: str) -> None:
    """Only characters that a topic cannot contain are encoded, as UTF-8."""
    assert encode(level) == encoded


# --- the table


@every_kind
@pytest.mark.parametrize("base", ["syncthing", "home/syncthing", "a.b(c)"])
def test_every_topic_is_parsed_back(row: TopicRow, base: str) -> None:
    """Parsing returns the address that built the topic."""
    topics, address = Topics(base), filled(row, **PLAIN)
    topic = topics.build(instance_of(row), address)
    assert topic.startswith(f"{base}/")
    assert topics.parse(topic) == (instance_of(row), address)


@given(row=st.sampled_from(TOPICS), folder=IDS, device=IDS, name=NAMES)
@example(row=TOPICS[-1], folder=ODD, device=ODD, name="%2F%")
@example(row=TOPICS[-1], folder=ODD, device=ODD, name="")
def test_every_topic_is_parsed_back_for_any_ids(row: TopicRow, folder: str, device: str, name: str) -> None:
    """IDs cannot leave their level or become another kind of topic."""
    address = filled(row, folder=folder, device=device, name=name)
    topic = TOPICS_OF_A_HOUSE.build(instance_of(row), address)
    assert TOPICS_OF_A_HOUSE.parse(topic) == (instance_of(row), address)


@given(row=st.sampled_from(TOPICS), folder=IDS, device=IDS, name=NAMES, other=st.sampled_from(TOPICS))
def test_different_addresses_have_different_topics(
    row: TopicRow, folder: str, device: str, name: str, other: TopicRow
) -> None:
    """Two addresses never share a topic."""
    one = filled(row, folder=folder, device=device, name=name)
    two = filled(other, folder=device, device=folder, name=name)
    same = TOPICS_OF_A_HOUSE.build(instance_of(row), one) == TOPICS_OF_A_HOUSE.build(instance_of(other), two)
    assert same == (one == two)


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("bridge_state", "syncthing/bridge/state"),
        ("bridge_info", "syncthing/bridge/info"),
        ("bridge_health", "syncthing/bridge/health"),
        ("bridge_sentinel", "syncthing/bridge/sentinel"),
        ("state", "syncthing/nas/state"),
        ("connection", "syncthing/nas/connection"),
        ("system", "syncthing/nas/system"),
        ("metrics", "syncthing/nas/metrics"),
        ("errors", "syncthing/nas/errors"),
        ("pending", "syncthing/nas/pending"),
        ("folder", "syncthing/nas/folder/docs"),
        ("failed", "syncthing/nas/folder/docs/failed"),
        ("device", "syncthing/nas/device/ABCDEFG"),
        ("completion", "syncthing/nas/completion/ABCDEFG/docs"),
        ("event", "syncthing/nas/event/scan"),
        ("raw", "syncthing/nas/raw/scan"),
        ("command", "syncthing/nas/command/scan"),
        ("response", "syncthing/nas/response/scan"),
    ],
)
def test_topics_have_their_documented_names(kind: str, topic: str) -> None:
    """Users rely on these names."""
    (row,) = [row for row in TOPICS if row.kind == kind]
    assert Topics("syncthing").build("nas", filled(row, **PLAIN)) == topic


@pytest.mark.parametrize(
    ("name", "level"), [("scan", "scan"), ("100%", "100%"), ("%2F", "%2F"), ("a/b+#\0", "a%2Fb%2B%23%00")]
)
def test_a_name_is_used_unchanged_as_a_topic_level(name: str, level: str) -> None:
    """A reply goes to the name of its command, which is encoded only if no topic can contain it."""
    assert Topics("syncthing").build("nas", Address("response", name=name)) == f"syncthing/nas/response/{level}"


def test_events_and_commands_are_not_retained() -> None:
    """The broker retains states, but not events, commands or responses."""
    assert {row.kind for row in TOPICS if not is_retained(row.kind)} == {
        *("event", "folder_event", "device_event", "raw", "command", "response")
    }


@pytest.mark.parametrize(
    "topic",
    [
        "syncthing",
        "syncthing/",
        "syncthing/nas",
        "syncthing/nas/",
        "syncthing//state",
        "syncthing/nas/state/",
        "syncthing/nas/state/more",
        "syncthing/nas/unheard-of",
        "syncthing/nas/folder",
        "syncthing/nas/folder/",
        "syncthing/nas/folder/docs/unheard-of",
        "syncthing/nas/completion/ABCDEFG",
        "syncthing2/nas/state",
        "other/syncthing/nas/state",
        "syncthing/nas/folder/%FF",
        "syncthing/nas/completion/ABCDEFG/%C3",
        "syncthing/nas/command/one/more",
    ],
)
def test_a_foreign_topic_is_not_parsed(topic: str) -> None:
    """Foreign topics below the base topic are not taken for topics of the bridge, and do not break the parser."""
    assert Topics("syncthing").parse(topic) is None


@given(st.text())
@example("nas/folder/%ff")
def test_every_topic_can_be_parsed(levels: str) -> None:
    """Anyone may publish below the base topic. Parsing returns a known kind or None, and never raises."""
    parsed = Topics("syncthing").parse(f"syncthing/{levels}")
    assert parsed is None or parsed[1].kind in {row.kind for row in TOPICS}


# --- allowed response topics


@pytest.mark.parametrize(
    "topic",
    [
        "replies/to/me",
        "syncthing2/nas/command/scan",
        "homeassistant2/sensor/nas/config",
        "home/$SYS",
        "ü" * (LONGEST_RESPONSE_TOPIC // 2),
    ],
)
def test_a_response_topic_outside_the_tree_is_allowed(topic: str) -> None:
    """Any topic outside the tree of the bridge is allowed."""
    assert Topics("syncthing", "homeassistant").may_answer_on(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "replies/+",
        "replies/#",
        "replies\x00",
        "$SYS/broker",
        "$share/group/replies",
        "syncthing",
        "syncthing/bridge/state",
        "syncthing/nas/state",
        "syncthing/nas/folder/docs",
        "syncthing/nas/command/shutdown",
        "syncthing/bridge/command/republish",
        "syncthing/nas/response/scan",
        "syncthing/unheard-of",
        "replies\n",
        "replies/\x7f",
        "replies/\ud800",
        "replies/\uffff",
        "homeassistant",
        "homeassistant/sensor/nas/config",
        "ü" * (LONGEST_RESPONSE_TOPIC // 2) + "x",
    ],
)
def test_a_response_topic_that_could_cause_actions_is_refused(topic: str) -> None:
    """A command must not make the bridge command itself, forge topics of other programs, or publish invalid topics."""
    for discovery_prefix in ("homeassistant", "hass"):
        assert not Topics("syncthing", discovery_prefix).may_answer_on(topic)
    assert not Topics("home/syncthing", "hass").may_answer_on("hass/status")


# --- filters


@every_kind
def test_the_retained_filters_match_every_retained_topic(row: TopicRow) -> None:
    """They match all retained topics of the instance, and no command."""
    topic = TOPICS_OF_A_HOUSE.build("nas", filled(row, folder=ODD, device="ABCDEFG", name="scan"))
    found = any(topic_matches_sub(one, topic) for one in TOPICS_OF_A_HOUSE.retained_filters("nas"))
    assert found == (row.retained and "{instance}" in row.pattern)


@every_kind
def test_the_command_filter_matches_only_commands(row: TopicRow) -> None:
    """The bridge subscribes to commands, but not to its own messages."""
    topic = TOPICS_OF_A_HOUSE.build("nas", filled(row, **PLAIN))
    assert topic_matches_sub(TOPICS_OF_A_HOUSE.command_filter("nas"), topic) == (row.kind == "command")


@pytest.mark.parametrize("instance", ["nas2", BRIDGE])
def test_filters_match_only_one_instance(instance: str) -> None:
    """They do not match topics of another instance."""
    filters = [*TOPICS_OF_A_HOUSE.retained_filters("nas"), TOPICS_OF_A_HOUSE.command_filter("nas")]
    topics = [TOPICS_OF_A_HOUSE.build(instance, filled(row, **PLAIN)) for row in TOPICS if instance_of(row) == "nas"]
    assert not any(topic_matches_sub(one, topic) for one in filters for topic in topics)


# --- the strict encoding


STRICT = Topics("syncthing", strict=True)


@pytest.mark.parametrize(
    ("level", "encoded"),
    [
        ("abcd-efgh", "abcd-efgh"),
        ("my photos", "my%20photos"),
        ("a.b*c>d$e", "a%2Eb%2Ac%3Ed%24e"),
        ("ü", "%C3%BC"),
        ("a/b +#%\n", "a%2Fb%20%2B%23%25%0A"),
        ("a%20b", "a%2520b"),
    ],
)
def test_the_strict_encoding_leaves_only_characters_that_every_broker_accepts(level: str, encoded: str) -> None:
    """NATS converts topics to subjects."""
    assert STRICT.build("nas", Address("folder", level)) == f"syncthing/nas/folder/{encoded}"


@given(IDS)
@example(ODD)
@example("a%20b")
def test_both_encodings_are_parsed_with_either_setting(folder: str) -> None:
    """Topics from before a change of the setting are still recognized."""
    address = Address("completion", folder, "ABCDEFG")
    loose = Topics("syncthing")
    strict, plain = STRICT.build("nas", address), loose.build("nas", address)
    assert re.fullmatch(r"[A-Za-z0-9/%!-~]+", strict)
    assert not set(strict) & set(" .*>$")
    assert STRICT.parse(plain) == loose.parse(strict) == ("nas", address)
    assert STRICT.is_obsolete(plain) == loose.is_obsolete(strict) == (strict != plain)
    assert not STRICT.is_obsolete(strict)


@pytest.mark.parametrize("topic", ["other/nas/folder/a b", "syncthing/nas/folder/%ZZ%FF", "syncthing/nas/command/a b"])
def test_foreign_and_unretained_topics_are_not_obsolete(topic: str) -> None:
    """They must not be cleared."""
    assert not STRICT.is_obsolete(topic)

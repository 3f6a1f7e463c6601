"""Topics: what is built is parsed back, whatever an ID holds, and nothing else is taken for one of ours."""

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
"""Anything that a string can hold, lone surrogates included."""

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="/+#"))
"""Names are levels as they came: what a topic can hold, escapes of whatever kind included."""

TOPICS_OF_A_HOUSE = Topics("home/syncthing")
PLAIN = {"folder": "docs", "device": "ABCDEFG", "name": "scan"}


def filled(row: TopicRow, **ids: str) -> Address:
    """Return an address of this kind, with those of the IDs that it has."""
    return Address(row.kind, **{key: value for key, value in ids.items() if f"{{{key}}}" in row.pattern})


def instance_of(row: TopicRow) -> str:
    """Return an instance that this kind may belong to."""
    return "nas" if "{instance}" in row.pattern else BRIDGE


every_kind = pytest.mark.parametrize("row", TOPICS, ids=[row.kind for row in TOPICS])


# --- IDs


@given(IDS)
@example(ODD)
@example("%2F")
@example("\ufffe\U0010ffff\ud800\udfff")
def test_an_id_comes_back_as_it_was(level: str) -> None:
    """Encoding loses nothing."""
    assert decode(encode(level)) == level


@given(IDS)
@example(ODD)
@example("\x00\x7f\x9f\ufdd0\ufdef\ufffe\U0003ffff\ud800")
def test_an_encoded_id_is_one_level_that_every_broker_takes(level: str) -> None:
    """No separator, no wildcard, no control character, no non-character, and no percent sign but in escapes."""
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
    """Only what cannot be carried is encoded, in UTF-8."""
    assert encode(level) == encoded


# --- the table


@every_kind
@pytest.mark.parametrize("base", ["syncthing", "home/syncthing", "a.b(c)"])
def test_every_topic_is_parsed_back(row: TopicRow, base: str) -> None:
    """Whatever builds a topic parses it too."""
    topics, address = Topics(base), filled(row, **PLAIN)
    topic = topics.build(instance_of(row), address)
    assert topic.startswith(f"{base}/")
    assert topics.parse(topic) == (instance_of(row), address)


@given(row=st.sampled_from(TOPICS), folder=IDS, device=IDS, name=NAMES)
@example(row=TOPICS[-1], folder=ODD, device=ODD, name="%2F%")
@example(row=TOPICS[-1], folder=ODD, device=ODD, name="")
def test_every_topic_is_parsed_back_whatever_the_ids_are(row: TopicRow, folder: str, device: str, name: str) -> None:
    """IDs cannot lead out of their level, nor into another kind of topic."""
    address = filled(row, folder=folder, device=device, name=name)
    topic = TOPICS_OF_A_HOUSE.build(instance_of(row), address)
    assert TOPICS_OF_A_HOUSE.parse(topic) == (instance_of(row), address)


@given(row=st.sampled_from(TOPICS), folder=IDS, device=IDS, name=NAMES, other=st.sampled_from(TOPICS))
def test_different_addresses_have_different_topics(
    row: TopicRow, folder: str, device: str, name: str, other: TopicRow
) -> None:
    """Two things never share a topic."""
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
def test_topics_are_those_that_users_rely_on(kind: str, topic: str) -> None:
    """The names are a promise."""
    (row,) = [row for row in TOPICS if row.kind == kind]
    assert Topics("syncthing").build("nas", filled(row, **PLAIN)) == topic


@pytest.mark.parametrize(
    ("name", "level"), [("scan", "scan"), ("100%", "100%"), ("%2F", "%2F"), ("a/b+#\0", "a%2Fb%2B%23%00")]
)
def test_a_name_is_the_level_that_it_came_in(name: str, level: str) -> None:
    """A reply goes to the name of its command, whatever that is, unless no topic can hold it."""
    assert Topics("syncthing").build("nas", Address("response", name=name)) == f"syncthing/nas/response/{level}"


def test_edges_and_commands_are_not_kept() -> None:
    """The broker keeps what is true, and not what has happened or was asked for once."""
    assert {row.kind for row in TOPICS if not is_retained(row.kind)} == {"event", "raw", "command", "response"}


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
def test_a_topic_of_somebody_else_is_none_of_ours(topic: str) -> None:
    """Whoever publishes below our base topic does not become part of the tree by it, nor breaks the parser."""
    assert Topics("syncthing").parse(topic) is None


@given(st.text())
@example("nas/folder/%ff")
def test_every_topic_can_be_parsed(levels: str) -> None:
    """Anyone may publish anything below the base topic: it is one of ours, or None, and never an error."""
    parsed = Topics("syncthing").parse(f"syncthing/{levels}")
    assert parsed is None or parsed[1].kind in {row.kind for row in TOPICS}


# --- where replies may go


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
def test_a_reply_may_go_where_its_reader_waits(topic: str) -> None:
    """Any topic outside our own tree will do."""
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
def test_a_reply_may_not_go_where_somebody_acts_on_it(topic: str) -> None:
    """A command cannot make the bridge command itself, forge what others act on, or publish what no broker takes."""
    for discovery_prefix in ("homeassistant", "hass"):
        assert not Topics("syncthing", discovery_prefix).may_answer_on(topic)
    assert not Topics("home/syncthing", "hass").may_answer_on("hass/status")


# --- filters


@every_kind
def test_what_is_kept_of_an_instance_is_found_again(row: TopicRow) -> None:
    """The filters for what is kept find all of it, and no command."""
    topic = TOPICS_OF_A_HOUSE.build("nas", filled(row, folder=ODD, device="ABCDEFG", name="scan"))
    found = any(topic_matches_sub(one, topic) for one in TOPICS_OF_A_HOUSE.retained_filters("nas"))
    assert found == (row.retained and "{instance}" in row.pattern)


@every_kind
def test_commands_to_an_instance_are_found_and_nothing_else(row: TopicRow) -> None:
    """The bridge hears commands, and not what it publishes itself."""
    topic = TOPICS_OF_A_HOUSE.build("nas", filled(row, **PLAIN))
    assert topic_matches_sub(TOPICS_OF_A_HOUSE.command_filter("nas"), topic) == (row.kind == "command")


@pytest.mark.parametrize("instance", ["nas2", BRIDGE])
def test_filters_are_those_of_one_instance(instance: str) -> None:
    """Another instance's topics are not looked for."""
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
def test_the_strict_encoding_leaves_nothing_that_some_broker_cannot_carry(level: str, encoded: str) -> None:
    """NATS makes subjects of topics."""
    assert STRICT.build("nas", Address("folder", level)) == f"syncthing/nas/folder/{encoded}"


@given(IDS)
@example(ODD)
@example("a%20b")
def test_both_encodings_are_read_whichever_is_set(folder: str) -> None:
    """What was published before the setting was changed is still known."""
    address = Address("completion", folder, "ABCDEFG")
    loose = Topics("syncthing")
    strict, plain = STRICT.build("nas", address), loose.build("nas", address)
    assert re.fullmatch(r"[A-Za-z0-9/%!-~]+", strict)
    assert not set(strict) & set(" .*>$")
    assert STRICT.parse(plain) == loose.parse(strict) == ("nas", address)
    assert STRICT.is_obsolete(plain) == loose.is_obsolete(strict) == (strict != plain)
    assert not STRICT.is_obsolete(strict)


@pytest.mark.parametrize("topic", ["other/nas/folder/a b", "syncthing/nas/folder/%ZZ%FF", "syncthing/nas/command/a b"])
def test_what_is_not_ours_or_not_retained_is_not_obsolete(topic: str) -> None:
    """It must not be cleared."""
    assert not STRICT.is_obsolete(topic)

"""No API key or password leaves the bridge, and none is lost when a configuration is written back without them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stbridge.core.payloads import render_raw
from stbridge.core.secrets import with_secrets, without_secrets, without_tokens
from tests.core.recorded import VERSIONS, recorded

SECRETS = ("apiKey", "password", "encryptionPassword", "bindPassword")
SECRET = "not-to-be-shown"


def keys(value: Any) -> set[str]:
    """Return every key of a document, at any depth."""
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys(item))}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_a_configuration_without_secrets_can_be_restored(version: str) -> None:
    """Reading a configuration and writing it back unchanged changes nothing."""
    config = recorded(version, "config")
    config["folders"][0]["devices"][1]["encryptionPassword"] = SECRET
    public = without_secrets(config)
    assert keys(config) - keys(public) == keys(config) & {*SECRETS}
    assert not keys(public) & {*SECRETS}
    assert SECRET not in json.dumps(public)
    assert public["gui"]["user"] == config["gui"]["user"]
    assert with_secrets(public, config) == config


@every_version
def test_a_raw_event_is_published_without_secrets(version: str) -> None:
    """The data of ConfigSaved is the whole configuration with the API key."""
    saved = next(event for event in recorded(version, "events") if event["type"] == "ConfigSaved")
    assert {"apiKey", "password"} <= keys(saved)
    published = json.loads(render_raw(saved))
    assert not keys(published) & {*SECRETS}
    assert published["data"]["folders"] == without_secrets(saved["data"]["folders"])
    assert published["id"] == saved["id"]


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
KEYS = st.sampled_from([*SECRETS, "gui", "theme"]) | st.text().filter(lambda key: key not in ("id", "deviceID"))


def entries(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists of objects with an ID, like the lists of folders and devices."""
    identified = st.tuples(st.sampled_from(["id", "deviceID"]), st.text(min_size=1), st.dictionaries(KEYS, inner))
    return st.lists(identified, unique_by=lambda one: one[1], max_size=4).map(
        lambda found: [{**rest, key: identifier} for key, identifier, rest in found]
    )


DOCUMENTS = st.recursive(
    SCALARS | st.lists(SCALARS), lambda inner: st.dictionaries(KEYS, inner, max_size=4) | entries(inner)
)


@given(DOCUMENTS)
@example({"gui": {"apiKey": SECRET}, "devices": [{"deviceID": "A", "password": SECRET}, {"deviceID": "B"}]})
def test_secrets_are_removed_and_restored_in_any_document(document: Any) -> None:
    """Secrets are found at any depth and put back in their place; list entries are matched by their ID."""
    public = without_secrets(document)
    assert not keys(public) & {*SECRETS}
    assert with_secrets(public, document) == document


RELAY = "relay://127.0.0.1:22067/?id=ABC&token=SECRET&pingInterval=1m0s"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        (RELAY, "relay://127.0.0.1:22067/?id=ABC&pingInterval=1m0s"),
        ("relay://h/?token=SECRET", "relay://h/"),
        ("relay://h/?token=SECRET&id=ABC", "relay://h/?id=ABC"),
        ("relay://h/?TOKEN=SECRET;id=ABC", "relay://h/?id=ABC"),
        ("relay://h/?t%6Fken=SECRET", "relay://h/"),
        ("relay://h/?id=ABC&token=SECRET&token=SECRET", "relay://h/?id=ABC"),
        ("dynamic+https://me:SECRET@h/endpoint", "dynamic+https://h/endpoint"),
        ("https://me:SECRET@SECRET@h/", "https://h/"),
        ('dial "relay://h/?token=SECRET": refused (relay://h/?token=SECRET)', 'dial "relay://h/": refused (relay://h/'),
        ("https://a/?url=https://me:SECRET@h/", "https://a/?url=https://h/"),
        ("tcp://[::1]:22000", "tcp://[::1]:22000"),
        ("quic://h/?tokens=1&id=a@b", "quic://h/?tokens=1&id=a@b"),
        ("a file?token=mine@home.txt", "a file?token=mine@home.txt"),
    ],
)
def test_an_address_is_published_without_its_token(text: str, public: str) -> None:
    """Logins are removed as well. Text that is not a URL stays unchanged."""
    assert without_tokens(text) == public
    assert without_tokens(public) == public
    assert without_secrets({"addresses": [text], "status": {text: None}}) == {
        "addresses": [public],
        "status": {public: None},
    }
    assert with_secrets({"addresses": [public]}, {"addresses": [text]}) == {"addresses": [text]}


def test_the_parts_of_an_address_are_published_without_its_token() -> None:
    """ListenAddressesChanged contains URLs as objects."""
    assert without_secrets({"RawQuery": "id=ABC&token=SECRET"}) == {"RawQuery": "id=ABC"}
    assert without_secrets({"RawQuery": "token=SECRET"}) == {"RawQuery": ""}


@pytest.mark.parametrize("end", ["", "@", "://", "=", "?", "?token=", "/"])
def test_a_long_address_is_read_once(end: str) -> None:
    """Otherwise a peer could choose an address that blocks the bridge for hours."""
    for part in ("a", "://", "?", "&token=", "@", "a.b+", ";=", "://@?"):
        assert len(without_tokens("://" + part * 100_000 + end)) <= 1_000_000


EXTERNAL = {"type": "external", "params": {"command": "store -p SECRET", "keep": "3"}}


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ({"type": "external", "params": {"keep": "4"}}, {"command": "store -p SECRET", "keep": "4"}),
        ({"type": "external", "params": {"command": "other"}}, {"command": "other"}),
        ({"type": "simple", "params": {"keep": "5"}}, {"keep": "5"}),
    ],
)
def test_the_command_of_external_versioning_is_kept(given: Any, completed: Any) -> None:
    """It is not published, and not lost as long as the folder has external versioning."""
    folders = [{"id": "docs", "versioning": EXTERNAL}]
    assert without_secrets(folders) == [{"id": "docs", "versioning": {"type": "external", "params": {"keep": "3"}}}]
    (folder,) = with_secrets([{"id": "docs", "versioning": given}], folders)
    assert folder["versioning"] == {**given, "params": completed}


@pytest.mark.parametrize(("gui_user", "shown"), [("admin", "admin"), ("other", None), ("", None)])
def test_a_raw_login_event_contains_only_the_configured_user_name(gui_user: str, shown: str | None) -> None:
    """Any other name may be a password that was typed into the wrong field."""
    event = {"type": "LoginAttempt", "data": {"success": False, "username": "admin", "remoteAddress": "192.0.2.9"}}
    published = json.loads(render_raw(event, gui_user))["data"]
    assert published.get("username") == shown
    assert published["remoteAddress"] == "192.0.2.9"


RELAYS = ["relay://h/?id=A&token=1", "relay://h/?id=B&token=2", "relay://h/?id=A&token=3"]
DEVICES = [{"deviceID": "A", "encryptionPassword": "of A"}, {"deviceID": "B", "encryptionPassword": "of B"}]


@pytest.mark.parametrize(
    ("document", "current", "completed"),
    [
        ({"apiKey": "new"}, {"apiKey": "old"}, {"apiKey": "new"}),
        ({"password": ""}, {"password": "old"}, {"password": ""}),
        ({"theme": "dark"}, {"theme": "light", "user": "me", "apiKey": "old"}, {"theme": "dark", "apiKey": "old"}),
        ({"gui": {}}, {"gui": {"apiKey": "old"}, "ldap": {"bindPassword": "old"}}, {"gui": {"apiKey": "old"}}),
        ([{"deviceID": "B"}, {"deviceID": "A"}], DEVICES, [DEVICES[1], DEVICES[0]]),
        ([{"deviceID": "C"}, {"deviceID": "A"}], DEVICES, [{"deviceID": "C"}, DEVICES[0]]),
        ([{"deviceID": ["A"]}, {"id": {}}, {}, 5], DEVICES, [{"deviceID": ["A"]}, {"id": {}}, {}, 5]),
        ([{"id": 1}], [{"id": {}, "password": "old"}, {"password": "old"}], [{"id": 1}]),
        ({"gui": []}, {"gui": {"apiKey": "old"}}, {"gui": []}),
        ({"gui": {"theme": ""}}, {"gui": None}, {"gui": {"theme": ""}}),
        ({}, None, {}),
        (["relay://h/?id=B", "relay://h/?id=A", "new", "relay://h/?id=A"], RELAYS, [*RELAYS[1::-1], "new", RELAYS[2]]),
        (["relay://h/?id=A&token=4"], RELAYS, ["relay://h/?id=A&token=4"]),
        ({"address": "relay://h/?id=A"}, {"address": RELAYS[0]}, {"address": RELAYS[0]}),
        ({"versioning": {"params": None}}, {"versioning": EXTERNAL}, {"versioning": {"params": None}}),
        ({"versioning": EXTERNAL}, {"versioning": []}, {"versioning": EXTERNAL}),
    ],
)
def test_given_values_override_current_ones(document: Any, current: Any, completed: Any) -> None:
    """A given secret is a new one, an entry that moved keeps its own, and rubbish stays unchanged."""
    assert with_secrets(document, current) == completed

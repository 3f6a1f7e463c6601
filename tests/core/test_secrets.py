"""No API key and no password leaves the bridge, and none is lost when a configuration comes back without them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stbridge.core.payloads import render_raw
from stbridge.core.secrets import with_secrets, without_secrets
from tests.core.recorded import VERSIONS, recorded

SECRETS = ("apiKey", "password", "encryptionPassword", "bindPassword")
SECRET = "not-to-be-told"


def keys(value: Any) -> set[str]:
    """Return every key that is anywhere in a document."""
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys(item))}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_a_configuration_comes_back_as_it_was(version: str) -> None:
    """Whoever reads a configuration, changes nothing and writes it has changed nothing."""
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
    """ConfigSaved holds the whole configuration, the API key included."""
    saved = next(event for event in recorded(version, "events") if event["type"] == "ConfigSaved")
    assert {"apiKey", "password"} <= keys(saved)
    published = json.loads(render_raw(saved))
    assert not keys(published) & {*SECRETS}
    assert published["data"]["folders"] == without_secrets(saved["data"]["folders"])
    assert published["id"] == saved["id"]


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
KEYS = st.sampled_from([*SECRETS, "gui", "theme"]) | st.text().filter(lambda key: key not in ("id", "deviceID"))


def entries(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists of what has an ID, as folders and devices are listed."""
    identified = st.tuples(st.sampled_from(["id", "deviceID"]), st.text(min_size=1), st.dictionaries(KEYS, inner))
    return st.lists(identified, unique_by=lambda one: one[1], max_size=4).map(
        lambda found: [{**rest, key: identifier} for key, identifier, rest in found]
    )


DOCUMENTS = st.recursive(
    SCALARS | st.lists(SCALARS), lambda inner: st.dictionaries(KEYS, inner, max_size=4) | entries(inner)
)


@given(DOCUMENTS)
@example({"gui": {"apiKey": SECRET}, "devices": [{"deviceID": "A", "password": SECRET}, {"deviceID": "B"}]})
def test_whatever_has_secrets_comes_back_as_it_was(document: Any) -> None:
    """Secrets are found wherever they are, and put back where they were, entries of lists by their ID."""
    public = without_secrets(document)
    assert not keys(public) & {*SECRETS}
    assert with_secrets(public, document) == document


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
    ],
)
def test_what_is_given_counts_more_than_what_was(document: Any, current: Any, completed: Any) -> None:
    """A secret that is given is a new one; an entry that moved keeps its own; rubbish is left as it is."""
    assert with_secrets(document, current) == completed

"""Recognizing which retained messages belong to the bridge."""

import json

import pytest

from stbridge.core.ownership import OwnTopics
from stbridge.core.topics import Topics

TOPICS = Topics("home")
INFO = json.dumps(
    {"version": "1", "started_at": "", "mqtt_protocol": "5", "instances": ["nas"], "commands": []}
).encode()
CONNECTION = b'{"status": "online", "message": null, "since": null}'


def test_the_list_in_bridge_info_proves_an_instance() -> None:
    """It also proves payloads of the instance that other programs could have published in the same form."""
    found = {"home/bridge/info": INFO, "home/nas/state": b"online", "home/kitchen/state": b"online"}
    assert OwnTopics(TOPICS).find(found) == ["home/nas/state", "home/bridge/info"]


def test_a_characteristic_payload_proves_an_instance() -> None:
    """`bridge/info` may be lost, and does not list instances from before they were renamed."""
    found = {
        "home/bridge/state": b"offline",
        "home/old/connection": CONNECTION,
        "home/old/state": b"offline",
        "home/old/errors": b'{"count": 0, "items": []}',
        "home/old/system": b'{"load": 1}',
    }
    assert OwnTopics(TOPICS).find(found) == [
        "home/old/state",
        "home/old/errors",
        "home/old/connection",
        "home/bridge/state",
    ]


def test_a_proof_from_an_earlier_read_stays_valid() -> None:
    """A broker may leave out some of its retained messages."""
    own = OwnTopics(TOPICS)
    own.find({"home/bridge/info": INFO})
    assert own.find({"home/nas/state": b"online", "home/bridge/state": b"online"}) == [
        "home/nas/state",
        "home/bridge/state",
    ]


def test_the_availability_of_another_program_is_not_ours() -> None:
    """Zigbee2MQTT also uses `bridge/state` and `bridge/info`."""
    found = {"home/bridge/state": b"online", "home/bridge/info": b'{"version": "2"}', "home/old/connection": CONNECTION}
    assert OwnTopics(TOPICS).find(found) == ["home/old/connection"]


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        INFO.replace(b'["nas"]', b'"nas"'),
        INFO.replace(b'["nas"]', b"7"),
        INFO.replace(b'["nas"]', b'[["nas"], 7]'),
    ],
    ids=["empty", "list", "no text", "nested", "a word", "a number", "not names"],
)
def test_rubbish_proves_no_instance(info: bytes) -> None:
    """Anybody may publish to `bridge/info`."""
    assert "home/nas/state" not in OwnTopics(TOPICS).find({"home/bridge/info": info, "home/nas/state": b"online"})

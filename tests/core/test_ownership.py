"""Which retained messages are a bridge's own."""

import json

import pytest

from stbridge.core.ownership import OwnTopics
from stbridge.core.topics import Topics

TOPICS = Topics("home")
INFO = json.dumps(
    {"version": "1", "started_at": "", "mqtt_protocol": "5", "instances": ["nas"], "commands": []}
).encode()
CONNECTION = b'{"status": "online", "message": null, "since": null}'


def test_an_instance_is_proven_by_the_list_in_bridge_info() -> None:
    """So are its payloads that other programs may have, too."""
    found = {"home/bridge/info": INFO, "home/nas/state": b"online", "home/kitchen/state": b"online"}
    assert OwnTopics(TOPICS).find(found) == ["home/nas/state", "home/bridge/info"]


def test_an_instance_is_proven_by_a_payload_of_its_own() -> None:
    """`bridge/info` may be lost, and does not list what was renamed."""
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


def test_the_proof_of_an_earlier_reading_counts() -> None:
    """A broker may leave out some of what it keeps."""
    own = OwnTopics(TOPICS)
    own.find({"home/bridge/info": INFO})
    assert own.find({"home/nas/state": b"online", "home/bridge/state": b"online"}) == [
        "home/nas/state",
        "home/bridge/state",
    ]


def test_the_availability_of_another_program_is_not_ours() -> None:
    """Zigbee2MQTT uses `bridge/state` and `bridge/info`, too."""
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
    """Anybody may publish there."""
    assert "home/nas/state" not in OwnTopics(TOPICS).find({"home/bridge/info": info, "home/nas/state": b"online"})

"""A response of Syncthing that arrives after newer events does not replace what they reported."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Pair
from tests.interceptor import Interceptor
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance, running

DOCS = "syncthing/beta/folder/docs"
STATUS = "/rest/db/status?folder=docs"


@pytest.fixture
def interceptor(pair: Pair, broker: Mosquitto, tmp_path: Path, subscriber: Subscriber) -> Iterator[Interceptor]:
    """A server between an instance and a bridge that is online."""
    one = Interceptor(pair.b.url)
    settings = {
        **instance("beta", pair.b),
        "STBRIDGE_SYNCTHING__BETA__URL": one.url,
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_MQTT__UPDATES_PER_SECOND": "1000",  # so that a wrong value would be published before the errors
    }
    one.start()
    try:
        with running(BridgeProcess(tmp_path, settings), subscriber):
            yield one
    finally:
        one.stop()


def test_a_late_status_of_a_folder_does_not_hide_a_synced_file(
    interceptor: Interceptor, pair: Pair, subscriber: Subscriber
) -> None:
    """The response was on its way while the events of the new file arrived on another connection."""

    def is_right(payload: bytes) -> bool:
        published = json.loads(payload)
        true = pair.b.request("GET", "/rest/db/status", {"folder": "docs"})["globalFiles"]
        return bool(published["global_files"] == true and published["in_sync"])

    late = interceptor.holds(STATUS)
    for command in ("pause", "resume"):
        assert ask(subscriber, command, '{"folder": "docs"}', node="beta")["status"] == "ok"
    assert late.answered.wait(PATIENCE_S)
    pair.write("overtakes.txt")
    pair.a.request("POST", "/rest/db/scan", {"folder": "docs"})
    received = pair.b_files / "docs/overtakes.txt"
    eventually(received.is_file)
    eventually(lambda: is_right(subscriber.latest()[DOCS]))
    since = subscriber.count
    late.released.set()
    ask(subscriber, "new_error", "the bridge reads the errors after the status", node="beta")
    subscriber.wait_for_json("syncthing/beta/errors", lambda one: one["count"], since=since)
    assert all(is_right(bytes(message.payload)) for message in subscriber.messages[since:] if message.topic == DOCS)
    assert is_right(subscriber.latest()[DOCS])
    pair.b.request("POST", "/rest/system/error/clear")

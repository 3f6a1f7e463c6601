"""A call that fails for one folder or one list, or a missing event, concerns only that part: the instance is online."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from tests.conftest import Pair
from tests.interceptor import Interceptor
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance
from tests.syncthing.server import Answer, Behaviour, answers, hangs, refuses, stranger

DOCS = "syncthing/alpha/folder/docs"
SYSTEM = "syncthing/alpha/system"
STATE = "syncthing/alpha/state"

INTERNAL_ERROR = refuses(500, "internal error")

STATUS, COMPLETION = "/rest/db/status?folder=docs", "/rest/db/completion"

LISTS: Mapping[str, Behaviour] = {
    "/rest/stats/folder": INTERNAL_ERROR,
    "/rest/stats/device": answers([]),
    "/rest/cluster/pending/devices": INTERNAL_ERROR,
    "/rest/cluster/pending/folders": refuses(404, "no such thing"),
    "/rest/system/error": Answer(body=b'{"errors": '),
    "/rest/system/connections": hangs,
    "/rest/config/restart-required": answers("yes"),
}

CASES: Mapping[str, tuple[Mapping[str, Behaviour], str]] = {
    "status is an internal error": ({STATUS: INTERNAL_ERROR}, DOCS),
    "status is an error of another server": ({STATUS: stranger(500, "Internal Server Error")}, DOCS),
    "status is malformed": ({STATUS: Answer(body=b'{"globalBytes": ')}, DOCS),
    "status is too large": ({STATUS: Answer(body=b'["' + b"x" * 65 * 1024 * 1024 + b'"]')}, DOCS),
    "status takes too long": ({STATUS: hangs}, DOCS),
    "completion is an internal error": ({COMPLETION: INTERNAL_ERROR}, DOCS),
    "every list fails": (LISTS, SYSTEM),
}
"""The failing calls, how each fails, and the topic that then has the problem."""


@pytest.fixture
def interceptor(pair: Pair) -> Iterator[Interceptor]:
    """A server that forwards all calls to Syncthing, except those that a test makes fail."""
    one = Interceptor(pair.a.url)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def bridge(interceptor: Interceptor, pair: Pair, broker: Mosquitto, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge, not started yet, that reaches Syncthing through the interceptor."""
    variables = {
        **instance("alpha", pair.a),
        "STBRIDGE_SYNCTHING__ALPHA__URL": interceptor.url,
        "STBRIDGE_SYNCTHING__ALPHA__TIMEOUT_S": "4",
        "STBRIDGE_POLL__CONNECTIONS": "1",
        "STBRIDGE_MQTT__PORT": str(broker.port),
    }
    process = BridgeProcess(tmp_path, variables)
    yield process
    process.stop()


def problems(payload: Any) -> list[str]:
    """Return the codes of the problems in a payload."""
    return [problem["code"] for problem in payload["problems"] or ()]


def unreadable(payload: Any) -> bool:
    """Return whether a payload has the problem of a failing call."""
    return bool({"folder_unreadable", "instance_unreadable"} & set(problems(payload)))


def is_consistent(folder: Any) -> bool:
    """Return whether the keys of a folder that come from its status are all null, or all known from an event."""
    return len({folder[key] is None for key in ("global_bytes", "need_items", "completion", "in_sync")}) == 1


def test_a_server_that_answers_every_call_with_a_list_is_not_syncthing(
    interceptor: Interceptor, bridge: BridgeProcess, subscriber: Subscriber
) -> None:
    """An empty list is a valid answer of the event stream, but of no other call."""
    bridge.start()
    subscriber.wait_for_payload(STATE, b"online")
    since = subscriber.count
    interceptor.fails({"*": answers([])})
    subscriber.wait_for_payload(STATE, b"offline", since=since)
    since = subscriber.count
    interceptor.fails({})
    subscriber.wait_for_payload(STATE, b"online", since=since)


@pytest.mark.parametrize("case", CASES)
def test_a_failing_call_is_a_problem_of_the_topic_that_it_reads(
    interceptor: Interceptor, bridge: BridgeProcess, subscriber: Subscriber, case: str
) -> None:
    """The instance is online, all other topics are correct, and the problem clears when the call works again."""
    failures, topic = CASES[case]
    interceptor.fails(failures)
    bridge.start()
    subscriber.wait_for_payload(STATE, b"online")
    payload = subscriber.wait_for_json(topic, unreadable)
    if hangs in failures.values() and topic == DOCS:
        message = payload["problems"][0]["message"]
        assert message.startswith("syncthing.alpha.timeout_s: GET /rest/db/status?folder=docs ")
    assert topic != DOCS or is_consistent(payload)
    since = subscriber.count
    interceptor.fails({})
    subscriber.wait_for_json(topic, lambda one: not unreadable(one), since=since)
    if STATUS in failures:
        eventually(lambda: json.loads(subscriber.latest()[DOCS])["in_sync"] is True)
    states = [message.payload for message in subscriber.messages if message.topic == STATE]
    assert b"offline" not in states[states.index(b"online") :]  # on a busy machine, the first state may be `offline`


def test_a_completion_without_an_event_is_read(
    interceptor: Interceptor, bridge: BridgeProcess, pair: Pair, subscriber: Subscriber
) -> None:
    """A new file is published as complete on the other device, although the event is missing."""
    interceptor.hides("FolderCompletion")
    bridge.start()
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    name = pair.write(f"{os.urandom(4).hex()}.txt", os.urandom(100_000)).name
    eventually((pair.b_files / "docs" / name).is_file)
    eventually(lambda: pair.b.is_idle("docs") and completion_of(pair)["needItems"] == 0)
    size = completion_of(pair)["globalBytes"]
    topic = f"syncthing/alpha/completion/{short_id(pair.b.device_id)}/docs"
    subscriber.wait_for_json(topic, lambda one: (one["completion"], one["global_bytes"]) == (100, size))


def completion_of(pair: Pair) -> Any:
    """Return how complete the folder is on node b, as node a knows it."""
    return pair.a.request("GET", "/rest/db/completion", {"device": pair.b.device_id, "folder": "docs"})

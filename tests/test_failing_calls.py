"""A call that fails for one folder or one list is the problem of that part: the instance is online all the same."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Pair
from tests.interceptor import Interceptor
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance
from tests.syncthing.server import Answer, Behaviour, hangs, refuses, says, stranger

DOCS = "syncthing/alpha/folder/docs"
SYSTEM = "syncthing/alpha/system"
STATE = "syncthing/alpha/state"

INTERNAL_ERROR = refuses(500, "internal error")

CASES: Sequence[tuple[str, Behaviour, str]] = (
    ("/rest/db/status?folder=docs", INTERNAL_ERROR, DOCS),
    ("/rest/db/status?folder=docs", stranger(500, "Internal Server Error"), DOCS),
    ("/rest/db/status?folder=docs", Answer(body=b'{"globalBytes": '), DOCS),
    ("/rest/db/status?folder=docs", says([]), DOCS),
    ("/rest/db/status?folder=docs", Answer(body=b'["' + b"x" * 65 * 1024 * 1024 + b'"]'), DOCS),
    ("/rest/db/status?folder=docs", hangs, DOCS),
    ("/rest/db/completion", INTERNAL_ERROR, DOCS),
    ("/rest/db/completion", hangs, DOCS),
    ("/rest/stats/folder", INTERNAL_ERROR, SYSTEM),
    ("/rest/stats/device", INTERNAL_ERROR, SYSTEM),
    ("/rest/cluster/pending/devices", INTERNAL_ERROR, SYSTEM),
    ("/rest/cluster/pending/folders", refuses(404, "no such thing"), SYSTEM),
    ("/rest/system/error", INTERNAL_ERROR, SYSTEM),
    ("/rest/system/connections", hangs, SYSTEM),
    ("/rest/config/restart-required", says("yes"), SYSTEM),
)
"""Calls that fail, how, and the topic that has the problem then."""


@pytest.fixture
def interceptor(pair: Pair) -> Iterator[Interceptor]:
    """A server that forwards all calls to Syncthing, except those that are to fail."""
    one = Interceptor(pair.a.url)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def bridge(
    interceptor: Interceptor, pair: Pair, broker: Mosquitto, tmp_path: Path
) -> Iterator[BridgeProcess]:
    """A bridge that is not started yet and reaches Syncthing through the interceptor."""
    variables = {
        **instance("alpha", pair.a),
        "STBRIDGE_SYNCTHING__ALPHA__URL": interceptor.url,
        "STBRIDGE_SYNCTHING__ALPHA__TIMEOUT_S": "1",
        "STBRIDGE_MQTT__PORT": str(broker.port),
    }
    process = BridgeProcess(tmp_path, variables)
    yield process
    process.stop()


def problems(payload: Any) -> list[str]:
    """Return the codes of the problems in a payload."""
    return [problem["code"] for problem in payload["problems"] or ()]


def unreadable(payload: Any) -> bool:
    """Return whether a payload has the problem of a call that fails."""
    return bool({"folder_unreadable", "instance_unreadable"} & set(problems(payload)))


@pytest.mark.parametrize(
    ("call", "failure", "topic"), CASES, ids=[f"{call.partition('?')[0]}-{n}" for n, (call, _, _) in enumerate(CASES)]
)
def test_a_failing_call_is_the_problem_of_what_it_reads(
    interceptor: Interceptor,
    bridge: BridgeProcess,
    subscriber: Subscriber,
    call: str,
    failure: Behaviour,
    topic: str,
) -> None:
    """The instance is online, the rest is right, and the problem ends when the call works again."""
    interceptor.fails(call, failure)
    bridge.start()
    subscriber.wait_for_payload(STATE, b"online")
    payload = subscriber.wait_for_json(topic, unreadable)
    message = next(one["message"] for one in payload["problems"] if one["code"].endswith("_unreadable"))
    if failure is hangs:
        assert call.partition("?")[0] in message
        assert "syncthing.alpha.timeout_s" in message
    if call.startswith("/rest/db/status"):
        assert payload["global_bytes"] is payload["completion"] is payload["in_sync"] is None
    since = subscriber.count
    interceptor.works()
    subscriber.wait_for_json(topic, lambda one: not unreadable(one), since=since)
    if call.startswith("/rest/db/status"):
        eventually(lambda: json.loads(subscriber.latest()[DOCS])["in_sync"] is True)
    states = [message.payload for message in subscriber.messages if message.topic == STATE]
    assert states == [b"online"]

"""How complete a folder is on a device, if Syncthing does not report it after the device has sent its index."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from tests.conftest import Pair
from tests.interceptor import Interceptor
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance


@pytest.fixture
def interceptor(pair: Pair) -> Iterator[Interceptor]:
    """A server between the bridge and node a."""
    one = Interceptor(pair.a.url)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def bridge(interceptor: Interceptor, pair: Pair, broker: Mosquitto, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge, not started yet, that reaches node a through the interceptor."""
    variables = {**instance("alpha", pair.a), "STBRIDGE_MQTT__PORT": str(broker.port)}
    process = BridgeProcess(tmp_path, {**variables, "STBRIDGE_SYNCTHING__ALPHA__URL": interceptor.url})
    yield process
    process.stop()


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

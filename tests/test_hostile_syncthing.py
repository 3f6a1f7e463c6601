"""A hostile Syncthing instance, or a server that replaced one: it affects only its own topics."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile_walk import walk
from tests.servers import BridgeProcess, Mosquitto, Subscriber
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer


@pytest.fixture
def hostile() -> Iterator[PretendedSyncthing]:
    """An instance that can be made to return anything."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(docs=False)
    yield syncthing
    syncthing.server.stop()


@pytest.fixture
def honest() -> Iterator[PretendedSyncthing]:
    """Another instance of the same bridge."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    yield syncthing
    syncthing.server.stop()


@pytest.fixture
def bridge(
    hostile: PretendedSyncthing, honest: PretendedSyncthing, broker: Mosquitto, tmp_path: Path
) -> Iterator[BridgeProcess]:
    """A bridge to both instances that publishes raw events."""
    process = BridgeProcess(
        tmp_path,
        {
            "STBRIDGE_MQTT__PORT": str(broker.port),
            "STBRIDGE_SYNCTHING__BAD__URL": hostile.url,
            "STBRIDGE_SYNCTHING__BAD__API_KEY": "key",
            "STBRIDGE_SYNCTHING__GOOD__URL": honest.url,
            "STBRIDGE_SYNCTHING__GOOD__API_KEY": "key",
            "STBRIDGE_EVENTS__RAW": '["ItemFinished"]',
        },
    )
    yield process.start()
    process.stop()


def nested(levels: int) -> Any:
    """Return a document that is nested this deeply."""
    value: Any = "end"
    for _ in range(levels):
        value = {"deeper": value}
    return value


def test_a_deeply_nested_event_takes_only_its_instance_offline(
    hostile: PretendedSyncthing, honest: PretendedSyncthing, bridge: BridgeProcess, subscriber: Subscriber
) -> None:
    """Truncating long texts recursed too deeply and stopped the process; now the instance recovers afterwards."""
    subscriber.wait_for_payload("syncthing/bad/state", b"online")
    hostile.wait_for_poll()
    since = subscriber.count
    hostile.happens("ItemFinished", nested(450))
    subscriber.wait_for_payload("syncthing/bad/state", b"offline", since=since)
    honest.happens("ItemFinished", {"folder": "docs", "item": "a"})
    subscriber.wait_for_json("syncthing/good/raw/ItemFinished", since=since)
    hostile.restarts()
    subscriber.wait_for_payload("syncthing/bad/state", b"online", since=since)
    assert bridge.running
    assert "Traceback" not in bridge.log.read_text(encoding="utf-8")


def test_a_hostile_instance_harms_nothing_else() -> None:
    """A short run of `make fuzz`: the bridge keeps running, and the instance recovers when it is honest again."""
    with walk(seed=3) as one:
        one.round()

"""The bridge on a network that loses packets silently: connections die without FIN or RST."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Pair
from tests.dead_link import Cable
from tests.servers import BridgeProcess, Mosquitto, Subscriber, change_gui, instance, running

STATE = "syncthing/alpha/state"


@pytest.fixture
def bridge(
    cable: Cable, pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> Iterator[BridgeProcess]:
    """A bridge that reaches Syncthing over a cable, and the broker directly."""
    change_gui(pair.a, insecureSkipHostcheck=True)
    port = int(pair.a.url.rpartition(":")[2])
    variables = {
        **instance("alpha", pair.a),
        "STBRIDGE_SYNCTHING__ALPHA__URL": f"http://{cable.lead_to(port)}",
        "STBRIDGE_MQTT__HOST": "127.0.0.1",
        "STBRIDGE_MQTT__PORT": str(cable.expose(broker.port)),
    }
    process = BridgeProcess(tmp_path, variables, prefix=cable.command)
    with running(process, subscriber):
        yield process


@pytest.mark.usefixtures("bridge")
def test_a_long_poll_on_a_dead_connection_is_detected(cable: Cable, pair: Pair, subscriber: Subscriber) -> None:
    """Keepalive closes the connection and the instance goes offline; it is online again when the network is back."""
    since = subscriber.count
    cable.cut()
    subscriber.wait_for_payload(STATE, b"offline", since=since)
    connection = json.loads(subscriber.latest()["syncthing/alpha/connection"])
    assert connection["status"] == "unreachable"
    assert connection["message"].startswith("syncthing.alpha.url: ")
    pair.write("while-the-cable-was-cut.txt")
    since = subscriber.count
    cable.repair()
    subscriber.wait_for_payload(STATE, b"online", since=since)

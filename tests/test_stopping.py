"""Stopping the bridge: all instances stop together, and `offline` is published even if one of them fails."""

from time import monotonic

import pytest

from stbridge.bridge import STOP_S, Bridge
from stbridge.instance import Instance
from stbridge.settings import MqttSettings, Settings, SyncthingSettings
from tests.servers import Mosquitto, Subscriber

STATE = "syncthing/bridge/state"


@pytest.mark.parametrize("method", ["stop_reading", "stop"])
def test_offline_is_published_although_an_instance_cannot_be_stopped(
    broker: Mosquitto,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    """An exception while one instance stops is logged; the others stop, and the bridge publishes `offline`."""
    stop = getattr(Instance, method)

    def fail(self: Instance, *arguments: float) -> None:
        stop(self, *arguments)
        if self.name == "first":
            raise RuntimeError("cannot be stopped")

    monkeypatch.setattr(Instance, method, fail)
    nowhere = SyncthingSettings(url="http://127.0.0.1:1", api_key="key")
    bridge = Bridge(
        Settings(mqtt=MqttSettings(host="127.0.0.1", port=broker.port), syncthing={"first": nowhere, "second": nowhere})
    )
    bridge.start()
    subscriber.wait_for_payload(STATE, b"online")
    since = subscriber.count
    bridge.stop()
    subscriber.wait_for_payload(STATE, b"offline", since=since)
    assert "could not stop a part of the bridge" in caplog.messages


def test_all_instances_stop_by_one_deadline(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is killed after 10 s, however many instances still run commands."""
    deadlines: list[float] = []
    stop = Instance.stop

    def note(self: Instance, deadline: float) -> None:
        deadlines.append(deadline)
        stop(self, deadline)

    monkeypatch.setattr(Instance, "stop", note)
    nowhere = SyncthingSettings(url="http://127.0.0.1:1", api_key="key")
    names = ("first", "second", "third")
    bridge = Bridge(
        Settings(mqtt=MqttSettings(host="127.0.0.1", port=broker.port), syncthing=dict.fromkeys(names, nowhere))
    )
    bridge.start()
    before = monotonic()
    bridge.stop()
    assert len(deadlines) == len(names)
    assert set(deadlines) == {deadlines[0]}
    assert before < deadlines[0] <= monotonic() + STOP_S

"""Stopping the bridge: all instances together, and the broker is informed whatever fails."""

import pytest

from stbridge.bridge import Bridge
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
    """An exception in the stop of one instance is logged; the others stop, and the broker gets `offline`."""
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

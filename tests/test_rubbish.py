"""A broker with invalid retained messages below the bridge's own base topic."""

import json
from pathlib import Path

from stbridge.core.model import short_id
from tests.conftest import Pair
from tests.servers import BridgeProcess, Mosquitto, Subscriber

FAR = "9999-12-31T23:59:59Z"
KEYS = ("resume_at", "out_of_sync_since", "started_at", "in_bytes", "in_bytes_lifetime", "device_id")
VALUES: tuple[object, ...] = (FAR, -1, [])
RUBBISH = (b"[" * 100_000, *(json.dumps(dict.fromkeys(KEYS, value)).encode() for value in VALUES))


def test_invalid_retained_messages_are_overwritten(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The bridge starts, publishes correct values and accepts commands, whatever was retained on its topics."""
    folder, beta = "syncthing/alpha/folder/docs", short_id(pair.b.device_id)
    topics = [folder, f"syncthing/alpha/device/{beta}", "syncthing/alpha/metrics", "syncthing/alpha/system"]
    process = BridgeProcess(
        tmp_path,
        {
            "STBRIDGE_MQTT__PORT": str(broker.port),
            "STBRIDGE_SYNCTHING__ALPHA__URL": pair.a.url,
            "STBRIDGE_SYNCTHING__ALPHA__API_KEY": pair.a.api_key,
        },
    )
    pair.a.request("PATCH", "/rest/config/folders/docs", body={"paused": True})  # a paused folder restores the most
    try:
        for malformed in RUBBISH:
            for topic in [*topics, "syncthing/alpha/folder/%FF", "syncthing/alpha/nothing"]:
                subscriber.publish(topic, malformed, retain=True)
            since = subscriber.count
            process.start()
            subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
            assert subscriber.wait_for_json(folder, lambda one: one.get("id") == "docs", since=since)["paused"]
            for topic in topics:
                assert subscriber.latest()[topic] not in RUBBISH
            subscriber.publish("syncthing/alpha/command/get_ping", b"{}")
            subscriber.wait_for_json(
                "syncthing/alpha/response/get_ping", lambda one: one["status"] == "ok", since=since
            )
            assert process.stop() == 0
    finally:
        process.kill()
        pair.a.request("PATCH", "/rest/config/folders/docs", body={"paused": False})
    assert "Traceback" not in process.log.read_text(encoding="utf-8")

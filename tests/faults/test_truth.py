"""What all comparisons rest on: that the truth is what a fresh bridge publishes, and that a lie is found."""

from pathlib import Path

from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.faults.truth import differences, fixed, truth
from tests.faults.world import World
from tests.servers import BridgeProcess, Mosquitto, Subscriber, instance


def test_the_truth_is_what_a_fresh_bridge_publishes_to_a_fresh_broker(
    world: World, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """A bridge that was started a moment ago, with an empty broker, publishes exactly the truth."""
    process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", world.alpha)})
    process.start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        settings = MqttSettings(host="127.0.0.1", port=broker.port)
        published = fixed(read_retained(settings, ["syncthing/#"]))
    finally:
        process.stop()
    true = truth("alpha", world.alpha)
    assert differences(published, true) == []
    assert {"syncthing/alpha/folder/docs", "syncthing/alpha/state", world.beta_topic} <= true.keys()


def test_a_lie_a_leftover_and_a_gap_are_found(world: World) -> None:
    """The comparison tells a wrong key, a topic of something that is gone, and one that is missing."""
    true = truth("alpha", world.alpha)
    lie = dict(true)
    lie["syncthing/alpha/folder/docs"] = {**true["syncthing/alpha/folder/docs"], "label": "wrong"}
    lie["syncthing/alpha/folder/gone"] = {}
    del lie["syncthing/alpha/system"]
    found = differences(lie, true)
    assert [line.split()[0] for line in found] == [
        "syncthing/alpha/folder/gone",
        "syncthing/alpha/system",
        "syncthing/alpha/folder/docs",
    ]

"""The comparison itself: the expected topics equal those of a new bridge, and differences are found."""

from pathlib import Path

from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.faults.truth import differences, fixed, truth
from tests.faults.world import World
from tests.servers import BridgeProcess, Mosquitto, Subscriber, instance


def test_the_expected_topics_equal_those_of_a_new_bridge_on_an_empty_broker(
    world: World, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """A bridge that has just started with an empty broker publishes exactly the expected topics."""
    process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", world.alpha)})
    process.start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        # It is online before it has searched the folders for conflict files.
        subscriber.wait_for_json("syncthing/alpha/folder/docs/conflicts", lambda one: one["complete"])
        settings = MqttSettings(host="127.0.0.1", port=broker.port)
        published = fixed(read_retained(settings, ["syncthing/#"]))
    finally:
        process.stop()
    true = truth("alpha", world.alpha)
    assert differences(published, true) == []
    assert {"syncthing/alpha/folder/docs", "syncthing/alpha/state", world.beta_topic} <= true.keys()


def test_wrong_leftover_and_missing_topics_are_found(world: World) -> None:
    """The comparison reports a wrong key, a leftover topic, and a missing topic."""
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

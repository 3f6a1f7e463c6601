"""Reading back retained messages from a broker that has just started."""

from pathlib import Path

from stbridge.core.messages import Message
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.retained import RetainedReader
from stbridge.mqtt.session import open_session
from stbridge.settings import MqttSettings
from tests.nats import Nats

COUNT = 3000


def marker(payload: bytes) -> InstanceMarker:
    """Return the marker of a bridge with this payload."""
    topic = "syncthing/bridge/info"
    return InstanceMarker(
        topic,
        lambda stored: stored == payload,
        lambda _protocol, _node: Message(topic=topic, payload=payload, retain=True),
    )


def publish(settings: MqttSettings, topics: list[str]) -> None:
    """Publish retained messages, and wait until the broker has acknowledged them."""
    outbox = Outbox()
    for topic in topics:
        outbox.put_state(Message(topic=topic, payload=b"{}", retain=True))
    with open_session(settings, "writer", outbox=outbox) as session:
        while not outbox.wait_until_empty(0):
            session.loop_once()


def test_everything_is_read_from_a_server_that_still_builds_its_index(tmp_path: Path) -> None:
    """NATS answers a subscription with the messages of its index, which it builds after a start in the background."""
    server = Nats(tmp_path).start()
    try:
        settings = MqttSettings(host="127.0.0.1", port=server.port, protocol="3.1.1")
        topics = [f"syncthing/nas/folder/{number}" for number in range(COUNT)]
        publish(settings, ["syncthing/bridge/info", *topics])
        server.stop()
        server.start()
        reader = RetainedReader(["syncthing/nas/#"], sentinel=marker(b"a new run"))
        with open_session(settings, "reader", reader.take) as session:
            assert sorted(reader.read(session)) == sorted(topics)
    finally:
        server.stop()

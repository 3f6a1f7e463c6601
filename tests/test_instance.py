"""One instance between a pretended Syncthing and the outbox."""

import json
from collections.abc import Iterator

import pytest

from stbridge.core.topics import Topics
from stbridge.instance import Instance
from stbridge.mqtt.outbox import Outbox
from stbridge.settings import PollSettings, SyncthingSettings
from stbridge.syncthing.poll import Poller
from tests.commands.pretended import PATIENCE_S
from tests.servers import eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer
from tests.wire import Wire

METRICS = "syncthing/nas/metrics"
AVAILABILITY = {"syncthing/nas/connection", "syncthing/nas/state"}


@pytest.fixture
def outbox() -> Outbox:
    """What the broker is to have."""
    return Outbox()


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A Syncthing with a folder that is paused."""
    one = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    one.has_folders(photos=True)
    yield one
    one.server.stop()


@pytest.fixture
def instance(outbox: Outbox, syncthing: PretendedSyncthing) -> Iterator[Instance]:
    """An instance that has been started, and to which no broker has said yet what it keeps."""
    one = Instance(
        "nas",
        SyncthingSettings(url=syncthing.url, api_key="key"),
        poll=PollSettings(),
        raw=(),
        allowed=frozenset(),
        topics=Topics("syncthing"),
        outbox=outbox,
    )
    one.start()
    yield one
    one.stop()


def test_nothing_is_published_over_what_the_broker_keeps_before_that_is_known(
    instance: Instance, outbox: Outbox
) -> None:
    """Before totals of earlier lives are known, only whether Syncthing can be reached goes to the outbox."""
    eventually(lambda: instance.status == "online" and outbox.states().get("syncthing/nas/state") == b"online")
    assert outbox.states().keys() == AVAILABILITY
    assert not instance.settled.is_set()
    instance.remember({METRICS: b'{"in_bytes_lifetime": 1000000000000, "in_bytes": 0}'})
    assert instance.settled.wait(PATIENCE_S)
    metrics = json.loads(outbox.states()[METRICS])
    assert metrics["in_bytes_lifetime"] == 10**12 + metrics["in_bytes"]


def test_an_instance_has_settled_when_everything_is_in_the_outbox(instance: Instance, outbox: Outbox) -> None:
    """The bridge says `online` when every instance has settled, and then all of its topics must have been sent."""
    instance.remember({})
    assert instance.settled.wait(PATIENCE_S)
    kinds = {topic.split("/")[2] for topic in outbox.states()}
    assert {"system", "metrics", "errors", "pending", "folder", "device", "completion"} <= kinds


def test_what_a_change_needs_to_have_read_is_asked_for_when_the_change_is_on_its_way(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request takes as long as all else that follows from an event: who waits for the change would wait too."""
    instance.remember({})
    assert instance.settled.wait(PATIENCE_S)
    outbox.connected(window=1000)
    wire = Wire(outbox)
    wire.drain()
    requested: list[object] = []
    monkeypatch.setattr(Poller, "request", lambda _, reads: requested.append(reads))
    requested_before: dict[str, int] = {}

    def send() -> None:
        for message in wire.send():
            requested_before.setdefault(message.topic, len(requested))

    outbox.on_work = send
    syncthing.wait_for_poll()
    syncthing.happens("FolderResumed", {"id": "photos", "label": ""})
    eventually(lambda: requested)
    assert requested_before["syncthing/nas/folder/photos"] == 0

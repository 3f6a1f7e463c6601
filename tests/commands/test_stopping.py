"""A bridge that stops while a command is under way loses nothing of what that has done."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stbridge.core.commands import allowed
from stbridge.core.messages import Received
from stbridge.core.topics import Topics
from stbridge.instance import Instance
from stbridge.mqtt.outbox import Outbox
from stbridge.settings import PollSettings, SyncthingSettings
from tests.commands.pretended import PATIENCE_S
from tests.servers import eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import Answer, Exchange, ScriptedServer
from tests.wire import drain


class Held:
    """An answer that is given when it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        assert self.let_go.wait(PATIENCE_S)
        Answer()(exchange)


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A pretended Syncthing of the newest version that was recorded."""
    one = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    yield one
    one.server.stop()


def published(outbox: Outbox) -> dict[str, bytes]:
    """Return what the broker would be told, by topic."""
    outbox.connected(10_000)
    return {message.topic: message.payload for message in drain(outbox)}


def test_a_pause_that_was_carried_out_at_the_very_end_still_ends_by_itself(syncthing: PretendedSyncthing) -> None:
    """Its reply says until when, so the broker keeps that for the next life of the bridge."""
    outbox, patch = Outbox(), Held()
    syncthing.has_folders(docs=False)
    syncthing.table["/rest/config/folders/docs"] = patch
    instance = Instance(
        "nas",
        SyncthingSettings(url=syncthing.url, api_key="key"),
        poll=PollSettings(),
        raw=(),
        allowed=allowed(["operate"]),
        topics=Topics("syncthing"),
        outbox=outbox,
    )
    instance.start()
    instance.remember({})
    assert instance.settled.wait(PATIENCE_S)
    instance.command("pause", Received(topic="t", payload=b'{"folder":"docs","for":"30m"}'))
    assert patch.asked.wait(PATIENCE_S)
    with ThreadPoolExecutor() as executor:
        stopped = executor.submit(instance.stop)
        eventually(lambda: not next(part for part in instance.parts if part.name == "nas-state").alive)
        patch.let_go.set()
        stopped.result(PATIENCE_S)
    messages = published(outbox)
    reply = json.loads(messages["syncthing/nas/response/pause"])
    assert reply["status"] == "ok"
    assert json.loads(messages["syncthing/nas/folder/docs"])["resume_at"] == reply["data"]["resume_at"] is not None

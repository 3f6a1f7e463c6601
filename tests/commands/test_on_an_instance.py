"""Commands to an instance while Syncthing hangs, the bridge stops, or the machine has no threads left."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import pytest

from stbridge.core import timed_pauses
from stbridge.core.commands import allowed
from stbridge.core.messages import Received
from stbridge.core.topics import Topics
from stbridge.instance import Instance
from stbridge.mqtt.outbox import Outbox
from stbridge.schedule import Schedule
from stbridge.settings import PollSettings, SyncthingSettings
from stbridge.syncthing.concurrency import ConcurrencyLimit
from tests.commands.pretended import PATIENCE_S
from tests.servers import eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import Answer, Exchange, ScriptedServer, hangs
from tests.wire import drain

DOCS = b'{"folder":"docs"}'


class Held:
    """An answer that is sent when `let_go` is set."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        assert self.let_go.wait(PATIENCE_S)
        Answer()(exchange)


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A scripted Syncthing instance of the newest recorded version."""
    one = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    yield one
    one.server.stop()


def published(outbox: Outbox) -> dict[str, bytes]:
    """Return the messages that the broker would get, by topic."""
    outbox.connected(10_000)
    return {message.topic: message.payload for message in drain(outbox)}


@pytest.fixture
def schedule() -> Iterator[Schedule]:
    """The schedule that runs the ticks of an instance."""
    one = Schedule()
    one.start()
    yield one
    one.stop()


def started(syncthing: PretendedSyncthing, outbox: Outbox, schedule: Schedule, **restored: bytes) -> Instance:
    """Return an instance that executes commands, with restored payloads of folders."""
    instance = Instance(
        "nas",
        SyncthingSettings(url=syncthing.url, api_key="key", timeout_s=PATIENCE_S),
        poll=PollSettings(),
        raw=(),
        allowed=allowed(["operate"]),
        topics=Topics("syncthing"),
        outbox=outbox,
        schedule=schedule,
        read_limit=ConcurrencyLimit(1, 1.0),
        on_published=lambda: None,
    )
    instance.start()
    instance.restore({f"syncthing/nas/folder/{folder}": payload for folder, payload in restored.items()})
    assert instance.published.wait(PATIENCE_S)
    return instance


def test_a_timed_pause_during_the_stop_is_published(syncthing: PretendedSyncthing, schedule: Schedule) -> None:
    """The reply contains the end of the pause, so the broker must retain it for the next run of the bridge."""
    outbox, patch = Outbox(), Held()
    syncthing.has_folders(docs=False)
    syncthing.table["/rest/config/folders/docs"] = patch
    instance = started(syncthing, outbox, schedule)
    instance.command("pause", Received(topic="t", payload=b'{"folder":"docs","for":"30m"}'))
    assert patch.asked.wait(PATIENCE_S)
    with ThreadPoolExecutor() as executor:
        stopped = executor.submit(instance.stop, monotonic() + PATIENCE_S)
        eventually(lambda: not any(part.alive for part in instance.threads))
        patch.let_go.set()
        stopped.result(PATIENCE_S)
    messages = published(outbox)
    reply = json.loads(messages["syncthing/nas/response/pause"])
    assert reply["status"] == "ok"
    assert json.loads(messages["syncthing/nas/folder/docs"])["resume_at"] == reply["data"]["resume_at"] is not None


def test_commands_that_wait_for_a_hung_syncthing_are_answered_at_a_stop(
    syncthing: PretendedSyncthing, schedule: Schedule
) -> None:
    """The stop does not wait for Syncthing, and no waiting thread keeps the process from exiting."""
    outbox = Outbox()
    syncthing.has_folders(docs=False)
    syncthing.table["/rest/config/folders/docs"] = hangs
    syncthing.table["/rest/db/scan"] = hangs
    instance = started(syncthing, outbox, schedule)
    for name, payload in (("pause", DOCS), ("resume", DOCS), ("scan", b'{"folder":"docs","wait":true}')):
        instance.command(name, Received(topic="t", payload=payload))
    syncthing.server.wait_until_hanging()
    instance.stop(monotonic())
    messages = published(outbox)
    for name in ("pause", "resume", "scan"):
        assert json.loads(messages[f"syncthing/nas/response/{name}"])["error"]["code"] == "unreachable"
    for thread in threading.enumerate():
        if thread.name.startswith("nas"):
            thread.join(PATIENCE_S / 2)
            assert not thread.is_alive(), thread.name


def _has(outbox: Outbox, topic: str, text: bytes) -> bool:
    return text in outbox.states()[topic]


def test_a_due_pause_uses_one_thread_while_syncthing_hangs(
    syncthing: PretendedSyncthing, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause stays due, but there is only one attempt at a time."""
    monkeypatch.setattr(timed_pauses, "RETRY", timedelta(seconds=0.02))
    outbox = Outbox()
    syncthing.has_folders(docs=True, art=False)
    syncthing.table["/rest/config/folders/docs"] = hangs
    instance = started(syncthing, outbox, schedule, docs=b'{"id":"docs","resume_at":"2024-05-01T12:00:00Z"}')
    syncthing.server.wait_until_hanging()
    until = datetime.now(UTC) + 10 * timed_pauses.RETRY
    for number in range(20):
        event_type, word = ("FolderPaused", b'"paused":true') if number % 2 else ("FolderResumed", b'"paused":false')
        syncthing.happens(event_type, {"id": "art", "label": ""})
        eventually(partial(_has, outbox, "syncthing/nas/folder/art", word))
    eventually(lambda: datetime.now(UTC) > until)
    assert len([line for line in syncthing.server.lines if line.startswith("PATCH")]) == 1
    assert len([one for one in threading.enumerate() if one.name.startswith("nas-")]) < 10
    instance.stop(monotonic())


def test_a_thread_that_cannot_be_started_blocks_no_later_command(
    syncthing: PretendedSyncthing, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command is answered, including those sent during the shortage."""
    outbox = Outbox()
    syncthing.has_folders(docs=False)
    syncthing.table["/rest/config/folders/docs"] = Answer()
    instance = started(syncthing, outbox, schedule)
    answered: list[str] = []
    start = threading.Thread.start

    def start_if_not_ours(thread: threading.Thread) -> None:
        if thread.name.startswith("nas-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    def send(name: str) -> None:
        received = Received(topic="t", payload=DOCS, acknowledge=lambda: answered.append(name))
        instance.command(name, received)

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", start_if_not_ours)
        for name in ("pause", "resume", "pause"):
            send(name)
        eventually(lambda: answered == ["pause", "resume", "pause"])
    send("resume")
    eventually(lambda: answered[3:] == ["resume"])
    instance.stop(monotonic())

"""One instance of the bridge between a simulated Syncthing and the outbox."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from traceback import format_stack
from typing import Any

import pytest

from stbridge.commands.dispatcher import CommandDispatcher
from stbridge.core import observations as seen
from stbridge.core import rules
from stbridge.core.commands import allowed
from stbridge.core.messages import Received
from stbridge.core.model import LoggedError
from stbridge.core.observations import Observation
from stbridge.core.read_order import Moment
from stbridge.core.state import State
from stbridge.core.topics import Topics
from stbridge.instance import Instance
from stbridge.mqtt.outbox import Outbox
from stbridge.schedule import Schedule
from stbridge.settings import PollSettings, SyncthingSettings
from stbridge.supervision import Supervision
from stbridge.syncthing.concurrency import ConcurrencyLimit
from stbridge.syncthing.poll import Poller
from tests.commands.pretended import PATIENCE_S
from tests.servers import eventually
from tests.syncthing.pretended import EVENTS, STATUS, PretendedSyncthing, document
from tests.syncthing.server import Answer, Exchange, ScriptedServer, answers, refuses
from tests.wire import Wire, drain

METRICS = "syncthing/nas/metrics"
PHOTOS = "syncthing/nas/folder/photos"
GONE = "syncthing/nas/folder/gone"
ONLINE = "syncthing/nas/state"
AVAILABILITY = {"syncthing/nas/connection", ONLINE}
TOTALS = {METRICS: b'{"in_bytes_lifetime": 1000000000000, "in_bytes": 0}'}
ERRORS = "/rest/system/error"
PENDING_DEVICES = "/rest/cluster/pending/devices"


@pytest.fixture
def outbox() -> Outbox:
    """The outbox that the instance publishes to."""
    return Outbox()


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A simulated Syncthing instance with a paused folder."""
    one = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    one.has_folders(photos=True)
    yield one
    one.server.stop()


@pytest.fixture
def published() -> list[str]:
    """One entry for each time that the instance reported its first publication."""
    return []


@pytest.fixture
def not_started(outbox: Outbox, syncthing: PretendedSyncthing, published: list[str]) -> Iterator[Instance]:
    """An instance that has not restored the topics of the previous run yet."""
    schedule = Schedule()
    one = Instance(
        "nas",
        SyncthingSettings(url=syncthing.url, api_key="key", timeout_s=PATIENCE_S),
        poll=PollSettings(),
        raw=("FolderResumed",),
        allowed=allowed(["operate"]),
        topics=Topics("syncthing"),
        outbox=outbox,
        schedule=schedule,
        read_limit=ConcurrencyLimit(1, 1.0),
        on_published=lambda: published.append("nas"),
    )
    schedule.start()
    yield one
    schedule.stop()
    one.stop(monotonic())


@pytest.fixture
def instance(not_started: Instance) -> Instance:
    """The same instance, started."""
    not_started.start()
    return not_started


def lifetime(outbox: Outbox) -> int:
    """Return the lifetime total without the part that the current Syncthing process has counted."""
    metrics = json.loads(outbox.states()[METRICS])
    total: int = metrics["in_bytes_lifetime"] - metrics["in_bytes"]
    return total


def test_nothing_overwrites_the_previous_run_before_it_is_restored(
    instance: Instance, outbox: Outbox, published: list[str]
) -> None:
    """Until its totals are restored, only the availability is put into the outbox."""
    eventually(lambda: instance.status == "online" and outbox.states().get(ONLINE) == b"online")
    assert outbox.states().keys() == AVAILABILITY
    assert not instance.published.is_set()
    assert published == []
    instance.restore(TOTALS)
    assert instance.published.wait(PATIENCE_S)
    eventually(lambda: published == ["nas"])
    assert lifetime(outbox) == 10**12


def test_a_read_from_an_earlier_epoch_is_dropped(instance: Instance, outbox: Outbox) -> None:
    """The follower may have read the same data since then, and a late response must not overwrite it."""
    instance.restore({})
    assert instance.published.wait(PATIENCE_S)
    error = LoggedError(when=datetime(2026, 1, 1, tzinfo=UTC), message="an old error")
    instance.take([seen.ErrorsRead(items=(error,))], since=Moment(epoch=0, order=0))
    assert b"an old error" not in outbox.states()["syncthing/nas/errors"]
    instance.take([seen.ErrorsRead(items=(error,))])
    assert b"an old error" in outbox.states()["syncthing/nas/errors"]


def test_an_instance_is_published_when_everything_is_in_the_outbox(instance: Instance, outbox: Outbox) -> None:
    """The bridge publishes `online` when every instance is published; by then all topics are in the outbox."""
    instance.restore({})
    assert instance.published.wait(PATIENCE_S)
    kinds = {topic.split("/")[2] for topic in outbox.states()}
    assert {"system", "metrics", "errors", "pending", "folder", "device", "completion"} <= kinds


def test_a_restart_before_the_bridge_started_fails_no_scan(
    instance: Instance, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that waited for the bridge runs on the new Syncthing process already."""
    restarts: list[CommandDispatcher] = []

    def note(dispatcher: CommandDispatcher) -> None:
        restarts.append(dispatcher)

    monkeypatch.setattr(CommandDispatcher, "syncthing_restarted", note)
    before = {"in_bytes_lifetime": 5, "in_bytes": 0, "started_at": "2001-01-01T00:00:00Z"}
    instance.restore({METRICS: json.dumps(before).encode()})
    assert instance.published.wait(PATIENCE_S)
    outbox.connected()
    seen_topics: list[str] = []

    def started() -> bool:
        seen_topics.extend(message.topic for message in drain(outbox))
        return "syncthing/nas/event/syncthing_started" in seen_topics

    eventually(started)
    instance.stop(monotonic() + PATIENCE_S)
    eventually(lambda: not any(one.alive for one in instance.threads))
    assert restarts == []


def test_reads_that_follow_a_change_start_after_the_change_is_sent(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request takes about as long as all other processing of an event, and would delay the change."""
    instance.restore({})
    assert instance.published.wait(PATIENCE_S)
    syncthing.wait_for_poll()
    outbox.connected(window=1000)
    wire = Wire(outbox)
    wire.drain()
    requested: list[object] = []
    monkeypatch.setattr(Poller, "request", lambda _, reads: requested.extend(reads))
    requested_before: dict[str, int] = {}

    def send() -> None:
        for message in wire.send():
            requested_before.setdefault(message.topic, len(requested))

    outbox.on_work = send
    syncthing.happens("FolderResumed", {"id": "photos", "label": ""})
    eventually(lambda: requested)
    assert requested_before[PHOTOS] == 0


def fail_once(monkeypatch: pytest.MonkeyPatch, kind: type[Observation]) -> threading.Event:
    """Make the rule of this kind of observation raise an exception once; return an event that is set when it has."""
    rule, failed = rules.RULES[kind], threading.Event()

    def fail(state: State, observation: Any, now: datetime) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("raised by a test")
        rule(state, observation, now)

    monkeypatch.setitem(rules.RULES, kind, fail)
    return failed


def note_restored(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set when the rule of Restored was called."""
    rule, called = rules.RULES[seen.Restored], threading.Event()

    def note(state: State, observation: Any, now: datetime) -> None:
        try:
            rule(state, observation, now)
        finally:
            called.set()

    monkeypatch.setitem(rules.RULES, seen.Restored, note)
    return called


@pytest.mark.parametrize(
    "kind", [seen.VersionRead, seen.ErrorsRead, seen.SnapshotComplete, seen.Restored], ids=lambda kind: kind.__name__
)
def test_an_exception_before_the_first_publication_keeps_the_restored_totals(
    instance: Instance,
    outbox: Outbox,
    syncthing: PretendedSyncthing,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Observation],
) -> None:
    """The state is rebuilt from the restored payloads, and the instance is online again."""
    read = threading.Event()

    def hold(exchange: Exchange) -> None:
        assert read.wait(PATIENCE_S)
        answers(document("system_error"))(exchange)

    syncthing.table[ERRORS] = hold
    failed = fail_once(monkeypatch, kind)
    restored = note_restored(monkeypatch)
    instance.restore(TOTALS)
    assert restored.wait(PATIENCE_S)
    read.set()
    supervision = Supervision(instance.threads, 10)

    def online() -> bool:
        supervision.check()
        return failed.is_set() and instance.published.is_set() and outbox.states()[ONLINE] == b"online"

    eventually(online)
    assert lifetime(outbox) == 10**12


def fail_and_recover(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resume the folder, let the rule for that raise an exception, and wait until the folder is published again."""
    failed = fail_once(monkeypatch, seen.FolderPaused)
    syncthing.has_folders(photos=False)
    syncthing.happens("FolderResumed", {"id": "photos", "label": ""})
    supervision = Supervision(instance.threads, 10)

    def resumed() -> bool:
        supervision.check()
        return failed.is_set() and json.loads(outbox.states()[PHOTOS])["paused"] is False

    eventually(resumed)


def test_an_exception_after_the_first_publication_keeps_published_data(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is read again, and changes in the meantime are published."""
    instance.restore(TOTALS)
    assert instance.published.wait(PATIENCE_S)
    syncthing.wait_for_poll()
    fail_and_recover(instance, outbox, syncthing, monkeypatch)
    eventually(lambda: outbox.states()[ONLINE] == b"online")
    assert lifetime(outbox) == 10**12


def test_an_exception_does_not_bring_back_what_the_previous_run_published(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics that were cleared after the start are not cleared again, and would otherwise count as removed folders."""
    outbox.connected()
    instance.restore({**TOTALS, GONE: b'{"id": "gone"}'})
    cleared: list[str] = []

    def clears(topic: str) -> bool:
        cleared.extend(one.topic for one in drain(outbox) if not one.payload)
        return topic in cleared

    eventually(lambda: clears(GONE))
    syncthing.wait_for_poll()
    cleared.clear()
    fail_and_recover(instance, outbox, syncthing, monkeypatch)
    assert not clears(GONE)


def test_a_failed_read_during_the_event_catch_up_is_repeated(
    instance: Instance, outbox: Outbox, syncthing: PretendedSyncthing
) -> None:
    """No event would trigger it again, and pending devices and folders are not read at an interval."""
    instance.restore({})
    assert instance.published.wait(PATIENCE_S)
    syncthing.wait_for_poll()
    syncthing.table[PENDING_DEVICES] = [refuses(500), answers(document("pending_devices"))]
    events = syncthing.table[EVENTS]
    syncthing.table[EVENTS] = refuses(500)
    syncthing.breaks_off()
    eventually(lambda: outbox.states()[ONLINE] == b"offline")
    syncthing.happens("PendingDevicesChanged")
    syncthing.table[EVENTS] = events
    eventually(lambda: syncthing.server.lines.count(f"GET {PENDING_DEVICES}") >= 3)
    eventually(lambda: b"instance_unreadable" not in outbox.states()["syncthing/nas/system"])
    assert json.loads(outbox.states()["syncthing/nas/pending"])["devices"] is not None


class OwnedLock:
    """A lock that records which thread holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self.times = 0
        """How often the lock was acquired."""

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()
        self.times += 1

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()


SLOW: tuple[tuple[type, str], ...] = (
    (socket.socket, "connect"),
    (socket.socket, "send"),
    (socket.socket, "sendall"),
    (socket.socket, "recv"),
    (socket.socket, "recv_into"),
    (logging.Logger, "handle"),
    (threading.Event, "wait"),
    (threading.Condition, "wait"),
    (Outbox, "flush"),
    (Poller, "request"),
)
"""The functions that do I/O, wait, log, or call another part."""


def test_the_lock_is_not_held_during_io_waits_and_logging(
    not_started: Instance,
    outbox: Outbox,
    syncthing: PretendedSyncthing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I/O under the lock would let a slow broker or log block every thread that handles data from Syncthing."""
    caplog.set_level(logging.DEBUG)
    instance, lock, called, violations = not_started, OwnedLock(), set[str](), list[str]()
    monkeypatch.setattr(instance, "_lock", lock)

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            called.add(name)
            if lock.is_mine:
                violations.append(f"{name}: {''.join(format_stack())}")
            return function(*arguments, **options)

        return call

    for owner, name in SLOW:
        monkeypatch.setattr(owner, name, watched(name, getattr(owner, name)))
    wire, io_lock = Wire(outbox), threading.Lock()

    def send() -> None:
        with io_lock:
            wire.drain()

    outbox.connected(window=1000)
    outbox.on_work = send
    syncthing.table["/rest/config/folders/photos"] = Answer()
    answered = threading.Event()
    instance.start()
    instance.restore(TOTALS)
    assert instance.published.wait(PATIENCE_S)
    syncthing.wait_for_poll()
    syncthing.happens("FolderResumed", {"id": "photos", "label": ""})
    eventually(lambda: b'"paused":false' in outbox.states()[PHOTOS])
    instance.command("pause", Received(topic="t", payload=b'{"folder":"photos","for":"30m"}', acknowledge=answered.set))
    assert answered.wait(PATIENCE_S)
    syncthing.table[STATUS] = refuses(500)
    syncthing.breaks_off()
    syncthing.table[EVENTS] = refuses(500)
    eventually(lambda: outbox.states()[ONLINE] == b"offline")
    instance.stop(monotonic() + PATIENCE_S)
    assert violations == []
    assert called >= {"connect", "sendall", "handle", "wait", "flush", "request"}
    assert lock.times > 10

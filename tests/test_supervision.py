"""Supervision of threads: how dead and hung threads are handled."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from stbridge import supervision
from stbridge.supervision import MAX_DEATHS, SupervisedThread, Supervision
from tests.servers import eventually

EVERY_S = 10.0


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """An event that keeps the threads alive until it is set."""
    event = threading.Event()
    yield event
    event.set()


def started(run: Callable[[], None], max_silence_s: float = 60.0) -> SupervisedThread:
    """Return a thread that is already started."""
    one = SupervisedThread("nas-state", run, max_silence_s=max_silence_s)
    one.start()
    return one


def waits_for(event: threading.Event) -> Callable[[], None]:
    """Return a thread function that waits until the event is set."""

    def wait() -> None:
        event.wait()

    return wait


def dies() -> None:
    """Raise an unexpected exception."""
    raise LookupError("with a secret in it")


def test_a_thread_that_died_is_restarted(end: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the exception, and the next check restarts the thread."""
    runs = iter([dies, waits_for(end)])

    def run() -> None:
        next(runs)()

    one = started(run)
    eventually(lambda: one.dead)
    watch = Supervision([one], EVERY_S)
    watch.check()
    assert one.alive
    assert not one.dead
    assert watch.deaths == 1
    assert watch.silent_s.keys() == {"nas-state"}
    assert "LookupError: with a secret in it" in caplog.text


def test_the_death_of_a_thread_is_reported_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The checks are half a minute apart, so a thread that died would be missing for as long."""
    caplog.set_level(logging.CRITICAL)
    die, reported = threading.Event(), threading.Event()

    def run() -> None:
        die.wait()
        dies()

    one = started(run)
    Supervision([one], EVERY_S).on_death(reported.set)
    die.set()
    assert reported.wait(30)
    assert one.dead


def test_a_thread_that_keeps_dying_stops_the_service_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    """After several deaths within minutes, a restart is unlikely to help; the reason contains no secret."""
    caplog.set_level(logging.CRITICAL)
    one = started(dies)
    watch = Supervision([one], EVERY_S)
    for _ in range(MAX_DEATHS - 1):
        eventually(lambda: one.dead)
        watch.check()
    eventually(lambda: one.dead)
    assert watch.check() == "nas-state keeps dying of LookupError"


def test_old_deaths_are_forgotten(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A thread that dies rarely is restarted each time."""
    monkeypatch.setattr(supervision, "DEATHS_WITHIN_S", -1.0)
    one = started(dies)
    watch = Supervision([one], EVERY_S)
    for _ in range(MAX_DEATHS + 2):
        eventually(lambda: one.dead)
        watch.check()
    assert watch.deaths > MAX_DEATHS


def test_a_thread_without_heartbeat_stops_the_service(end: threading.Event) -> None:
    """A hung thread cannot be stopped from outside."""
    one = started(waits_for(end), max_silence_s=-1.0)
    assert Supervision([one], EVERY_S).check() == "nas-state hangs: no heartbeat for 0 s"


def test_a_suspended_process_gets_time_to_resume(end: threading.Event) -> None:
    """After a suspension all heartbeats are old, including that of the supervising thread."""
    one = started(waits_for(end), max_silence_s=-1.0)
    assert Supervision([one], every_s=-1.0).check() == ""
    assert one.alive


def test_a_thread_that_exits_after_a_stop_is_not_dead() -> None:
    """A requested stop does not count as a death."""
    one = started(lambda: None)
    one.join(30)
    assert not one.alive
    assert not one.dead
    assert one.fault is None

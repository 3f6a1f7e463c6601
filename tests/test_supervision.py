"""Threads that say that they live: what becomes of those that die, and of those that hang."""

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
    """What threads wait for that do not die."""
    event = threading.Event()
    yield event
    event.set()


def started(run: Callable[[], None], max_silence_s: float = 60.0) -> SupervisedThread:
    """Return a thread that has been started."""
    one = SupervisedThread("nas-state", run, max_silence_s=max_silence_s)
    one.start()
    return one


def waits_for(event: threading.Event) -> Callable[[], None]:
    """Return what lives until the end."""

    def wait() -> None:
        event.wait()

    return wait


def dies() -> None:
    """Raise something that nobody expects."""
    raise LookupError("with a secret in it")


def test_a_thread_that_died_is_started_again(end: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """The log has what it died of, and the next look starts it anew."""
    lives = iter([dies, waits_for(end)])

    def run() -> None:
        next(lives)()

    one = started(run)
    eventually(lambda: one.dead)
    watch = Supervision([one], EVERY_S)
    watch.check()
    assert one.alive
    assert not one.dead
    assert watch.deaths == 1
    assert watch.silent_s.keys() == {"nas-state"}
    assert "LookupError: with a secret in it" in caplog.text


def test_a_thread_that_keeps_dying_ends_the_service_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    """After some deaths within minutes nobody believes any more that a start mends it; the reason holds no secret."""
    caplog.set_level(logging.CRITICAL)
    one = started(dies)
    watch = Supervision([one], EVERY_S)
    for _ in range(MAX_DEATHS - 1):
        eventually(lambda: one.dead)
        watch.check()
    eventually(lambda: one.dead)
    assert watch.check() == "nas-state keeps dying of LookupError"


def test_deaths_long_ago_are_forgiven(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A thread that dies rarely is restarted each time."""
    monkeypatch.setattr(supervision, "DEATHS_WITHIN_S", -1.0)
    one = started(dies)
    watch = Supervision([one], EVERY_S)
    for _ in range(MAX_DEATHS + 2):
        eventually(lambda: one.dead)
        watch.check()
    assert watch.deaths > MAX_DEATHS


def test_a_thread_that_is_silent_for_too_long_ends_the_service(end: threading.Event) -> None:
    """A thread that hangs cannot be ended from outside."""
    one = started(waits_for(end), max_silence_s=-1.0)
    assert Supervision([one], EVERY_S).check() == "nas-state hangs: no heartbeat for 0 s"


def test_a_process_that_was_stopped_is_given_time_to_wake(end: threading.Event) -> None:
    """After a suspension all have been silent, the one that looks as well."""
    one = started(waits_for(end), max_silence_s=-1.0)
    assert Supervision([one], every_s=-1.0).check() == ""
    assert one.alive


def test_a_thread_that_ends_as_it_was_told_is_not_dead() -> None:
    """A stop is no death."""
    one = started(lambda: None)
    one.join(30)
    assert not one.alive
    assert not one.dead
    assert one.fault is None

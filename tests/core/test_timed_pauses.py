"""Timed pauses: which ones are due, and when they are retried. The rules have their own tests."""

from stbridge.core import observations as seen
from stbridge.core.timed_pauses import RETRY, Paused, TimedPauses
from tests.core.world import BETA, DOCS, Watched, after, configured, folder

PAUSED_DOCS, PAUSED_BETA = Paused("folder", "docs"), Paused("device", BETA)


def test_due_pauses_are_taken_at_their_time() -> None:
    """The instance wakes up for the earliest end and takes all due pauses."""
    pauses = TimedPauses()
    assert pauses.next_try is None
    pauses.set(PAUSED_DOCS, after(60))
    pauses.set(PAUSED_BETA, after(30))
    assert pauses.next_try == after(30)
    assert pauses.take_due(after(29)) == []
    assert pauses.take_due(after(30)) == [PAUSED_BETA]
    pauses.set(PAUSED_BETA, None)
    assert pauses.next_try == after(60)
    assert pauses.take_due(after(61)) == [PAUSED_DOCS]


def test_a_failed_resume_is_retried() -> None:
    """Syncthing may be unreachable at that moment. The published end stays the same until the resume succeeds."""
    pauses = TimedPauses()
    pauses.set(PAUSED_DOCS, after(60))
    assert pauses.take_due(after(70)) == [PAUSED_DOCS]
    assert pauses.take_due(after(70)) == []
    assert pauses.until("folder", "docs") == after(60)
    assert pauses.next_try == after(70) + RETRY
    assert pauses.take_due(after(70) + RETRY) == [PAUSED_DOCS]
    pauses.set(PAUSED_DOCS, None)
    assert pauses.next_try is None
    assert pauses.until("folder", "docs") is None
    assert pauses.take_due(after(1000)) == []


def test_a_pause_may_be_prolonged() -> None:
    """A new end replaces the previous one, even while that one is being retried."""
    pauses = TimedPauses()
    pauses.set(PAUSED_DOCS, after(60))
    pauses.take_due(after(60))
    pauses.set(PAUSED_DOCS, after(200))
    assert (pauses.next_try, pauses.until("folder", "docs")) == (after(200), after(200))


def test_a_folder_and_a_device_with_the_same_id_are_separate() -> None:
    """A pause is identified by kind and ID."""
    pauses = TimedPauses()
    pauses.set(Paused("folder", BETA), after(60))
    assert pauses.until("device", BETA) is None
    pauses.set(PAUSED_BETA, None)
    assert pauses.until("folder", BETA) == after(60)


def test_current_pauses_override_restored_ones() -> None:
    """A retained payload that arrives late does not shorten a prolonged pause, or restore one that is over."""
    memory = seen.Restored(payloads={DOCS: {"resume_at": "2024-05-01T12:01:00Z"}})
    paused = configured([folder("docs", paused=True), folder("art")])
    one = Watched()
    one.see(paused, seen.PauseTimed(paused=PAUSED_DOCS, until=after(600)), memory)
    assert one.state.timed_pauses.next_try == after(600)
    resumed = Watched()
    resumed.see(memory, configured())
    assert (resumed.state.timed_pauses.next_try, resumed.shown(DOCS)["resume_at"]) == (None, None)


def test_a_pause_that_ended_while_the_bridge_was_stopped_is_due_at_once() -> None:
    """The end passed while the bridge was stopped."""
    one = Watched()
    memory = seen.Restored(payloads={DOCS: {"resume_at": "2024-05-01T12:00:00Z"}})
    one.see(memory, configured([folder("docs", paused=True)]), at=after(3600))
    assert one.state.timed_pauses.take_due(after(3600)) == [PAUSED_DOCS]

"""Pauses that end by themselves: what is due, and when it is tried again. The rules have their own tests."""

from stbridge.core import observations as seen
from stbridge.core.timed_pauses import RETRY, Paused, TimedPauses
from tests.core.world import BETA, DOCS, Watched, after, configured, folder

PAUSED_DOCS, PAUSED_BETA = Paused("folder", "docs"), Paused("device", BETA)


def test_what_is_due_is_taken_when_its_time_has_come() -> None:
    """The instance wakes up for the earliest, and takes all whose time it is."""
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


def test_what_could_not_be_resumed_is_tried_again() -> None:
    """Syncthing may be away just then; until it has been resumed, the time at which it was to be stays the same."""
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
    """Another end takes the place of the one before, also while that is tried."""
    pauses = TimedPauses()
    pauses.set(PAUSED_DOCS, after(60))
    pauses.take_due(after(60))
    pauses.set(PAUSED_DOCS, after(200))
    assert (pauses.next_try, pauses.until("folder", "docs")) == (after(200), after(200))


def test_a_folder_and_a_device_of_the_same_name_are_two_things() -> None:
    """What is paused is named by its kind, too."""
    pauses = TimedPauses()
    pauses.set(Paused("folder", BETA), after(60))
    assert pauses.until("device", BETA) is None
    pauses.set(PAUSED_BETA, None)
    assert pauses.until("folder", BETA) == after(60)


def test_what_is_known_now_counts_more_than_what_had_been_published() -> None:
    """A pause that was prolonged since is not cut short when the broker tells of it late; nor is one that is over."""
    memory = seen.Restored(payloads={DOCS: {"resume_at": "2024-05-01T12:01:00Z"}})
    paused = configured([folder("docs", paused=True), folder("art")])
    one = Watched()
    one.see(paused, seen.PauseTimed(paused=PAUSED_DOCS, until=after(600)), memory)
    assert one.state.timed_pauses.next_try == after(600)
    resumed = Watched()
    resumed.see(memory, configured())
    assert (resumed.state.timed_pauses.next_try, resumed.shown(DOCS)["resume_at"]) == (None, None)


def test_an_end_that_was_missed_is_made_up_for() -> None:
    """The bridge was away when the pause was to end: it is due at once."""
    one = Watched()
    memory = seen.Restored(payloads={DOCS: {"resume_at": "2024-05-01T12:00:00Z"}})
    one.see(memory, configured([folder("docs", paused=True)]), at=after(3600))
    assert one.state.timed_pauses.take_due(after(3600)) == [PAUSED_DOCS]

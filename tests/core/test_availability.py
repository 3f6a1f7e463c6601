"""The state machine of an instance's availability, and what a State derives from it."""

from itertools import product

import pytest

from stbridge.core.availability import Availability, Signal
from stbridge.core.state import State

C, S, L, D, U = (
    Availability.CONNECTING,
    Availability.SYNCING,
    Availability.LIVE,
    Availability.DEGRADED,
    Availability.UNREACHABLE,
)

SIGNALS = (Signal.READ_STARTED, Signal.READ_COMPLETED, Signal.RESUMED, Signal.SUSPECTED, Signal.FAILED)

AFTER = {
    C: (S, C, C, C, U),
    S: (S, L, S, S, U),
    L: (D, L, L, D, U),
    D: (D, L, L, D, U),
    U: (S, U, L, U, U),
}
"""The availability after each of the signals, in their order."""


def test_the_table_of_the_test_is_complete() -> None:
    """The table lists every availability and every signal."""
    assert set(AFTER) == set(Availability)
    assert set(SIGNALS) == set(Signal)


@pytest.mark.parametrize(("before", "signal"), list(product(Availability, Signal)))
def test_each_signal_has_one_result(before: Availability, signal: Signal) -> None:
    """A signal without a transition does not change the availability."""
    assert before.after(signal) is AFTER[before][SIGNALS.index(signal)]


@pytest.mark.parametrize(
    ("availability", "online", "tried"),
    [(C, False, False), (S, False, False), (L, True, True), (D, True, True), (U, False, True)],
)
def test_a_degraded_instance_is_online_and_a_failed_attempt_counts_as_tried(
    availability: Availability, online: bool, tried: bool
) -> None:
    """A degraded instance is still published as online. A failed attempt counts as an attempt."""
    assert (availability.online, availability.tried) == (online, tried)


@pytest.mark.parametrize(
    ("availability", "restored", "may_publish", "complete"),
    [
        *((one, False, False, False) for one in Availability),
        (C, True, False, False),
        (S, True, False, False),
        (L, True, True, True),
        (D, True, False, True),
        (U, True, False, True),
    ],
)
def test_topics_are_published_only_while_the_instance_is_live_and_restored(
    availability: Availability, restored: bool, may_publish: bool, complete: bool
) -> None:
    """Topics are published only while the instance is live, and never before the previous run is restored."""
    state = State()
    state.availability, state.restored = availability, {} if restored else None
    assert state.online is availability.online
    assert (state.may_publish, state.first_publication_complete) == (may_publish, complete)

"""How long is waited before something is tried again."""

from stbridge.backoff import LEAST_S, Backoff


def test_waits_double_with_jitter_up_to_a_limit() -> None:
    """Many bridges do not come back all at once, and none waits for ever."""
    backoff = Backoff(1.0, 8.0)
    waits = [backoff.next() for _ in range(100)]
    for wait, longest in zip(waits, [1, 2, 4, 8, 8, 8], strict=False):
        assert longest / 2 <= wait <= longest
    assert max(waits) <= 8
    assert len(set(waits)) > 90


def test_after_a_success_waits_are_short_again() -> None:
    """What went wrong before a success does not count."""
    backoff = Backoff(1.0, 8.0)
    assert backoff.fresh
    for _ in range(10):
        backoff.next()
    assert not backoff.fresh
    backoff.reset()
    assert backoff.fresh
    assert backoff.next() <= 1


def test_a_try_that_was_a_long_wait_itself_counts() -> None:
    """Who does not answer is tried again soon after that was noticed, by many bridges not all at once."""
    backoff = Backoff(8.0, 8.0)
    assert all(3 <= backoff.next(1.0) <= 7 for _ in range(100))
    waits = [backoff.next(60.0) for _ in range(100)]
    assert 0 < min(waits) < max(waits) <= LEAST_S
    assert len(set(waits)) > 90

"""Backoff: how long the program waits before it retries."""

from stbridge.backoff import LEAST_S, Backoff


def test_waits_double_with_jitter_up_to_a_limit() -> None:
    """Jitter prevents many bridges from reconnecting at the same time, and the limit bounds the wait."""
    backoff = Backoff(1.0, 8.0)
    waits = [backoff.next() for _ in range(100)]
    for wait, longest in zip(waits, [1, 2, 4, 8, 8, 8], strict=False):
        assert longest / 2 <= wait <= longest
    assert max(waits) <= 8
    assert len(set(waits)) > 90


def test_after_a_success_waits_are_short_again() -> None:
    """Failures before a success do not count."""
    backoff = Backoff(1.0, 8.0)
    assert backoff.fresh
    for _ in range(10):
        backoff.next()
    assert not backoff.fresh
    backoff.reset()
    assert backoff.fresh
    assert backoff.next() <= 1


def test_the_duration_of_an_attempt_counts_as_waiting() -> None:
    """A server that times out is retried soon after the timeout, with jitter, so that bridges do not retry together."""
    backoff = Backoff(8.0, 8.0)
    assert all(3 <= backoff.next(1.0) <= 7 for _ in range(100))
    waits = [backoff.next(60.0) for _ in range(100)]
    assert 0 < min(waits) < max(waits) <= LEAST_S
    assert len(set(waits)) > 90

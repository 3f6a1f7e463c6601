"""The token bucket: a burst at once, then one token per interval."""

import pytest

from stbridge.core.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, *, tries: int = 100) -> int:
    """Return how many of the tries were granted."""
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_is_granted_at_once() -> None:
    """A new bucket is full."""
    assert taken(TokenBucket(burst=3, every_s=10), now=1000) == 3


@pytest.mark.parametrize(("after_s", "more"), [(0, 0), (9.9, 0), (10, 1), (25, 2), (30, 3), (1_000_000, 3)])
def test_tokens_come_back_with_time(after_s: float, more: int) -> None:
    """One per interval, and never more than the burst."""
    bucket = TokenBucket(burst=3, every_s=10)
    taken(bucket, now=1000)
    assert taken(bucket, now=1000 + after_s) == more


@pytest.mark.parametrize(("taken_before", "after_s", "left_s"), [(2, 0, 0), (3, 0, 10), (3, 4, 6), (3, 10, 0)])
def test_the_waiting_time_is_known(taken_before: int, after_s: float, left_s: float) -> None:
    """A caller can wait exactly as long as necessary."""
    bucket = TokenBucket(burst=3, every_s=10)
    taken(bucket, now=1000, tries=taken_before)
    assert bucket.available_in(1000 + after_s) == pytest.approx(left_s)


def test_the_rate_does_not_depend_on_the_number_of_tries() -> None:
    """Fractions of a token are kept between two calls."""
    bucket = TokenBucket(burst=2, every_s=10)
    assert sum(bucket.take(1000 + tick / 10) for tick in range(1000)) == 2 + 9


def test_an_interval_of_zero_is_no_limit() -> None:
    """Most commands have no rate limit."""
    assert taken(TokenBucket(burst=1, every_s=0), now=1000) == 100

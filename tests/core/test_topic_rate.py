"""The rate limit of each topic."""

import pytest

from stbridge.core.topic_rate import BURST, TopicRateLimiter
from stbridge.core.topics import Address

DOCS, PHOTOS = Address("folder", folder="docs"), Address("folder", folder="photos")


def spent(limiter: TopicRateLimiter, now: float) -> TopicRateLimiter:
    """Take all tokens of one topic."""
    while not limiter.is_limited(DOCS, now):
        limiter.take(DOCS, now)
    return limiter


def passed(limiter: TopicRateLimiter, *, since: float, seconds: float, steps: int) -> int:
    """Change a topic in even steps, and return how often it was sent."""
    count = 0
    for step in range(steps):
        now = since + seconds * step / steps
        limiter.due(now)
        if not limiter.is_limited(DOCS, now):
            limiter.take(DOCS, now)
            count += 1
    return count


def test_a_burst_is_not_limited() -> None:
    """One change often causes several updates."""
    assert passed(TopicRateLimiter(2), since=1000, seconds=0.1, steps=100) == BURST


@pytest.mark.parametrize("updates_per_second", [0.5, 2, 10])
def test_a_topic_that_keeps_changing_is_sent_at_the_limit(updates_per_second: float) -> None:
    """After the burst, the number of updates per second does not depend on the number of changes."""
    sent = passed(TopicRateLimiter(updates_per_second), since=1000, seconds=60, steps=6000)
    assert sent == pytest.approx(BURST + 60 * updates_per_second, abs=1)


def test_zero_is_no_limit() -> None:
    """Every change is sent, and nothing waits."""
    limiter = TopicRateLimiter(0)
    assert passed(limiter, since=1000, seconds=1, steps=500) == 500
    assert limiter.next is None


def test_topics_do_not_share_tokens() -> None:
    """A folder that keeps changing does not delay another."""
    assert not spent(TopicRateLimiter(2), 1000).is_limited(PHOTOS, 1000)


def test_a_limited_topic_is_released_once_when_it_has_a_token() -> None:
    """The time of the release is known in advance."""
    limiter = spent(TopicRateLimiter(2), 1000)
    assert limiter.is_limited(DOCS, 1000.1)
    assert limiter.next == pytest.approx(1000.5)
    assert limiter.due(1000.4) == []
    assert limiter.due(1000.5) == [DOCS]
    assert limiter.due(1000.5) == []
    assert limiter.next is None
    assert not limiter.is_limited(DOCS, 1000.5)


def test_release_empties_the_queue() -> None:
    """The last values are published when the bridge stops."""
    limiter = spent(TopicRateLimiter(2), 1000)
    assert limiter.release() == [DOCS]
    assert limiter.next is None


def test_a_bucket_fills_up_again() -> None:
    """After a pause a topic may send a whole burst."""
    limiter = spent(TopicRateLimiter(2), 1000)
    assert passed(limiter, since=1100, seconds=0.1, steps=100) == BURST

"""Messages that wait: the oldest go when there are too many of them, or when they are too large together."""

from stbridge.core.messages import Message
from stbridge.mqtt.backlog import Backlog


def message(size: int, correlation: bytes | None = None) -> Message:
    """Return a message of so many bytes, and one of its topic."""
    return Message(topic="t", payload=b"x" * size, correlation=correlation)


def filled(most: int, most_bytes: int, *sizes: int) -> Backlog:
    """Return a backlog that has got messages of these sizes, numbered from 0 on."""
    backlog = Backlog(most, most_bytes)
    for number, size in enumerate(sizes):
        backlog.put(number, message(size))
    return backlog


def test_what_fits_stays() -> None:
    """Both limits are such as may be reached."""
    backlog = filled(3, 33, 10, 10, 10)
    assert backlog.drop_surplus() == []
    assert backlog.numbers() == [0, 1, 2]


def test_of_too_many_the_oldest_are_dropped() -> None:
    """What is new matters more."""
    backlog = filled(2, 1000, 10, 10, 10, 10)
    assert backlog.drop_surplus() == [0, 1]
    assert backlog.numbers() == [2, 3]


def test_of_what_is_too_large_together_the_oldest_are_dropped() -> None:
    """As few as must be."""
    backlog = filled(100, 50, 10, 10, 10, 30)
    assert backlog.drop_surplus() == [0, 1]
    assert len(backlog) == 2


def test_a_single_one_may_be_larger_than_all_may_be_together() -> None:
    """The newest is never dropped: whether a broker takes it is another question."""
    backlog = filled(100, 50, 10, 1000)
    assert backlog.drop_surplus() == [0]
    assert len(backlog.take_oldest().payload) == 1000


def test_what_was_taken_does_not_count_any_more() -> None:
    """Otherwise it would fill up with time; correlation data counts, too."""
    backlog = Backlog(100, 50)
    for number in range(1000):
        backlog.put(number, message(9, correlation=b"c" * 30))
        assert backlog.take(number).correlation == b"c" * 30
    backlog.put(1, message(9, correlation=b"c" * 30))
    backlog.put(0, message(9, correlation=b"c" * 30), oldest=True)
    assert backlog.numbers() == [0, 1]
    assert backlog.drop_surplus() == [0]

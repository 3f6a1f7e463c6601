"""The inbox: it takes everything in order, whoever brings too much waits, and others give way to its owner."""

import threading
from collections.abc import Callable
from queue import Empty

import pytest

from stbridge.inbox import Inbox
from tests.servers import PATIENCE_S, eventually


def bringing(inbox: Inbox[int], count: int) -> Callable[[], list[int]]:
    """Bring so many items from another thread; returns what tells which have been brought so far."""
    brought: list[int] = []

    def bring() -> None:
        for number in range(count):
            inbox.bring(number)
            brought.append(number)

    threading.Thread(target=bring, daemon=True).start()
    return lambda: list(brought)


def test_what_was_put_in_first_is_taken_first() -> None:
    """An inbox is a queue."""
    inbox: Inbox[str] = Inbox(10)
    inbox.put("a")
    inbox.bring("b")
    assert (inbox.take(), inbox.empty, inbox.take(60), inbox.empty) == ("a", False, "b", True)
    with pytest.raises(Empty):
        inbox.take()
    with pytest.raises(Empty):
        inbox.take(0.001)


def test_whoever_brings_too_much_waits_until_there_is_room() -> None:
    """The inbox does not grow, nothing is lost, and the order stays."""
    inbox: Inbox[int] = Inbox(3)
    brought = bringing(inbox, 1000)
    eventually(lambda: len(brought()) == 3)
    assert [inbox.take(PATIENCE_S) for _ in range(1000)] == list(range(1000))
    assert inbox.empty


def test_what_is_put_never_waits() -> None:
    """The owner itself puts things in, and nobody else would make room for it."""
    inbox: Inbox[int] = Inbox(1)
    for number in range(3):
        inbox.put(number)
    assert [inbox.take() for _ in range(3)] == [0, 1, 2]


def test_the_end_holds_up_nobody() -> None:
    """Whoever waits for room when the bridge stops goes on."""
    inbox: Inbox[int] = Inbox(1)
    brought = bringing(inbox, 10)
    eventually(lambda: len(brought()) == 1)
    inbox.close()
    eventually(lambda: len(brought()) == 10)


def test_whoever_gives_way_waits_until_the_owner_is_done() -> None:
    """To have taken something is not to be done with it, and who has more in the inbox is not done either."""
    inbox: Inbox[str] = Inbox(10)
    inbox.put("a")
    assert not inbox.give_way(0)
    inbox.take()
    assert not inbox.give_way(0)
    inbox.done()
    assert inbox.give_way(60)
    inbox.put("b")
    inbox.done()
    assert not inbox.give_way(0)

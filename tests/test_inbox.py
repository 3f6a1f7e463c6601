"""The inbox: it takes everything in order, and whoever brings too much waits."""

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


def test_whoever_brings_too_much_waits_until_there_is_room() -> None:
    """The inbox does not grow, nothing is lost, and the order stays."""
    inbox: Inbox[int] = Inbox(3)
    brought = bringing(inbox, 1000)
    eventually(lambda: len(brought()) == 3)
    assert [inbox.get(PATIENCE_S) for _ in range(1000)] == list(range(1000))
    assert inbox.empty()


def test_what_is_put_never_waits() -> None:
    """The reader itself puts things in, and nobody else would make room for it."""
    inbox: Inbox[int] = Inbox(1)
    for number in range(3):
        inbox.put(number)
    assert [inbox.get_nowait() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        inbox.get_nowait()


def test_the_end_holds_up_nobody() -> None:
    """Whoever waits for room when the bridge stops goes on."""
    inbox: Inbox[int] = Inbox(1)
    brought = bringing(inbox, 10)
    eventually(lambda: len(brought()) == 1)
    inbox.close()
    eventually(lambda: len(brought()) == 10)

"""The inbox, and how others give way to its owner."""

from queue import Empty

import pytest

from stbridge.inbox import Inbox


def test_what_was_put_in_first_is_taken_first() -> None:
    """An inbox is a queue."""
    inbox: Inbox[str] = Inbox()
    inbox.put("a")
    inbox.put("b")
    assert (inbox.take(), inbox.empty, inbox.take(60), inbox.empty) == ("a", False, "b", True)
    with pytest.raises(Empty):
        inbox.take()
    with pytest.raises(Empty):
        inbox.take(0.001)


def test_whoever_gives_way_waits_until_the_owner_is_done() -> None:
    """To have taken something is not to be done with it, and who has more in the inbox is not done either."""
    inbox: Inbox[str] = Inbox()
    inbox.put("a")
    assert not inbox.give_way(0)
    inbox.take()
    assert not inbox.give_way(0)
    inbox.done()
    assert inbox.give_way(60)
    inbox.put("b")
    inbox.done()
    assert not inbox.give_way(0)

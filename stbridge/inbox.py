"""What comes in from several threads to the one that owns a State."""

import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue whose users can give way to its owner.

    Python runs one thread at a time. Whoever goes on working after it has put something in may keep the owner from it
    for up to 5 ms (`sys.getswitchinterval`), several times as long as everything takes that follows from an event.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._done = threading.Event()

    def put(self, item: Item) -> None:
        """Put something in; any thread."""
        self._done.clear()
        self._items.put(item)

    def give_way(self, longest_s: float) -> bool:
        """Wait until the owner is done with what was put in; any other thread.

        Args:
            longest_s: the longest wait; the owner may have much to do.

        Returns:
            whether it is done.
        """
        return self._done.wait(longest_s)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return self._items.empty()

    # --- what the owner does

    def take(self, timeout_s: float = 0.0) -> Item:
        """Take what was put in first.

        Args:
            timeout_s: how long to wait for something.

        Raises:
            queue.Empty: there is nothing.
        """
        return self._items.get(timeout=timeout_s) if timeout_s else self._items.get_nowait()

    def done(self) -> None:
        """Tell that everything that follows from what was taken is done."""
        if self._items.empty():
            self._done.set()

"""The inbox of one Syncthing's thread: what was seen waits in it, and whoever brings too much waits, too."""

import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")

LOOK_S = 1.0


class Inbox(Generic[Item]):
    """A queue that does not grow without end, for one reader.

    Args:
        most: how many items may wait before those who can wait have to.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._room = threading.Condition()
        self._wanted = False
        self._closed = False

    def put(self, item: Item) -> None:
        """Add an item at once; for what is bounded elsewhere, and for the reader itself, which must not wait here."""
        self._items.put(item)

    def bring(self, item: Item) -> None:
        """Add an item when there is room for it: a Syncthing that is read more slowly keeps its events meanwhile."""
        if self._is_full():
            self._wait_for_room()
        self._items.put(item)

    def get(self, timeout_s: float) -> Item:
        """Take the oldest item; wait for it if there is none.

        Raises:
            queue.Empty: none came in time.
        """
        item = self._items.get(timeout=timeout_s)
        if self._wanted and not self._is_full():
            self._tell_of_room()
        return item

    def get_nowait(self) -> Item:
        """Take the oldest item.

        Raises:
            queue.Empty: there is none.
        """
        return self.get(0)

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return self._items.empty()

    def close(self) -> None:
        """Hold up nobody any more."""
        self._closed = True
        self._tell_of_room()

    def _is_full(self) -> bool:
        return self._items.qsize() >= self._most and not self._closed

    def _wait_for_room(self) -> None:
        with self._room:
            while self._is_full():
                self._wanted = True
                self._room.wait(LOOK_S)  # the reader looks at `_wanted` without the lock, and may just have missed it

    def _tell_of_room(self) -> None:
        with self._room:
            self._wanted = False
            self._room.notify_all()

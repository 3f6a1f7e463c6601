"""The inbox of the one thread that owns a State: others wait when it is full, and can give way to its owner."""

import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")

LOOK_S = 1.0


class Inbox(Generic[Item]):
    """A queue that does not grow without end, for one owner.

    Python runs one thread at a time. Whoever goes on working after it has put something in may keep the owner from it
    for up to 5 ms (`sys.getswitchinterval`), several times as long as everything takes that follows from an event.

    Args:
        most: how many items may wait before those who can wait have to.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._done = threading.Event()
        self._lock = threading.Lock()  # or `done` may find it empty just before something is put in, and say so after
        self._room = threading.Condition()
        self._wanted = False
        self._closed = False

    def put(self, item: Item) -> None:
        """Put something in at once; for what is bounded elsewhere, and for the owner itself, which must not wait."""
        with self._lock:
            self._done.clear()
            self._items.put(item)

    def bring(self, item: Item) -> None:
        """Put something in when there is room: a Syncthing that is read more slowly keeps its events meanwhile."""
        if self._is_full():
            self._wait_for_room()
        self.put(item)

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

    def _is_full(self) -> bool:
        return self._items.qsize() >= self._most and not self._closed

    def _wait_for_room(self) -> None:
        with self._room:
            while self._is_full():
                self._wanted = True
                self._room.wait(LOOK_S)  # the owner looks at `_wanted` without the lock, and may just have missed it

    # --- what the owner does

    def take(self, timeout_s: float = 0.0) -> Item:
        """Take what was put in first.

        Args:
            timeout_s: how long to wait for something.

        Raises:
            queue.Empty: there is nothing.
        """
        item = self._items.get(timeout=timeout_s) if timeout_s else self._items.get_nowait()
        if self._wanted and not self._is_full():
            self._tell_of_room()
        return item

    def done(self) -> None:
        """Tell that everything that follows from what was taken is done."""
        with self._lock:
            if self._items.empty():
                self._done.set()

    def close(self) -> None:
        """Hold up nobody any more."""
        self._closed = True
        self._tell_of_room()

    def _tell_of_room(self) -> None:
        with self._room:
            self._wanted = False
            self._room.notify_all()

"""Messages that wait to be sent, and no more of them than memory is meant for."""

from collections import OrderedDict

from stbridge.core.messages import Message


class Backlog:
    """Messages by number, the oldest first.

    Args:
        most: how many there may be.
        most_bytes: how large they may be altogether; a single one may always be.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        # An OrderedDict, because taking the first key of a plain dict again and again is quadratic.
        self._messages: OrderedDict[int, Message] = OrderedDict()

    def __len__(self) -> int:
        return len(self._messages)

    def numbers(self) -> list[int]:
        """Return the numbers, the oldest first."""
        return list(self._messages)

    def put(self, number: int, message: Message, *, oldest: bool = False) -> None:
        """Add a message as the newest, or as the oldest."""
        self._messages[number] = message
        self._bytes += _size(message)
        if oldest:
            self._messages.move_to_end(number, last=False)

    def take(self, number: int) -> Message:
        """Take a message out."""
        message = self._messages.pop(number)
        self._bytes -= _size(message)
        return message

    def take_oldest(self) -> Message:
        """Take the oldest message out."""
        return self.take(next(iter(self._messages)))

    def drop_surplus(self) -> list[int]:
        """Drop the oldest messages until the rest is no more than there may be, and return their numbers."""
        dropped: list[int] = []
        while len(self) > self._most or (self._bytes > self._most_bytes and len(self) > 1):
            dropped.append(next(iter(self._messages)))
            self.take(dropped[-1])
        return dropped


def _size(message: Message) -> int:
    return len(message.topic) + len(message.payload) + len(message.correlation or b"")

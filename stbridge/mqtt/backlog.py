"""A bounded queue of replies or events that wait to be sent."""

from collections import OrderedDict

from stbridge.core.messages import Message


class Backlog:
    """Messages by number, the oldest first, with a maximum count and size; the newest one may exceed the size.

    Args:
        most: maximum number of messages.
        most_bytes: maximum total size in bytes, except for the newest message.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._messages: OrderedDict[int, Message] = OrderedDict()

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, number: int) -> Message:
        return self._messages[number]

    @property
    def oldest(self) -> int:
        """The number of the oldest message."""
        return next(iter(self._messages))

    def numbers(self) -> list[int]:
        """Return the numbers of all messages, the oldest first."""
        return list(self._messages)

    def put(self, number: int, message: Message, *, oldest: bool = False) -> None:
        """Add a message as the newest, or as the oldest."""
        self._messages[number] = message
        self._bytes += size_of(message)
        if oldest:
            self._messages.move_to_end(number, last=False)

    def take(self, number: int) -> Message:
        """Remove and return a message."""
        message = self._messages.pop(number)
        self._bytes -= size_of(message)
        return message

    def drop_surplus(self) -> list[int]:
        """Drop the oldest messages until the rest is within the limits, and return their numbers."""
        dropped: list[int] = []
        while len(self) > self._most or (self._bytes > self._most_bytes and len(self) > 1):
            dropped.append(self.oldest)
            self.take(dropped[-1])
        return dropped


def size_of(message: Message) -> int:
    """Return the approximate number of bytes of a message on the wire."""
    return len(message.topic) + len(message.payload) + len(message.correlation or b"")

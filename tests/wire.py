"""A session without a network for tests of the outbox: it records what is sent, and answers when a test makes it."""

from collections.abc import Callable

from stbridge.core.messages import Message
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.reasons import Reason


class Wire:
    """A session without a network.

    Args:
        outbox: the outbox that it sends from.
        meanwhile: runs while a message is being sent, as if in another thread.
    """

    def __init__(self, outbox: Outbox, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.largest_packet: int | None = None
        self.bytes_queued = 0
        self.to_acknowledge = 0
        self.log: list[Message | str] = []
        """The messages, and `acknowledgement` for each acknowledgement of a command."""
        self.in_flight: dict[int, Message] = {}
        """The unanswered messages, by packet identifier."""
        self._outbox = outbox
        self._meanwhile = meanwhile
        self._last_id = 0

    def publish(self, message: Message) -> int:
        """Send a message."""
        self._last_id += 1
        self.log.append(message)
        self.in_flight[self._last_id] = message
        self._meanwhile()
        return self._last_id

    def send_acknowledgements(self, most: int) -> None:
        """Acknowledge commands."""
        self.log += ["acknowledgement"] * most
        self.to_acknowledge -= most

    def send(self) -> list[Message]:
        """Send from the outbox, and return the new messages."""
        before = len(self.log)
        self._outbox.send(self)
        return [one for one in self.log[before:] if isinstance(one, Message)]

    def answer(self, refusal: str | None = None) -> Message:
        """Answer the oldest message that is in flight."""
        packet_id = next(iter(self.in_flight))
        message = self.in_flight.pop(packet_id)
        self._outbox.answered(packet_id, Reason(0x87, refusal, is_failure=True) if refusal else None)
        return message

    def drain(self) -> list[Message]:
        """Send and acknowledge everything that is due, as a broker does that accepts every message, and return it."""
        drained = []
        while self.send() or self.in_flight:
            while self.in_flight:
                drained.append(self.answer())
        return drained


def drain(outbox: Outbox) -> list[Message]:
    """Send and acknowledge everything that is due, and return it."""
    return Wire(outbox).drain()

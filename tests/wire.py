"""The other side of an outbox, where a test needs no broker: records what is sent, and answers when told to."""

from collections.abc import Callable

from stbridge.core.messages import Message
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.reasons import Reason


class Wire:
    """A session without a network.

    Args:
        outbox: what it sends.
        meanwhile: what other threads do while a message is being sent.
    """

    def __init__(self, outbox: Outbox, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.largest_packet: int | None = None
        self.bytes_queued = 0
        self.to_acknowledge = 0
        self.log: list[Message | str] = []
        """Messages, and `acknowledgement` for each acknowledgement of a command."""
        self.in_flight: dict[int, Message] = {}
        """What has not been answered, by packet identifier."""
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
        """Let the outbox send, and return the new messages."""
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
        """Take everything that is due, as a broker does that accepts it all, and return it."""
        drained = []
        while self.send() or self.in_flight:
            while self.in_flight:
                drained.append(self.answer())
        return drained


def drain(outbox: Outbox) -> list[Message]:
    """Return everything that is due, and acknowledge it."""
    return Wire(outbox).drain()

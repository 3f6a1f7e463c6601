"""What goes to the broker, in which order."""

from collections.abc import Callable
from typing import Any, cast

from stbridge.core.messages import Message
from stbridge.mqtt.link import Link
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.sender import Sender

REPLY = Message(topic="syncthing/nas/response/scan", payload=b"{}")


class Wire:
    """Takes down what a link is told to send; `meanwhile` is what other threads do while it publishes."""

    largest_packet = None

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.sent: list[Any] = []
        self.to_acknowledge = 0
        self._meanwhile = meanwhile

    def publish(self, message: Message) -> int:
        self.sent.append(message)
        self._meanwhile()
        return len(self.sent)

    def send_acknowledgements(self, most: int) -> None:
        self.sent += ["acknowledgement"] * most
        self.to_acknowledge -= most


def send(outbox: Outbox, wire: Wire) -> None:
    """Send what is due."""
    Sender(outbox).send(cast("Link", wire))


def test_a_reply_goes_before_the_acknowledgement_of_its_command() -> None:
    """A bridge that is killed in between has answered, or gets the command again."""
    outbox, wire = Outbox(), Wire()
    outbox.connected()
    outbox.put(REPLY, urgent=True)
    wire.to_acknowledge = 1
    send(outbox, wire)
    assert wire.sent == [REPLY, "acknowledgement"]


def test_an_acknowledgement_waits_for_a_reply_that_cannot_go_yet() -> None:
    """While the broker is slow, the reply waits in the outbox, which would die with the bridge."""
    outbox, wire = Outbox(), Wire()
    outbox.connected(window=1)
    outbox.put(REPLY, urgent=True)
    outbox.put(REPLY, urgent=True)
    wire.to_acknowledge = 2
    send(outbox, wire)
    assert wire.sent == [REPLY]


def test_what_is_acknowledged_while_others_are_sent_is_left_for_the_next_time() -> None:
    """Its reply may have come after the last look at the outbox."""
    outbox = Outbox()
    wire = Wire(meanwhile=lambda: setattr(wire, "to_acknowledge", wire.to_acknowledge + 1))
    outbox.connected()
    outbox.put(REPLY, urgent=True)
    send(outbox, wire)
    assert wire.sent == [REPLY]
    send(outbox, wire)
    assert wire.sent == [REPLY, "acknowledgement"]

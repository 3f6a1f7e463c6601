"""Moves messages from the outbox to the broker, and answers back."""

import logging

from stbridge.mqtt.link import Link
from stbridge.mqtt.outbox import Lane, Outbox, Taken
from stbridge.mqtt.packets import unsendable

_LEVELS = 3  # of a topic, that make it one of a kind in the log
MOST_KINDS = 100

_log = logging.getLogger(__name__)


class Sender:
    """Sends what the outbox gives, and tells it what became of it.

    Args:
        outbox: what the broker is to have.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._in_flight: dict[int, Taken] = {}  # by packet identifier
        self._said: set[str] = set()

    def send(self, link: Link) -> None:
        """Send as much as may be in flight, and then acknowledge commands.

        A reply goes before the acknowledgement of its command: a bridge that is killed in between has either answered
        it, or is given it again.

        Args:
            link: the connection.
        """
        acknowledged = link.to_acknowledge  # their replies are in the outbox by now
        while batch := self._outbox.take():
            for taken in batch:
                if fault := unsendable(taken.message, link.largest_packet):
                    self._outbox.discard(taken.token)
                    self._say(taken, f"cannot be sent: {fault}")
                else:
                    self._in_flight[link.publish(taken.message)] = taken
        if not self._outbox.replies_wait:
            link.send_acknowledgements(acknowledged)

    def answered(self, packet_id: int, refusal: str | None) -> None:
        """Pass on what the broker says to a message.

        Args:
            packet_id: its packet identifier.
            refusal: why the broker refuses it; None if it does not.
        """
        taken = self._in_flight.pop(packet_id)
        if refusal is None:
            self._outbox.sent(taken.token)
        else:
            self._outbox.failed(taken.token)
            self._say(taken, f"is refused by the broker ({refusal.lower()}): check the broker's access list")

    def lost(self) -> None:
        """Give back what is in flight: the connection is gone."""
        self._in_flight.clear()
        self._outbox.disconnected()

    def _say(self, taken: Taken, what: str) -> None:
        """Log once for each kind of topic, or a thousand folders would fill the log."""
        # A reply may be wanted anywhere: the topics that commands name are no kinds of ours.
        kind = "" if taken.lane is Lane.REPLY else "/".join(taken.message.topic.split("/")[:_LEVELS])
        if kind not in self._said and len(self._said) < MOST_KINDS:
            self._said.add(kind)
            _log.error("a message on %.300r %s", taken.message.topic, what)

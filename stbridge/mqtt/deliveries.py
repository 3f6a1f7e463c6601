"""What the broker delivers again, because it has missed the acknowledgement of the first time."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

MOST = 1000
"""How many deliveries are remembered; a broker has far fewer of them under way."""

Acknowledge = Callable[[], None]


@dataclass(slots=True)
class _Delivery:
    """A message that was delivered; `acknowledge` is the way that works by now."""

    content: bytes
    acknowledge: Acknowledge
    done: bool = False


class Deliveries:
    """Tells a message that comes again from one that only looks the same; outlives connections, as the session does.

    A connection that breaks may take acknowledgements with it. The broker then delivers these messages again, with the
    same packet identifiers, although they have been taken in: as if their senders had sent them twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Delivery] = OrderedDict()

    def forget(self) -> None:
        """Note that the broker knows no session: packet identifiers mean other messages from now on."""
        with self._lock:
            self._known.clear()

    def take(self, packet_id: int, content: bytes, *, again: bool, acknowledge: Acknowledge) -> Acknowledge | None:
        """Note a delivery.

        Args:
            packet_id: its packet identifier.
            content: all that makes it this message.
            again: whether the broker says that it has tried to deliver it before.
            acknowledge: acknowledges it on the connection that it came by.

        Returns:
            what acknowledges it, whatever the connection is then; None if it has been taken in before.
        """
        digest = hashlib.sha256(content).digest()
        with self._lock:
            known = self._known.get(packet_id)
            if not (again and known and known.content == digest):
                delivery = self._known[packet_id] = _Delivery(digest, acknowledge)
                self._known.move_to_end(packet_id)
                if len(self._known) > MOST:
                    self._known.popitem(last=False)
                return partial(self._acknowledge, delivery)
            known.acknowledge = acknowledge
            done = known.done
        if done:
            acknowledge()
        return None

    def _acknowledge(self, delivery: _Delivery) -> None:
        with self._lock:
            delivery.done = True
            acknowledge = delivery.acknowledge
        acknowledge()

"""De-duplicates QoS 1 redeliveries: the broker delivers a message again if its acknowledgement got lost."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

MOST = 1000
"""How many deliveries are remembered; a broker has far fewer of them in flight."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """A message that was delivered.

    Attributes:
        packet_id: its packet identifier.
        digest: of its content.
        connection: the number of the connection that delivered it last.
        done: whether it has been acknowledged by the code that handled it.
    """

    packet_id: int
    digest: bytes
    connection: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that has not been handled by this process.

    Attributes:
        acknowledge: acknowledges it, on the connection there is by then; any thread, later calls do nothing.
        again: whether the previous run of the bridge may have handled it.
    """

    acknowledge: Callable[[], None]
    again: bool


class RedeliveryFilter:
    """Passes each message once; it outlives connections, as the MQTT session does.

    A connection that breaks may take acknowledgements with it. The broker then delivers these messages again, with the
    same packet identifiers, although they have been handled. Without this filter a command would run twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Delivery] = OrderedDict()
        self._inherited = True  # until the broker reports a new session, or has redelivered everything old
        # The way to acknowledge belongs to the connection and not to the delivery: a command that runs for hours would
        # otherwise keep its dead connection in memory, with all of paho's buffers.
        self._connection = 0
        self._send: Callable[[int], None] | None = None

    def connected(self, send: Callable[[int], None], *, session_present: bool) -> None:
        """Note a new connection.

        Args:
            send: acknowledges a packet identifier on it.
            session_present: whether the broker has kept the session; if not, packet identifiers start again.
        """
        with self._lock:
            self._connection += 1
            self._send = send
            if not session_present:
                self._known.clear()
                self._inherited = False

    def disconnected(self) -> None:
        """Note that the connection is gone: nothing can be acknowledged until there is another one."""
        with self._lock:
            self._send = None

    def take(self, packet_id: int, content: bytes, *, again: bool) -> NewMessage | None:
        """Note a delivery.

        Args:
            packet_id: its packet identifier.
            content: all that makes it this message.
            again: the DUP flag: the broker has tried to deliver it before.

        Returns:
            the message if it has to be handled; None if it has been, or is being handled.
        """
        digest = hashlib.sha256(content).digest()
        with self._lock:
            self._inherited = self._inherited and again  # redeliveries come before all new messages
            known = self._known.get(packet_id)
            if not (again and known and known.digest == digest):
                delivery = self._known[packet_id] = _Delivery(packet_id, digest, self._connection)
                self._known.move_to_end(packet_id)
                if len(self._known) > MOST:
                    self._known.popitem(last=False)
                return NewMessage(partial(self._acknowledge, delivery), again=self._inherited)
            known.connection = self._connection
            send = self._send if known.done else None
        if send:
            send(packet_id)
        return None

    def _acknowledge(self, delivery: _Delivery) -> None:
        with self._lock:
            if delivery.done:  # the broker may have given its packet identifier to another message by now
                return
            delivery.done = True
            # On a later connection the broker delivers it again first, and it is acknowledged then.
            send = self._send if delivery.connection == self._connection else None
        if send:
            send(delivery.packet_id)

"""De-duplicates QoS 1 redeliveries: the broker delivers a message again if the acknowledgement was lost."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

MOST = 1000
"""Maximum number of remembered deliveries; a broker has far fewer in flight."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """A message that was delivered.

    Attributes:
        packet_id: its packet identifier.
        digest: a hash of its content.
        connection: the number of the connection that delivered it last.
        done: whether the code that handled it has acknowledged it.
    """

    packet_id: int
    digest: bytes
    connection: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that this process has not handled yet.

    Attributes:
        acknowledge: acknowledges it on the connection that exists then; thread-safe, later calls do nothing.
        again: whether the previous run of the bridge may have handled it.
    """

    acknowledge: Callable[[], None]
    again: bool


class RedeliveryFilter:
    """Passes each message only once; it persists across connections, like the MQTT session.

    When a connection is lost, acknowledgements may be lost with it. The broker then redelivers these messages with the
    same packet identifiers, although they have been handled. Without this filter, a command would run twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Delivery] = OrderedDict()
        self._inherited = True  # until the broker reports a new session, or has redelivered all old messages
        # The function that acknowledges is stored for the connection and not for each delivery: a command that runs for
        # hours would otherwise keep its closed connection in memory, with all of paho's buffers.
        self._connection = 0
        self._send: Callable[[int], None] | None = None

    def connected(self, send: Callable[[int], None], *, session_present: bool) -> None:
        """Record a new connection.

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
        """Record that the connection is lost: nothing can be acknowledged before the next connection."""
        with self._lock:
            self._send = None

    def take(self, packet_id: int, content: bytes, *, again: bool) -> NewMessage | None:
        """Record a delivery.

        Args:
            packet_id: its packet identifier.
            content: everything that distinguishes it from other messages.
            again: the DUP flag: the broker has tried to deliver the message before.

        Returns:
            the message if it has to be handled; None if it has been handled or is being handled.
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
            if delivery.done:  # the broker may have reused its packet identifier for another message
                return
            delivery.done = True
            # On a later connection, the broker first delivers it again, and it is acknowledged then.
            send = self._send if delivery.connection == self._connection else None
        if send:
            send(delivery.packet_id)

"""De-duplication of QoS 1 redeliveries."""

import gc
import weakref

from stbridge.mqtt.redelivery import MOST, NewMessage, RedeliveryFilter

SCAN = b"scan"


class Connection:
    """Records the packet identifiers that were acknowledged on it."""

    def __init__(self, name: str, log: list[tuple[str, int]]) -> None:
        self._name = name
        self._log = log

    def acknowledge(self, packet_id: int) -> None:
        self._log.append((self._name, packet_id))


class Broker:
    """Delivers messages over consecutive connections."""

    def __init__(self) -> None:
        self.filter = RedeliveryFilter()
        self.acknowledged: list[tuple[str, int]] = []
        self.connection: Connection
        self.reconnect("first")

    def reconnect(self, name: str, *, session_present: bool = True) -> None:
        """Replace the connection."""
        self.filter.disconnected()
        self.connection = Connection(name, self.acknowledged)
        self.filter.connected(self.connection.acknowledge, session_present=session_present)

    def deliver(self, packet_id: int, content: bytes = SCAN, *, again: bool = False) -> NewMessage | None:
        """Deliver a message."""
        return self.filter.take(packet_id, content, again=again)

    def deliver_new(self, packet_id: int, *, again: bool = False) -> NewMessage:
        """Deliver a message that must count as new."""
        taken = self.deliver(packet_id, again=again)
        assert taken is not None
        return taken


def test_a_redelivery_after_a_lost_acknowledgement_is_acknowledged_again() -> None:
    """The message has been handled, so nothing else must be done."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    broker.reconnect("second")
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == [("first", 7), ("second", 7)]


def test_a_running_command_is_acknowledged_on_the_current_connection() -> None:
    """The connection that delivered it is closed."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.reconnect("second")
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == []
    taken.acknowledge()
    taken.acknowledge()
    assert broker.acknowledged == [("second", 7)]


def test_a_command_that_finishes_while_disconnected_is_acknowledged_on_redelivery() -> None:
    """The new connection does not know the packet identifier before that, and the old connection is closed."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.reconnect("second")
    taken.acknowledge()
    assert broker.acknowledged == []
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == [("second", 7)]


def test_a_running_command_does_not_keep_its_dead_connection_in_memory() -> None:
    """A command may run for hours, with many connections in the meantime."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.deliver_new(8).acknowledge()
    dead = weakref.ref(broker.connection)
    broker.reconnect("second")
    gc.collect()
    assert dead() is None
    taken.acknowledge()


def test_a_reused_packet_identifier_is_a_new_message() -> None:
    """The broker marks it as a first delivery, although the content is the same."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    assert broker.deliver(7) is not None


def test_a_redelivery_with_other_content_is_a_new_message() -> None:
    """Its first delivery never arrived."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    assert broker.deliver(7, b"pause", again=True) is not None
    assert broker.deliver(8, again=True) is not None


def test_another_session_starts_without_deliveries() -> None:
    """A broker that was restarted without persistence starts its packet identifiers at 1."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    broker.reconnect("second", session_present=False)
    assert broker.deliver(7, again=True) is not None


def test_the_number_of_remembered_deliveries_is_bounded() -> None:
    """The oldest are removed first."""
    broker = Broker()
    for packet_id in range(MOST + 1):
        broker.deliver_new(packet_id)
    assert broker.deliver(0, again=True) is not None
    assert broker.deliver(MOST, again=True) is None


def test_the_first_redeliveries_may_have_been_handled_by_the_previous_run() -> None:
    """The broker sends them before new messages; a later redelivery had been lost on its way."""
    broker = Broker()
    assert [broker.deliver_new(packet_id, again=True).again for packet_id in (7, 8)] == [True, True]
    assert not broker.deliver_new(9).again
    assert not broker.deliver_new(10, again=True).again


def test_a_new_session_has_no_previous_run() -> None:
    """No message was delivered in it before."""
    broker = Broker()
    broker.reconnect("second", session_present=False)
    assert not broker.deliver_new(7, again=True).again

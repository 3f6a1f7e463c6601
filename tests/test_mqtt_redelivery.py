"""What the broker delivers again is taken in once."""

import gc
import weakref

from stbridge.mqtt.redelivery import MOST, NewMessage, RedeliveryFilter

SCAN = b"scan"


class Connection:
    """Records which packet identifiers were acknowledged on it."""

    def __init__(self, name: str, log: list[tuple[str, int]]) -> None:
        self._name = name
        self._log = log

    def acknowledge(self, packet_id: int) -> None:
        self._log.append((self._name, packet_id))


class Broker:
    """Delivers messages over one connection after the other."""

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
        """Deliver a message that must be taken for a new one."""
        taken = self.deliver(packet_id, again=again)
        assert taken is not None
        return taken


def test_what_was_acknowledged_in_vain_is_acknowledged_again() -> None:
    """It has been taken in, and there is nothing else to do."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    broker.reconnect("second")
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == [("first", 7), ("second", 7)]


def test_what_is_under_way_is_acknowledged_by_the_connection_that_there_is_then() -> None:
    """The one that it came by first is gone."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.reconnect("second")
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == []
    taken.acknowledge()
    taken.acknowledge()
    assert broker.acknowledged == [("second", 7)]


def test_what_is_done_between_two_connections_is_acknowledged_when_it_comes_again() -> None:
    """The new connection does not know the packet identifier before, and the old one is gone."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.reconnect("second")
    taken.acknowledge()
    assert broker.acknowledged == []
    assert broker.deliver(7, again=True) is None
    assert broker.acknowledged == [("second", 7)]


def test_a_command_under_way_does_not_keep_its_dead_connection_in_memory() -> None:
    """It may run for hours, and there may be many connections meanwhile."""
    broker = Broker()
    taken = broker.deliver_new(7)
    broker.deliver_new(8).acknowledge()
    dead = weakref.ref(broker.connection)
    broker.reconnect("second")
    gc.collect()
    assert dead() is None
    taken.acknowledge()


def test_a_packet_identifier_that_is_used_again_is_another_message() -> None:
    """The broker says that it comes for the first time, though it looks the same."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    assert broker.deliver(7) is not None


def test_another_message_that_comes_again_is_taken_in() -> None:
    """Its first delivery never arrived."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    assert broker.deliver(7, b"pause", again=True) is not None
    assert broker.deliver(8, again=True) is not None


def test_nothing_is_known_of_another_session() -> None:
    """A broker that was restarted empty uses its packet identifiers from the first on."""
    broker = Broker()
    broker.deliver_new(7).acknowledge()
    broker.reconnect("second", session_present=False)
    assert broker.deliver(7, again=True) is not None


def test_deliveries_are_remembered_up_to_a_bound() -> None:
    """The oldest are forgotten first."""
    broker = Broker()
    for packet_id in range(MOST + 1):
        broker.deliver_new(packet_id)
    assert broker.deliver(0, again=True) is not None
    assert broker.deliver(MOST, again=True) is None


def test_what_comes_again_at_first_may_have_been_taken_in_by_an_earlier_life() -> None:
    """The broker delivers all of that before anything new; what comes again later had been lost on its way."""
    broker = Broker()
    assert [broker.deliver_new(packet_id, again=True).again for packet_id in (7, 8)] == [True, True]
    assert not broker.deliver_new(9).again
    assert not broker.deliver_new(10, again=True).again


def test_a_session_that_begins_has_had_no_earlier_life() -> None:
    """Nothing was delivered in it before."""
    broker = Broker()
    broker.reconnect("second", session_present=False)
    assert not broker.deliver_new(7, again=True).again

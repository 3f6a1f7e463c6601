"""What the broker delivers again is taken in once."""

from stbridge.mqtt.deliveries import MOST, Acknowledge, Deliveries

SCAN = b"scan"


class Broker:
    """Takes down which connection's acknowledgements of which packets came."""

    def __init__(self) -> None:
        self.deliveries = Deliveries()
        self.acknowledged: list[tuple[str, int]] = []

    def deliver(
        self, packet_id: int, content: bytes = SCAN, *, again: bool = False, by: str = "first"
    ) -> Acknowledge | None:
        """Deliver a message."""

        def acknowledge() -> None:
            self.acknowledged.append((by, packet_id))

        return self.deliveries.take(packet_id, content, again=again, acknowledge=acknowledge)

    def deliver_new(self, packet_id: int, content: bytes = SCAN) -> Acknowledge:
        """Deliver a message that must be taken for a new one."""
        acknowledge = self.deliver(packet_id, content)
        assert acknowledge is not None
        return acknowledge


def test_what_was_acknowledged_in_vain_is_acknowledged_again() -> None:
    """It has been taken in, and there is nothing else to do."""
    broker = Broker()
    broker.deliver_new(7)()
    assert broker.deliver(7, again=True, by="second") is None
    assert broker.acknowledged == [("first", 7), ("second", 7)]


def test_what_is_under_way_is_acknowledged_by_the_connection_that_there_is_then() -> None:
    """The one that it came by first is gone."""
    broker = Broker()
    acknowledge = broker.deliver_new(7)
    assert broker.deliver(7, again=True, by="second") is None
    assert broker.acknowledged == []
    acknowledge()
    assert broker.acknowledged == [("second", 7)]


def test_a_packet_identifier_that_is_used_again_is_another_message() -> None:
    """The broker says that it comes for the first time, though it looks the same."""
    broker = Broker()
    broker.deliver_new(7)()
    assert broker.deliver(7) is not None


def test_another_message_that_comes_again_is_taken_in() -> None:
    """Its first delivery never arrived."""
    broker = Broker()
    broker.deliver_new(7)()
    assert broker.deliver(7, b"pause", again=True) is not None
    assert broker.deliver(8, again=True) is not None


def test_nothing_is_known_of_another_session() -> None:
    """A broker that was restarted empty uses its packet identifiers from the first on."""
    broker = Broker()
    broker.deliver_new(7)()
    broker.deliveries.forget()
    assert broker.deliver(7, again=True) is not None


def test_deliveries_are_remembered_up_to_a_bound() -> None:
    """The oldest are forgotten first."""
    broker = Broker()
    for packet_id in range(MOST + 1):
        broker.deliver_new(packet_id)
    assert broker.deliver(0, again=True) is not None
    assert broker.deliver(MOST, again=True) is None

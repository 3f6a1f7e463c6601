"""The outbox: last-value cache and send queue."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stbridge.core.messages import Message
from stbridge.mqtt.outbox import LONGEST_OVERTAKING_S, WINDOW_BYTES, Outbox
from tests.wire import Wire, drain


def state(topic: str, payload: bytes = b"{}", expiry_s: int | None = None) -> Message:
    """Return a retained message."""
    return Message(topic=topic, payload=payload, retain=True, expiry_s=expiry_s)


def event(name: str) -> Message:
    """Return a message that is not retained."""
    return Message(topic=f"event/{name}", payload=b"{}")


def connected(events_limit: int = 100, window: int = 20) -> Outbox:
    """Return an outbox that is connected."""
    outbox = Outbox(events_limit)
    outbox.connected(window)
    return outbox


def take(outbox: Outbox) -> list[Message]:
    """Return the messages that are sent now, without acknowledging them."""
    return Wire(outbox).send()


def topics(messages: list[Message]) -> list[str]:
    """Return the topics of messages."""
    return [one.topic for one in messages]


def test_nothing_is_sent_before_there_is_a_connection() -> None:
    """Without a connection all messages stay queued."""
    outbox = Outbox()
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    assert take(outbox) == []
    assert outbox.counters().queued == 2


def test_an_unchanged_value_is_not_sent_again() -> None:
    """A state is sent only if it differs from the last value sent to the broker."""
    outbox = connected()
    outbox.put_state(state("a", b"1"))
    drain(outbox)
    outbox.put_state(state("a", b"1"))
    assert take(outbox) == []
    outbox.put_state(state("a", b"2"))
    assert [message.payload for message in drain(outbox)] == [b"2"]


def test_an_unchanged_value_with_an_expiry_is_sent_again() -> None:
    """The broker would otherwise delete the state when it expires."""
    outbox = connected()
    for _ in range(2):
        outbox.put_state(state("health", b"1", expiry_s=60))
        assert topics(take(outbox)) == ["health"]


def test_only_the_last_value_of_a_topic_is_queued() -> None:
    """A state that changes while it is queued keeps its position, and is sent once with its newest value."""
    outbox = connected()
    outbox.put_state(state("a", b"1"))
    outbox.put_state(state("b", b"1"))
    outbox.put_state(state("a", b"2"))
    assert [(one.topic, one.payload) for one in take(outbox)] == [("a", b"2"), ("b", b"1")]


def test_no_more_than_the_window_is_in_flight() -> None:
    """A sent message stays in flight until the broker has acknowledged it."""
    outbox = connected(window=2)
    wire = Wire(outbox)
    for topic in "abc":
        outbox.put_state(state(topic))
    assert topics(wire.send()) == ["a", "b"]
    assert wire.send() == []
    wire.answer()
    assert topics(wire.send()) == ["c"]


def test_large_messages_are_not_in_flight_together() -> None:
    """The window is also bounded in bytes; one message may exceed it, and small messages fill it."""
    outbox = connected()
    wire = Wire(outbox)
    for topic in "abc":
        outbox.put_state(state(topic, b"x" * WINDOW_BYTES))
    outbox.put_state(state("d"))
    outbox.put_state(state("e"))
    for topic in "abc":
        assert topics(wire.send()) == [topic]
        wire.answer()
    assert topics(wire.send()) == ["d", "e"]


def test_a_reply_is_sent_before_states_and_an_event_after_earlier_states() -> None:
    """Replies are urgent; an event refers to states that the broker must receive first."""
    outbox = connected()
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    outbox.put_state(state("b"))
    outbox.put(Message(topic="response/scan", payload=b"{}"), urgent=True)
    assert topics(take(outbox)) == ["response/scan", "a", "event/x", "b"]


def test_after_a_connect_states_are_sent_then_availability_then_events() -> None:
    """The broker may have lost its messages, and `online` must not be sent before all other topics."""
    outbox = Outbox()
    outbox.put_state(state("bridge/state", b"online"), last=True)
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    outbox.put_state(state("b"))
    for _ in range(2):
        outbox.connected()
        assert topics(take(outbox)) == ["a", "b", "bridge/state", "event/x"]


def test_discovery_is_sent_before_the_topics_that_it_describes() -> None:
    """A new discovery message is the first one after the next connect, until it is cleared."""
    outbox = connected()
    outbox.put_state(state("a"))
    outbox.put_state(state("discovery"), first=True)
    outbox.connected()
    assert topics(take(outbox)) == ["discovery", "a"]
    outbox.put_state(state("discovery", b""), first=True)
    drain(outbox)
    outbox.put_state(state("discovery"))
    outbox.connected()
    assert topics(take(outbox)) == ["a", "discovery"]


def test_a_new_availability_goes_to_the_end_of_the_queue() -> None:
    """If `online` is put in again while queued, messages queued in between are sent before it."""
    outbox = connected()
    outbox.put_state(state("nas/state", b"offline"), last=True)
    outbox.put_state(state("a"))
    outbox.put_state(state("nas/state", b"online"), last=True)
    assert topics(take(outbox)) == ["a", "nas/state"]


def test_availability_is_sent_after_states_that_changed_meanwhile() -> None:
    """On a slow line, `online` would otherwise arrive before changes that happened while all topics were sent."""
    outbox = connected(window=1)
    wire = Wire(outbox)
    outbox.put_state(state("a", b"1"))
    outbox.put_state(state("bridge/state", b"online"), last=True)
    wire.send()
    outbox.put_state(state("a", b"2"))
    outbox.put(event("x"))
    assert [message.payload for message in wire.drain()] == [b"1", b"2", b"online", b"{}"]


def test_availability_is_not_delayed_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """If changes are faster than the line, availability still follows the states that were queued before it."""
    now = [1000.0]
    monkeypatch.setattr("stbridge.mqtt.outbox.time.monotonic", lambda: now[0])
    outbox = connected(window=1)
    wire = Wire(outbox)
    for topic in "abc":
        outbox.put_state(state(topic, b"old"))
    outbox.put_state(state("bridge/state", b"online"), last=True)
    sent = []
    for number in range(10):
        sent += wire.send()
        wire.answer()
        outbox.put_state(state(f"new/{number}"))
        now[0] += LONGEST_OVERTAKING_S / 2
    assert topics(sent)[:3] == ["a", "b", "c"]
    assert topics(sent)[3:].index("bridge/state") == 2


def test_unacknowledged_messages_are_sent_again_after_a_lost_connection() -> None:
    """Delivery is at least once, also for events and replies, and in the previous order."""
    outbox = connected()
    wire = Wire(outbox)
    outbox.put(event("x"))
    outbox.put(Message(topic="response/scan", payload=b"{}"), urgent=True)
    wire.send()
    outbox.disconnected()
    outbox.put(event("y"))
    outbox.put(Message(topic="response/pause", payload=b"{}"), urgent=True)
    wire.answer()  # too late
    outbox.connected()
    assert topics(take(outbox)) == ["response/scan", "response/pause", "event/x", "event/y"]


def test_a_failure_while_sending_keeps_the_order() -> None:
    """The messages before and after the failed one are sent again in their order."""
    outbox = connected()
    for name in "abc":
        outbox.put(event(name))
    failures = iter([None, RuntimeError("broken")])

    def meanwhile() -> None:
        if failure := next(failures):
            raise failure

    with pytest.raises(RuntimeError, match="broken"):
        Wire(outbox, meanwhile).send()
    outbox.disconnected()
    outbox.connected()
    assert topics(take(outbox)) == ["event/a", "event/b", "event/c"]


def test_above_the_limit_the_oldest_events_are_dropped_and_counted() -> None:
    """Memory is bounded, however long the broker is unavailable."""
    outbox = Outbox(events_limit=2)
    for name in "abc":
        outbox.put(event(name))
        outbox.put(Message(topic=f"response/{name}", payload=b""), urgent=True)
    outbox.connected()
    assert topics(take(outbox)) == ["response/b", "response/c", "event/b", "event/c"]
    assert outbox.counters().dropped == 2


def test_a_cleared_topic_is_remembered_until_the_broker_acknowledges() -> None:
    """A lost clearing is repeated at the next connect, and then forgotten."""
    outbox = connected()
    outbox.put_state(state("a", b""))
    assert topics(take(outbox)) == ["a"]
    outbox.disconnected()
    outbox.connected()
    assert [message.topic for message in drain(outbox)] == ["a"]
    outbox.disconnected()
    outbox.connected()
    assert take(outbox) == []
    assert outbox.topics() == set()


def test_topics_are_cleared_in_the_order_of_the_calls_also_after_a_reconnect() -> None:
    """The next run finds the completions of a removed device by its topic, which is therefore cleared last."""
    outbox = connected()
    for topic in ("device", "completion/a", "completion/b"):
        outbox.put_state(state(topic))
    drain(outbox)
    outbox.disconnected()
    for topic in ("completion/a", "completion/b", "device"):
        outbox.put_state(state(topic, b""))
    outbox.connected()
    assert [message.topic for message in drain(outbox)] == ["completion/a", "completion/b", "device"]


def test_a_refused_state_waits_for_the_next_connect() -> None:
    """A state that the broker's ACL forbids is not retried immediately."""
    outbox = connected()
    wire = Wire(outbox)
    outbox.put_state(state("a"))
    wire.send()
    wire.answer("Not authorized")
    assert take(outbox) == []
    assert outbox.counters().failed == 1
    outbox.connected()
    assert topics(take(outbox)) == ["a"]


def test_a_message_that_cannot_be_sent_is_dropped() -> None:
    """A topic that MQTT does not allow is dropped permanently."""
    outbox = connected()
    outbox.put_state(state("a/#"))
    assert take(outbox) == []
    outbox.connected()
    assert take(outbox) == []
    assert outbox.counters().dropped == 1


def test_resend_queues_every_topic() -> None:
    """The republish command sends every topic, availability last; events are not sent twice."""
    outbox = connected()
    outbox.put_state(state("bridge/state", b"online"), last=True)
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    drain(outbox)
    outbox.resend()
    assert [message.topic for message in drain(outbox)] == ["a", "bridge/state"]


def test_a_topic_that_the_broker_has_replaced_is_sent_again() -> None:
    """While it is in flight, the message is marked as a correction; later messages on its topic are not."""
    outbox = connected()
    outbox.put_state(state("bridge/state", b"online"), last=True)
    drain(outbox)
    outbox.correct("bridge/state")
    outbox.correct("never heard of")
    assert topics(take(outbox)) == ["bridge/state"]
    assert outbox.oldest_in_flight is not None
    assert outbox.oldest_in_flight.correction
    outbox.disconnected()
    outbox.connected()
    assert topics(take(outbox)) == ["bridge/state"]
    assert not outbox.oldest_in_flight.correction


def test_a_state_that_later_ones_require_is_sent_ahead_until_it_is_acknowledged() -> None:
    """Once the broker has it, the usual order applies: discovery first."""
    outbox = Outbox()
    wire = Wire(outbox)
    outbox.put_state(state("discovery"), first=True)
    outbox.put_prerequisite(state("list"), replaces=False)
    outbox.connected()
    assert topics(wire.send()) == ["discovery", "list"]
    wire.answer()
    wire.answer()
    outbox.put_prerequisite(state("list", b"2"), replaces=False)
    for _ in range(2):
        outbox.disconnected()
        outbox.connected()
        assert topics(take(outbox)) == ["list", "discovery"]
    outbox.disconnected()
    outbox.connected()
    assert topics(drain(outbox)) == ["list", "discovery"]
    outbox.disconnected()
    outbox.connected()
    assert topics(take(outbox)) == ["discovery", "list"]


@pytest.mark.parametrize(("replaces", "sent"), [(True, ["list", "discovery"]), (False, ["discovery", "list"])])
def test_the_first_connection_sends_a_required_state_ahead_only_if_the_broker_has_an_older_one(
    replaces: bool, sent: list[str]
) -> None:
    """Otherwise the next run finds that it is missing."""
    outbox = Outbox()
    outbox.put_state(state("discovery"), first=True)
    outbox.put_prerequisite(state("list"), replaces=replaces)
    outbox.connected()
    assert topics(take(outbox)) == sent


def test_flush_sends_only_what_can_be_sent() -> None:
    """The sender is not called without a connection, while the window is full, or before `flush`."""
    outbox = Outbox()
    wire = Wire(outbox)
    calls: list[int] = []
    outbox.on_work = lambda: calls.append(1)
    outbox.put_state(state("a"))
    outbox.flush()
    assert not calls
    outbox.connected(window=1)
    outbox.put(event("x"))
    outbox.resend()
    assert not calls
    outbox.flush()
    assert len(calls) == 1
    wire.send()
    outbox.flush()
    assert len(calls) == 1


def test_flush_may_send_at_once() -> None:
    """The outbox releases its lock during the call, so that other threads can use it."""
    outbox = connected()
    counted: list[int] = []
    outbox.on_work = lambda: _in_another_thread(lambda: counted.append(outbox.counters().queued))
    outbox.put_state(state("a"))
    outbox.put(event("b"))
    outbox.flush()
    assert counted == [2]


def _in_another_thread(task: Callable[[], None]) -> None:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    thread.join(5)


def test_waiting_until_it_is_empty_includes_what_is_in_flight() -> None:
    """A stop waits for acknowledgements, not only for an empty queue."""
    outbox = connected()
    outbox.put_state(state("a"))
    wire = Wire(outbox)
    wire.send()
    assert not outbox.wait_until_empty(0)
    acknowledging = threading.Thread(target=wire.answer)
    acknowledging.start()
    assert outbox.wait_until_empty(60)
    acknowledging.join()


def test_waiting_ends_when_the_connection_does() -> None:
    """Without a connection no message is sent, so waiting would be useless."""
    outbox = connected()
    outbox.put_state(state("a"))
    losing = threading.Thread(target=outbox.disconnected)
    losing.start()
    assert not outbox.wait_until_empty(60)
    losing.join()


TOPICS = st.sampled_from(["a", "b", "c", "state"])
PAYLOADS = st.sampled_from([b"", b"1", b"2"])


class AnyInterleaving(RuleBasedStateMachine):
    """Any sequence of losses, refusals and restarts of the broker; after the next connect it has every value."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(events_limit=3)
        self.wire = Wire(self.outbox)
        self.online = False
        self.broker: dict[str, bytes] = {}
        self.desired: dict[str, bytes] = {}

    def store(self, message: Message) -> None:
        if message.retain and message.payload:
            self.broker[message.topic] = message.payload
        elif message.retain:
            self.broker.pop(message.topic, None)

    @rule(topic=TOPICS, payload=PAYLOADS)
    def put_state(self, topic: str, payload: bytes) -> None:
        self.desired[topic] = payload
        self.outbox.put_state(state(topic, payload), last=topic == "state")

    @rule(urgent=st.booleans())
    def put(self, urgent: bool) -> None:
        self.outbox.put(event("x"), urgent=urgent)

    @rule()
    def resend(self) -> None:
        self.outbox.resend()

    @rule(window=st.integers(1, 3))
    def connect(self, window: int) -> None:
        self.lose(reached_the_broker=False)
        self.wire = Wire(self.outbox)
        self.outbox.connected(window)
        self.online = True

    @rule(reached_the_broker=st.booleans())
    def lose(self, reached_the_broker: bool) -> None:
        if reached_the_broker and self.online:
            for message in self.wire.in_flight.values():
                self.store(message)
        self.outbox.disconnected()
        self.online = False

    @rule()
    def send(self) -> None:
        self.wire.send()

    @precondition(lambda self: self.online and self.wire.in_flight)
    @rule()
    def acknowledge(self) -> None:
        self.store(self.wire.answer())

    @precondition(lambda self: self.wire.in_flight)
    @rule()
    def refuse_or_answer_too_late(self) -> None:
        self.wire.answer("Not authorized")

    @invariant()
    def counts_are_true_and_bounded(self) -> None:
        counters = self.outbox.counters()
        assert counters.in_flight == (len(self.wire.in_flight) if self.online else 0)
        assert counters.queued <= len(self.desired) + 3 + 3

    def teardown(self) -> None:
        self.connect(3)
        for message in self.wire.drain():
            self.store(message)
        kept = {topic: payload for topic, payload in self.desired.items() if payload}
        assert self.broker == kept
        assert self.outbox.topics() == set(kept)
        assert self.outbox.wait_until_empty(0)


TestWhateverTheInterleavingTheBrokerEndsUpWithWhatIsDesired = AnyInterleaving.TestCase


def test_the_memory_for_an_outage_is_bounded() -> None:
    """Each state keeps its last value, events and replies are limited in number and size; dropped ones are counted."""
    outbox = Outbox(events_limit=10, bytes_limit=100)
    for number in range(1000):
        outbox.put_state(state(f"state/{number % 5}", f"{number}".encode()))
        outbox.put(Message(topic="event", payload=b"x"))
        outbox.put(Message(topic="reply", payload=b"x" * 45), urgent=True)
    assert outbox.counters().queued == 5 + 10 + 2
    assert outbox.counters().dropped == 990 + 998
    outbox.connected()
    sent = drain(outbox)
    assert [message.topic for message in sent[:2]] == ["reply"] * 2
    assert sorted(message.payload for message in sent if message.retain) == [b"995", b"996", b"997", b"998", b"999"]
    assert outbox.counters().queued == 0


def test_the_broker_sets_the_maximum_packet_size() -> None:
    """If the broker sets none, only the limit of MQTT itself applies."""
    outbox = Outbox()
    assert outbox.largest_payload > 100_000_000
    outbox.connected(largest_packet=100_000)
    assert 90_000 < outbox.largest_payload < 100_000
    outbox.connected(largest_packet=10)
    assert outbox.largest_payload == 0


REPLY = Message(topic="syncthing/nas/response/scan", payload=b"{}")


def test_a_reply_is_sent_before_the_acknowledgement_of_its_command() -> None:
    """A bridge that is killed in between has replied, or receives the command again."""
    outbox = connected()
    wire = Wire(outbox)
    outbox.put(REPLY, urgent=True)
    wire.to_acknowledge = 1
    wire.send()
    assert wire.log == [REPLY, "acknowledgement"]


def test_an_acknowledgement_waits_for_a_reply_that_cannot_be_sent_yet() -> None:
    """While the broker is slow, the reply is only in the outbox, and would be lost if the bridge were killed."""
    outbox = connected(window=1)
    wire = Wire(outbox)
    outbox.put(REPLY, urgent=True)
    outbox.put(REPLY, urgent=True)
    wire.to_acknowledge = 2
    wire.send()
    assert wire.log == [REPLY]


def test_a_command_that_finishes_during_a_send_is_acknowledged_next_time() -> None:
    """The reply of the command may have been queued after the outbox was read."""
    outbox = connected()
    wire = Wire(outbox, meanwhile=lambda: setattr(wire, "to_acknowledge", wire.to_acknowledge + 1))
    outbox.put(REPLY, urgent=True)
    wire.send()
    assert wire.log == [REPLY]
    wire.send()
    assert wire.log == [REPLY, "acknowledgement"]


def test_above_the_size_limit_the_oldest_are_dropped_and_one_may_be_larger() -> None:
    """The newest is never dropped, although the broker may refuse it. Correlation data counts, too."""
    outbox = Outbox(bytes_limit=50)
    for number in range(3):
        outbox.put(Message(topic="t", payload=b"%d" % number * 9, correlation=b"c" * 10), urgent=True)
    assert outbox.counters().dropped == 1
    outbox.put(Message(topic="t", payload=b"x" * 1000), urgent=True)
    assert outbox.counters().dropped == 3
    outbox.connected()
    assert [len(message.payload) for message in drain(outbox)] == [1000]
    for _ in range(1000):  # sent messages do not count any more
        outbox.put(Message(topic="t", payload=b"x" * 40), urgent=True)
        drain(outbox)
    assert outbox.counters().dropped == 3

"""The outbox: what the broker is to have, and what is on its way there."""

import threading
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stbridge.core.messages import Message
from stbridge.mqtt.outbox import Outbox, Taken


def state(topic: str, payload: bytes = b"{}", expiry_s: int | None = None) -> Message:
    """Return a retained message."""
    return Message(topic=topic, payload=payload, retain=True, expiry_s=expiry_s)


def event(name: str) -> Message:
    """Return a message that is not retained."""
    return Message(topic=f"event/{name}", payload=b"{}")


def connected(events_limit: int = 100, window: int = 20) -> Outbox:
    """Return an outbox with a connection."""
    outbox = Outbox(events_limit)
    outbox.connected(window)
    return outbox


def topics(taken: list[Taken]) -> list[str]:
    """Return where messages go."""
    return [one.message.topic for one in taken]


def drain(outbox: Outbox) -> list[Message]:
    """Send everything, as a broker does that accepts it all."""
    drained = []
    while taken := outbox.take():
        for one in taken:
            outbox.sent(one.token)
            drained.append(one.message)
    return drained


def test_nothing_is_taken_before_there_is_a_connection() -> None:
    """Without a connection everything waits."""
    outbox = Outbox()
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    assert outbox.take() == []
    assert outbox.counters().queued == 2


def test_the_same_value_again_is_no_work() -> None:
    """A state is sent when it differs from what the broker was told, and not otherwise."""
    outbox = connected()
    outbox.put_state(state("a", b"1"))
    drain(outbox)
    outbox.put_state(state("a", b"1"))
    assert outbox.take() == []
    outbox.put_state(state("a", b"2"))
    assert [message.payload for message in drain(outbox)] == [b"2"]


def test_the_same_value_again_is_sent_if_it_expires() -> None:
    """A state with an expiry is renewed every time, or the broker would forget it."""
    outbox = connected()
    for _ in range(2):
        outbox.put_state(state("health", b"1", expiry_s=60))
        assert topics(outbox.take()) == ["health"]


def test_only_the_last_value_of_a_topic_waits() -> None:
    """A state that changes while it waits keeps its place and goes once, with its newest value."""
    outbox = connected()
    outbox.put_state(state("a", b"1"))
    outbox.put_state(state("b", b"1"))
    outbox.put_state(state("a", b"2"))
    assert [(one.message.topic, one.message.payload) for one in outbox.take()] == [("a", b"2"), ("b", b"1")]


def test_no_more_than_the_window_is_in_flight() -> None:
    """What is taken stays in flight until its token is handed back."""
    outbox = connected(window=2)
    for topic in "abc":
        outbox.put_state(state(topic))
    first = outbox.take()
    assert topics(first) == ["a", "b"]
    assert outbox.take() == []
    outbox.sent(first[0].token)
    assert topics(outbox.take()) == ["c"]


def test_a_reply_goes_before_states_and_an_event_after_the_states_before_it() -> None:
    """Replies are urgent; an event tells of states that the broker has by then."""
    outbox = connected()
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    outbox.put_state(state("b"))
    outbox.put(Message(topic="response/scan", payload=b"{}"), urgent=True)
    assert topics(outbox.take()) == ["response/scan", "a", "event/x", "b"]


def test_after_a_connect_the_whole_tree_goes_availability_last_and_then_the_events() -> None:
    """The broker may have forgotten everything, and `online` must not be said before the rest is true."""
    outbox = Outbox()
    outbox.put_state(state("bridge/state", b"online"), last=True)
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    outbox.put_state(state("b"))
    for _ in range(2):
        outbox.connected()
        assert topics(outbox.take()) == ["a", "b", "bridge/state", "event/x"]


def test_what_tells_what_the_others_are_about_goes_before_them() -> None:
    """A discovery message that is new is the first after the next connect, and no more when it has been cleared."""
    outbox = connected()
    outbox.put_state(state("a"))
    outbox.put_state(state("discovery"), first=True)
    outbox.connected()
    assert topics(outbox.take()) == ["discovery", "a"]
    outbox.put_state(state("discovery", b""), first=True)
    drain(outbox)
    outbox.put_state(state("discovery"))
    outbox.connected()
    assert topics(outbox.take()) == ["a", "discovery"]


def test_a_new_availability_goes_to_the_end_of_the_queue() -> None:
    """`online` that waits already still lets pass what was queued after it, once it is said again."""
    outbox = connected()
    outbox.put_state(state("nas/state", b"offline"), last=True)
    outbox.put_state(state("a"))
    outbox.put_state(state("nas/state", b"online"), last=True)
    assert topics(outbox.take()) == ["a", "nas/state"]


def test_what_was_in_flight_goes_again_after_a_lost_connection() -> None:
    """At least once: events and replies too, and in their old order."""
    outbox = connected()
    outbox.put(event("x"))
    outbox.put(Message(topic="response/scan", payload=b"{}"), urgent=True)
    taken = outbox.take()
    outbox.disconnected()
    outbox.put(event("y"))
    outbox.put(Message(topic="response/pause", payload=b"{}"), urgent=True)
    outbox.sent(taken[0].token)
    outbox.connected()
    assert topics(outbox.take()) == ["response/scan", "response/pause", "event/x", "event/y"]


def test_too_many_events_drop_the_oldest_and_are_counted() -> None:
    """Memory is bounded whatever the time without a broker."""
    outbox = Outbox(events_limit=2)
    for name in "abc":
        outbox.put(event(name))
        outbox.put(Message(topic=f"response/{name}", payload=b""), urgent=True)
    outbox.connected()
    assert topics(outbox.take()) == ["response/b", "response/c", "event/b", "event/c"]
    assert outbox.counters().dropped == 2


def test_a_cleared_topic_is_remembered_until_the_broker_knows() -> None:
    """A clearing that got lost is repeated at the next connect, and no longer than that."""
    outbox = connected()
    outbox.put_state(state("a", b""))
    assert topics(outbox.take()) == ["a"]
    outbox.disconnected()
    outbox.connected()
    assert [message.topic for message in drain(outbox)] == ["a"]
    outbox.disconnected()
    outbox.connected()
    assert outbox.take() == []
    assert outbox.topics() == set()


def test_a_refused_state_waits_for_the_next_connect() -> None:
    """What the broker's access list forbids is not tried again and again."""
    outbox = connected()
    outbox.put_state(state("a"))
    outbox.failed(outbox.take()[0].token)
    assert outbox.take() == []
    assert outbox.counters().failed == 1
    outbox.connected()
    assert topics(outbox.take()) == ["a"]


def test_a_message_that_cannot_be_sent_is_given_up() -> None:
    """A topic that MQTT cannot carry is dropped for good."""
    outbox = connected()
    outbox.put_state(state("a/#"))
    outbox.discard(outbox.take()[0].token)
    outbox.connected()
    assert outbox.take() == []
    assert outbox.counters().dropped == 1


def test_resend_makes_everything_due_or_one_topic() -> None:
    """The republish command sends the whole tree, availability last; events are not sent twice."""
    outbox = connected()
    outbox.put_state(state("bridge/state", b"online"), last=True)
    outbox.put_state(state("a"))
    outbox.put(event("x"))
    drain(outbox)
    outbox.resend()
    assert [message.topic for message in drain(outbox)] == ["a", "bridge/state"]
    outbox.resend("a")
    outbox.resend("never heard of")
    assert [message.topic for message in drain(outbox)] == ["a"]


def test_whoever_sends_is_told_of_work_only_when_it_can_do_it() -> None:
    """The listener is not called without a connection, nor while the window is full."""
    outbox = Outbox()
    calls: list[int] = []
    outbox.on_work = lambda: calls.append(1)
    outbox.put_state(state("a"))
    assert not calls
    outbox.connected(window=1)
    assert len(calls) == 1
    outbox.take()
    outbox.put_state(state("b"))
    assert len(calls) == 1


def test_whoever_is_told_of_work_may_do_it_at_once() -> None:
    """The outbox is not locked while it tells of work: another thread would wait for it in vain."""
    outbox = connected()
    counted: list[int] = []
    outbox.on_work = lambda: _in_another_thread(lambda: counted.append(outbox.counters().queued))
    outbox.put_state(state("a"))
    outbox.put(event("b"))
    assert counted == [1, 2]


def test_what_is_put_in_together_is_told_of_at_first_and_at_the_end() -> None:
    """The first message of a change is waited for, the rest goes at once; nothing is no work."""
    outbox = connected(window=20)
    calls: list[int] = []

    def send() -> None:
        calls.append(outbox.counters().queued)
        outbox.take()

    outbox.on_work = send
    with outbox.together():
        for name in "abc":
            outbox.put_state(state(name))
        assert calls == [1]
    assert calls == [1, 2]
    with outbox.together():
        outbox.put_state(state("a"))  # the same again
    assert calls == [1, 2]


def test_many_messages_that_are_put_in_together_go_while_more_are_put_in() -> None:
    """As soon as there is enough to fill the window, the sender need not wait for the end."""
    outbox = connected(window=3)
    outbox.put(event("under way"))
    assert len(outbox.take()) == 1
    calls: list[int] = []
    outbox.on_work = lambda: calls.append(outbox.counters().queued)
    with outbox.together():
        for name in "abcd":
            outbox.put_state(state(name))
        assert calls == [3, 4]


def test_what_others_put_in_meanwhile_is_told_of_at_once() -> None:
    """A reply does not wait until the state of many folders has been put in."""
    outbox = connected()
    outbox.put(event("under way"))
    assert len(outbox.take()) == 1
    calls: list[int] = []
    outbox.on_work = lambda: calls.append(1)
    with outbox.together():
        _in_another_thread(lambda: outbox.put(event("reply"), urgent=True))
        assert calls == [1]


def _in_another_thread(task: Callable[[], None]) -> None:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    thread.join(5)


def test_waiting_until_it_is_empty_includes_what_is_in_flight() -> None:
    """A stop waits for acknowledgements, not only for an empty queue."""
    outbox = connected()
    outbox.put_state(state("a"))
    token = outbox.take()[0].token
    assert not outbox.wait_until_empty(0)
    acknowledging = threading.Thread(target=outbox.sent, args=(token,))
    acknowledging.start()
    assert outbox.wait_until_empty(60)
    acknowledging.join()


def test_waiting_ends_when_the_connection_does() -> None:
    """Without a connection nothing moves, so nobody waits for it."""
    outbox = connected()
    outbox.put_state(state("a"))
    losing = threading.Thread(target=outbox.disconnected)
    losing.start()
    assert not outbox.wait_until_empty(60)
    losing.join()


TOPICS = st.sampled_from(["a", "b", "c", "state"])
PAYLOADS = st.sampled_from([b"", b"1", b"2"])


class AnyInterleaving(RuleBasedStateMachine):
    """A broker that may lose, refuse and forget, and an outbox that mends it all at the next connect."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(events_limit=3)
        self.online = False
        self.in_flight: list[Taken] = []
        self.stale: list[Taken] = []
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
        self.outbox.connected(window)
        self.online = True

    @rule(reached_the_broker=st.booleans())
    def lose(self, reached_the_broker: bool) -> None:
        if reached_the_broker:
            for one in self.in_flight:
                self.store(one.message)
        self.stale += self.in_flight
        self.in_flight = []
        self.outbox.disconnected()
        self.online = False

    @rule()
    def take(self) -> None:
        self.in_flight += self.outbox.take()

    @precondition(lambda self: self.in_flight)
    @rule()
    def acknowledge(self) -> None:
        one = self.in_flight.pop(0)
        self.store(one.message)
        self.outbox.sent(one.token)

    @precondition(lambda self: self.in_flight)
    @rule()
    def refuse(self) -> None:
        self.outbox.failed(self.in_flight.pop(0).token)

    @precondition(lambda self: self.stale)
    @rule(how=st.sampled_from([Outbox.sent, Outbox.failed, Outbox.discard]))
    def answer_too_late(self, how: Callable[[Outbox, int], None]) -> None:
        how(self.outbox, self.stale.pop().token)

    @invariant()
    def counts_are_true_and_bounded(self) -> None:
        counters = self.outbox.counters()
        assert counters.in_flight == len(self.in_flight)
        assert counters.queued <= len(self.desired) + 3 + 3

    def teardown(self) -> None:
        self.connect(3)
        for message in drain(self.outbox):
            self.store(message)
        kept = {topic: payload for topic, payload in self.desired.items() if payload}
        assert self.broker == kept
        assert self.outbox.topics() == set(kept)
        assert self.outbox.wait_until_empty(0)


TestWhateverTheInterleavingTheBrokerEndsUpWithWhatIsDesired = AnyInterleaving.TestCase


def test_an_outage_of_any_length_costs_the_same_memory() -> None:
    """States wait with their last values, events and replies up to a number and a size; what was dropped is counted."""
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


def test_the_broker_says_how_much_it_takes() -> None:
    """As long as it does not, only MQTT itself sets a limit."""
    outbox = Outbox()
    assert outbox.largest_payload > 100_000_000
    outbox.connected(largest_packet=100_000)
    assert 90_000 < outbox.largest_payload < 100_000
    outbox.connected(largest_packet=10)
    assert outbox.largest_payload == 0

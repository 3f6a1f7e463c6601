"""What of one Syncthing is published, and when."""

from collections.abc import Iterable

from stbridge.core.messages import Message
from stbridge.core.outcome import CONNECTION, STATE
from stbridge.core.pace import Pace
from stbridge.core.payloads import render
from stbridge.core.state import State
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant.announcer import Announcer
from stbridge.mqtt.outbox import Outbox

AT_ONCE = (CONNECTION, STATE)
"""Whether Syncthing can be reached: that is told at once, and also while it is being read."""


class Publisher:
    """Renders what changed, and hands it over to be sent: the last of many changes of a topic, and not too often.

    Args:
        name: the name of the instance.
        topics: builds the topics.
        outbox: where messages go.
        announcer: what Home Assistant is told; None tells it nothing.
        updates_per_second: how often a topic is sent while it keeps changing; 0 is as often as it changes.
    """

    def __init__(
        self, name: str, topics: Topics, outbox: Outbox, announcer: Announcer | None, updates_per_second: float
    ) -> None:
        self._name = name
        self._topics = topics
        self._outbox = outbox
        self._announcer = announcer
        self._changed: dict[Address, None] = {}
        self._pace = Pace(updates_per_second)

    @property
    def next(self) -> float | None:
        """When there is something to be published that has not changed since, by the monotonic clock."""
        return self._pace.next

    def change(self, addresses: Iterable[Address]) -> None:
        """Note what may have changed."""
        self._changed.update(dict.fromkeys(addresses))

    def forget(self) -> None:
        """Forget what may have changed: everything will be looked at again."""
        self._changed.clear()
        self._pace.release()

    def publish(self, state: State, now: float, *, at_end: bool = False) -> None:
        """Hand over what changed; while it is being read, only whether Syncthing can be reached is true.

        What the broker had kept has to be known first, or totals and dates of earlier lives would be overwritten.

        Args:
            state: of the Syncthing.
            now: the time of the monotonic clock.
            at_end: hand over what would have to wait, too.
        """
        # Whoever reads that Syncthing is online believes the rest of the tree.
        everything = at_end or (STATE in self._changed and state.online)
        self.change(self._pace.release() if everything else self._pace.due(now))
        whole = state.complete and not state.reading and state.remembered is not None
        for address in self._take_all(now, everything=everything) if whole else self._take_at_once():
            if self._announcer and whole:
                self._announce(self._announcer.follow(state, address))
            self._hand_over(state, address, now)
        if self._announcer and whole:
            self._announce(self._announcer.clear_leftovers())

    def _take_all(self, now: float, *, everything: bool) -> list[Address]:
        """Return what is to be handed over now; the rest is held back."""
        changed, self._changed = self._changed, {}
        return [one for one in changed if everything or one in AT_ONCE or not self._pace.holds(one, now)]

    def _take_at_once(self) -> list[Address]:
        """Return what is told at once; all the rest, which may be very much, is not looked at."""
        ready = [one for one in AT_ONCE if one in self._changed]
        for address in ready:
            del self._changed[address]
        return ready

    def _announce(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._outbox.put_state(message, first=True)

    def _hand_over(self, state: State, address: Address, now: float) -> None:
        message = Message(
            topic=self._topics.build(self._name, address),
            payload=render(state, address) or b"",
            retain=True,
            json=address != STATE,
        )
        if self._outbox.put_state(message, last=address == STATE) and address not in AT_ONCE:
            self._pace.note(address, now)

"""Whether another client uses our client ID, and how long the broker is left to it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stbridge.backoff import Backoff
from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnavailable, SettingsError, TakenOver
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.link import TURN_S, Link
from stbridge.mqtt.protocol import Protocol, ProtocolChoice
from stbridge.settings import MqttSettings

SHORT_LIFE_S = 5.0
SHORT_LIVES = 3  # connections in a row that live no longer: somebody else may have the client ID
SUSPECT_S = 60.0  # so many that end within this time are worth a hint: who lives longest is thrown out, too
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 600.0
HEAR_S = 0.5  # the broker tells at once what it keeps
KNOWN_S = 2.0  # who lives longer has left its mark
GONE_S = 2.0  # for so long the other one must have been offline: a moment of it is our own will, or a restart


@dataclass(frozen=True, slots=True)
class Signature:
    """Tells who says `online`, for the broker may keep what we ourselves said on a connection that is no more.

    Attributes:
        topic: where every bridge leaves its own mark before it is online.
        is_ours: tells from what is there whether that was us.
    """

    topic: str
    is_ours: Callable[[bytes], bool]


class Contest:
    """Two clients with one client ID throw each other out for ever, unless each waits longer and longer.

    With MQTT 5 the broker may say that the session was taken over. Others just close the connection, as they do for
    many reasons. Several short lives make it likely, and whoever says `online` where we do makes it certain.

    Args:
        settings: the broker's.
        birth: what a bridge says that is online.
        will: what it says that is not.
        signature: tells bridges apart; without it, whoever is online is another.
    """

    def __init__(
        self, settings: MqttSettings, birth: Message, will: Message, signature: Signature | None = None
    ) -> None:
        self._settings = settings
        self._birth = birth
        self._will = will
        self._signature = signature
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._ends: deque[float] = deque(maxlen=SHORT_LIVES)
        self._short_lives = 0
        self._taken_over = False
        self._other_online = False
        self._ours = False
        self._known = False
        self._another = False
        self._offline_since: float | None = None

    @property
    def topic(self) -> str | None:
        """Where bridges leave their marks."""
        return self._signature.topic if self._signature else None

    def note_mark(self, payload: bytes) -> None:
        """Note what was left on `topic` when a connection begins: another's mark, after ours had been there, or not."""
        self._another = self._known and self._signature is not None and not self._signature.is_ours(payload)

    def ended(self, lived_s: float, error: BrokerUnavailable | None) -> None:
        """Note that a connection has ended.

        Args:
            lived_s: for how many seconds it was.
            error: why it ended.
        """
        self._taken_over = isinstance(error, TakenOver)
        self._ends.append(time.monotonic())
        self._known = self._known or lived_s > KNOWN_S
        self._short_lives = self._short_lives + 1 if lived_s < SHORT_LIFE_S else 0
        if not self.likely:
            self._backoff.reset()

    @property
    def hint(self) -> str:
        """What to add to the reason why a connection has ended; the same for as long as nothing changes."""
        suspect = len(self._ends) == SHORT_LIVES and time.monotonic() - self._ends[0] < SUSPECT_S
        if self._taken_over or not (self.likely or suspect or self._another):
            return ""
        if self._another:
            return (
                "; another bridge has been online in its place: if that uses the client ID "
                f"{self._settings.client_id!r}, too, set another mqtt.client_id"
            )
        return (
            "; several connections ended soon after each other: if another client uses the client ID "
            f"{self._settings.client_id!r}, set another mqtt.client_id"
        )

    @property
    def likely(self) -> bool:
        """Whether another client seems to have our session now."""
        return self._taken_over or self._short_lives >= SHORT_LIVES

    def wait(self, stop: threading.Event, choice: ProtocolChoice, beat: Callable[[], None]) -> bool:
        """Leave the broker to the other one for a while, if it is there; or until that is a bridge, and has gone.

        Args:
            stop: ends the wait.
            choice: the version of MQTT to speak.
            beat: is called about every second.

        Returns:
            whether it was there, and has gone.
        """
        with suppress(BrokerUnavailable, SettingsError):  # no reason to wait: the next connection tells what is wrong
            link = choice.open(lambda protocol: self._open(protocol, stop))
            try:
                topics = [self._birth.topic, *([self._signature.topic] if self._signature else [])]
                link.subscribe([Subscription(topic, no_local=False) for topic in topics])
                self._watch(link, stop, beat)
            finally:
                link.close(say_goodbye=True)
        return self._has_gone()

    def _watch(self, link: Link, stop: threading.Event, beat: Callable[[], None]) -> None:
        began = time.monotonic()
        deadline = began + self._backoff.next()
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0 and not self._has_gone():
            certain = self._taken_over or (self._other_online and not self._ours)
            if not certain and time.monotonic() - began > HEAR_S:
                self._backoff.reset()
                return
            beat()
            link.send_acknowledgements(link.to_acknowledge)
            link.turn(min(TURN_S, left) if certain else HEAR_S)

    def _open(self, protocol: Protocol, stop: threading.Event) -> Link:
        self._other_online, self._ours, self._offline_since = False, False, None
        link = Link(self._settings, protocol, client_id=f"{self._settings.client_id}-waiting", received=self._hear)
        link.open(stop)
        return link

    def _hear(self, received: Received) -> None:
        received.acknowledge()
        if self._signature and received.topic == self._signature.topic:
            self._ours = self._signature.is_ours(received.payload)
        elif received.payload == self._birth.payload:
            self._other_online, self._offline_since = True, None
        elif received.payload == self._will.payload and self._offline_since is None:
            self._offline_since = time.monotonic()

    def _has_gone(self) -> bool:
        return (
            self._other_online and self._offline_since is not None and time.monotonic() - self._offline_since > GONE_S
        )

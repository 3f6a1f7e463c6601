"""The connection to the broker, for as long as the bridge runs: link after link, whatever happens to one."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from stbridge.backoff import Backoff
from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerRefused, BrokerUnavailable, SettingsError
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.contest import Contest, Signature
from stbridge.mqtt.deliveries import Deliveries
from stbridge.mqtt.diagnosis import address, subscriptions_refused
from stbridge.mqtt.link import Link
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import Protocol, ProtocolChoice
from stbridge.mqtt.retained import read_retained
from stbridge.mqtt.sender import Sender
from stbridge.mqtt.tls import tls_context
from stbridge.settings import MqttSettings
from stbridge.supervision import Part

SESSION_EXPIRY_S = 60  # for so long the broker keeps commands for an absent bridge (MQTT 5)
HOLD_S = 5.0
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 3.0  # short: everything is to be right again soon after the broker is back, or lets us in
SHORT_LIFE_S = 5.0  # a connection that lives no longer is none that worked
HUNG_S = 120.0  # resolving a name can take the system's resolver most of this
MOST_TOLD = 20  # reasons of one outage, each once: tries may fail in this way and that in turns
MOST_FAILURES = 5  # unexpected ones in a row; more are for the supervision
HOLD_TURN_S = 0.02
LEAST_JOIN_S = 1.5  # a goodbye fits in

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """How the connection is.

    Attributes:
        connected: whether there is one.
        protocol: the version of MQTT it speaks, `5` or `3.1.1`; None without one.
        message: what is wrong and the cure; empty if nothing is.
        since_monotonic: when `connected` last changed, by time.monotonic().
        reconnects: how often it was made again.
    """

    connected: bool
    protocol: str | None
    message: str
    since_monotonic: float
    reconnects: int


class BrokerConnection:
    """Keeps the broker supplied from the outbox, and hands over what arrives.

    On every (re)connect: subscribe, then the whole outbox, then `birth`.

    Args:
        settings: the broker's.
        outbox: what the broker is to have.
        will: published by the broker when the bridge is gone, and by `stop`.
        birth: published last after every connect; the same topic as `will`.
        subscriptions: topic filters.
        received: is handed every message under `subscriptions`; only hands over, and whoever is done with
            the message calls its `acknowledge`.
        remembered: is handed once, before the first connection, what the broker keeps under
            `remember_filters`.
        remember_filters: topic filters.
        connecting: is called with the version of MQTT after each subscription, before anything is sent.
        signature: tells whether it was us who said `birth`.
        hold: before the first `birth`, this is waited for, at most HOLD_S.
    """

    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        *,
        will: Message,
        birth: Message,
        subscriptions: Sequence[str],
        received: Callable[[Received], None],
        remembered: Callable[[Mapping[str, bytes]], None] | None = None,
        remember_filters: Sequence[str] = (),
        connecting: Callable[[str], None] | None = None,
        signature: Signature | None = None,
        hold: threading.Event | None = None,
    ) -> None:
        self.errors = 0
        """How many exceptions came out of `received`, or out of the connection itself."""
        self._settings = settings
        self._outbox = outbox
        self._will = will
        self._birth = birth
        self._subscriptions = [
            *(Subscription(one) for one in subscriptions),
            # Our own state too, see `_guard`. A will counts as our own message, so no_local would hide it.
            Subscription(birth.topic, no_local=False, retain_as_published=False),
            # And our mark: that of another bridge, which has our client ID, is one of our own to the broker.
            *([Subscription(signature.topic, no_local=False, retain_as_published=False)] if signature else []),
        ]
        self._received = received
        self._remembered = remembered
        self._remember_filters = remember_filters
        self._connecting = connecting
        self._hold = hold
        self._sender = Sender(outbox)
        self._deliveries = Deliveries()
        self._choice = ProtocolChoice(settings.protocol)
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._status = BrokerStatus(
            connected=False, protocol=None, message="", since_monotonic=time.monotonic(), reconnects=0
        )
        self._stop = threading.Event()
        self._said_goodbye = False
        self._link: Link | None = None
        self._online = False
        self._connections = 0
        self._failures = 0
        self._told: set[str] = set()
        self._contest = Contest(settings, birth, will, signature)
        self.part = Part("mqtt", self._run, longest_s=HUNG_S)

    @property
    def status(self) -> BrokerStatus:
        """How the connection is now."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether the thread behind this lives; an absent broker is no reason to be dead."""
        return self.part.alive

    def start(self) -> None:
        """Start connecting.

        Raises:
            SettingsError: the files for TLS cannot be used.
        """
        tls_context(self._settings)
        self._outbox.on_work = self._send
        self.part.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Publish `will`, wait for the acknowledgement of everything, disconnect, and end the thread.

        Args:
            timeout_s: the longest wait.
        """
        deadline = time.monotonic() + timeout_s
        self._online = False  # from here on `offline` is the truth
        if self._status.connected:
            self._outbox.put_state(self._will, last=True)
            # Without a goodbye the broker publishes the will, which is right if it did not get ours.
            self._said_goodbye = self._outbox.wait_until_empty(timeout_s)
            if not self._said_goodbye:
                _log.warning("stopping although the broker does not have everything: %s", self._outbox.counters())
        self._stop.set()
        self._wake()
        self.part.join(max(LEAST_JOIN_S, deadline - time.monotonic()))

    def _wake(self) -> None:
        if link := self._link:
            link.wake()

    def _send(self) -> None:
        """Send what has just been put in, in the thread that did: ours would have to be woken first.

        If ours is at work, it looks for more before it waits.
        """
        link = self._link
        if link is None:
            return
        if not link.alone.acquire(blocking=False):
            link.wake()
            return
        try:
            if link is self._link:
                self._sender.send(link)
        except Exception as error:  # noqa: BLE001 - it belongs to the connection, not to whoever has something to say
            link.fail(error)
        finally:
            link.alone.release()
        if link.has_more:
            link.wake()

    # Everything below runs in the thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            began, connections = time.monotonic(), self._connections
            try:
                self._remember()
                self._live()
            except (BrokerUnavailable, SettingsError) as error:
                self._lost(error)
            except Exception as error:  # whatever it was, in paho or here: start afresh
                self.errors += 1
                self._failures += 1
                if self._failures > MOST_FAILURES:
                    raise
                _log.exception("the connection to the broker failed unexpectedly; it is made anew")
                self._lost(error)
            self.part.beat()
            self._wait(0.0 if self._connections > connections else time.monotonic() - began)

    def _wait(self, waited_s: float) -> None:
        """Wait before the next try.

        Args:
            waited_s: for so long the last one has waited in vain; that counts.
        """
        if self._contest.likely and self._contest.wait(self._stop, self._choice, self.part.beat):
            return
        self._stop.wait(self._backoff.next(waited_s))

    def _remember(self) -> None:
        """Hand over what the broker keeps, once, before anything is published over it."""
        if self._remembered is None:
            return
        found = read_retained(self._settings, self._remember_filters, stop=self._stop, choice=self._choice)
        if not self._stop.is_set():
            self._remembered(found)
            self._remembered = None

    def _live(self) -> None:
        """Live through one connection, until it is lost or `stop` is called."""
        link = self._choice.open(self._open)
        since, reason = time.monotonic(), None
        try:
            self._greet(link)
            while not self._stop.is_set():
                self.part.beat()
                with link.alone:
                    self._sender.send(link)
                link.turn()
        except BrokerUnavailable as error:
            reason = error
            raise
        finally:
            self._online = False
            with link.alone:
                self._link = None
                self._sender.lost()
            link.close(say_goodbye=self._said_goodbye)
            lived_s = time.monotonic() - since
            self._contest.ended(lived_s, reason)
            if lived_s > SHORT_LIFE_S:
                self._failures = 0
                self._backoff.reset()

    def _open(self, protocol: Protocol) -> Link:
        self._link = Link(
            self._settings,
            protocol,
            client_id=self._settings.client_id,
            received=self._hand_over,
            answered=self._sender.answered,
            will=self._will,
            session_expiry_s=SESSION_EXPIRY_S,
            deliveries=self._deliveries,
        )
        self._link.open(self._stop)
        return self._link

    def _greet(self, link: Link) -> None:
        """Subscribe, then let everything go, `birth` last."""
        refused = link.subscribe(self._subscriptions)
        message = subscriptions_refused(refused)
        if message and message != self._status.message:
            _log.error("%s", message)
        _log.info("connected to the broker at %s with MQTT %s", address(self._settings), link.protocol.value)
        if self._connecting:
            self._connecting(link.protocol.value)
        self._wait_for_hold(link)
        self._outbox.connected(link.window, link.largest_packet)
        self._outbox.put_state(self._birth, last=True)
        self._online = True
        self._told.clear()
        self._status = BrokerStatus(
            connected=True,
            protocol=link.protocol.value,
            message=message,
            since_monotonic=time.monotonic(),
            reconnects=self._connections,
        )
        self._connections += 1

    def _wait_for_hold(self, link: Link) -> None:
        deadline = time.monotonic() + HOLD_S
        while self._hold and not self._hold.is_set() and not self._stop.is_set() and time.monotonic() < deadline:
            link.turn(HOLD_TURN_S)
        self._hold = None

    def _lost(self, error: Exception) -> None:
        """Note why there is no connection, and log it if it is news."""
        if self._stop.is_set():
            return
        message = (str(error) or type(error).__name__) + self._contest.hint
        before = self._status
        self._status = replace(
            before,
            connected=False,
            protocol=None,
            message=message,
            since_monotonic=time.monotonic() if before.connected else before.since_monotonic,
        )
        if message not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(message)
            level = logging.ERROR if isinstance(error, BrokerRefused) else logging.WARNING
            _log.log(level, "no connection to the broker: %s", message)

    def _hand_over(self, received: Received) -> None:
        if received.topic in (self._birth.topic, self._contest.topic):
            received.acknowledge()
            if received.topic == self._birth.topic:
                self._guard(received)
            elif received.retained:
                self._contest.note_mark(received.payload)
            return
        try:
            self._received(received)
        except Exception:  # noqa: BLE001 - it must not end the connection, nor come again and again
            self.errors += 1
            _log.exception("a message on %s could not be handed over", received.topic)
            received.acknowledge()

    def _guard(self, received: Received) -> None:
        """Say `online` again when the late will of a half-open connection of ours says otherwise."""
        stored = received.retained  # what the broker kept from before we were there
        if self._online and not stored and received.payload == self._will.payload:
            _log.info("the broker was told that the bridge is offline; telling it otherwise")
            self._outbox.resend(self._birth.topic)

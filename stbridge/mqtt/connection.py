"""The connection to the broker while the bridge runs: when it loses a session, it opens a new one."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from paho.mqtt.client import topic_matches_sub

from stbridge.core.messages import Message, Received
from stbridge.errors import (
    BrokerRefused,
    BrokerUnavailable,
    BrokerUnreachable,
    ConnectionClosed,
    PublishRefused,
    SettingsError,
    TakenOver,
)
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import ClientIdConflict, InstanceMarker
from stbridge.mqtt.diagnosis import (
    address,
    closed_over,
    encryption,
    subscriptions_refused,
    topics_skipped,
)
from stbridge.mqtt.nodes import Nodes
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.protocol import Protocol, VersionRefused
from stbridge.mqtt.quarantine import Suspicion
from stbridge.mqtt.redelivery import RedeliveryFilter
from stbridge.mqtt.retained import RetainedReader, Selection
from stbridge.mqtt.session import LOOP_S, Session, beside, ignore
from stbridge.mqtt.tls import tls_context
from stbridge.settings import MqttSettings
from stbridge.supervision import HEARTBEAT_S, SupervisedThread

SESSION_EXPIRY_S = 60  # MQTT 5: the broker keeps commands for a disconnected bridge this long
HOLD_S = 5.0  # maximum wait of the first `birth` for `hold`
SHORT_SESSION_S = 5.0  # a connection that does not last longer counts as failed
HUNG_S = 120.0  # resolving a host name can take most of this time
MOST_LOGGED = 20  # maximum number of different messages that are logged, each once, until a connection lasts
MOST_FAILURES = 5  # unexpected failures in a row; after more, the supervision restarts the thread
HOLD_LOOP_S = 0.02  # short, because `hold` does not wake the loop
DISCONNECT_S = 1.0  # part of the time to stop that is reserved for DISCONNECT and for the thread to exit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """Status of the connection to the broker.

    Attributes:
        connected: whether there is a connection.
        protocol: the version of MQTT in use, `5` or `3.1.1`; None without a connection.
        message: what is wrong and how to fix it; empty if nothing is wrong.
        since_monotonic: when `connected` last changed, by time.monotonic().
        reconnects: number of connections after the first.
    """

    connected: bool
    protocol: str | None
    message: str
    since_monotonic: float
    reconnects: int


def _ignore_restored(_payloads: Mapping[str, bytes], _complete: bool) -> None:  # noqa: FBT001 - only a default
    """Ignore restored messages: the default of `restored`."""


def _ignore_connected() -> None:
    """Ignore a connect: the default of `on_connected`."""


class BrokerConnection:
    """Sends the outbox to the broker, and passes received messages on; reconnects after every failure.

    On the first connection, it reads the retained messages. On every connect, it subscribes, then sends the whole
    outbox, then `birth`.

    Args:
        settings: the settings of the broker.
        outbox: the messages to send.
        last_will: published by the broker when the connection is lost, and by `stop`.
        birth: published last after every connect; it has the same topic as `last_will`.
        subscriptions: the topic filters to subscribe to.
        received: called with every message under `subscriptions`; must not block. The code that has handled a message
            calls its `acknowledge`.
        restore: which retained messages to read; none by default.
        sentinel: a retained message that is published before these are read, and cleared afterwards, to find their end.
        restored: called once, before anything is published, with these messages by topic, and whether they are all.
        marker: identifies this process; published on each connect.
        on_connected: called on each connect, in the connection's thread, before the outbox is sent; must not block.
        hold: the first `birth` waits for this event, at most HOLD_S.
    """

    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        *,
        last_will: Message,
        birth: Message,
        subscriptions: Sequence[Subscription],
        received: Callable[[Received], None],
        restore: Selection | None = None,
        sentinel: Message | None = None,
        restored: Callable[[Mapping[str, bytes], bool], None] = _ignore_restored,
        marker: InstanceMarker | None = None,
        on_connected: Callable[[], None] = _ignore_connected,
        hold: threading.Event | None = None,
    ) -> None:
        self.errors = 0
        """Number of exceptions that `received` or the connection itself raised."""
        self._settings = settings
        self._outbox = outbox
        self._last_will = last_will
        self._birth = birth
        # The topics of our own messages that `_guard` and the detection of client ID conflicts read. The broker counts
        # our last will, and the marker of another bridge with our client ID, as messages of this client: no_local would
        # hide them.
        ours = [birth.topic, *([marker.topic] if marker else [])]
        self._ours = [Subscription(topic, no_local=False, retain_as_published=False) for topic in ours]
        self._subscriptions = subscriptions
        self._received = received
        self._restored = restored
        self._marker = marker
        self._on_connected = on_connected
        self._hold = hold
        self._redeliveries = RedeliveryFilter()
        self._nodes = Nodes(settings)
        self._status = BrokerStatus(
            connected=False, protocol=None, message="", since_monotonic=time.monotonic(), reconnects=0
        )
        self._stop = threading.Event()
        # None after everything is restored.
        self._reader = (
            RetainedReader(restore, sentinel=sentinel, nodes=len(settings.nodes), stop=self._stop) if restore else None
        )
        self._may_disconnect = False
        self._session: Session | None = None
        self._online = False  # `birth` is in the outbox or published, and `stop` was not called
        self._greeted = False  # subscribed; from here on, the outbox sends
        self._own_last_wills = 0  # messages equal to the last will that this connection has sent and not yet received
        self._connections = 0
        self._failures = 0
        self._logged: set[str] = set()
        self._announced = False  # the line about the current connection has been logged
        self._suspicion: Suspicion | None = None
        self._conflict = ClientIdConflict(settings.client_id, marker)
        self.thread = SupervisedThread("mqtt", self._run, max_silence_s=HUNG_S)

    @property
    def status(self) -> BrokerStatus:
        """The current status of the connection."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether the thread is running; it keeps running while the broker is unreachable."""
        return self.thread.alive

    def start(self) -> None:
        """Start connecting.

        Raises:
            SettingsError: the files for TLS cannot be used.
        """
        tls_context(self._settings)
        self._outbox.on_work = self._send
        self.thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Publish the last will, wait until all messages are acknowledged, disconnect, and stop the thread.

        If that takes too long, the connection is closed without DISCONNECT, so that the broker publishes the last will.

        Args:
            timeout_s: maximum duration in seconds, even if the broker or the thread hangs.
        """
        deadline = time.monotonic() + timeout_s
        self._online = False  # from here on, `offline` is correct
        if self._status.connected:
            self._outbox.put_state(self._last_will, last=True)
            self._outbox.flush()
            self._may_disconnect = self._outbox.wait_until_empty(max(timeout_s - DISCONNECT_S, timeout_s / 2))
            if not self._may_disconnect:
                _log.warning("stopping before the broker has acknowledged all messages: %s", self._outbox.counters())
        self._stop.set()
        if session := self._session:
            session.wake()
        self.thread.join(max(0.0, deadline - time.monotonic()))

    def _send(self) -> None:
        """Send what was just put into the outbox from the calling thread, which is faster than waking our own thread.

        If our own thread is busy, it sends these messages before it waits again.
        """
        session = self._session
        if session is None:
            return
        if not session.io_lock.acquire(blocking=False):
            session.wake()
            return
        try:
            if session is self._session:
                self._outbox.send(session)
        except Exception as error:  # noqa: BLE001 - the connection's thread raises it, not the caller of `flush`
            session.fail(error)
        finally:
            session.io_lock.release()
        if session.has_more:
            session.wake()

    # Everything below runs in the connection's thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            began, connections = time.monotonic(), self._connections
            failure = ""
            try:
                self._connect_once()
            except (BrokerUnavailable, SettingsError) as error:
                failure = self._lost(error)
            except Exception as error:  # a bug in paho or here must not stop the thread: reconnect
                self.errors += 1
                self._failures += 1
                if self._failures > MOST_FAILURES:
                    raise
                _log.exception("the connection to the broker failed unexpectedly; reconnecting")
                failure = self._lost(error)
            self.thread.heartbeat()
            now = time.monotonic()
            waited_s = 0.0 if self._connections > connections else now - began
            wait_s = self._nodes.failed(failure, now, waited_s)
            # In a conflict, another node does not help: all nodes of a cluster know the client ID.
            self._stop.wait(self._conflict.next_wait_s() if self._conflict.likely else wait_s)

    def _connect_once(self) -> None:
        """Open a session and run it until it is lost or `stop` is called."""
        session = self._nodes.current.protocols.open(self._open, self._ask)
        since = time.monotonic()
        reason: BrokerUnavailable | None = None
        try:
            self._restore(session)
            self._greet(session)
            while not self._stop.is_set():
                session.loop_once(LOOP_S if self._logged else HEARTBEAT_S)
                if self._logged and time.monotonic() - since > SHORT_SESSION_S:
                    self._note_lasting(session)
        except TakenOver as error:
            reason = error
            if self._conflict.explains():
                where = session.node_name
                reason = BrokerUnreachable(f"{where} has received an earlier attempt of the bridge to connect only now")
            raise reason from error
        except BrokerUnavailable as error:
            reason = error
            raise
        finally:
            self._online = self._greeted = False
            with session.io_lock:
                self._session = None
                marker_acknowledged = self._marker is not None and self._outbox.has_published(self._marker.topic)
                self._suspicion = self._outbox.disconnected(closed_by_broker=self._may_be_over_a_message(reason))
            session.close(send_disconnect=self._may_disconnect)
            lasted_s = time.monotonic() - since
            self._conflict.ended(lasted_s, reason, session.node_name, marker_acknowledged=marker_acknowledged)
            if lasted_s > SHORT_SESSION_S:
                self._failures = 0
                self._nodes.current.backoff.reset()
                self._logged.clear()
            elif self._suspicion and self._suspicion.alone and self._suspicion.has_room:
                # The next attempt tests the suspected message again. Do not wait: the bridge is offline until the
                # message is skipped, and the number of attempts is limited.
                self._nodes.current.backoff.reset()

    def _may_be_over_a_message(self, reason: BrokerUnavailable | None) -> bool:
        """Return whether the broker may have closed the connection because of a message of ours."""
        if not isinstance(reason, ConnectionClosed | PublishRefused) or self._conflict.likely:
            return False  # the broker also closes connections if another client has our client ID
        # While Mosquitto stops, it publishes our last will before it closes our connection. So it never acknowledges
        # the `birth` with which we have corrected that.
        oldest = self._outbox.oldest_in_flight
        return oldest is None or not oldest.correction

    def _open(self, protocol: Protocol) -> Session:
        session = Session(
            self._nodes.current.settings,
            protocol,
            client_id=self._settings.client_id,
            received=self._hand_over,
            outbox=self._outbox,
            last_will=self._last_will,
            session_expiry_s=SESSION_EXPIRY_S,
            redeliveries=self._redeliveries,
            heartbeat=self.thread.heartbeat,
        )
        self._session = session  # set before `open`, so that `stop` can wake the session
        try:
            session.open(self._stop)
        except VersionRefused as error:
            if error.silent:
                self._conflict.unanswered()
            raise
        return session

    def _ask(self, protocol: Protocol) -> None:
        """Ask the broker whether it supports a version, under a client ID of which it stores no session."""
        node = self._nodes.current.settings
        self._session = session = Session(node, protocol, client_id=beside(node, "version"), received=ignore)
        try:
            session.open(self._stop)
        except VersionRefused:
            raise
        except BrokerRefused as error:  # for example, because the user must have the client ID of the bridge
            _log.debug("asked for MQTT %s: %s", protocol.value, error)
        else:
            session.close(send_disconnect=True)

    def _restore(self, session: Session) -> None:
        """Read the retained messages once, before anything is published that would replace them.

        This uses the connection of the bridge, because some brokers tie a user to one client ID.
        """
        if self._reader is None:
            return
        found = self._reader.read(session)
        if not self._stop.is_set():
            self._restored(found, self._reader.complete)
            self._reader = None

    def _greet(self, session: Session) -> None:
        """Subscribe, then send the whole outbox, `birth` last."""
        if self._stop.is_set():
            return
        self._own_last_wills = 0
        # When the broker has answered the second subscription, the retained messages of our own topics have arrived.
        refused = session.subscribe(self._ours)
        if self._subscriptions:
            refused |= session.subscribe(self._subscriptions)
        refused_message = subscriptions_refused(refused)
        if refused and self._nodes.another_may_accept():
            raise BrokerUnreachable(refused_message)
        self._log_once(logging.ERROR, refused_message)
        self._announced = self._log_once(logging.INFO, self._connected(session))
        if self._marker:
            self._outbox.put_state(self._marker.message(session.protocol.value, session.node_name))
        self._wait_for_hold(session)
        self._greeted = True
        self._outbox.connected(session.window, session.largest_packet)
        self._outbox.put_state(self._birth, last=True)
        self._online = True
        messages = (refused_message, topics_skipped(self._outbox.skipped))
        self._status = BrokerStatus(
            connected=True,
            protocol=session.protocol.value,
            message="; ".join(filter(None, messages)),
            since_monotonic=time.monotonic(),
            reconnects=self._connections,
        )
        self._connections += 1
        self._nodes.works()
        self._on_connected()

    def _connected(self, session: Session) -> str:
        node = self._nodes.current.settings
        where, how = address(node), encryption(node)
        return f"connected to the broker at {where} with MQTT {session.protocol.value}, {how}"

    def _note_lasting(self, session: Session) -> None:
        """Record that this connection works, so that the next failure is logged again."""
        self._logged.clear()
        if not self._announced:
            self._announced = True
            _log.info("%s", self._connected(session))

    def _log_once(self, level: int, message: str) -> bool:
        """Log a message unless it was logged since the last working connection; return whether it was logged."""
        if not message or message in self._logged or len(self._logged) >= MOST_LOGGED:
            return False
        self._logged.add(message)
        _log.log(level, "%s", message)
        return True

    def _wait_for_hold(self, session: Session) -> None:
        deadline = time.monotonic() + HOLD_S
        while self._hold and not self._hold.is_set() and not self._stop.is_set() and time.monotonic() < deadline:
            session.loop_once(HOLD_LOOP_S)
        self._hold = None

    def _lost(self, error: Exception) -> str:
        """Record why there is no connection, log the reason if it is new, and return it."""
        if self._stop.is_set():
            return ""
        message = (str(error) or type(error).__name__) + self._hint()
        before = self._status
        self._status = replace(
            before,
            connected=False,
            protocol=None,
            message="; ".join(filter(None, (message, self._nodes.failures_of_others))),
            since_monotonic=time.monotonic() if before.connected else before.since_monotonic,
        )
        level = logging.ERROR if isinstance(error, BrokerRefused) else logging.WARNING
        self._log_once(level, f"no connection to the broker: {message}")
        return message

    def _hint(self) -> str:
        suspicion, self._suspicion = self._suspicion, None
        hint = closed_over(suspicion) if suspicion else ""
        # A broker that closes connections because of a message looks the same as a client ID conflict, so show only
        # the hint that applies.
        found = self._outbox.skipped or (suspicion and suspicion.alone)
        return hint if found and not self._conflict.likely else hint + self._conflict.hint

    def _hand_over(self, received: Received) -> None:
        # The session may be from the previous run, and contain commands that arrived in the meantime.
        if self._reader and not any(topic_matches_sub(one.topic_filter, received.topic) for one in self._subscriptions):
            self._reader.take(received)
            return
        if received.topic in (self._birth.topic, self._conflict.topic):
            received.acknowledge()
            if received.topic == self._birth.topic:
                self._guard(received)
            elif received.retained and (session := self._session):
                self._conflict.note_marker(received.payload, session.node_name)
            return
        try:
            self._received(received)
        except Exception:  # noqa: BLE001 - it must neither close the connection nor be redelivered endlessly
            self.errors += 1
            _log.exception("a message on %s could not be handled", received.topic)
            received.acknowledge()

    def _guard(self, received: Received) -> None:
        """Correct a wrong availability that the broker has stored or published for us."""
        stored = received.retained  # from before this connection
        if stored and received.payload == self._birth.payload and not self._greeted:
            # The broker has stored `online` from before, which is wrong until everything is published.
            self._own_last_wills += 1
            self._outbox.put(self._last_will, urgent=True)
        elif not stored and received.payload == self._last_will.payload and self._own_last_wills:
            self._own_last_wills -= 1  # the one that was published above
        elif not stored and received.payload == self._last_will.payload and self._online:
            # The last will of our previous, half-open connection, which the broker has only now closed.
            _log.info('stale "offline" on the broker; publishing "online" again')
            self._outbox.correct(self._birth.topic)
            self._outbox.flush()

"""One Syncthing instance: applies observations to its State and publishes the resulting changes."""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

from stbridge.clock import SteppedClock, utc_now
from stbridge.commands.dispatcher import CommandDispatcher
from stbridge.commands.replies import LARGEST_REPLY, send_reply
from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.availability import Availability
from stbridge.core.envelope import Reply
from stbridge.core.known import Known
from stbridge.core.messages import Message, Received
from stbridge.core.model import Config
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import CONNECTION, STATE, BridgeEvent, Outcome
from stbridge.core.own_events import own_event
from stbridge.core.payloads import RENDERED, render_event, render_raw
from stbridge.core.read_order import Moment
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.timed_pauses import may_resume
from stbridge.core.topics import Address, Topics
from stbridge.core.wording import counted
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.mqtt.outbox import Outbox
from stbridge.publishing import Publisher
from stbridge.restoring import payloads_of
from stbridge.schedule import Schedule
from stbridge.settings import PollSettings, SyncthingSettings
from stbridge.supervision import HEARTBEAT_S, SupervisedThread
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.concurrency import ConcurrencyLimit
from stbridge.syncthing.follow import Follower
from stbridge.syncthing.poll import RECONCILE, Poller
from stbridge.syncthing.transport import LARGEST_ANSWER

log = logging.getLogger(__name__)

MAX_BATCH = 1000
"""Maximum number of observations applied, or topics rendered, each time the lock is held."""

MOST_LOGGED = 20
"""Maximum number of log lines about one outage, each with another message."""

YIELD_S = 0.001
"""Wait in seconds after the first topic of an event. On a small machine, the remaining work would otherwise delay the
broker and the subscriber, and the median latency would be a tenth longer."""


class Instance:
    """Publishes one Syncthing instance, and runs the commands to it.

    A lock guards its State. A thread that has read something from Syncthing calls `take`. With the lock held, `take`
    applies the rules, evaluates the problems and renders changed topics into the outbox, all in memory. It then
    releases the lock, flushes the outbox, and returns the reads that the observations require.

    Args:
        name: the name of the instance, which is a level of its topics.
        settings: the settings of the instance.
        poll: the intervals of values that have no event.
        alerts: the thresholds of problems.
        raw: types of raw events to pass through.
        allowed: the names of the allowed commands.
        topics: builds the topics.
        outbox: receives the messages to send.
        schedule: runs `tick` when something is due.
        read_limit: limits how many instances are read completely at the same time.
        on_published: called once, when the first publication is in the outbox: the previous run has been restored, and
            the first attempt to read the instance has finished.
        discovery: generates the discovery messages for Home Assistant; None if discovery is off.
        updates_per_second: maximum rate at which a changing topic is published; 0 is no limit.
        on_config: called after each read of the configuration, with a function that returns the newest one.
    """

    def __init__(
        self,
        name: str,
        settings: SyncthingSettings,
        *,
        poll: PollSettings,
        alerts: Alerts | None = None,
        raw: tuple[str, ...],
        allowed: frozenset[str],
        topics: Topics,
        outbox: Outbox,
        schedule: Schedule,
        read_limit: ConcurrencyLimit,
        on_published: Callable[[], None],
        discovery: DiscoveryPublisher | None = None,
        updates_per_second: float = 0.0,
        on_config: Callable[[Callable[[], Config | None]], None] | None = None,
    ) -> None:
        self.name = name
        self.published = threading.Event()
        """Set before `on_published` is called."""
        self._topics = topics
        self._outbox = outbox
        self._schedule = schedule
        self._on_published = on_published
        self._on_config = on_config
        self._discovery = discovery
        self._publisher = Publisher(name, topics, outbox, discovery, updates_per_second)
        self._poll = poll
        self._alerts = alerts
        self._may_resume = may_resume(allowed)
        self._clock = SteppedClock()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._state = self._new_state()
        self._restored: Mapping[str, bytes] | None = None
        self._logged: set[tuple[str, str]] = set()  # status and message of each line since the instance was online
        # A session of `requests` must not be shared between threads. Scans have a client of their own, because their
        # connections are broken when Syncthing restarts.
        following, polling, slow_reads, commands, scans = (_client(settings) for _ in range(5))
        command_reads = _client(settings, LARGEST_REPLY)
        self._clients = (following, polling, slow_reads, commands, scans, command_reads)
        self._follower = Follower(
            name,
            following,
            raw=raw,
            take=partial(self.take, first=1),
            request=lambda reads: self._poller.request(reads),  # noqa: PLW0108 - the poller is created later
            withdraw=lambda: self._poller.withdraw(),  # noqa: PLW0108 - as above
            limit=read_limit,
        )
        self._poller = Poller(
            name,
            polling,
            slow_reads,
            intervals=_intervals(poll),
            take=lambda observations, since: self.take(observations, since=since),
            moment=self._moment,
            revalidate=self._follower.revalidate,
            check_connection=self._follower.check_connection,
            run_slow=lambda read_slow, read: self._dispatcher.submit_slow(read_slow, read),  # noqa: PLW0108 - as above
        )
        self._dispatcher = CommandDispatcher(
            name,
            commands,
            command_reads,
            scans,
            allowed=allowed,
            known=self._known,
            answer=self._answer,
            emit=self._emit,
            take=self._take_from_command,
            check_connection=self._check_connection,
        )
        schedule.add(name, self.tick)

    def start(self) -> None:
        """Start reading the instance; nothing is sent before the broker is connected."""
        self._publisher.change((CONNECTION, STATE))
        self._dispatcher.start()
        self._poller.start()
        self._follower.start()
        self.tick()

    def stop_reading(self) -> None:
        """Stop reading, and abort the requests in progress; returns immediately."""
        self._stopping.set()
        self._follower.stop()
        self._poller.stop()

    def stop(self, deadline: float) -> None:
        """Wait for running commands until the deadline, and put the resulting changes into the outbox.

        The topics stay on the broker; the bridge's own `offline` marks them as outdated.

        Args:
            deadline: by the monotonic clock.
        """
        self.stop_reading()
        self._dispatcher.stop(deadline)
        self._publish(unlimited_rate=True)
        for client in self._clients:
            client.close()

    @property
    def threads(self) -> tuple[SupervisedThread, ...]:
        """The threads that read the instance."""
        return (self._follower.thread, self._poller.thread)

    @property
    def status(self) -> str:
        """The `status` in the `connection` topic."""
        return self._state.status

    def restore(
        self,
        payloads: Mapping[str, bytes],
        announced: Mapping[str, bytes] | None = None,
        listed: Collection[str] | None = None,
        *,
        complete: bool = True,
    ) -> None:
        """Restore the topics that the previous run of the bridge published; thread-safe, returns immediately.

        Args:
            payloads: retained messages by topic; those of other instances are ignored.
            announced: the discovery messages of this instance that the previous run published, by topic.
            listed: the discovery topics in its list; None if the broker has no list.
            complete: whether everything was read.
        """
        self._dispatcher.submit(self._restore, payloads, announced or {}, listed, complete)

    def _restore(
        self,
        payloads: Mapping[str, bytes],
        announced: Mapping[str, bytes],
        listed: Collection[str] | None,
        complete: bool,  # noqa: FBT001 - submitted
    ) -> None:
        own = self._topics.of_instance(self.name, payloads)
        restored = seen.Restored(payloads=payloads_of(self._topics, own, RENDERED))
        with self._lock:
            self._restored = own
            self._publisher.restore_discovery(announced, listed, complete=complete)
        self._poller.request(self.take([restored]))

    def command(self, name: str, received: Received) -> None:
        """Accept a command; thread-safe, returns immediately."""
        self._dispatcher.receive(name, received)

    # --- from an observation to the outbox

    def take(
        self, observations: Iterable[Observation] = (), *, first: int = MAX_BATCH, since: Moment | None = None
    ) -> Collection[Read]:
        """Apply observations to the State, and publish the resulting changes; thread-safe.

        Args:
            observations: what was read from Syncthing; an iterator is consumed before the lock is acquired.
            first: number of topics that are sent ahead of the rest, so that an event reaches subscribers early.
            since: a moment before their requests were sent. Observations of an earlier epoch are dropped, and reads
                are repeated whose value was observed again since then. None if they cannot be out of date.

        Returns:
            the reads that the observations require.
        """
        batch = list(observations)
        reads: dict[Read, None] = {}
        for start in range(0, max(1, len(batch)), MAX_BATCH):
            part = batch[start : start + MAX_BATCH]
            outcome = self._apply(part, first, since)
            for observation in part:
                if isinstance(observation, seen.RawEvent):
                    self._put(Address("raw", name=observation.type), render_raw(observation.event, self._gui_user))
            for event in outcome.events:
                self._put_event(event)
            self._outbox.flush()
            if CONNECTION in outcome.changed:
                self._poller.wake()
                self._log_availability()
            if any(isinstance(one, seen.ConfigRead | seen.ConfigSaved) for one in part):
                self._reconcile()
                if self._on_config:
                    self._on_config(self._config)
            reads.update(outcome.reads)
            # A late event is about a restart before this run of the bridge, which has sent no command to that process.
            if any(one.event_type == "syncthing_started" and not one.data.get("late") for one in outcome.events):
                self._dispatcher.syncthing_restarted()
        if self._state.restarted:
            self._follower.read_everything()
        self._set_wake_up()
        return reads

    @property
    def _gui_user(self) -> str:
        return "" if self._state.config is None else self._state.config.gui_user

    def _apply(self, observations: Sequence[Observation], first: int, since: Moment | None) -> Outcome:
        """Apply the rules, evaluate the problems and render changed topics, in memory, with the lock held."""
        with self._locked_state() as state:
            now, step = self._clock.read()
            if step:
                apply(state, seen.ClockSet(by=step), now)
            for observation in observations if since is None or since.epoch == state.read_order.epoch else ():
                if not isinstance(observation, seen.RawEvent):
                    apply(state, observation, now, since)
            conclude(state, now)
            outcome = state.take_outcome()
            self._publisher.change(outcome.changed)
            more = self._publisher.publish(state, monotonic(), first)
            if state.may_publish and state.compared and not more:
                self._restored = {}  # the outbox has everything now
        self._outbox.flush()
        if more:
            if first < MAX_BATCH:
                self._stopping.wait(YIELD_S)
            self._publish()
        if not self.published.is_set() and self._state.first_publication_complete:
            self.published.set()
            self._dispatcher.open()
            self._on_published()
        return outcome

    def _publish(self, *, unlimited_rate: bool = False) -> None:
        """Render all remaining topics in batches, so that no thread waits long for the lock."""
        more = True
        while more:
            with self._locked_state() as state:
                more = self._publisher.publish(state, monotonic(), MAX_BATCH, unlimited_rate=unlimited_rate)
            self._outbox.flush()

    @contextmanager
    def _locked_state(self) -> Iterator[State]:
        """Hold the lock; after an exception, which may leave the State inconsistent, build the State from scratch."""
        try:
            with self._lock:
                yield self._state
        except Exception:  # any exception may have interrupted a rule; it is raised again
            self._replace_state()
            raise

    def _replace_state(self) -> None:
        """Replace the State by one that is restored from the published topics, and request a read of everything."""
        published = self._topics.of_instance(self.name, self._outbox.states())
        with self._lock:
            self._state = self._new_state(self._state.read_order.epoch + 1)
            self._publisher.forget()
            if self._restored is not None:
                restored = payloads_of(self._topics, {**self._restored, **published}, RENDERED)
                apply(self._state, seen.Restored(payloads=restored), utc_now())
        self._follower.read_everything()

    def _new_state(self, epoch: int = 0) -> State:
        return State(self._alerts, may_resume=self._may_resume, epoch=epoch)

    def tick(self) -> None:
        """Apply time-based changes, such as thresholds and timed pauses; called by the schedule."""
        self._poller.request(self.take())
        with self._lock:
            due = self._state.timed_pauses.take_due(utc_now()) if self._state.online else []
        for paused in due:
            self._dispatcher.resume(paused)

    def _set_wake_up(self) -> None:
        """Schedule the next `tick`; at most HEARTBEAT_S from now, because the wall clock may be set."""
        with self._lock:
            state = self._state
            times = [at for at in (state.next_due, state.online and state.timed_pauses.next_try) if at]
            waits = [(at - utc_now()).total_seconds() for at in times]
            now = monotonic()
            if self._publisher.next is not None:
                waits.append(self._publisher.next - now)
            transferring = state.transferring(utc_now())
        self._schedule.set(self.name, now + max(0.0, min([HEARTBEAT_S, *waits])))
        self._poller.every("connections", self._poll.transfer if transferring else self._poll.connections)

    def _config(self) -> Config | None:
        with self._lock:
            return self._state.config

    def _reconcile(self) -> None:
        with self._lock:
            folders = [Read("folder", folder) for folder in self._state.folders]
            completions = [
                Read("completion", folder, device)
                for device, state in self._state.devices.items()
                for folder in state.folders
            ]
        self._poller.reconcile(folders, completions)

    def _log_availability(self) -> None:
        with self._lock:
            state = self._state
            shown = (state.status, state.message)
            folders, devices = len(state.folders), len(state.devices)
            if shown in self._logged or (shown[0] != "online" and len(self._logged) >= MOST_LOGGED):
                return
            # During one outage, attempts may alternate between several errors; log each of them once.
            failures = set() if shown[0] == "online" else {one for one in self._logged if one[0] != "online"}
            self._logged = {shown, *failures}
        if shown[0] == "online":
            log.info("%s: online, %s, %s", self.name, counted(folders, "folder"), counted(devices, "device"))
        else:
            log.warning("%s: %s: %s", self.name, *shown)

    def _moment(self) -> Moment | None:
        """Return the current moment; None while the instance cannot be used, so that the poller reads nothing."""
        state = self._state
        return state.read_order.moment if state.availability is Availability.LIVE else None

    def _check_connection(self) -> None:
        """Make the follower check its connection, unless it is already reconnecting."""
        if self._state.availability is Availability.LIVE:
            self._follower.check_connection()

    # --- callbacks of the commands

    def _known(self) -> Known:
        with self._lock:
            state = self._state
            return Known(
                config=state.config,
                pending_devices=state.pending_devices,
                pending_folders=state.pending_folders,
                timed_pauses=state.timed_pauses.paused,
            )

    def _take_from_command(self, observations: Iterable[Observation]) -> None:
        self._poller.request(self.take(observations))

    def _emit(self, event_type: str, **data: Any) -> None:
        self._put_event(BridgeEvent(event_type, utc_now(), data))
        self._outbox.flush()

    def _answer(self, received: Received, reply: Reply) -> None:
        send_reply(self._outbox, self._topics, self.name, received, reply)
        self._outbox.flush()

    def _put_event(self, event: BridgeEvent) -> None:
        self._put(Address("event", name=event.event_type), render_event(event))
        if self._discovery and (own := own_event(event)):
            self._put(own[0], render_event(own[1]))

    def _put(self, address: Address, payload: bytes) -> None:
        self._outbox.put(Message(topic=self._topics.build(self.name, address), payload=payload))


def _client(settings: SyncthingSettings, largest_answer: int = LARGEST_ANSWER) -> SyncthingClient:
    return SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
        largest_answer=largest_answer,
    )


def _intervals(poll: PollSettings) -> dict[str, float]:
    return {
        "connections": poll.connections,
        "status": poll.status,
        "errors": poll.errors,
        "device_statistics": poll.statistics,
        "folder_statistics": poll.statistics,
        "upgrade": poll.upgrade,
        RECONCILE: poll.reconcile,
    }

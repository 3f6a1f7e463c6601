"""One Syncthing: its inbox, its threads, its State, and what of it is published."""

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty
from time import monotonic
from typing import Any

from stbridge.commands.arrival import Arrival
from stbridge.commands.desk import CommandDesk
from stbridge.commands.replies import send_reply
from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.envelope import Reply
from stbridge.core.messages import Message, Received
from stbridge.core.observations import Observation
from stbridge.core.outcome import CONNECTION, STATE, Happening
from stbridge.core.payloads import RENDERED, render_happening, render_raw
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant.announcer import Announcer
from stbridge.inbox import Inbox
from stbridge.mqtt.outbox import Outbox
from stbridge.publishing import Publisher
from stbridge.remembering import recall
from stbridge.settings import PollSettings, SyncthingSettings
from stbridge.supervision import BEAT_S, Part
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.follow import Follower
from stbridge.syncthing.poll import RECONCILE, Poller

log = logging.getLogger(__name__)

LARGEST_BATCH = 1000
"""How many observations are taken in before what they changed is rendered, each thing once."""

LONGEST_SILENCE_S = 120.0
"""A batch of observations may take some of this, with thousands of folders on a small machine."""

MOST_WAITING = 10_000
"""How many observations wait to be taken in before events are left with Syncthing."""

STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class _Stop:
    """The last item of an inbox."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """The discovery topics of this instance that the broker has kept."""

    topics: tuple[str, ...]


Item = Observation | Arrival | _Announced | _Stop


class Instance:
    """One Syncthing on the broker.

    Args:
        name: the name of the instance, a level of its topics.
        settings: how to reach it.
        poll: how often to read what has no event.
        alerts: what is worth an alert.
        raw: types of raw events to pass through.
        allowed: the names of the commands that may be carried out.
        topics: builds the topics.
        outbox: where messages go.
        announcer: what Home Assistant is told; None tells it nothing.
        updates_per_second: how often a topic is sent while it keeps changing; 0 is as often as it changes.
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
        announcer: Announcer | None = None,
        updates_per_second: float = 0.0,
    ) -> None:
        self.name = name
        self.settled = threading.Event()
        """Set when what is to be published first is in the outbox: what the broker had kept has been taken in, and
        the first attempt to read this Syncthing has succeeded or failed."""
        self._topics = topics
        self._outbox = outbox
        self._announcer = announcer
        self._publisher = Publisher(name, topics, outbox, announcer, updates_per_second)
        self._poll = poll
        self._alerts = alerts
        self._state = State(alerts)
        self._inbox: Inbox[Item] = Inbox(MOST_WAITING)
        self._waiting: list[Arrival] = []
        self._logged: tuple[str, str] | None = None
        self._tried = False
        self._ended = False
        self._taking_rest = threading.Lock()
        # one client for each thread: a session of requests is not made to be shared
        self._clients = [_client(settings) for _ in range(3)]
        self._follower = Follower(
            name,
            self._clients[0],
            raw=raw,
            report=self._inbox.bring,
            give_way=self._inbox.give_way,
            settle=lambda longest_s: self._poller.settle(self._inbox.give_way, longest_s),
        )
        self._poller = Poller(
            name,
            self._clients[1],
            intervals=_intervals(poll),
            report=self._inbox.bring,
            recovered=self._follower.look_again,
        )
        self._desk = CommandDesk(
            name,
            self._clients[2],
            allowed=allowed,
            answer=self._answer,
            happened=self._tell,
            read=self._poller.request,
            report=self._inbox.put,
        )
        self._part = Part(f"{name}-state", self._run, longest_s=LONGEST_SILENCE_S)

    def start(self) -> None:
        """Begin to read Syncthing; nothing is sent before the broker is there."""
        self._publisher.change((CONNECTION, STATE))
        self._publisher.publish(self._state, monotonic())
        self._outbox.flush()
        self._part.start()
        self._poller.start()
        self._follower.start()

    def stop(self) -> None:
        """End: what is known stays on the broker, the bridge's own state says that it is old."""
        self._follower.stop()
        self._poller.stop()
        self._inbox.close()
        self._inbox.put(_Stop())
        self._part.join(STOP_S)
        self._take_rest()
        self._desk.stop()
        self._take_rest()  # what commands have done at the very end
        self._publisher.change(self._state.take_outcome().changed)
        self._publisher.publish(self._state, monotonic(), at_end=True)
        self._outbox.flush()
        for client in self._clients:
            client.close()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its threads."""
        return (self._part, self._follower.part, self._poller.part)

    @property
    def status(self) -> str:
        """The word for it in the `connection` topic."""
        return self._state.status

    def remember(self, payloads: Mapping[str, bytes], announced: Iterable[str] = ()) -> None:
        """Take what the broker has kept of this instance from an earlier life of the bridge; any thread.

        Args:
            payloads: by topic; those of other instances are left alone.
            announced: the discovery topics of this instance.
        """
        self._inbox.put(_Announced(tuple(announced)))
        self._inbox.put(seen.Remembered(payloads=recall(self._topics, self.name, payloads, RENDERED)))

    def command(self, name: str, received: Received) -> None:
        """Take a command; any thread."""
        arrival = Arrival(name, received, monotonic())
        if self._desk.admit(arrival):
            self._inbox.put(arrival)
        if self._ended:
            self._take_rest()

    def _take_rest(self) -> None:
        """Answer what nobody will take from the inbox any more; when a pause ends, the next life has to know."""
        self._ended = True
        with self._taking_rest:
            while not self._inbox.empty:
                match self._inbox.take():
                    case Arrival() as arrival:
                        self._waiting.append(arrival)
                    case seen.PauseTimed() as pause:
                        apply(self._state, pause, datetime.now(UTC))
            for arrival in self._waiting:
                self._desk.refuse(arrival)
            self._waiting.clear()

    # --- the thread that owns the state ----------------------------------------------------------------------------

    def _run(self) -> None:
        if self._part.deaths:
            self._begin_anew()
        running = True
        while running:
            self._part.beat()
            self._follower.remind()
            for item in self._batch():
                running = running and self._take(item)
            reads = self._follow_up()
            self._outbox.flush()
            if reads:  # only now: a request takes long, and would be made before all this is sent
                self._poller.request(reads)
            self._inbox.done()

    def _begin_anew(self) -> None:
        """Read everything again, for what an exception left half changed cannot be trusted."""
        self._state = State(self._alerts)
        self._publisher.forget()
        self.remember(self._outbox.states())
        self._follower.read_again()

    def _batch(self) -> Iterable[Item]:
        """Wait for something to come in, or for the time at which something is due."""
        with suppress(Empty):
            yield self._inbox.take(self._time_to_wait())
            for _ in range(LARGEST_BATCH):
                if self._inbox.empty:
                    break
                yield self._inbox.take()

    def _time_to_wait(self) -> float:
        """Return the seconds until something follows from time alone; not too many, because clocks are set."""
        times = [at for at in (self._state.next_due, self._state.timed_pauses.next_try) if at is not None]
        waits = [(at - datetime.now(UTC)).total_seconds() for at in times]
        if self._publisher.next is not None:
            waits.append(self._publisher.next - monotonic())
        return max(0.0, min([BEAT_S, *waits]))

    def _take(self, item: Item) -> bool:
        match item:
            case _Stop():
                return False
            case Arrival():
                self._waiting.append(item)
            case _Announced():
                if self._announcer:
                    self._announcer.remember(item.topics)
            case seen.RawEvent():
                self._send(Address("raw", name=item.type), render_raw(item.event))
            case _:
                apply(self._state, item, datetime.now(UTC))
                self._notice(item)
        return True

    def _notice(self, observation: Observation) -> None:
        """Set the threads right after what was seen of Syncthing."""
        match observation:
            case seen.SnapshotComplete() | seen.Available() | seen.Unavailable():
                self._poller.enable(enabled=seen.EVENTS not in self._state.faults)
                self._log_reachability()
                self._tried = True
            case seen.ConfigRead():
                self._poller.reconcile(self._state.folders)
            case seen.StatusRead() if self._state.restarted:
                self._follower.read_again()

    def _follow_up(self) -> Collection[seen.Read]:
        """Draw conclusions, publish, tell what happened, take the commands that wait; return what has to be read."""
        now = datetime.now(UTC)
        conclude(self._state, now)
        outcome = self._state.take_outcome()
        self._publisher.change(outcome.changed)
        self._publisher.publish(self._state, monotonic())
        if self._tried and self._state.remembered is not None:
            self.settled.set()
        for happening in outcome.happenings:
            self._send(Address("event", name=happening.event_type), render_happening(happening))
        transferring = self._state.transferring(now)
        self._poller.every("connections", self._poll.transfer if transferring else self._poll.connections)
        for paused in self._state.timed_pauses.take_due(now):
            if self._state.online:
                self._desk.resume(paused)
        if self.settled.is_set():
            waiting, self._waiting = self._waiting, []
            for arrival in waiting:
                self._desk.take(arrival, self._state)
        return outcome.reads

    def _log_reachability(self) -> None:
        reachability = (self._state.status, self._state.message)
        if reachability == self._logged:
            return
        self._logged = reachability
        if self._state.online:
            log.info(
                "%s: online, %d folders, %d devices",
                self.name,
                len(self._state.folders),
                len(self._state.devices),
            )
        else:
            log.warning("%s: %s: %s", self.name, *reachability)

    # --- what any thread may do -------------------------------------------------------------------------------------

    def _send(self, address: Address, payload: bytes) -> None:
        self._outbox.put(Message(topic=self._topics.build(self.name, address), payload=payload))

    def _tell(self, event_type: str, **data: Any) -> None:
        happening = Happening(event_type, datetime.now(UTC), data)
        self._send(Address("event", name=event_type), render_happening(happening))
        self._outbox.flush()

    def _answer(self, received: Received, reply: Reply) -> None:
        send_reply(self._outbox, self._topics, self.name, received, reply)
        self._outbox.flush()


def _client(settings: SyncthingSettings) -> SyncthingClient:
    return SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
    )


def _intervals(poll: PollSettings) -> dict[str, float]:
    return {
        "connections": poll.connections,
        "status": poll.status,
        "errors": poll.errors,
        "statistics": poll.statistics,
        "upgrade": poll.upgrade,
        RECONCILE: poll.reconcile,
    }

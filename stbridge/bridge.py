"""The service: creates, starts, supervises and stops all parts of the bridge."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from queue import Empty, SimpleQueue
from time import monotonic

from stbridge import __version__
from stbridge.birth import Births
from stbridge.clock import steady_s, utc_now
from stbridge.commands.bridge_commands import BridgeCommands
from stbridge.core.bridge_payloads import BridgeHealth, render_health, render_info, render_sentinel
from stbridge.core.commands import allowed
from stbridge.core.exclusions import Exclusions
from stbridge.core.json_text import as_json
from stbridge.core.messages import Message, Received
from stbridge.core.payloads import OFFLINE, ONLINE
from stbridge.core.slow_topics import copies
from stbridge.core.timing import in_utc
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.errors import Failed, SettingsError
from stbridge.health import HealthFile
from stbridge.homeassistant import listed
from stbridge.homeassistant.discovery import Site
from stbridge.homeassistant.discovery import config as discovery_message
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.homeassistant.listed import empty_list
from stbridge.homeassistant.ownership import may_be_owned, owned
from stbridge.instance import Instance
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.conflict import InstanceMarker
from stbridge.mqtt.connection import BrokerConnection
from stbridge.mqtt.diagnosis import exposed_password
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.retained import Selection
from stbridge.overrides import OverrideWarnings
from stbridge.schedule import Schedule
from stbridge.settings import Settings
from stbridge.supervision import Supervision
from stbridge.syncthing.concurrency import ConcurrencyLimit
from stbridge.systemd import notify

log = logging.getLogger(__name__)

SUPERVISION_S = 29.5
"""Seconds between two checks of the threads.

This is a little less than the default of `mqtt.keepalive_s`, so that an idle bridge rarely wakes the processor:
`bridge/health` takes the place of MQTT's PINGREQ, and the network thread checks its timeouts soon enough by itself.
"""

RESTART_S = 10.0
"""Seconds until a thread that died is restarted, so that a fault that persists does not use up all restarts at once."""

MAX_READING, MAX_READING_S = 8, 0.5
"""Maximum number of instances that are read completely at the same time, and seconds after which a slow one no longer
counts. 50 fast instances are online 10 % sooner than without a limit; 50 slow ones are read up to 3 s later."""

DIED = 0
"""Put into the queue of signals by a thread that died."""

SETTLING_S = (1.0, 2.0, 3.0)
"""Pauses between the first checks, in seconds: shorter, because users look at the status right after the start."""

HEALTH_EXPIRY_S = 180
"""Seconds after which `bridge/health` expires on the broker, with MQTT 5."""

STOP_S = 5.0
"""Maximum duration of a stop, in seconds; Docker kills a container after 10 s."""

DISCONNECT_S = 3.0
"""The part of STOP_S that is reserved for the last messages to the broker, in seconds."""


class Bridge:
    """The service: all instances, and the connection to the broker.

    Args:
        settings: with at least one Syncthing instance.
        health: the file for the result of each check of the threads; None writes no file.

    Raises:
        SettingsError: settings are invalid in a way that only shows when they are combined.
    """

    def __init__(self, settings: Settings, health: HealthFile | None = None) -> None:
        self._settings = settings
        self._topics = Topics(
            settings.mqtt.base_topic, settings.homeassistant.discovery_prefix, strict=settings.mqtt.strict_topics
        )
        self._outbox = Outbox(settings.mqtt.queued_events, settings.mqtt.queued_mb * 1_000_000)
        self._health = health
        self._allowed = _allowed(settings)
        self._started_at, self._started_s = utc_now(), steady_s()
        self._schedule = Schedule()
        self._may_go_online = threading.Event()
        alerts = settings.alerts.thresholds()
        overrides = OverrideWarnings(alerts, settings.syncthing)
        read_limit = ConcurrencyLimit(MAX_READING, MAX_READING_S)
        self._instances = {
            name: Instance(
                name,
                instance,
                poll=settings.poll,
                alerts=alerts,
                raw=settings.events.raw,
                allowed=self._allowed,
                topics=self._topics,
                outbox=self._outbox,
                schedule=self._schedule,
                read_limit=read_limit,
                on_published=self._first_publication,
                discovery=self._discovery(name),
                updates_per_second=settings.mqtt.updates_per_second,
                on_config=partial(overrides.update, name),
            )
            for name, instance in settings.syncthing.items()
        }
        self._commands = BridgeCommands(self._topics, self._outbox, self._allowed)
        self._births = Births(self._schedule, self._resend)
        self._broker = BrokerConnection(
            settings.mqtt,
            self._outbox,
            last_will=self._state(OFFLINE),
            birth=self._state(ONLINE),
            subscriptions=self._subscriptions(),
            received=self._received,
            restore=Selection(
                topic_filters=[
                    self._topics.discovery_list("+"),
                    *(one for name in self._instances for one in self._topics.filters_without_completions(name)),
                ],
                further=self._further_filters,
                wants=partial(may_be_owned, self._topics),
            ),
            restored=self._restored,
            sentinel=self._message("bridge_sentinel", render_sentinel(self._started_at)),
            marker=InstanceMarker(self._topics.build(BRIDGE, Address("bridge_info")), self._is_our_info, self._info),
            on_connected=self._put_health,
            hold=self._may_go_online,
        )
        threads = [thread for instance in self._instances.values() for thread in instance.threads]
        self._supervision = Supervision([self._broker.thread, self._schedule.thread, *threads], SUPERVISION_S)

    def start(self) -> None:
        """Start reading all instances and connecting to the broker; returns immediately."""
        log.info("stbridge %s is starting; instances: %s", __version__, ", ".join(self._instances))
        for warning in filter(None, map(exposed_password, self._settings.mqtt.nodes)):
            log.warning("%s", warning)
        self._schedule.start()
        if self._settings.homeassistant.enabled:
            self._outbox.put_state(self._own_discovery(), first=True)
        for instance in self._instances.values():
            instance.start()
        self._broker.start()

    def stop(self) -> None:
        """Stop all instances with a common deadline, publish `offline` even after a failure, and disconnect.

        This takes at most STOP_S.
        """
        notify("STOPPING=1")
        deadline = monotonic() + STOP_S
        self._may_go_online.set()
        instances = list(self._instances.values())
        steps: list[Callable[[], None]] = [self._schedule.stop]
        steps += [instance.stop_reading for instance in instances]
        steps += [partial(instance.stop, deadline - DISCONNECT_S) for instance in instances]
        for step in steps:
            try:
                step()
            except Exception:  # the other parts must still stop, and `offline` must still be published
                log.exception("could not stop a part of the bridge")
        self._broker.stop(max(DISCONNECT_S, deadline - monotonic()))
        log.info("stopped")

    def run(self, signals: "SimpleQueue[int]") -> None:
        """Start, supervise the threads until a signal arrives, and stop.

        Args:
            signals: a signal handler puts the signal in; unlike an Event, a SimpleQueue is safe in a handler.

        Raises:
            Failed: a thread hangs, or stops unexpectedly again and again.
        """
        self._supervision.on_death(lambda: signals.put(DIED))
        self.start()
        notify("READY=1")
        try:
            for pause_s in chain(SETTLING_S, repeat(SUPERVISION_S)):
                self.supervise()
                with suppress(Empty):
                    if signals.get(timeout=pause_s) != DIED or signals.get(timeout=min(pause_s, RESTART_S)) != DIED:
                        return
        finally:
            self.stop()

    def supervise(self) -> None:
        """Check all threads once, and report the result.

        The status for systemd and for the health check comes from here, so it depends on the heartbeats of all threads.

        Raises:
            Failed: a thread hangs, or stops unexpectedly again and again.
        """
        if faults := self._supervision.check():
            raise Failed(f"{faults}: see the log. The service manager should restart the bridge.")
        status = self._status()
        notify(f"WATCHDOG=1\nSTATUS={status}")
        if self._health:
            self._health.write(status)
        self._put_health()
        self._outbox.flush()

    def _discovery(self, name: str) -> DiscoveryPublisher | None:
        if not self._settings.homeassistant.enabled:
            return None
        return DiscoveryPublisher(self._site(name, self._settings.syncthing[name].link))

    def _own_discovery(self) -> Message:
        """Return the discovery message of the bridge itself."""
        site = self._site(BRIDGE)
        payload = as_json(discovery_message(site.bridge, site))
        return Message(topic=self._topics.discovery(site.bridge.object_id), payload=payload, retain=True)

    def _site(self, name: str, link: str | None = None) -> Site:
        return Site(
            instance=name,
            topics=self._topics,
            allowed=self._allowed,
            link=link,
            version=__version__,
            exclusions=Exclusions(self._settings.homeassistant.exclude),
            child_devices=self._settings.homeassistant.child_devices,
        )

    def _subscriptions(self) -> list[Subscription]:
        commands = [Subscription(self._topics.command_filter(name)) for name in (*self._instances, BRIDGE)]
        # A birth message that arrives live counts even if it is published as retained; a stored one does not.
        birth = Subscription(self._topics.home_assistant_status, retain_as_published=False)
        return [*commands, birth] if self._settings.homeassistant.enabled else commands

    def _first_publication(self) -> None:
        """Allow the first `online` when every instance has been published or could not be read."""
        if all(instance.published.is_set() for instance in self._instances.values()):
            self._may_go_online.set()

    def _status(self) -> str:
        broker = self._broker.status
        parts = [f"broker {'connected' if broker.connected else broker.message or 'connecting'}"]
        parts += [f"{name} {instance.status}" for name, instance in self._instances.items()]
        return "; ".join(parts)

    def _measured(self) -> BridgeHealth:
        counters, broker = self._outbox.counters(), self._broker.status
        return BridgeHealth(
            uptime_s=steady_s() - self._started_s,
            queued=counters.queued,
            sent=counters.sent,
            dropped=counters.dropped,
            failed=counters.failed,
            reconnects=broker.reconnects,
            connected_s=monotonic() - broker.since_monotonic if broker.connected else None,
            message=broker.message,
            threads=self._supervision.silent_s,
            restarts=self._supervision.deaths,
            instances={name: instance.status for name, instance in self._instances.items()},
        )

    # --- callbacks of the broker connection: they only pass messages on

    def _put_health(self) -> None:
        """Update `bridge/health`; on a connect, because the outbox still has the reason why there was no connection."""
        payload = render_health(self._measured())
        self._outbox.put_state(self._message("bridge_health", payload, expiry_s=HEALTH_EXPIRY_S))

    def _resend(self) -> None:
        self._outbox.resend()
        self._outbox.flush()

    def _info(self, protocol: str, broker: str) -> Message:
        info = render_info(
            version=__version__,
            started_at=self._started_at,
            protocol=protocol,
            broker=broker,
            instances=self._instances,
            commands=self._allowed,
        )
        return self._message("bridge_info", info)

    def _is_our_info(self, payload: bytes) -> bool:
        return f'"started_at":"{in_utc(self._started_at)}"'.encode() in payload

    def _received(self, received: Received) -> None:
        parsed = self._topics.parse(received.topic)
        if received.topic == self._topics.home_assistant_status:
            self._births.take(received)
        elif parsed is None or parsed[1].kind != "command":
            received.acknowledge()
        elif parsed[0] == BRIDGE:
            self._commands.receive(parsed[1].name, received)
        else:
            self._instances[parsed[0]].command(parsed[1].name, received)

    def _further_filters(self, payloads: Mapping[str, bytes]) -> list[str]:
        """Return which retained messages to read after these.

        A broker may drop a part of the completions of all devices together, and even its answer to the subscription.
        On a distant broker, there may not be enough time for the last ones of many devices.
        """
        return [
            *listed.filters(payloads, topics=self._topics, instances=self._instances),
            *self._topics.completion_filters(payloads),
        ]

    def _restored(self, payloads: Mapping[str, bytes], complete: bool) -> None:  # noqa: FBT001 - a callback
        """Pass what the previous run published to each instance, and clear topics that this run does not publish."""
        lists = listed.stored_lists(payloads, self._topics)
        announced = owned(payloads, self._topics, {topic for one in lists.values() for topic in one})
        originals = copies(self._topics, payloads)
        self._clear_outdated(payloads, announced, originals)
        if complete:
            self._put_lists(lists.keys() - self._instances.keys())
        own = {topic: payload for topic, payload in payloads.items() if topic not in originals}
        for name, instance in self._instances.items():  # last: from here on, it replaces what was cleared
            instance.restore(
                own,
                {topic: payloads[topic] for topic, of in announced.items() if of == name},
                lists.get(name),
                complete=complete,
            )

    def _clear_outdated(
        self, payloads: Mapping[str, bytes], announced: Mapping[str, str], originals: Mapping[str, str]
    ) -> None:
        """Clear topics of the previous run that this run does not publish.

        Args:
            payloads: retained messages by topic.
            announced: the names of the instances of its discovery topics.
            originals: the topics of which some of its topics are slow copies.
        """
        enabled = self._settings.homeassistant.enabled
        for topic in [one for name in self._instances for one in self._topics.of_instance(name, payloads)]:
            outdated = topic in originals and not (enabled and originals[topic] in payloads)
            if outdated or self._topics.is_obsolete(topic):
                self._outbox.put_state(Message(topic=topic, payload=b"", retain=True))
        own_topic = self._topics.discovery(self._site(BRIDGE).bridge.object_id)
        for topic, name in announced.items():
            if not enabled or (topic != own_topic and name not in self._instances):
                self._outbox.put_state(Message(topic=topic, payload=b"", retain=True), first=True)

    def _put_lists(self, removed: Iterable[str]) -> None:
        """Clear the lists of discovery topics of removed instances, and empty all lists if discovery is disabled."""
        for name in removed:
            self._outbox.put_state(Message(topic=self._topics.discovery_list(name), payload=b"", retain=True))
        for name in () if self._settings.homeassistant.enabled else self._instances:
            self._outbox.put_state(empty_list(name, self._topics))

    def _state(self, word: str) -> Message:
        return self._message("bridge_state", word.encode(), json=False)

    def _message(self, kind: str, payload: bytes, *, json: bool = True, expiry_s: int | None = None) -> Message:
        topic = self._topics.build(BRIDGE, Address(kind))
        return Message(topic=topic, payload=payload, retain=True, json=json, expiry_s=expiry_s)


def _allowed(settings: Settings) -> frozenset[str]:
    try:
        return allowed(settings.commands.allow)
    except ValueError as error:
        raise SettingsError([f"commands.allow: {error}"]) from error

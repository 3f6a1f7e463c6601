"""The MQTT client of the demo: prints, awaits and counts the messages of the bridge."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from time import localtime, monotonic, strftime
from typing import Any

from stbridge.core.messages import Message, Received
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.errors import Failed
from stbridge.mqtt.observer import Observer
from stbridge.output import say
from stbridge.settings import MqttSettings
from stbridge.watch.lines import describe

PATIENCE_S = 40.0

Seen = tuple[str, Address, Any]


class Audience:
    """Receives everything that the bridge publishes.

    Args:
        settings: the settings of the broker.
        show: prints one line.
    """

    def __init__(self, settings: MqttSettings, show: Callable[[str], None]) -> None:
        self.published: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self._topics = Topics(settings.base_topic, strict=settings.strict_topics)
        self._show = show
        self._seen: list[Seen] = []
        self._lines: dict[tuple[str, Address], str] = {}
        self._changed = threading.Condition()
        self._observer = Observer(settings, [f"{settings.base_topic}/#"], self._take)

    def start(self) -> None:
        """Connect and subscribe."""
        self._observer.start()

    def stop(self) -> None:
        """Disconnect."""
        self._observer.stop()

    def mark(self) -> int:
        """Return the number of messages so far, for the argument `since` of `wait_for`."""
        with self._changed:
            return len(self._seen)

    def wait_for(
        self, instance: str, kind: str, condition: Callable[[Any], Any] = lambda _: True, *, since: int = 0
    ) -> Any:
        """Wait until a matching message is published, and return its payload.

        Raises:
            Failed: no matching message is published in time.
        """

        def found() -> Seen | None:
            return next(
                (one for one in self._seen[since:] if (one[0], one[1].kind) == (instance, kind) and condition(one[2])),
                None,
            )

        with self._changed:
            if not self._changed.wait_for(found, PATIENCE_S):
                raise Failed(f"{instance} did not publish the expected {kind} within {PATIENCE_S:.0f} s")
            seen = found()
        assert seen is not None, "the condition holds"
        return seen[2]

    def command(self, instance: str, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a command as any MQTT client could, and return its reply.

        Raises:
            Failed: there is no reply in time.
        """
        since = self.mark()
        self._show(f"{instance:>7}  command {name} {json.dumps(arguments)}")
        topic = self._topics.build(instance, Address("command", name=name))
        self._observer.publish(Message(topic=topic, payload=json.dumps(arguments).encode()))
        reply: Mapping[str, Any] = self.wait_for(
            instance, "response", lambda payload: payload["command"] == name, since=since
        )
        self.replies[f"{name}: {reply['status']}"] += 1
        return reply

    def _take(self, received: Received) -> None:
        parsed = self._topics.parse(received.topic)
        if parsed is None or not received.payload or parsed[1].kind == "command":
            return
        instance, address = parsed
        payload = _decoded(received.payload)
        self.published[address.kind] += 1
        if isinstance(payload, dict) and instance != BRIDGE:
            self._print(instance, address, payload)
        with self._changed:
            self._seen.append((instance, address, payload))
            self._changed.notify_all()

    def _print(self, instance: str, address: Address, payload: Mapping[str, Any]) -> None:
        line = describe(address, payload)
        key = (instance, address)
        if line is None or (self._lines.get(key) == line and address.kind not in ("event", "response")):
            return
        self._lines[key] = line
        self._show(f"{instance:>7}  {line}")


class Clock:
    """Prints lines with the time, and measures the duration of the demo.

    Args:
        seconds: the minimum duration of the demo; None means until it is interrupted.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the minimum duration is over."""
        return self._end is not None and monotonic() >= self._end

    @staticmethod
    def show(line: str) -> None:
        """Print a line with the time; if the reader of the output has left, interrupt the demo like Ctrl-C."""
        if not say(f"{strftime('%H:%M:%S', localtime())} {line}"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")

"""A plain client of the broker, for what looks at the bridge from outside: sees topics, publishes commands."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnavailable
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.link import Link
from stbridge.mqtt.protocol import Protocol, ProtocolChoice
from stbridge.settings import MqttSettings


class Observer:
    """Sees everything under some topics, from one connection.

    Args:
        settings: the broker's.
        filters: topic filters.
        received: is handed every message, by a thread of the observer's own.
        role: what it is, for its client ID, which holds a number, too: there may be several.
        ended: is told, by that thread, that the connection was lost.
    """

    def __init__(
        self,
        settings: MqttSettings,
        filters: Sequence[str],
        received: Callable[[Received], None],
        *,
        role: str = "observer",
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.failure: BrokerUnavailable | None = None
        """Why the connection was lost, if it was."""
        self._role = role
        self._ended = ended
        self._settings = settings
        self._filters = filters
        self._received = received
        self._to_publish: deque[Message] = deque()
        self._stop = threading.Event()
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Connect and subscribe.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or refuses.
        """
        self._link = ProtocolChoice(self._settings.protocol).open(self._opened)
        self._link.subscribe([Subscription(one) for one in self._filters])
        self._thread.start()

    def _opened(self, protocol: Protocol) -> Link:
        client_id = f"{self._settings.client_id}-{self._role}-{os.getpid()}"
        link = Link(self._settings, protocol, client_id=client_id, received=self._hand_over)
        link.open(self._stop)
        return link

    def publish(self, message: Message) -> None:
        """Publish a message soon; any thread."""
        self._to_publish.append(message)
        if self._link is not None:
            self._link.wake()

    def stop(self) -> None:
        """Disconnect."""
        self._stop.set()
        if self._link is not None and self._thread.is_alive():
            self._link.wake()
            self._thread.join()

    def _hand_over(self, received: Received) -> None:
        received.acknowledge()
        self._received(received)

    def _run(self) -> None:
        assert self._link is not None, "start() has connected"
        try:
            while not self._stop.is_set():
                while self._to_publish:
                    self._link.publish(self._to_publish.popleft())
                self._link.send_acknowledgements(self._link.to_acknowledge)
                self._link.turn()
        except BrokerUnavailable as error:
            self.failure = error
            self._ended()
        finally:
            self._link.close(say_goodbye=self._stop.is_set())

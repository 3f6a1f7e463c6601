"""A plain client of the broker for `watch` and the demo: receives topics, publishes commands."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerUnavailable
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.session import Session, beside, open_session
from stbridge.settings import MqttSettings


class Observer:
    """Receives everything under some topics, over one connection.

    Args:
        settings: the broker's.
        filters: topic filters.
        received: is called with every message, in a thread of the observer's own.
        role: what it is, for its client ID, which also holds the process ID: there may be several.
        client_id: the client ID instead.
        ended: is called in that thread when the connection was lost.
    """

    def __init__(
        self,
        settings: MqttSettings,
        filters: Sequence[str],
        received: Callable[[Received], None],
        *,
        role: str = "observer",
        client_id: str | None = None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.failure: BrokerUnavailable | None = None
        """Why the connection was lost, if it was."""
        self._client_id = client_id or beside(settings, f"{role}-{os.getpid()}")
        self._ended = ended
        self._settings = settings
        self._filters = filters
        self._received = received
        self._outbox = Outbox()
        self._stop = threading.Event()
        self._open = ExitStack()
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Connect and subscribe.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or refuses.
        """
        with self._open as opening:
            session = opening.enter_context(
                open_session(self._settings, self._client_id, self._hand_over, outbox=self._outbox, stop=self._stop)
            )
            session.subscribe([Subscription(one) for one in self._filters])
            self._open = opening.pop_all()
        self._session = session
        self._thread.start()

    def publish(self, message: Message) -> None:
        """Publish a message soon; any thread."""
        self._outbox.put(message)
        self._outbox.flush()

    def stop(self) -> None:
        """Disconnect."""
        self._stop.set()
        if self._session is not None and self._thread.is_alive():
            self._session.wake()
            self._thread.join()

    def _hand_over(self, received: Received) -> None:
        received.acknowledge()
        self._received(received)

    def _run(self) -> None:
        assert self._session is not None, "start() has connected"
        try:
            with self._open:
                while not self._stop.is_set():
                    self._session.loop_once()
        except BrokerUnavailable as error:
            self.failure = error
            self._ended()

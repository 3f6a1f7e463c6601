"""A simple client of the broker for `watch`, `web` and the demo: receives topics, publishes commands."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from stbridge.core.messages import Message, Received
from stbridge.errors import BrokerRefused, BrokerUnavailable, BrokerUnreachable
from stbridge.mqtt import diagnosis
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.session import Session, beside, open_session
from stbridge.settings import MqttSettings


class Observer:
    """Receives all messages under some topic filters, over one connection.

    It subscribes with QoS 0, to one filter after another: Mosquitto drops messages that do not fit into its queue
    (`max_queued_messages`, 1000), and with QoS 1 everything goes through the queue, because at most 20 messages are in
    flight. Of 23,000 retained messages, 1,020 arrived with QoS 1, and all with QoS 0 (Mosquitto 2.0.11).

    Args:
        settings: the settings of the broker.
        filters: topic filters; the one with the most messages last, because it delays those after it.
        received: called with every message, in the observer's own thread.
        role: a part of its client ID, which also contains the process ID, because several observers may run.
        client_id: a client ID to use instead.
        ended: called in the same thread when the connection is lost, also after an unexpected exception.
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
        """The reason for the loss of the connection; None if it was not lost."""
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
            BrokerUnavailable: the broker cannot be reached, or refuses the connection or a subscription.
        """
        with self._open as opening:
            session = opening.enter_context(
                open_session(self._settings, self._client_id, self._hand_over, outbox=self._outbox, stop=self._stop)
            )
            refused: dict[str, str] = {}
            for one in self._filters:
                refused |= session.subscribe([Subscription(one, qos=0)])
            if refused:
                raise BrokerRefused(diagnosis.subscriptions_refused(refused))
            self._open = opening.pop_all()
        self._session = session
        self._thread.start()

    def publish(self, message: Message) -> None:
        """Queue a message to be published; thread-safe."""
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
        finally:
            if not self._stop.is_set():
                self.failure = self.failure or BrokerUnreachable("the connection stopped unexpectedly")
                self._ended()

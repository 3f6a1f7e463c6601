"""The embedded broker of the demo: amqtt, which speaks MQTT 3.1.1 only."""

import asyncio
import logging
import threading

from amqtt.broker import Broker

from stbridge.demo.node import free_port
from stbridge.errors import Failed

START_S = 10.0


class EmbeddedBroker:
    """A broker on the loopback address, in a thread of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-broker", daemon=True)
        self._broker: Broker | None = None

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            Failed: it does not start.
        """
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # amqtt 0.11 fails when a client has hung up first
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self._thread.start()
        if not self._ready.wait(START_S):
            raise Failed("the embedded broker does not start")

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive() and self._broker is not None:
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(START_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            self._loop,
        )
        self._loop.run_until_complete(self._broker.start())
        self._ready.set()
        self._loop.run_forever()

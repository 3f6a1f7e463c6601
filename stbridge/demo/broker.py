"""The embedded broker of the demo: amqtt, which speaks MQTT 3.1.1 only.

iotcore 0.4 speaks MQTT 5 and works, but is not a better choice: it needs a separate port for each version of MQTT, it
is a binary for each version of Python (none for Alpine's musl), and it had no release from 2023 to 2026. amqtt is pure
Python and is released regularly.
"""

import asyncio
import logging
import threading

from amqtt.broker import Broker
from amqtt.errors import BrokerError

from stbridge.demo.node import free_port
from stbridge.errors import Failed

START_S = 10.0

NOISY = ("amqtt", "asyncio", "transitions")
"""Loggers that report normal behavior of clients as errors: a client that disconnects, or speaks MQTT 5."""


class EmbeddedBroker:
    """A broker on the loopback address, in its own thread."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._failure = "it takes too long"
        self._thread = threading.Thread(target=self._run, name="embedded-broker", daemon=True)

    def start(self) -> None:
        """Start the broker and wait until it listens.

        Raises:
            Failed: the broker does not start.
        """
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        self._ready.wait(START_S)
        if self._loop is None:
            raise Failed(f"the embedded broker cannot start: {self._failure}")

    def stop(self) -> None:
        """Stop the broker; may be called in any state."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BrokerError as error:
            self._failure = str(error)
        self._ready.set()

    async def _serve(self) -> None:
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stopping.wait()
        await broker.shutdown()

"""The event streams of the browsers: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncIterator, Callable

from stbridge.web.hub import Hub

MOST_STREAMS = 50
"""Maximum number of browsers, and of tabs, that are connected at once."""

CLOCK_S = 15.0
"""After this time without an update, a line is sent: proxies close a connection that is silent for 60 s."""

RETRY_MS = 2000

HEADERS = {
    "Cache-Control": "no-store, no-transform",
    # without it, nginx delays the events, with gzip forever
    "X-Accel-Buffering": "no",
}


class Streams:
    """Sends each update of the hub to all browsers.

    A browser has no queue: a stream only remembers the number of its last update.

    Args:
        hub: makes the updates.
    """

    def __init__(self, hub: Hub) -> None:
        self.count = 0
        """The number of open streams."""
        self._hub = hub
        self._event = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """Make every stream look for updates; call it in the thread of the event loop."""
        self._event.set()
        self._event = asyncio.Event()

    def stop(self) -> None:
        """End every stream; otherwise the server would wait for them."""
        self._stopped.set()
        self.wake()

    @property
    def full(self) -> bool:
        """Whether no further stream can be opened."""
        return self.count >= MOST_STREAMS

    async def stream(self, boot: str, number: int, is_allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield the events for one browser.

        Args:
            boot: the process that the number is valid for.
            number: the last update that the browser has.
            is_allowed: whether the session of the browser is still valid.
        """
        self.count += 1
        try:
            yield f"retry: {RETRY_MS}\nevent: clock\ndata: \n\n".encode()
            while not self._stopped.is_set() and is_allowed():
                event = self._event  # taken before the updates, so that none is missed
                ticks = self._hub.since(boot, number)
                if ticks is None:
                    yield b"event: reload\ndata: \n\n"
                    return
                for tick in ticks:
                    number = tick.number
                    yield f"id: {boot}.{number}\ndata: ".encode() + tick.data + b"\n\n"
                if not ticks:
                    await _wait(event, CLOCK_S)
                    if event is self._event:
                        yield b"event: clock\ndata: \n\n"
        finally:
            self.count -= 1

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        await _wait(self._stopped, seconds)


async def _wait(event: asyncio.Event, longest_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), longest_s)
    except TimeoutError:
        return

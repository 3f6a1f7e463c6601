"""Home Assistant's birth message: it has started, and may have missed or forgotten everything."""

import logging
import random
import threading
from collections.abc import Callable

from stbridge.core.messages import Received

log = logging.getLogger(__name__)

ONLINE = b"online"
EARLIEST_S = 1.0
LATEST_S = 4.0


class Births:
    """Has everything published again when Home Assistant is born; not at once, as all its devices do that.

    Args:
        again: publishes everything again; called by a thread of its own.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._timer: threading.Timer | None = None

    def take(self, received: Received) -> None:
        """Take a message on Home Assistant's status topic; several in a row are one birth."""
        received.acknowledge()
        if received.payload != ONLINE or (self._timer is not None and self._timer.is_alive()):
            return
        log.info("Home Assistant has started: it is told everything again")
        wait_s = random.uniform(EARLIEST_S, LATEST_S)  # noqa: S311 - spreads load, keeps no secret
        self._timer = threading.Timer(wait_s, self._again)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Let what is still waited for be."""
        if self._timer is not None:
            self._timer.cancel()

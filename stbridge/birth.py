"""Home Assistant's birth message: it has started, and needs discovery and all states again."""

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
    """Republishes everything when Home Assistant has started; not at once, because all its devices do that.

    Args:
        again: republishes everything; called in a thread of its own.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._timer: threading.Timer | None = None

    def take(self, received: Received) -> None:
        """Handle a message on Home Assistant's status topic; several in a row are one birth."""
        received.acknowledge()
        # A stored message comes with every connection, after which everything is published anyway.
        is_birth = received.payload == ONLINE and not received.retained
        if not is_birth or (self._timer is not None and self._timer.is_alive()):
            return
        log.info("Home Assistant restarted; republishing all topics")
        wait_s = random.uniform(EARLIEST_S, LATEST_S)  # noqa: S311 - spreads load, keeps no secret
        self._timer = threading.Timer(wait_s, self._again)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Cancel a republication that has not begun."""
        if self._timer is not None:
            self._timer.cancel()

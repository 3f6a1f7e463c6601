"""Reacts to Home Assistant's birth message: Home Assistant has started, and needs discovery and all states again."""

import logging
import random
from collections.abc import Callable
from time import monotonic

from stbridge.core.messages import Received
from stbridge.core.topics import BRIDGE
from stbridge.schedule import Schedule

log = logging.getLogger(__name__)

ONLINE = b"online"
EARLIEST_S = 1.0
LATEST_S = 4.0


class Births:
    """Republishes all topics when Home Assistant has started; the delay is random, since all its devices do the same.

    Args:
        schedule: runs the republication.
        republish: publishes all topics again.
    """

    def __init__(self, schedule: Schedule, republish: Callable[[], None]) -> None:
        self._schedule = schedule
        self._republish = republish
        schedule.add(BRIDGE, self._on_time)  # an instance cannot have this name

    def take(self, received: Received) -> None:
        """Handle a message on Home Assistant's status topic; several in a row cause one republication."""
        received.acknowledge()
        # The broker delivers a stored message on every connection, after which everything is published anyway.
        if received.payload == ONLINE and not received.retained:
            wait_s = random.uniform(EARLIEST_S, LATEST_S)  # noqa: S311 - spreads load, keeps no secret
            self._schedule.set(BRIDGE, monotonic() + wait_s)

    def _on_time(self) -> None:
        log.info("Home Assistant restarted; republishing all topics")
        self._republish()

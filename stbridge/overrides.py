"""Logs each table `alerts.folder.X` or `alerts.device.X` that has no effect, once, as soon as this is known."""

import logging
import threading
from collections.abc import Callable, Iterable

from stbridge.core.alerts import Alerts
from stbridge.core.model import Config
from stbridge.core.overrides import Matches, matches, without_effect

log = logging.getLogger(__name__)


class OverrideWarnings:
    """Compares the names in the settings with the folders and devices of all instances.

    Args:
        alerts: the settings.
        instances: the names of all instances; an instance that was not read yet may have any folder or device.
    """

    def __init__(self, alerts: Alerts, instances: Iterable[str]) -> None:
        self._alerts = alerts
        self._lock = threading.Lock()
        self._known: dict[str, Matches | None] = dict.fromkeys(instances)
        self._logged: frozenset[str] = frozenset()

    def update(self, instance: str, current: Callable[[], Config | None]) -> None:
        """Take the configuration of an instance, and log tables that have no effect; any thread may call this.

        Args:
            instance: the name of the instance.
            current: returns its configuration; called under the lock, so that no thread sets an older one.
        """
        if not self._alerts.folders and not self._alerts.devices:
            return
        with self._lock:
            config = current()
            found = None if config is None else matches(self._alerts, config)
            if found is None or found == self._known[instance]:
                return
            self._known[instance] = found
            messages = without_effect(self._alerts, self._known)
            news = [message for message in messages if message not in self._logged]
            self._logged = frozenset(messages)
        for message in news:
            log.warning("%s", message)

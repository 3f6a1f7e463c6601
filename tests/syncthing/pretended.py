"""A scripted Syncthing instance with the recorded answers of a real one, and with events that a test creates."""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.syncthing.server import Exchange, ScriptedServer, Table, answers

FIXTURES = Path(__file__).parent.parent / "fixtures"
VERSIONS = sorted(directory.name for directory in FIXTURES.iterdir())

BROWSE = "/rest/db/browse"
COMPLETION = "/rest/db/completion"
CONFIG = "/rest/config"
EVENTS = "/rest/events"
FILE = "/rest/db/file"
FOLDER_ERRORS = "/rest/folder/errors"
FOLDER_STATISTICS = "/rest/stats/folder"
FOLDER_STATUS = "/rest/db/status"
STATUS = "/rest/system/status"
UPGRADE = "/rest/system/upgrade"

AN_UPGRADE: Mapping[str, Any] = {"running": "v2.1.3", "latest": "v2.1.4", "newer": True, "majorNewer": False}
"""Not recorded: a build that can upgrade itself would contact the upgrade server."""

DOCUMENTS: Mapping[str, str] = {
    "/rest/cluster/pending/devices": "pending_devices",
    "/rest/cluster/pending/folders": "pending_folders",
    CONFIG: "config",
    "/rest/config/restart-required": "restart_required",
    BROWSE: "db_browse",
    COMPLETION: "db_completion",
    FILE: "db_file",
    FOLDER_STATUS: "db_status_idle",
    FOLDER_ERRORS: "folder_errors",
    "/rest/stats/device": "stats_device",
    FOLDER_STATISTICS: "stats_folder",
    "/rest/system/connections": "system_connections",
    "/rest/system/error": "system_error",
    STATUS: "system_status",
    "/rest/system/version": "system_version",
}
"""The recording that answers each path."""


def document(name: str, version: str = VERSIONS[-1]) -> Any:
    """Return a recorded answer of a real Syncthing instance."""
    return json.loads((FIXTURES / version / f"{name}.json").read_text(encoding="utf-8"))


class PretendedSyncthing:
    """A scripted Syncthing instance.

    Args:
        serve: starts its server.
        version: the version whose recordings it returns.
    """

    def __init__(self, serve: Callable[[Table], ScriptedServer], version: str = VERSIONS[-1]) -> None:
        self._events: list[Mapping[str, Any]] = []
        self._last_id = 0
        self._run_number = 0
        self._polled_from: int | None = None
        self._changed = threading.Condition()
        self.table: Table = {path: answers(document(name, version)) for path, name in DOCUMENTS.items()}
        self.table[UPGRADE] = answers(AN_UPGRADE)
        self.table[EVENTS] = self._answer_events
        self.server = serve(self.table)

    @property
    def url(self) -> str:
        """The address of the instance."""
        return self.server.url

    def has_folders(self, **paused: bool) -> Mapping[str, Any]:
        """Configure these folders, paused or not, each shared with the one other recorded device; return the result."""
        config = document("config")
        shared = next(folder for folder in config["folders"] if len(folder["devices"]) > 1)
        folders = [{**shared, "id": folder, "paused": is_paused} for folder, is_paused in paused.items()]
        changed = {**config, "folders": folders}
        self.table[CONFIG] = answers(changed)
        return changed

    def happens(self, event_type: str = "Starting", data: Any = None, *, lost: int = 0) -> None:
        """Add an event, after a number of lost ones."""
        with self._changed:
            self._last_id += lost + 1
            self._events.append(
                {"id": self._last_id, "type": event_type, "time": "2024-05-01T12:00:00Z", "data": data or {}}
            )
            self._changed.notify_all()

    def restarts(self, *, started_at: str = "2024-05-02T00:00:00Z", events: int = 0) -> None:
        """Restart with new event IDs, and close the connection of a waiting long poll."""
        with self._changed:
            self.table[STATUS] = answers({**document("system_status"), "startTime": started_at})
            self._events.clear()
            self._last_id = 0
        for _ in range(events):
            self.happens()
        self.breaks_off()

    def breaks_off(self) -> None:
        """Close the connection of a waiting long poll."""
        with self._changed:
            self._run_number += 1
            self._changed.notify_all()

    def wait_for_poll(self) -> None:
        """Wait until a long poll waits for the next event."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._polled_from == self._last_id, 30)

    def _answer_events(self, exchange: Exchange) -> None:
        parameters = exchange.asked.parameters
        since, limit = int(parameters["since"]), int(parameters.get("limit", 1000))
        with self._changed:
            broken = parameters["timeout"] != "0" and not self._waits(exchange, since)
            events = [event for event in self._events if event["id"] > since][-limit:]
        if broken:
            exchange.close_connection = True
        else:
            answers(events)(exchange)

    def _waits(self, exchange: Exchange, since: int) -> bool:
        """Wait for events, and return whether the poll gets an answer."""
        run = self._run_number
        self._polled_from = since
        self._changed.notify_all()
        while self._run_number == run and self._last_id <= since and not exchange.server.ended.is_set():
            self._changed.wait(0.05)
        self._polled_from = None
        return self._run_number == run

"""A fake Syncthing instance: its state, its answers, which are recorded from a real one, and its event buffer."""

import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

RECORDED = Path(__file__).resolve().parent.parent.parent / "tests/fixtures/2.1.3"
EVENT_BUFFER = 1000
"""Number of events that Syncthing's event buffer keeps for each event mask."""

FILE_BYTES = 1000
"""Size of every file in bytes."""

FILES = 100
"""Number of files in every folder."""

Json = dict[str, Any]
Query = Mapping[str, str]


@lru_cache
def recorded(name: str) -> Any:
    """Return a recorded answer of a real Syncthing instance."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def device_id(number: int) -> str:
    """Return a device ID whose first seven characters are unique."""
    text = base64.b32encode(number.to_bytes(4, "big")).decode().rstrip("=")
    return "-".join([text.rjust(7, "A"), *["ABCDEFG"] * 7])


def folder_id(number: int) -> str:
    """Return the ID of a folder."""
    return f"folder-{number:04}"


class FakeSyncthing:
    """A fake instance, whose devices share all its folders.

    Args:
        number: distinguishes it from other instances.
        folders: number of folders.
        devices: number of other devices.
        connected: whether they are connected.
    """

    def __init__(self, number: int, folders: int, devices: int, *, connected: bool = True) -> None:
        self._connected = connected
        self.own_id = device_id(number << 16)
        self.devices = [device_id((number << 16) + one) for one in range(1, devices + 1)]
        self.folders = {folder_id(one): self._summary() for one in range(folders)}
        self.completions: dict[tuple[str, str], Json] = {}
        self.requests: dict[str, int] = {}
        self.newest_id = 0
        self.on_event: Callable[[], None] = lambda: None
        """Called when there are new events."""
        self._event_buffer: deque[bytes] = deque(maxlen=EVENT_BUFFER)
        self._fixed = {path: _as_bytes(document) for path, document in self._documents().items()}
        self._answers: Mapping[str, Callable[[Query], bytes]] = {
            "/rest/db/status": lambda query: _as_bytes(self.folders[query["folder"]]),
            "/rest/db/completion": lambda query: _as_bytes(
                self.completion(query["device"], query["folder"]) if "folder" in query else self.sums(query["device"])
            ),
            "/rest/folder/errors": lambda query: _as_bytes(
                {**recorded("folder_errors"), "folder": query["folder"], "errors": None}
            ),
            "/rest/db/browse": lambda _: b"[]",
            "/rest/db/file": lambda _: _as_bytes(recorded("db_file")),
        }

    def answer(self, path: str, query: Query) -> bytes | None:
        """Return the answer to a request; None if the path, folder or device does not exist.

        Args:
            path: the path without the query.
            query: the parameters of the query.
        """
        self.requests[path] = self.requests.get(path, 0) + 1
        if (fixed := self._fixed.get(path)) is not None:
            return fixed
        try:
            return self._answers[path](query)
        except KeyError:
            return None

    def completion(self, device: str, folder: str) -> Json:
        """Return how complete a folder is on a device."""
        known = self.completions.get((device, folder))
        return known or {
            **recorded("db_completion"),
            "globalBytes": self.folders[folder]["globalBytes"],
            "globalItems": FILES,
            "remoteState": "valid" if self._connected else "unknown",
        }

    def sums(self, device: str) -> Json:
        """Return the sums over all folders of a device."""
        all_of_them = [self.completion(device, folder) for folder in self.folders]
        added = ("globalBytes", "globalItems", "needBytes", "needItems", "needDeletes")
        sums = {key: sum(one[key] for one in all_of_them) for key in added}
        share = 1 - sums["needBytes"] / max(1, sums["globalBytes"])
        return {**recorded("db_completion"), **sums, "completion": 100 * share, "remoteState": "unknown"}

    def events(self, since: int, limit: int) -> bytes:
        """Return the events after an ID that are still in the event buffer; beyond the limit only the newest."""
        count = min(self.newest_id - since, len(self._event_buffer), limit)
        return b"[" + b",".join(islice(self._event_buffer, len(self._event_buffer) - count, None)) + b"]"

    def happens(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Add an event."""
        self.newest_id += 1
        time = datetime.now(UTC).isoformat()
        event = {"id": self.newest_id, "globalID": self.newest_id, "time": time, "type": event_type, "data": data}
        self._event_buffer.append(_as_bytes(event))
        self.on_event()

    def changes(self, folder: str, *, missing: int = 0, files: int = FILES, state: str = "idle") -> None:
        """Change the state of a folder, its total and its missing files, and add the event for it."""
        summary = self.folders[folder]
        summary.update(_counts(files, missing), state=state, sequence=summary["sequence"] + 1)
        self.happens("FolderSummary", {"folder": folder, "summary": summary})

    def turns(self, folder: str, state: str) -> None:
        """Change the state of a folder, and add the event for it."""
        summary = self.folders[folder]
        before, summary["state"] = summary["state"], state
        summary["stateChanged"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.happens("StateChanged", {"folder": folder, "from": before, "to": state, "duration": 0.1})

    def lags(self, device: str, folder: str, missing: int) -> None:
        """Change how many files of a folder a device needs, and add the event for it."""
        total = FILES * FILE_BYTES
        completion = {
            **recorded("db_completion"),
            "completion": 100 * (FILES - missing) / FILES,
            "globalBytes": total,
            "globalItems": FILES,
            "needBytes": missing * FILE_BYTES,
            "needItems": missing,
        }
        self.completions[device, folder] = completion
        self.happens("FolderCompletion", {"device": device, "folder": folder, **completion})

    def _summary(self) -> Json:
        return {**recorded("db_status_idle"), **_counts(FILES, 0), "remoteSequence": {}}

    def _documents(self) -> Mapping[str, Any]:
        status = {**recorded("system_status"), "myID": self.own_id}
        ids = (self.own_id, *self.devices)
        folder_statistics = next(iter(recorded("stats_folder").values()))
        connection = next(one for one in recorded("system_connections")["connections"].values() if one["connected"])
        connection = {**connection, "connected": self._connected}
        return {
            "/rest/config": self._config(),
            "/rest/config/restart-required": {"requiresRestart": False},
            "/rest/cluster/pending/devices": {},
            "/rest/cluster/pending/folders": {},
            "/rest/stats/device": dict.fromkeys(ids, next(iter(recorded("stats_device").values()))),
            "/rest/stats/folder": dict.fromkeys(self.folders, folder_statistics),
            "/rest/system/connections": {
                **recorded("system_connections"),
                "connections": dict.fromkeys(self.devices, connection),
            },
            "/rest/system/error": recorded("system_error_empty"),
            "/rest/system/status": status,
            "/rest/system/upgrade": {"running": "v2.1.3", "latest": "v2.1.3", "newer": False, "majorNewer": False},
            "/rest/system/version": recorded("system_version"),
        }

    def _config(self) -> Json:
        config: Json = deepcopy(recorded("config"))
        folder, device = config["folders"][0], config["devices"][0]
        ids = (self.own_id, *self.devices)
        shared = [{"deviceID": one, "introducedBy": "", "encryptionPassword": ""} for one in ids]
        config["devices"] = [{**device, "deviceID": one, "name": f"device {number}"} for number, one in enumerate(ids)]
        config["folders"] = [
            {**folder, "id": one, "label": one.capitalize(), "path": f"/data/{one}", "devices": shared}
            for one in self.folders
        ]
        return config


def _counts(files: int, missing: int) -> Json:
    return {
        "globalBytes": files * FILE_BYTES,
        "globalFiles": files,
        "globalTotalItems": files,
        "localBytes": (files - missing) * FILE_BYTES,
        "localFiles": files - missing,
        "localTotalItems": files - missing,
        "needBytes": missing * FILE_BYTES,
        "needFiles": missing,
        "needTotalItems": missing,
    }


def _as_bytes(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


@lru_cache(maxsize=1024)
def query_of(text: str) -> Query:
    """Parse the query of a URL."""
    return dict(parse_qsl(text))

"""A Syncthing as the core sees it, with a clock that the test sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.model import (
    Completion,
    Config,
    Connection,
    DeviceConfig,
    FailedItem,
    FolderConfig,
    FolderCounts,
    short_id,
)
from stbridge.core.observations import Observation, Read
from stbridge.core.payloads import RENDERED, render, render_happening
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Address

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
OWN = "OWNDEVI-AAAAAAA"
LAPTOP = "LAPTOPD-AAAAAAA"
PHONE = "PHONEDE-AAAAAAA"
MINUTE, HOUR, DAY = 60, 3600, 86400

COUNTS = FolderCounts(
    global_bytes=1000,
    global_files=10,
    local_bytes=1000,
    local_files=10,
    need_bytes=0,
    need_items=0,
    need_deletes=0,
    failed=0,
    local_changes=0,
)
LACKING = replace(COUNTS, local_bytes=600, local_files=6, need_bytes=400, need_items=4)
THERE = Connection(connected=True, address="192.0.2.1:22000")
AWAY = Connection(connected=False)

Remembered = Mapping[Address, Mapping[str, Any] | None]


def folder_config(folder: str = "docs", **changes: Any) -> FolderConfig:
    """Return a folder that is shared with the laptop."""
    config = FolderConfig(
        id=folder, label=folder.title(), path=f"/data/{folder}", type="sendreceive", paused=False, devices=(LAPTOP,)
    )
    return replace(config, **changes)


def config(*folders: FolderConfig, devices: Sequence[str] = (LAPTOP,)) -> seen.ConfigRead:
    """Return a configuration with these folders; by default only "docs"."""
    return seen.ConfigRead(
        config=Config(
            name="nas",
            folders={one.id: one for one in folders or (folder_config(),)},
            devices={one: DeviceConfig(id=one, name=one[:6].lower(), paused=False) for one in devices},
        )
    )


def status(**changes: Any) -> seen.StatusRead:
    """Return a process that is well."""
    process = seen.StatusRead(
        device_id=OWN,
        started_at=START - timedelta(days=1),
        uptime_s=86400,
        memory_bytes=1,
        goroutines=1,
        listeners_ok=True,
        discovery_ok=True,
    )
    return replace(process, **changes)


def folder(counts: FolderCounts | None = COUNTS, *, name: str = "docs", **changes: Any) -> seen.FolderRead:
    """Return a folder that is idle."""
    read = seen.FolderRead(
        folder=name, state="idle", state_changed_at=None, error=None, watch_error=None, counts=counts
    )
    return replace(read, **changes)


def failed(*paths: str) -> seen.FolderErrorsRead:
    """Return the items of "docs" that failed."""
    return seen.FolderErrorsRead(folder="docs", items=tuple(FailedItem(path=path, error="no") for path in paths))


def completion(need: int, *, device: str = LAPTOP, name: str = "docs") -> seen.CompletionRead:
    """Return how far a device has a folder."""
    return seen.CompletionRead(
        device=device,
        folder=name,
        completion=Completion(
            completion=100.0 - need,
            need_bytes=need,
            need_items=need,
            need_deletes=0,
            global_bytes=100,
            remote_state="valid",
        ),
    )


class World:
    """The state of one Syncthing and what was told of it.

    Args:
        alerts: what is worth an alert.
        remembered: what the bridge had published in an earlier life.
        now: when it all begins.
    """

    def __init__(
        self, alerts: Alerts | None = None, remembered: Remembered | None = None, now: datetime = START
    ) -> None:
        self.state = State(alerts)
        self.now = now
        self.events: list[dict[str, Any]] = []
        self.reads: list[Read] = []
        self.changed: list[Address] = []
        self._remembered: Remembered = remembered or {}
        self._told = 0

    def see(self, *observations: Observation) -> "World":
        """Take observations in at the present time."""
        for observation in observations:
            apply(self.state, observation, self.now)
        conclude(self.state, self.now)
        outcome = self.state.take_outcome()
        self.events += [json.loads(render_happening(happening)) for happening in outcome.happenings]
        self.reads += outcome.reads
        self.changed = list(outcome.changed)
        return self

    def start(self, *read: Observation, configured: seen.ConfigRead | None = None) -> "World":
        """Read everything; what is not given is well, and the laptop is connected."""
        self.snapshot(*read, configured=configured)
        return self.see(seen.Restored(payloads=self._remembered))

    def snapshot(self, *read: Observation, configured: seen.ConfigRead | None = None) -> "World":
        """Read everything again, as after an outage."""
        found = configured or (seen.ConfigRead(config=self.state.config) if self.state.config else config())
        given = {type(one) for one in read}
        self.see(
            seen.SnapshotStarted(),
            *([] if seen.StatusRead in given else [status()]),
            found,
            *([] if seen.ConnectionsRead in given else [self.connections()]),
            *([] if seen.FolderRead in given else [folder(name=name) for name in found.config.folders]),
            *read,
            seen.SnapshotComplete(),
        )
        return self

    def connections(self, *there: str) -> seen.ConnectionsRead:
        """Return the connections of now: to the laptop, or to those that are given."""
        connected = there or (LAPTOP,)
        return seen.ConnectionsRead(at=self.now, in_bytes=0, out_bytes=0, connections=dict.fromkeys(connected, THERE))

    def nobody(self) -> seen.ConnectionsRead:
        """Return that the laptop is not connected."""
        return seen.ConnectionsRead(at=self.now, in_bytes=0, out_bytes=0, connections={LAPTOP: AWAY})

    def connect(self, device: str = LAPTOP) -> seen.DeviceConnected:
        """Return that a device connects now."""
        return seen.DeviceConnected(device=device, at=self.now, connection=THERE)

    def disconnect(self, device: str = LAPTOP) -> seen.DeviceDisconnected:
        """Return that a device disconnects now."""
        return seen.DeviceDisconnected(device=device, at=self.now, error="EOF")

    def turns(self, state: str, name: str = "docs", error: str | None = None) -> seen.FolderStateChanged:
        """Return that a folder changes its state now."""
        return seen.FolderStateChanged(folder=name, state=state, at=self.now, error=error)

    def later(self, seconds: float) -> "World":
        """Let time pass, and nothing else."""
        self.now += timedelta(seconds=seconds)
        return self.see()

    def told(self, *names: str) -> list[dict[str, Any]]:
        """Return the events since the last call of it, or those of some names among them."""
        news, self._told = self.events[self._told :], len(self.events)
        return [one for one in news if one["event_type"] in names or not names]

    def names(self) -> list[str]:
        """Return the names of the events since the last look at them."""
        return [one["event_type"] for one in self.told()]

    def payload(self, address: Address) -> Any:
        """Return what is published at an address."""
        return json.loads(render(self.state, address) or b"null")

    @property
    def folder(self) -> Any:
        """The payload of "docs"."""
        return self.payload(Address("folder", folder="docs"))

    @property
    def laptop(self) -> Any:
        """The payload of the laptop."""
        return self.payload(Address("device", device=short_id(LAPTOP)))

    @property
    def system(self) -> Any:
        """The payload of the instance."""
        return self.payload(Address("system"))

    def published(self) -> Remembered:
        """Return all that is published, as another life of the bridge will find it."""
        everything = [one for one in self.state.everything() if one.kind in RENDERED and one.kind != "state"]
        return {one: self.payload(one) for one in everything}

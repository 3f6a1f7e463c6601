"""A small Syncthing instance "nas" for the tests of the core: its observations, and states that receive them.

Two devices, BETA and GAMMA; a folder "docs" that both share, and a folder "art" that only BETA shares. A third device,
DELTA, is not configured. `Watched` is for single rules; `World` has a clock, evaluates problems, and begins with one
folder, "docs", and one device, BETA.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stbridge.core import observations as seen
from stbridge.core import outcome as addresses
from stbridge.core.alerts import Alerts
from stbridge.core.entities import NOT_CONNECTED
from stbridge.core.model import (
    Completion,
    Config,
    Connection,
    DeviceConfig,
    FailedItem,
    FolderConfig,
    FolderCounts,
    FolderStatistics,
    LoggedError,
    PendingDevice,
    PendingFolder,
    short_id,
)
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import Outcome, folder_address
from stbridge.core.payloads import RENDERED, render, render_event
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Address

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400

Retained = Mapping[Address, Mapping[str, Any] | None]


def after(seconds: float) -> datetime:
    """Return NOW plus some seconds."""
    return NOW + timedelta(seconds=seconds)


def device_id(short: str) -> str:
    """Return a device ID of real length that starts with this short ID."""
    return "-".join([short] + ["2345672"] * 7)


def device_address(device: str) -> Address:
    """Return the address of a device, given its full ID; its first group must be unique."""
    return addresses.device_address(short_id(device))


def share_address(device: str, folder: str) -> Address:
    """Return the address of the completion of a folder on a device that is given by its full ID."""
    return addresses.share_address(short_id(device), folder)


OWN, BETA, GAMMA, DELTA = (device_id(short) for short in ("OWNOWNA", "BETABET", "GAMMAGA", "DELTADE"))

DOCS, ART = folder_address("docs"), folder_address("art")
ON_BETA, ON_GAMMA = device_address(BETA), device_address(GAMMA)
DOCS_ON_BETA, DOCS_ON_GAMMA, ART_ON_BETA = (
    share_address(device, folder) for device, folder in ((BETA, "docs"), (GAMMA, "docs"), (BETA, "art"))
)


# --- configuration


def folder(folder_id: str, *devices: str, **changes: Any) -> FolderConfig:
    """Return a folder that these devices share."""
    config = FolderConfig(
        id=folder_id,
        label=folder_id.title(),
        path=f"/data/{folder_id}",
        type="sendreceive",
        paused=False,
        devices=devices,
    )
    return replace(config, **changes)


def device(full_id: str, name: str, *, paused: bool = False) -> DeviceConfig:
    """Return a remote device."""
    return DeviceConfig(id=full_id, name=name, paused=paused)


DOCS_FOLDER, ART_FOLDER = folder("docs", BETA, GAMMA), folder("art", BETA)
BETA_DEVICE, GAMMA_DEVICE = device(BETA, "beta"), device(GAMMA, "gamma")


def configured(
    folders: Sequence[FolderConfig] = (DOCS_FOLDER, ART_FOLDER),
    devices: Sequence[DeviceConfig] = (BETA_DEVICE, GAMMA_DEVICE),
    name: str = "nas",
) -> seen.ConfigRead:
    """Return a configuration, by default the one that the docstring of this module describes."""
    return seen.ConfigRead(
        config=Config(name=name, folders={one.id: one for one in folders}, devices={one.id: one for one in devices})
    )


def config(*folders: FolderConfig, devices: Sequence[DeviceConfig] = (BETA_DEVICE,)) -> seen.ConfigRead:
    """Return a configuration of these folders and devices; the default is one folder "docs", shared with BETA."""
    return configured(folders or (folder("docs", BETA),), devices)


def docs_configured(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the folder "docs" paused or not."""
    return configured([replace(DOCS_FOLDER, paused=paused), ART_FOLDER])


def beta_configured(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the device BETA paused or not."""
    return configured(devices=[replace(BETA_DEVICE, paused=paused), GAMMA_DEVICE])


# --- reads


def process(started_at: datetime | None = NOW, **changes: Any) -> seen.StatusRead:
    """Return the status of the process."""
    values: dict[str, Any] = {
        "device_id": OWN,
        "started_at": started_at,
        "uptime_s": 60,
        "memory_bytes": 50_000_000,
        "goroutines": 70,
        "listeners_ok": True,
        "discovery_ok": True,
    }
    return seen.StatusRead(**{**values, **changes})


def counts(**changes: int) -> FolderCounts:
    """Return the counts of a folder of 1000 bytes that is in sync."""
    values = {
        "global_bytes": 1000,
        "global_files": 10,
        "local_bytes": 1000,
        "local_files": 10,
        "need_bytes": 0,
        "need_items": 0,
        "need_deletes": 0,
        "failed": 0,
        "local_changes": 0,
    }
    return FolderCounts(**{**values, **changes})


COUNTS = counts()
LACKING = counts(local_bytes=600, local_files=6, need_bytes=400, need_items=4)


def read(
    folder_id: str = "docs",
    state: str = "idle",
    *,
    of: FolderCounts = COUNTS,
    changed_at: datetime | None = None,
    error: str | None = None,
    watch_error: str | None = None,
    sequence: int = 0,
    **of_counts: int,
) -> seen.FolderRead:
    """Return the status of a folder; its counts are given as a whole, or single ones by name, such as need_bytes."""
    return seen.FolderRead(
        folder=folder_id,
        state=state,
        state_changed_at=changed_at,
        error=error,
        watch_error=watch_error,
        counts=replace(of, **of_counts),
        sequence=sequence,
    )


def failed(*paths: str) -> seen.FolderErrorsRead:
    """Return a read of the failed items of "docs"."""
    return seen.FolderErrorsRead(folder="docs", items=tuple(FailedItem(path=path, error="no") for path in paths))


def not_running(folder_id: str = "docs") -> seen.FolderRead:
    """Return the status of a folder that is not running."""
    return seen.FolderRead(
        folder=folder_id, state=None, state_changed_at=None, error=None, watch_error=None, counts=None
    )


def changed(
    state: str, folder_id: str = "docs", *, at: datetime = NOW, error: str | None = None
) -> seen.FolderStateChanged:
    """Return a change of a folder's state."""
    return seen.FolderStateChanged(folder=folder_id, state=state, at=at, error=error)


def completed(
    full_id: str = BETA,
    folder_id: str = "docs",
    *,
    need_bytes: int = 0,
    need_items: int = 0,
    need_deletes: int = 0,
    remote_state: str | None = "valid",
    sequence: int = 0,
) -> seen.CompletionRead:
    """Return the completion of a folder of 1000 bytes on a device."""
    return seen.CompletionRead(
        device=full_id,
        folder=folder_id,
        completion=Completion(
            completion=100 - need_bytes / 10,
            need_bytes=need_bytes,
            need_items=need_items,
            need_deletes=need_deletes,
            global_bytes=1000,
            remote_state=remote_state,
        ),
        sequence=sequence,
    )


def needing(count: int, full_id: str = BETA, folder_id: str = "docs") -> seen.CompletionRead:
    """Return the completion of a device that needs this number of items, one byte each."""
    return completed(full_id, folder_id, need_bytes=count, need_items=count)


def connection(**changes: Any) -> Connection:
    """Return a connection with all values that Syncthing reports."""
    values: dict[str, Any] = {
        "connected": True,
        "address": "192.0.2.1:22000",
        "connection_type": "tcp-client",
        "is_local": True,
        "crypto": "TLS1.3",
        "client_version": "v1.29.5",
    }
    return Connection(**{**values, **changes})


def connections(
    at: datetime = NOW, in_bytes: int = 0, out_bytes: int = 0, of: Mapping[str, Connection] | None = None
) -> seen.ConnectionsRead:
    """Return a read of the connections and of the bytes of the process."""
    return seen.ConnectionsRead(at=at, in_bytes=in_bytes, out_bytes=out_bytes, connections=of or {})


def last_seen(*devices: str, at: datetime | None = NOW) -> seen.DeviceStatisticsRead:
    """Return when these devices were last connected; None for never."""
    return seen.DeviceStatisticsRead(last_seen_at=dict.fromkeys(devices or (BETA, GAMMA), at))


# --- a state that receives observations


class Watched:
    """A state with methods to feed it observations and render its payloads."""

    def __init__(self) -> None:
        self.state = State()

    def see(self, *observations: Observation, at: datetime = NOW) -> Outcome:
        """Apply observations, and return their outcome."""
        for observation in observations:
            apply(self.state, observation, at)
        return self.state.take_outcome()

    def shown(self, address: Address) -> Any:
        """Return the payload of an address, or None if it has none."""
        payload = render(self.state, address)
        if payload is None:
            return None
        return payload.decode() if address.kind == "state" else json.loads(payload)


def snapshot(*observations: Observation, config: seen.ConfigRead | None = None) -> list[Observation]:
    """Return the observations of a snapshot: everything is in sync, except for the given observations.

    Each device was connected before, unless the observations contain the statistics of devices.
    """
    config = config or configured()
    given = {type(one) for one in observations}
    return [
        seen.SnapshotStarted(),
        process(),
        config,
        *([] if seen.DeviceStatisticsRead in given else [last_seen(*config.config.devices)]),
        seen.VersionRead(version="v1.29.5", os="linux", arch="amd64"),
        connections(),
        seen.ErrorsRead(items=()),
        seen.PendingDevicesRead(devices=()),
        seen.PendingFoldersRead(folders=()),
        seen.RestartRequiredRead(restart_required=False),
        *(read(one.id) for one in config.config.folders.values() if not one.paused),
        *(
            completed(one, share.id)
            for share in config.config.folders.values()
            if not share.paused
            for one in share.devices
        ),
        *observations,
        seen.SnapshotComplete(),
    ]


def watched(*observations: Observation, config: seen.ConfigRead | None = None) -> Watched:
    """Return a state after a snapshot: online, and in sync except for the given observations."""
    one = Watched()
    one.see(*snapshot(*observations, config=config))
    return one


def known() -> Watched:
    """Return a state in which every value is known and every list has an entry."""
    return watched(
        read(
            "docs",
            changed_at=NOW,
            watch_error="too many",
            local_bytes=900,
            local_files=9,
            need_bytes=500,
            need_items=2,
            need_deletes=3,
            failed=1,
            local_changes=4,
        ),
        changed("scanning", error="odd"),
        seen.ScanProgressed(folder="docs", current=1, total=2),
        seen.FolderErrorsRead(folder="docs", items=(FailedItem(path="a", error="denied"),)),
        seen.FolderStatisticsRead(
            statistics={
                "docs": FolderStatistics(last_scan_at=NOW, last_file="a", last_file_at=NOW, last_file_deleted=False)
            }
        ),
        seen.DeviceStatisticsRead(last_seen_at={BETA: NOW}),
        connections(after(1), 10, 20, of={BETA: connection(in_bytes=10, out_bytes=10)}),
        connections(after(2), 510, 2020, of={BETA: connection(in_bytes=510, out_bytes=2010)}),
        seen.ErrorsRead(items=(LoggedError(when=NOW, message="wrong"),)),
        seen.PendingDevicesRead(devices=(PendingDevice(id=DELTA, name="d", address="a", time=NOW),)),
        seen.PendingFoldersRead(folders=(PendingFolder(id="new", label="New", device=BETA, time=NOW),)),
        seen.Restored(payloads={}),
    )


def names(outcome: Outcome) -> list[str]:
    """Return the types of the events."""
    return [event.event_type for event in outcome.events]


# --- a state with a clock


class World:
    """The state of one Syncthing instance with a clock that the test sets, and everything that follows from it.

    Args:
        alerts: the thresholds.
        retained: what the previous run of the bridge published.
        now: the time at its start.
    """

    def __init__(self, alerts: Alerts | None = None, retained: Retained | None = None, now: datetime = NOW) -> None:
        self.state = State(alerts)
        self.now = now
        self.events: list[dict[str, Any]] = []
        self.reads: list[Read] = []
        self.changed: list[Address] = []
        self._retained: Retained = retained or {}
        self._shown = 0

    def see(self, *observations: Observation) -> "World":
        """Apply observations at the current time."""
        for observation in observations:
            apply(self.state, observation, self.now)
        conclude(self.state, self.now)
        outcome = self.state.take_outcome()
        self.events += [json.loads(render_event(event)) for event in outcome.events]
        self.reads += outcome.reads
        self.changed = list(outcome.changed)
        return self

    def start(self, *observations: Observation, configured: seen.ConfigRead | None = None) -> "World":
        """Start with a snapshot: everything that is not given is in sync, and BETA is connected."""
        self.snapshot(*observations, configured=configured)
        return self.see(seen.Restored(payloads=self._retained))

    def snapshot(self, *observations: Observation, configured: seen.ConfigRead | None = None) -> "World":
        """Read everything again, as after an outage."""
        found = configured or (seen.ConfigRead(config=self.state.config) if self.state.config else config())
        given = {type(one) for one in observations}
        self.see(
            seen.SnapshotStarted(),
            *([] if seen.StatusRead in given else [process(NOW - timedelta(days=1))]),
            found,
            *([] if seen.ConnectionsRead in given else [self.connections()]),
            *([] if seen.FolderRead in given else [read(name) for name in found.config.folders]),
            *observations,
            seen.SnapshotComplete(),
        )
        return self

    def connections(self, *there: str) -> seen.ConnectionsRead:
        """Return the current connections: to the given devices, by default to BETA."""
        connected = there or (BETA,)
        return seen.ConnectionsRead(
            at=self.now, in_bytes=0, out_bytes=0, connections=dict.fromkeys(connected, connection())
        )

    def nobody(self) -> seen.ConnectionsRead:
        """Return a read in which BETA is not connected."""
        return connections(self.now, of={BETA: NOT_CONNECTED})

    def connect(self, device: str = BETA) -> seen.DeviceConnected:
        """Return the event of a device that connects now."""
        return seen.DeviceConnected(device=device, at=self.now, connection=connection())

    def disconnect(self, device: str = BETA) -> seen.DeviceDisconnected:
        """Return the event of a device that disconnects now."""
        return seen.DeviceDisconnected(device=device, at=self.now, error="EOF")

    def turns(self, state: str, name: str = "docs", error: str | None = None) -> seen.FolderStateChanged:
        """Return the event of a folder that changes its state now."""
        return seen.FolderStateChanged(folder=name, state=state, at=self.now, error=error)

    def later(self, seconds: float) -> "World":
        """Advance the clock without an observation."""
        self.now += timedelta(seconds=seconds)
        return self.see()

    def emitted(self, *names: str) -> list[dict[str, Any]]:
        """Return the events since the previous call, optionally only those with these names."""
        news, self._shown = self.events[self._shown :], len(self.events)
        return [one for one in news if one["event_type"] in names or not names]

    def names(self) -> list[str]:
        """Return the types of the events since the previous call."""
        return [one["event_type"] for one in self.emitted()]

    def payload(self, address: Address) -> Any:
        """Return the parsed payload of an address."""
        return json.loads(render(self.state, address) or b"null")

    @property
    def folder(self) -> Any:
        """The payload of "docs"."""
        return self.payload(Address("folder", folder="docs"))

    @property
    def beta(self) -> Any:
        """The payload of BETA."""
        return self.payload(Address("device", device=short_id(BETA)))

    @property
    def system(self) -> Any:
        """The payload of the instance."""
        return self.payload(Address("system"))

    def published(self) -> Retained:
        """Return all payloads as the next run of the bridge restores them."""
        everything = [one for one in self.state.everything() if one.kind in RENDERED and one.kind != "state"]
        return {one: self.payload(one) for one in everything}

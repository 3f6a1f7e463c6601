"""Observations for tests of the rules: a small Syncthing called "nas", and what can be seen of it.

Two devices, BETA and GAMMA; a folder "docs" that both share, and a folder "art" that only BETA shares. A third device,
DELTA, is not configured.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stbridge.core import observations as seen
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
)
from stbridge.core.observations import Observation
from stbridge.core.outcome import Outcome, device_address, folder_address, share_address
from stbridge.core.payloads import render
from stbridge.core.rules import apply
from stbridge.core.state import State
from stbridge.core.topics import Address

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """Return a time after NOW."""
    return NOW + timedelta(seconds=seconds)


def device_id(short: str) -> str:
    """Return the ID of a device, as long as a real one, given its short ID."""
    return "-".join([short] + ["2345672"] * 7)


OWN, BETA, GAMMA, DELTA = (device_id(short) for short in ("OWNOWNA", "BETABET", "GAMMAGA", "DELTADE"))

DOCS, ART = folder_address("docs"), folder_address("art")
ON_BETA, ON_GAMMA = device_address(BETA), device_address(GAMMA)
DOCS_ON_BETA, DOCS_ON_GAMMA, ART_ON_BETA = (
    share_address(device, folder) for device, folder in ((BETA, "docs"), (GAMMA, "docs"), (BETA, "art"))
)


# --- what is configured


def folder(folder_id: str, *devices: str, label: str = "", paused: bool = False) -> FolderConfig:
    """Return a folder that these devices share."""
    label = label or folder_id.title()
    return FolderConfig(
        id=folder_id, label=label, path=f"/data/{folder_id}", type="sendreceive", paused=paused, devices=devices
    )


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
    """Return a configuration; without arguments that of the module's docstring."""
    return seen.ConfigRead(
        config=Config(name=name, folders={one.id: one for one in folders}, devices={one.id: one for one in devices})
    )


def docs_configured(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the folder "docs" paused or not."""
    return configured([replace(DOCS_FOLDER, paused=paused), ART_FOLDER])


def beta_configured(*, paused: bool) -> seen.ConfigRead:
    """Return the configuration with the device BETA paused or not."""
    return configured(devices=[replace(BETA_DEVICE, paused=paused), GAMMA_DEVICE])


# --- what is read


def process(started_at: datetime | None = NOW, **changes: Any) -> seen.StatusRead:
    """Return how the process is doing."""
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
    """Return the counts of a folder of 1000 bytes that lacks nothing."""
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


def read(
    folder_id: str = "docs",
    state: str = "idle",
    *,
    changed_at: datetime | None = None,
    error: str | None = None,
    watch_error: str | None = None,
    **of_counts: int,
) -> seen.FolderRead:
    """Return the status of a folder; what is lacking is given as need_bytes and so on."""
    return seen.FolderRead(
        folder=folder_id,
        state=state,
        state_changed_at=changed_at,
        error=error,
        watch_error=watch_error,
        counts=counts(**of_counts),
    )


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
) -> seen.CompletionRead:
    """Return how far a device has a folder of 1000 bytes."""
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
    )


def connection(**changes: Any) -> Connection:
    """Return a connection with all that is told of one."""
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
    """Return the connections, and the bytes of the process."""
    return seen.ConnectionsRead(at=at, in_bytes=in_bytes, out_bytes=out_bytes, connections=of or {})


# --- a state that sees all this


class Watched:
    """A state that observations are shown to."""

    def __init__(self) -> None:
        self.state = State()

    def see(self, *observations: Observation, at: datetime = NOW) -> Outcome:
        """Take observations in, and return what followed from them."""
        for observation in observations:
            apply(self.state, observation, at)
        return self.state.take_outcome()

    def shown(self, address: Address) -> Any:
        """Return the payload of an address; None if there is none."""
        payload = render(self.state, address)
        if payload is None:
            return None
        return payload.decode() if address.kind == "state" else json.loads(payload)


def snapshot(*observations: Observation, config: seen.ConfigRead | None = None) -> list[Observation]:
    """Return what is seen when everything is read: all is well but for these observations."""
    config = config or configured()
    return [
        seen.SnapshotStarted(),
        process(),
        config,
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
    """Return a state that has seen a whole snapshot: online, all in sync but for these observations."""
    one = Watched()
    one.see(*snapshot(*observations, config=config))
    return one


def known() -> Watched:
    """Return a state of which everything is known, with something in every list."""
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
    """Return what happened."""
    return [happening.event_type for happening in outcome.happenings]

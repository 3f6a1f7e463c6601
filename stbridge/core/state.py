"""All that is known of one Syncthing.

`rules` takes observations in; this module keeps what they touch consistent. The cost of a change is what it touches:
sums over folders and devices are kept in tallies. One thread owns a State; nothing in here locks.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.alerts import DEVICE, THE_INSTANCE, Alerts, Problem, Subject
from stbridge.core.entities import DeviceState, FolderState, share_part
from stbridge.core.model import (
    Completion,
    Config,
    DeviceConfig,
    FolderConfig,
    LoggedError,
    PendingDevice,
    PendingFolder,
    short_id,
)
from stbridge.core.observations import Observation
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    STATE,
    SYSTEM,
    UPGRADE,
    Outcome,
    conflicts_address,
    device_address,
    failed_address,
    folder_address,
    share_address,
)
from stbridge.core.tally import DevicePart, FolderPart, Tally
from stbridge.core.timed_pauses import Paused, TimedPauses
from stbridge.core.timing import Timers
from stbridge.core.topics import Address
from stbridge.core.traffic import Lifetime, Rate

ONLINE = "online"

Rules = Mapping[type[Observation], Callable[["State", Any, datetime], None]]
"""What each kind of observation does to a State, given the time of the bridge's own clock, in UTC."""


class State:
    """All that is known of one Syncthing; `outcome` gathers what follows from the changes until it is taken.

    Args:
        alerts: what is worth an alert.
    """

    def __init__(self, alerts: Alerts | None = None) -> None:
        self.outcome = Outcome()
        self.alerts = alerts or Alerts()
        self.status = "unreachable"
        self.message = "not tried yet"
        self.since: datetime | None = None
        self.faults: dict[str, tuple[str, str]] = {}
        self.complete = False
        self.reading = False
        self.read_from: datetime | None = None
        self.version: seen.VersionRead | None = None
        self.process: seen.StatusRead | None = None
        self.config: Config | None = None
        self.restart_required: bool | None = None
        self.errors: tuple[LoggedError, ...] | None = None
        self.pending_devices: tuple[PendingDevice, ...] | None = None
        self.pending_folders: tuple[PendingFolder, ...] | None = None
        self.folders: dict[str, FolderState] = {}
        self.devices: dict[str, DeviceState] = {}
        self.device_ids: dict[str, str] = {}
        self.completions: dict[tuple[str, str], Completion] = {}
        self.folder_tally = Tally(FolderPart())
        self.device_tally = Tally(DevicePart())
        self.in_bytes: int | None = None
        self.out_bytes: int | None = None
        self.in_rate = Rate()
        self.out_rate = Rate()
        self.in_lifetime = Lifetime()
        self.out_lifetime = Lifetime()
        self.transfer_until: datetime | None = None
        self.upgrade: seen.UpgradeRead | None = None
        self.upgrading = False
        self.timed_pauses = TimedPauses()
        self.remembered: Mapping[Address, Mapping[str, Any] | None] | None = None
        self.resumed = False
        self.catching_up = False
        self.notices: dict[str, Problem] = {}
        self.problems: dict[Subject, dict[str, Problem]] = {}
        self.begun: dict[Subject, dict[str, datetime]] = {}
        self.touched: dict[Subject, None] = {}
        self.problem_timers: Timers[Subject, datetime] = Timers()
        self.connection_timers: Timers[str, datetime] = Timers()

    @property
    def online(self) -> bool:
        """Whether what is known is also true now."""
        return self.status == ONLINE

    @property
    def restarted(self) -> bool:
        """Whether another process of Syncthing answers than the one that everything was read from."""
        return (
            self.complete
            and not self.reading
            and self.process is not None
            and self.process.started_at != self.read_from
        )

    @property
    def whole(self) -> bool:
        """Whether everything is known and true now, and also what had been published in an earlier life."""
        return self.online and self.complete and not self.reading and self.remembered is not None

    @property
    def next_due(self) -> datetime | None:
        """When something may follow from time alone; None while nothing can be judged anyway."""
        times = [at for at in (self.problem_timers.next, self.connection_timers.next) if at is not None]
        return min(times, default=None) if self.whole else None

    def happened(self, event_type: str, at: datetime, *, late: bool = False, **data: Any) -> None:
        """Note that something happened; what shows only when everything is read again is marked as late."""
        marked = {**data, "late": True} if late or self.reading else data
        self.outcome.happened(event_type, at, **marked)

    def notice(self, code: str, message: str, at: datetime) -> None:
        """Keep something that happened as a problem, for as long as its threshold says."""
        self.notices[code] = Problem(code, message, at)
        self.touched[THE_INSTANCE] = None

    def transferring(self, now: datetime) -> bool:
        """Tell whether something is being transferred, so that counters are worth reading often."""
        return self.transfer_until is not None and now < self.transfer_until

    def take_outcome(self) -> Outcome:
        """Return what has followed since this was called last."""
        outcome, self.outcome = self.outcome, Outcome()
        return outcome

    def everything(self) -> Iterable[Address]:
        """Return every address that has a payload, `state` last."""
        yield from (CONNECTION, SYSTEM, METRICS, ERRORS, PENDING)
        if self.upgrade is not None:
            yield UPGRADE
        for folder in self.folders:
            yield from (folder_address(folder), failed_address(folder), conflicts_address(folder))
        for device, state in self.devices.items():
            yield device_address(device)
            yield from (share_address(device, folder) for folder in state.folders)
        yield STATE

    def naming(self, device: str) -> dict[str, Any]:
        """Return how an event names a device, given by its full ID."""
        return {"device": short_id(device), "name": self.devices[device].config.name}

    # What a change touches beside itself.

    def folder_changed(self, folder: str, now: datetime) -> None:
        """Follow a change of a folder up to the instance."""
        state = self.folders[folder]
        if state.in_sync is True:
            state.out_of_sync_since = None
        elif state.in_sync is False and state.out_of_sync_since is None:
            state.out_of_sync_since = now
        self.outcome.change(folder_address(folder))
        if self.folder_tally.put(folder, state.part()):
            self.outcome.change(SYSTEM)

    def device_changed(self, device: str) -> None:
        """Follow a change of a device up to the instance."""
        self.outcome.change(device_address(device))
        if self.device_tally.put(device, self.devices[device].part()):
            self.outcome.change(SYSTEM)

    def share_changed(self, device: str, folder: str) -> None:
        """Follow a change of what a device has of a folder up to the device and the instance."""
        state = self.devices[device]
        part = share_part(self.folders[folder], state, self.completions.get((device, folder)))
        self.outcome.change(share_address(device, folder))
        if state.shares.put(folder, part):
            self.device_changed(device)

    def unshare(self, device: str, folder: str) -> None:
        """Forget that a device shares a folder."""
        self.devices[device].folders.discard(folder)
        self.devices[device].taken.pop(folder, None)
        self.completions.pop((device, folder), None)
        self.outcome.change(share_address(device, folder))
        if self.devices[device].shares.drop(folder):
            self.device_changed(device)

    def add_device(self, config: DeviceConfig) -> None:
        """Know a device from now on."""
        self.devices[config.id] = DeviceState(config)
        self.device_ids[short_id(config.id)] = config.id
        self.device_changed(config.id)

    def remove_device(self, device: str) -> None:
        """Forget a device and all that it shares."""
        for folder in list(self.devices[device].folders):
            self.unshare(device, folder)
        del self.devices[device]
        self.device_ids.pop(short_id(device), None)
        self.device_tally.drop(device)
        self.timed_pauses.set(Paused("device", device), None)
        self.connection_timers.set(device, None)
        self.touched[Subject(DEVICE, device)] = None
        self.outcome.change(device_address(device), SYSTEM)

    def remove_folder(self, folder: str) -> None:
        """Forget a folder and who shares it."""
        for device in [device for device, state in self.devices.items() if folder in state.folders]:
            self.unshare(device, folder)
        del self.folders[folder]
        self.folder_tally.drop(folder)
        self.timed_pauses.set(Paused("folder", folder), None)
        self.outcome.change(folder_address(folder), failed_address(folder), conflicts_address(folder), SYSTEM)

    def reconfigure(self, config: FolderConfig | DeviceConfig) -> None:
        """Keep the configuration in step with an event, so that the same change is not seen again in ConfigSaved."""
        assert self.config is not None, "folders and devices come from the configuration"
        if isinstance(config, FolderConfig):
            self.folders[config.id].config = config
            self.config = replace(self.config, folders={**self.config.folders, config.id: config})
        else:
            self.devices[config.id].config = config
            self.config = replace(self.config, devices={**self.config.devices, config.id: config})

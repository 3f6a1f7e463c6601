"""The State: everything that is known about one Syncthing instance.

`rules` applies observations; this module keeps the State consistent. The cost of a change depends only on the changed
values, because sums over folders and devices are kept in tallies. The owner of a State guards it with a lock.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.alerts import DEVICE, FOLDER, THE_INSTANCE, Alerts, Problem, Subject
from stbridge.core.availability import Availability
from stbridge.core.entities import DeviceState, FolderState, share_part
from stbridge.core.expected_completions import ExpectedCompletions, Share
from stbridge.core.model import (
    Completion,
    Config,
    DeviceConfig,
    FolderConfig,
    LoggedError,
    PendingDevice,
    PendingFolder,
    short_id,
    short_ids,
)
from stbridge.core.observations import Observation, Read
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
from stbridge.core.read_order import ReadOrder
from stbridge.core.tally import DevicePart, FolderPart, Tally
from stbridge.core.timed_pauses import Paused, TimedPauses
from stbridge.core.timing import Timers
from stbridge.core.topics import Address
from stbridge.core.traffic import Lifetime, Rate
from stbridge.core.uptime import Uptime

FOLDER_READS = ("folder", "folder_errors", "conflicts")
"""The reads of one folder whose late responses are recognized; a search for conflict files corrects single look-ups."""

Rules = Mapping[type[Observation], Callable[["State", Any, datetime], None]]
"""The rule for each kind of observation: changes a State, given the time of the bridge's own clock, in UTC."""


class State:
    """Everything known about one Syncthing instance; `outcome` collects the consequences of changes until it is taken.

    Args:
        alerts: the thresholds of problems.
        may_resume: whether the allow-list of commands permits resuming at the end of a timed pause of the previous run.
        epoch: the number of the first epoch; it changes with the availability.
    """

    def __init__(self, alerts: Alerts | None = None, *, may_resume: bool = True, epoch: int = 0) -> None:
        self.may_resume = may_resume
        self.outcome = Outcome()
        self.alerts = alerts or Alerts()
        self.availability = Availability.CONNECTING
        self.read_order = ReadOrder(epoch)
        self.status, self.message = "unreachable", "not connected yet"
        self.since: datetime | None = None
        # When the current outage of the instance began; None while there is none.
        self.usable_until: datetime | None = None
        self.began: datetime | None = None
        """When the first observation was applied, by the bridge's own clock as it is set now."""
        # When everything was last read; None before that.
        self.synced_at: datetime | None = None
        # The start time of the Syncthing process from which everything was last read.
        self.synced_process: datetime | None = None
        self.read_errors: dict[Read, str] = {}
        self.version: seen.VersionRead | None = None
        self.process: seen.StatusRead | None = None
        self.uptime: Uptime | None = None
        self.config: Config | None = None
        self.restart_required: bool | None = None
        self.errors: tuple[LoggedError, ...] | None = None
        self.pending_devices: tuple[PendingDevice, ...] | None = None
        self.pending_folders: tuple[PendingFolder, ...] | None = None
        # Own copies of the folders and devices in `config`, so that one of them can be replaced without copying all.
        self._configs: tuple[dict[str, FolderConfig], dict[str, DeviceConfig]] = ({}, {})
        self.folders: dict[str, FolderState] = {}
        self.devices: dict[str, DeviceState] = {}
        self.short_ids: dict[str, str] = {}
        """The short ID of each configured device, by its full ID."""
        self.device_ids: dict[str, str] = {}
        """The full ID of each configured device, by its short ID."""
        self.completions: dict[Share, Completion] = {}
        self.expected_completions = ExpectedCompletions()
        # Folders that have made progress since the instance was last unavailable.
        self._progressed: set[str] = set()
        self.folder_tally, self.device_tally = Tally(FolderPart()), Tally(DevicePart())
        self.in_bytes: int | None = None
        self.out_bytes: int | None = None
        self.in_rate, self.out_rate = Rate(), Rate()
        self.in_lifetime, self.out_lifetime = Lifetime(), Lifetime()
        self.transfer_until: datetime | None = None
        self.upgrade: seen.UpgradeRead | None = None
        self.upgrading = False
        self.timed_pauses = TimedPauses()
        # The payloads of the previous run of the bridge; None before they are read, empty after the comparison.
        self.restored: Mapping[Address, Mapping[str, Any] | None] | None = None
        # Whether the State was compared with `restored`, and the differences were emitted as late events.
        self.compared = False
        # Whether the events of the next evaluation of problems are marked as late.
        self.evaluates_late = False
        # Problems caused by one-time events, by code.
        self.notices: dict[str, Problem] = {}
        # The raised problems of each subject, by code.
        self.problems: dict[Subject, dict[str, Problem]] = {}
        # When each condition began that has no time of its own, by code; it may not have reached its threshold yet.
        self.pending_since: dict[Subject, dict[str, datetime]] = {}
        # Removed folders and devices whose problems have to be cleared; one with the same ID may have been added since.
        self.removed: dict[Subject, None] = {}
        # Subjects whose problems have to be evaluated.
        self.touched: dict[Subject, None] = {}
        self.problem_timers: Timers[Subject, datetime] = Timers()
        self.connection_timers: Timers[str, datetime] = Timers()

    @property
    def online(self) -> bool:
        """Whether the topic `state` is `online`."""
        return self.availability.online

    @property
    def complete(self) -> bool:
        """Whether everything has been read at least once."""
        return self.synced_at is not None

    @property
    def restarted(self) -> bool:
        """Whether Syncthing has restarted since everything was read."""
        return (
            self.availability is Availability.LIVE
            and self.process is not None
            and self.process.started_at != self.synced_process
        )

    @property
    def may_publish(self) -> bool:
        """Whether the State is complete and current, and the topics of the previous run of the bridge are known.

        Publishing before would overwrite the totals and times of the previous run. Problems are raised and cleared only
        while this is true.
        """
        return self.availability is Availability.LIVE and self.restored is not None

    @property
    def first_publication_complete(self) -> bool:
        """Whether everything that must precede the bridge's first `online` can be published, or its read has failed."""
        return self.availability.tried and self.restored is not None

    @property
    def next_due(self) -> datetime | None:
        """When the next timer is due; None if there is none, or while nothing can be evaluated."""
        times = (self.problem_timers.next, self.connection_timers.next, self.expected_completions.next_late)
        return min((at for at in times if at is not None), default=None) if self.may_publish else None

    def emit(self, event_type: str, at: datetime, *, late: bool = False, **data: Any) -> None:
        """Emit an event, marked as late if it may have occurred while the bridge missed Syncthing's events."""
        marked = {**data, "late": True} if late or self.availability is not Availability.LIVE else data
        self.outcome.emit(event_type, at, **marked)

    def notice(self, code: str, message: str, at: datetime) -> None:
        """Raise a problem for a one-time event; it is shown for the time of its threshold."""
        self.notices[code] = Problem(code, message, at)
        self.touched[THE_INSTANCE] = None

    def transferring(self, now: datetime) -> bool:
        """Return whether data is being transferred, so that counters are read at the short interval."""
        return self.transfer_until is not None and now < self.transfer_until

    def take_outcome(self) -> Outcome:
        """Return the consequences since the last call."""
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
            yield from self._addresses_of(device, state)
        yield STATE

    def identify(self, device: str) -> dict[str, Any]:
        """Return the keys that identify a device in an event, given its full ID."""
        return {"device": self.short_ids[device], "name": self.devices[device].config.name}

    # Each of these methods also updates the values that depend on the change.

    def everything_changed(self) -> None:
        """Schedule every topic for rendering and all problems for evaluation."""
        self.instance_changed(*self.everything())

    def instance_changed(self, *addresses: Address) -> None:
        """Apply a change of the instance itself; changed sums over folders and devices do not affect its problems."""
        self.outcome.change(*addresses, SYSTEM)
        self.touched[THE_INSTANCE] = None

    def folder_changed(self, folder: str, now: datetime) -> None:
        """Apply a change of a folder to the folder and the instance."""
        state = self.folders[folder]
        if state.in_sync is True:
            state.out_of_sync_since = None
        elif state.in_sync is False and state.out_of_sync_since is None:
            state.out_of_sync_since = now
        self.outcome.change(folder_address(folder))
        if self.folder_tally.put(folder, state.part()):
            self.outcome.change(SYSTEM)

    def has(self, read: Read) -> bool:
        """Return whether the folder and the device that a read names exist."""
        return (not read.folder or read.folder in self.folders) and (not read.device or read.device in self.devices)

    def note_progress(self, folder: str, now: datetime) -> None:
        """Record that a folder has made progress."""
        self.folders[folder].progress_at = now
        self._progressed.add(folder)

    def forget_progress(self) -> None:
        """Forget when folders made progress, because events about further progress may be lost."""
        for folder in self._progressed:
            self.folders[folder].progress_at = None
        self._progressed.clear()

    def device_changed(self, device: str) -> None:
        """Apply a change of a device to the device and the instance."""
        self.outcome.change(self.address_of(device))
        if self.device_tally.put(device, self.devices[device].part()):
            self.outcome.change(SYSTEM)

    def share_changed(self, device: str, folder: str) -> None:
        """Apply a change of a folder's completion on a device to the device and the instance."""
        state = self.devices[device]
        part = share_part(self.folders[folder], state, self.completions.get((device, folder)))
        self.outcome.change(share_address(self.short_ids[device], folder))
        if state.shares.put(folder, part):
            self.device_changed(device)

    def shares_changed(self, device: str) -> None:
        """Apply a change of a device on which all its shares depend, such as its first connection."""
        state = self.devices[device]
        for folder in state.folders:
            self.share_changed(device, folder)
        state.was_out_of_sync = state.was_out_of_sync or state.in_sync is False

    def unshare(self, device: str, folder: str) -> None:
        """Forget that a device shares a folder."""
        self.devices[device].folders.discard(folder)
        self.devices[device].taken.pop(folder, None)
        self.completions.pop((device, folder), None)
        self.expected_completions.forget((device, folder))
        self.read_order.forget(Read("completion", folder, device))
        if self.folders[folder].forget_read_errors(device):
            self.outcome.change(folder_address(folder))
        self.outcome.change(share_address(self.short_ids[device], folder))
        self.devices[device].shares.drop(folder)
        self.device_changed(device)  # also after a paused folder: a device that shares no folder is unused

    def address_of(self, device: str) -> Address:
        """Return the address of a configured device, given its full ID."""
        return device_address(self.short_ids[device])

    def short_name(self, device: str) -> str:
        """Return the short ID of any device; for a device that is not configured, the first group of its ID."""
        return self.short_ids.get(device) or short_id(device)

    def name_of(self, device: str) -> str | None:
        """Return the name of a remote device or of this device, given its short ID; None if the ID is not known."""
        if found := self.devices.get(self.device_ids.get(device, "")):
            return found.config.name
        is_this = self.process is not None and short_id(self.process.device_id) == device
        return self.config.name if is_this and self.config is not None else None

    def _addresses_of(self, device: str, state: DeviceState) -> Iterable[Address]:
        """Yield the topics of a device; its own one is the last: the next run of the bridge finds the others by it."""
        yield from (share_address(self.short_ids[device], folder) for folder in state.folders)
        yield self.address_of(device)

    def name_devices(self, devices: Iterable[str]) -> None:
        """Set the short IDs of all configured devices; if a short ID changes, all topics of that device change.

        Args:
            devices: their full IDs; removed devices keep their short IDs until `remove_device`.
        """
        names = short_ids(devices)
        renamed = [one for one, name in names.items() if self.short_ids.get(one, name) != name]
        for device in renamed:
            self.outcome.change(*self._addresses_of(device, self.devices[device]))
            del self.device_ids[self.short_ids[device]]
        self.short_ids.update(names)
        self.device_ids.update({name: device for device, name in names.items()})
        for device in renamed:
            self.outcome.change(*self._addresses_of(device, self.devices[device]))

    def add_device(self, config: DeviceConfig) -> None:
        """Add a configured device."""
        self.devices[config.id] = DeviceState(config)
        self.device_changed(config.id)

    def remove_device(self, device: str) -> None:
        """Remove a device and all its shares."""
        for folder in list(self.devices[device].folders):
            self.unshare(device, folder)
        del self.devices[device]
        self.device_tally.drop(device)
        self.timed_pauses.set(Paused("device", device), None)
        self.connection_timers.set(device, None)
        self.removed[Subject(DEVICE, device)] = None
        self.outcome.change_last(self.address_of(device))
        self.outcome.change(SYSTEM)
        self.device_ids.pop(self.short_ids.pop(device), None)

    def set_thresholds(self, thresholds: Mapping[Subject, Mapping[str, float]]) -> None:
        """Set the thresholds of all subjects that have their own; subjects with changed ones are evaluated again."""
        before, self.alerts = self.alerts.own, replace(self.alerts, own=thresholds)
        for subject in {**before, **thresholds}:
            if before.get(subject) != thresholds.get(subject):
                self.touched[subject] = None

    def remove_folder(self, folder: str) -> None:
        """Remove a folder and all its shares."""
        for device in [device for device, state in self.devices.items() if folder in state.folders]:
            self.unshare(device, folder)
        del self.folders[folder]
        self._progressed.discard(folder)
        self.read_order.forget(*(Read(what, folder) for what in FOLDER_READS))
        self.removed[Subject(FOLDER, folder)] = None
        self.folder_tally.drop(folder)
        self.timed_pauses.set(Paused("folder", folder), None)
        self.outcome.change(folder_address(folder), failed_address(folder), conflicts_address(folder), SYSTEM)

    def configure(self, config: Config) -> None:
        """Set the configuration."""
        folders, devices = self._configs = dict(config.folders), dict(config.devices)
        self.config = replace(config, folders=folders, devices=devices)

    def reconfigure(self, config: FolderConfig | DeviceConfig) -> None:
        """Apply an event to the configuration, so that ConfigSaved does not report the same change again.

        Commands may read the configuration meanwhile in another thread. The set of IDs stays the same, so that the
        other thread can iterate over it.
        """
        folders, devices = self._configs
        if isinstance(config, FolderConfig):
            self.folders[config.id].config = folders[config.id] = config
        else:
            self.devices[config.id].config = devices[config.id] = config

"""Rules for the configuration: folders, devices, shares and pauses."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.alerts import DEVICE, FOLDER, Subject
from stbridge.core.availability import Availability
from stbridge.core.entities import DeviceState, FolderState
from stbridge.core.model import Config, DeviceConfig, FolderConfig
from stbridge.core.observations import Read
from stbridge.core.outcome import SYSTEM, conflicts_address, failed_address, folder_address
from stbridge.core.overrides import thresholds_by_subject
from stbridge.core.state import FOLDER_READS, Rules, State
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import from_utc, past_from_utc

MOST_NAMED = 20
"""Maximum number of vanished folders that the message names."""


def _configured(state: State, observation: seen.ConfigRead, now: datetime) -> None:
    _apply_config(state, observation.config, now)
    # Before the instance counts as reachable, what is read may be older than the last command.
    for resumed in _resumed(state) if state.availability is Availability.LIVE else ():
        _set_timed_pause(state, resumed, None)


def _config_saved(state: State, observation: seen.ConfigSaved, now: datetime) -> None:
    _apply_config(state, observation.config, now)


def _apply_config(state: State, config: Config, now: datetime) -> None:
    before = state.config
    if before is not None:  # an option may require a restart although no folder or device has changed
        state.outcome.read(Read("restart_required"))
    if before == config:
        return
    state.configure(config)
    state.outcome.change(SYSTEM)
    for device in [device for device in state.devices if device not in config.devices]:
        state.remove_device(device)
    state.name_devices(config.devices)
    for folder in [one.config.id for one in state.folders.values() if _is_removed(one.config, config)]:
        state.remove_folder(folder)
    for device_config in config.devices.values():
        _configure_device(state, device_config, now)
    for folder_config in config.folders.values():
        _configure_folder(state, folder_config, now)
    state.set_thresholds(thresholds_by_subject(state.alerts, config))
    if before is not None:
        state.emit("config_changed", now)
        note_vanished(state, before.folders, now)


def _is_removed(folder: FolderConfig, config: Config) -> bool:
    """Return whether a folder is not in a configuration; one with the same ID and another path is another folder."""
    found = config.folders.get(folder.id)
    return found is None or found.path != folder.path


def note_vanished(state: State, before: Iterable[str], now: datetime) -> None:
    """Raise a notice if so many folders disappeared at once that the configuration was probably lost."""
    assert state.config is not None, "only a known configuration can be compared"
    known = list(before)
    gone = [folder for folder in known if folder not in state.config.folders]
    if gone and (not state.config.folders or (len(gone) > 1 and 2 * len(gone) >= len(known))):
        more = f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
        named = ", ".join(gone[:MOST_NAMED])
        state.notice("folders_vanished", f"folders disappeared from the configuration: {named}{more}", now)


def _configure_device(state: State, config: DeviceConfig, now: datetime) -> None:
    device = state.devices.get(config.id)
    if device is None:
        restore_timed_pause(state, config)
        state.add_device(config)
        state.devices[config.id].away_since = now
        if state.complete:  # it may have connected before the configuration was saved
            state.outcome.read(Read("connections"), Read("device_statistics"))
    elif device.config != config:
        paused, device.config = device.config.paused, config
        if paused != config.paused:
            _pause_device(state, config.id, now)
        state.device_changed(config.id)


def _configure_folder(state: State, config: FolderConfig, now: datetime) -> None:
    folder = state.folders.get(config.id)
    if folder is None:
        restore_timed_pause(state, config)
        # a folder that is added later is new, even if a folder of the previous run had its ID
        since = None if state.complete else restored_out_of_sync_since(state, config, now)
        state.folders[config.id] = FolderState(config, out_of_sync_since=since)
        state.outcome.change(failed_address(config.id), conflicts_address(config.id))
        if state.complete:  # responses to earlier requests are about another folder with this ID
            state.read_order.note(*(Read(what, config.id) for what in FOLDER_READS))
            state.outcome.read(Read("folder_statistics"))
        if not config.paused:
            state.outcome.read(Read("folder", config.id))
    elif folder.config != config:
        before, folder.config = folder.config, config
        if before.paused != config.paused:
            _pause_folder(state, config.id, now)
        elif not config.paused and (before.type != config.type or set(before.devices) - set(config.devices)):
            # items that only the removed device had are no longer needed, and no event reports that
            state.outcome.read(Read("folder", config.id))
            state.outcome.read(*(Read("completion", config.id, one) for one in config.devices if one in state.devices))
    _share(state, config)
    state.folder_changed(config.id, now)


def restored_out_of_sync_since(state: State, folder: FolderConfig, now: datetime) -> datetime | None:
    """Return when a folder became out of sync, as the previous run published it; None if it is paused."""
    return None if folder.paused else past_from_utc(published_before(state, folder).get("out_of_sync_since"), now)


def published_before(state: State, config: FolderConfig | DeviceConfig) -> Mapping[str, Any]:
    """Return what the previous run published about a folder or device; nothing if it is another one with that ID."""
    if isinstance(config, FolderConfig):
        subject, payload = Subject(FOLDER, config.id), (state.restored or {}).get(folder_address(config.id)) or {}
        is_another = payload.get("path", config.path) != config.path
    else:
        subject, payload = Subject(DEVICE, config.id), (state.restored or {}).get(state.address_of(config.id)) or {}
        is_another = False
    return {} if is_another or subject in state.removed else payload


def restore_timed_pause(state: State, config: FolderConfig | DeviceConfig) -> None:
    """Restore a timed pause of the previous run of the bridge."""
    if isinstance(config, FolderConfig):
        subject, address = Paused("folder", config.id), folder_address(config.id)
    else:
        subject, address = Paused("device", config.id), state.address_of(config.id)
    until = from_utc(published_before(state, config).get("resume_at"))
    if state.may_resume and config.paused and until is not None and state.timed_pauses.until(*subject) is None:
        state.timed_pauses.set(subject, until, restored=True)
        state.outcome.change(address)


def _pause_timed(state: State, observation: seen.PauseTimed, _: datetime) -> None:
    kind, identifier = observation.paused
    known = state.folders if kind == "folder" else state.devices
    if identifier in known:
        _set_timed_pause(state, observation.paused, observation.until)


def _set_timed_pause(state: State, paused: Paused, until: datetime | None) -> None:
    state.timed_pauses.set(paused, until)
    state.outcome.change(folder_address(paused.id) if paused.kind == "folder" else state.address_of(paused.id))


def confirm_timed_pauses(state: State) -> None:
    """Request the configuration if a folder or a device with a timed pause seems to be resumed.

    What was read or reported may be older than the pause: a command resumed it, and another one paused it again.
    """
    if _resumed(state):
        state.outcome.read(Read("config"))


def _confirm_resumed(state: State, paused: Paused) -> None:
    if state.timed_pauses.until(*paused):
        state.outcome.read(Read("config"))


def _resumed(state: State) -> list[Paused]:
    """Return the timed pauses of folders and devices that are not paused as far as is known."""
    return [one for one in state.timed_pauses.paused if not _subject_of(state, one).config.paused]


def _subject_of(state: State, paused: Paused) -> FolderState | DeviceState:
    return state.folders[paused.id] if paused.kind == "folder" else state.devices[paused.id]


def _share(state: State, folder: FolderConfig) -> None:
    """Update the shares of a folder to its configuration."""
    sharing = frozenset(folder.devices)
    for device, device_state in state.devices.items():
        shares = device in sharing
        if shares and folder.id not in device_state.folders:
            device_state.folders.add(folder.id)
            if state.complete:
                state.read_order.note(Read("completion", folder.id, device))
            device_state.taken[folder.id] = state.folders[folder.id].changes
            state.share_changed(device, folder.id)
            state.device_changed(device)  # also if the folder is paused: a device that shares one is not unused
            if not folder.paused:
                state.outcome.read(Read("completion", folder.id, device))
        elif not shares and folder.id in device_state.folders:
            state.unshare(device, folder.id)


def _folder_paused(state: State, observation: seen.FolderPaused, now: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None or folder.config.paused == observation.paused:
        return
    state.reconfigure(replace(folder.config, paused=observation.paused))
    _pause_folder(state, observation.folder, now)
    state.folder_changed(observation.folder, now)


def _pause_folder(state: State, folder: str, now: datetime) -> None:
    """Apply a change of `paused`; pausing and resuming both invalidate all known values of the folder."""
    folder_state = state.folders[folder]
    folder_state.forget()
    folder_state.read_errors.clear()
    state.outcome.change(folder_address(folder), failed_address(folder))  # in this order: commands wait for the first
    resumed = not folder_state.config.paused
    if resumed:
        folder_state.inventory_due = True
        _confirm_resumed(state, Paused("folder", folder))
        state.outcome.read(Read("folder", folder))
    for device in folder_state.config.devices:
        if device in state.devices:
            state.share_changed(device, folder)
            if resumed:
                state.outcome.read(Read("completion", folder, device))
    name = "folder_resumed" if resumed else "folder_paused"
    state.emit(name, now, folder=folder, label=folder_state.config.label)


def _device_paused(state: State, observation: seen.DevicePaused, now: datetime) -> None:
    device = state.devices.get(observation.device)
    if device is None or device.config.paused == observation.paused:
        return
    state.reconfigure(replace(device.config, paused=observation.paused))
    _pause_device(state, observation.device, now)
    state.device_changed(observation.device)


def _pause_device(state: State, device: str, now: datetime) -> None:
    state.shares_changed(device)
    paused = state.devices[device].config.paused
    if not paused:
        _confirm_resumed(state, Paused("device", device))
        if not state.devices[device].connection.connected:
            state.devices[device].away_since = now  # while it was paused it could not connect
    name = "device_paused" if paused else "device_resumed"
    state.emit(name, now, **state.identify(device))


RULES: Rules = {
    seen.ConfigRead: _configured,
    seen.ConfigSaved: _config_saved,
    seen.FolderPaused: _folder_paused,
    seen.DevicePaused: _device_paused,
    seen.PauseTimed: _pause_timed,
}

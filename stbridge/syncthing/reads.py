"""Reads data of a Syncthing instance over REST and yields it as observations; a table maps each read to a function."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.versions import OLDEST, is_too_old
from stbridge.errors import (
    BadReply,
    NotFound,
    Rejected,
    SyncthingError,
    SyncthingUnavailable,
    TimedOut,
    TooOld,
    Unsupported,
    with_setting_path,
)
from stbridge.syncthing.client import SyncthingClient

log = logging.getLogger(__name__)

Decoded = TypeVar("Decoded")

SLOW = frozenset({"conflicts", "upgrade"})
"""Reads that may take a minute: `conflicts` walks a whole folder, `upgrade` queries a server on the Internet."""

MAX_COMPLETIONS = 500
"""Maximum number of completions that a snapshot reads, each with its own request."""

FEW_COMPLETIONS = 100
"""Maximum number of completions for which a snapshot sends one request each, without asking for whole devices first.

Only the request for a single completion returns the remote state. With more completions, a snapshot first sends one
request for each device, and then single requests only for devices that are not complete.
"""

MAX_LOGGED = 1000
"""Maximum number of remembered failures, so that each is logged once."""

MAX_TIMEOUTS = 2
"""Number of timeouts after which a snapshot leaves the remaining reads for later, when events are followed."""


class Reader:
    """Reads a Syncthing instance.

    Args:
        client: its REST client.
        name: the name of the instance, for messages.
    """

    def __init__(self, client: SyncthingClient, name: str) -> None:
        self.client = client
        self._name = name
        self._logged: dict[Read, str] = {}
        self._own_id: str | None = None

    @property
    def own_id(self) -> str:
        """The device ID of the instance, read from its status if it is not known."""
        own_id = self._own_id  # copied, because another thread may reset it in between
        if own_id is None:
            own_id = self._own_id = _decoded(decode.status, self.client.get_status()).device_id
        return own_id

    def forget(self) -> None:
        """Reset the device ID, because another instance may respond at the same address from now on."""
        self._own_id = None

    def read(self, read: Read) -> Iterator[Observation]:
        """Run one read.

        Raises:
            SyncthingError: this call fails. A folder that is paused or removed is not an error and yields nothing.
        """
        yield from _ROWS[read.what](self, read)

    def attempt(self, read: Read) -> Iterator[Observation]:
        """Run one read, and also yield whether it succeeded; an error of this call alone is not raised.

        Only version, status, configuration and the event stream determine whether the instance can be used. If a call
        fails but the status can be read, only this read has failed.

        Raises:
            SyncthingError: the instance cannot be used.
        """
        try:
            yield from self.read(read)
        except SyncthingError as error:
            self._raise_if_unusable(error)
            message = with_setting_path(self._name, str(error))
            call = f"GET /rest/{_CALLS[read.what]}"
            if call not in message:  # Syncthing's own text does not name the call
                message = f"{message} ({call})"
            self._log(read, message)
            yield seen.ReadFinished(read=read, error=message, timed_out=isinstance(error, TimedOut))
        else:
            self._logged.pop(read, None)
            yield seen.ReadFinished(read=read)

    def _raise_if_unusable(self, error: SyncthingError) -> None:
        """Raise an error if the instance cannot be used at all: if its status cannot be read either.

        Only some errors of a call leave that open. Another server at the same address may give an unexpected answer.
        """
        if isinstance(error, SyncthingUnavailable | TimedOut | BadReply):
            _decoded(decode.status, self.client.get_status())

    def _log(self, read: Read, message: str) -> None:
        """Log a failure once, until the read succeeds or fails differently."""
        if self._logged.get(read) != message and len(self._logged) < MAX_LOGGED:
            self._logged[read] = message
            what = " ".join(filter(None, (read.what, read.folder)))
            log.warning("%s: cannot read %s: %s", self._name, what, message)

    def snapshot(self, *, max_completions: int | None = None) -> Iterator[Observation]:
        """Read everything; the last observation contains the reads that are left for later.

        Reading the completions of many shares could overflow Syncthing's event buffer, so completions beyond the limit
        are left for later. Reads that fail are also left. A device that is complete needs no request for each folder.

        Args:
            max_completions: maximum number of completions to read, each with its own request; MAX_COMPLETIONS by
                default.

        Raises:
            SyncthingError: the instance cannot be used.
        """
        self.forget()
        yield from self.read(Read("version"))  # before the status, which may show a restart with another version
        yield from self.read(Read("status"))
        configured = _decoded(decode.config, self.client.get_config(), self.own_id)
        yield configured  # first, because the other reads refer to the configuration
        folders = [folder for folder in configured.config.folders.values() if not folder.paused]
        failed: list[seen.ReadFinished] = []
        first = [*map(Read, _LISTS), *(Read("folder", folder.id) for folder in folders), *map(Read, _STATISTICS)]
        yield from self._attempt_all(first, failed)
        completions = yield from self._incomplete(
            [
                Read("completion", folder.id, device)
                for folder in folders
                for device in folder.devices
                if device in configured.config.devices
            ]
        )
        limit = MAX_COMPLETIONS if max_completions is None else max_completions
        yield from self._attempt_all(completions[:limit], failed)
        yield seen.Stale(reads=(*completions[limit:], *(one.read for one in failed)))

    def _attempt_all(self, reads: Sequence[Read], failed: list[seen.ReadFinished]) -> Iterator[Observation]:
        """Run some reads, and collect the failed ones; after MAX_TIMEOUTS timeouts, fail without a request."""
        timeouts = sum(one.timed_out for one in failed)
        for read in reads:
            if timeouts < MAX_TIMEOUTS:
                found = self.attempt(read)
            else:
                found = iter([seen.ReadFinished(read=read, error=f"not read yet: {timeouts} requests timed out")])
            for observation in found:
                yield observation
                if isinstance(observation, seen.ReadFinished) and observation.error is not None:
                    failed.append(observation)
                    timeouts += observation.timed_out

    def _incomplete(self, completions: Sequence[Read]) -> Generator[Observation, None, Sequence[Read]]:
        """Yield which devices are complete, and return the reads of completions on the others."""
        if len(completions) <= FEW_COMPLETIONS:
            return completions
        complete: set[str] = set()
        for device in dict.fromkeys(read.device for read in completions):
            found = self._device_completion(device)
            yield found
            if found.complete is None:  # timed out: the sums of other devices would also take too long
                break
            if found.complete:
                complete.add(device)
        return [read for read in completions if read.device not in complete]

    def _device_completion(self, device: str) -> seen.DeviceCompletionRead:
        """Return whether a device is complete; if the call fails because of one folder, it counts as incomplete.

        The read of each folder then shows which one fails. Up to 1.20, one paused folder makes this call fail with 404.
        """
        try:
            return _decoded(decode.device_completion, device, self.client.get_completion(device=device))
        except SyncthingError as error:
            self._raise_if_unusable(error)
            return seen.DeviceCompletionRead(device=device, complete=None if isinstance(error, TimedOut) else False)


_LISTS = ("connections", "errors", "restart_required", "pending_devices", "pending_folders")
_STATISTICS = ("device_statistics", "folder_statistics")


def read_version(client: SyncthingClient) -> seen.VersionRead:
    """Read the version.

    Raises:
        TooOld: the version is not supported.
        SyncthingError: the version cannot be read.
    """
    found: seen.VersionRead = _decoded(decode.version, client.get_version())
    if is_too_old(found.version):
        oldest = ".".join(map(str, OLDEST))
        raise TooOld(f"url: Syncthing {found.version} at {client.url} is too old: {oldest} or later is needed.")
    return found


def _version(reader: Reader, _: Read) -> Iterator[Observation]:
    yield read_version(reader.client)


def _status(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.status, reader.client.get_status())


def _config(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.config, reader.client.get_config(), reader.own_id)


def _restart_required(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.restart_required, reader.client.get_restart_required())


def _connections(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.connections, reader.client.get_connections(), reader.own_id)


def _errors(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.errors, reader.client.get_errors())


def _pending_devices(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.pending_devices, reader.client.get_pending_devices())


def _pending_folders(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.pending_folders, reader.client.get_pending_folders())


def _device_statistics(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.device_statistics, reader.client.get_device_statistics())


def _folder_statistics(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.folder_statistics, reader.client.get_folder_statistics())


def _folder(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        status = reader.client.get_folder_status(read.folder)
    except NotFound:  # not running yet; its next change of state requests the read again
        return
    folder = _decoded(decode.folder_status, read.folder, status)
    yield folder
    if folder.counts is not None and folder.counts.failed:
        yield from reader.attempt(Read("folder_errors", read.folder))


def _folder_errors(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        errors = reader.client.get_folder_errors(read.folder)
    except NotFound:  # paused or removed in the meantime
        return
    yield _decoded(decode.folder_errors, errors)


def _conflict(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        file = reader.client.get_file(read.folder, read.path)
    except NotFound as error:
        if _is_not_running(error):
            return
        file = {}
    yield _decoded(decode.conflict, read.folder, read.path, file)


def _conflicts(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        tree = reader.client.browse_database(read.folder)
    except TimedOut:  # the reason may be a slow disk, so Syncthing does not count as unreachable
        yield seen.ConflictsRead(folder=read.folder, paths=None)
    except (NotFound, Rejected) as error:  # this call answers 500 where others answer 404 (1.19 to 2.1)
        if not _is_not_running(error):
            raise
    else:
        yield _decoded(decode.conflicts, read.folder, tree)


def _is_not_running(error: SyncthingError) -> bool:
    """Return whether a call failed because the folder was paused or removed in the meantime."""
    return any(reason in str(error) for reason in _NOT_RUNNING)


def _conflicts_lost(_: Reader, read: Read) -> Iterator[Observation]:
    """Mark the conflicts of a folder as not completely known, because the queue of files to read was full."""
    yield seen.ConflictsRead(folder=read.folder, paths=None)


def _upgrade(reader: Reader, _: Read) -> Iterator[Observation]:
    try:
        yield _decoded(decode.upgrade, reader.client.check_upgrade())
    except Unsupported:
        yield seen.UpgradeRead(latest=None)
    except TimedOut as error:  # Syncthing waits for a server on the Internet, so Syncthing itself can be used
        log.info("the check for an upgrade timed out: %s", error)


def _completion(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        completion = reader.client.get_completion(device=read.device, folder=read.folder)
    except NotFound:  # paused or removed in the meantime
        return
    yield _decoded(decode.completion, read.device, read.folder, completion)


def _late_completion(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        yield from _completion(reader, read)
    except TimedOut as error:  # Syncthing is busy with the same computation, and reports its result by an event
        log.info("a late completion is not known yet: %s", error)


def _decoded(decoder: Callable[..., Decoded], *arguments: Any) -> Decoded:
    try:
        return decoder(*arguments)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BadReply(f"url: the answer does not match Syncthing's API ({decoder.__name__}: {error!r})") from error


_NOT_RUNNING = ("no such folder", "folder is paused", "folder is not running")
"""Syncthing's errors for a folder that is not running (`ErrFolderMissing` and others in its lib/model/model.go)."""

_ROWS: Mapping[str, Callable[[Reader, Read], Iterator[Observation]]] = {
    "version": _version,
    "status": _status,
    "config": _config,
    "restart_required": _restart_required,
    "connections": _connections,
    "errors": _errors,
    "pending_devices": _pending_devices,
    "pending_folders": _pending_folders,
    "device_statistics": _device_statistics,
    "folder_statistics": _folder_statistics,
    "last_file": _folder_statistics,
    "folder": _folder,
    "folder_errors": _folder_errors,
    "scan_errors": _folder_errors,
    "outdated_errors": _folder_errors,
    "completion": _completion,
    "completion_without_event": _completion,
    "late_completion": _late_completion,
    "remote_state": _completion,
    "conflict": _conflict,
    "conflicts": _conflicts,
    "conflicts_lost": _conflicts_lost,
    "upgrade": _upgrade,
}

_CALLS: Mapping[str, str] = {
    "version": "system/version",
    "status": "system/status",
    "config": "config",
    "restart_required": "config/restart-required",
    "connections": "system/connections",
    "errors": "system/error",
    "pending_devices": "cluster/pending/devices",
    "pending_folders": "cluster/pending/folders",
    "device_statistics": "stats/device",
    "folder_statistics": "stats/folder",
    "last_file": "stats/folder",
    "folder": "db/status",
    "folder_errors": "folder/errors",
    "scan_errors": "folder/errors",
    "outdated_errors": "folder/errors",
    "completion": "db/completion",
    "completion_without_event": "db/completion",
    "late_completion": "db/completion",
    "remote_state": "db/completion",
    "conflict": "db/file",
    "conflicts": "db/browse",
    "upgrade": "system/upgrade",
}
"""The path of the call of each read, for messages."""

"""What can be read of a Syncthing over REST, as a table of reads; each yields observations."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.errors import BadReply, NotFound, TimedOut, TooLarge, Unsupported
from stbridge.syncthing.client import SyncthingClient

log = logging.getLogger(__name__)

Decoded = TypeVar("Decoded")


MOST_COMPLETIONS = 500
"""How many completions a snapshot reads at most."""


class Reader:
    """Reads one Syncthing.

    Args:
        client: the way to it.
    """

    def __init__(self, client: SyncthingClient) -> None:
        self.client = client
        self._own_id: str | None = None

    @property
    def own_id(self) -> str:
        """The ID of the device that is read."""
        own_id = self._own_id  # looked at once: another thread may have it forgotten meanwhile
        if own_id is None:
            own_id = self._own_id = _decoded(decode.status, self.client.get_status()).device_id
        return own_id

    def forget(self) -> None:
        """Forget who it was: another Syncthing may answer at the same address from now on."""
        self._own_id = None

    def read(self, read: Read) -> Iterator[Observation]:
        """Carry out one read.

        Raises:
            SyncthingUnavailable: no use can be made of Syncthing now.
            CallFailed: Syncthing refuses it; a folder that is paused or gone is no error and yields nothing.
        """
        yield from _ROWS[read.what](self, read)

    def snapshot(self, *, most_completions: int | None = None) -> Iterator[Observation]:
        """Read everything.

        The completions of many shares would take longer than the event ring lasts: beyond so many they are only asked
        for, and read while events are followed already.

        Args:
            most_completions: MOST_COMPLETIONS if it is not given.
        """
        most = MOST_COMPLETIONS if most_completions is None else most_completions
        self.forget()
        yield seen.SnapshotStarted()
        yield from self.read(Read("version"))  # before the status, which may tell of a start with another version
        yield from self.read(Read("status"))
        configured = _decoded(decode.config, self.client.get_config(), self.own_id)
        yield configured  # first of all, because the rest is about what is configured
        for what in ("connections", "errors", "restart_required"):
            yield from self.read(Read(what))
        with suppress(TooLarge):  # anybody who connects adds to what waits: that must not keep us from the rest
            yield from self.read(Read("pending"))
        folders = [folder for folder in configured.config.folders.values() if not folder.paused]
        for folder in folders:
            yield from self.read(Read("folder", folder.id))
        yield from self.read(Read("statistics"))
        completions = tuple(
            Read("completion", folder.id, device)
            for folder in folders
            for device in folder.devices
            if device in configured.config.devices
        )
        for read in completions[:most]:
            yield from self.read(read)
        yield seen.SnapshotComplete()
        yield seen.Stale(reads=completions[most:])


def _version(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.version, reader.client.get_version())


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


def _pending(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.pending_devices, reader.client.get_pending_devices())
    yield _decoded(decode.pending_folders, reader.client.get_pending_folders())


def _statistics(reader: Reader, read: Read) -> Iterator[Observation]:
    yield _decoded(decode.device_statistics, reader.client.get_device_statistics())
    yield from _last_file(reader, read)


def _last_file(reader: Reader, _: Read) -> Iterator[Observation]:
    yield _decoded(decode.folder_statistics, reader.client.get_folder_statistics())


def _folder(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        status = reader.client.get_folder_status(read.folder)
    except NotFound:  # not running yet: its next change of state asks again
        return
    folder = _decoded(decode.folder_status, read.folder, status)
    yield folder
    if folder.counts is not None and folder.counts.failed:
        yield from _folder_errors(reader, read)


def _folder_errors(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        errors = reader.client.get_folder_errors(read.folder)
    except NotFound:  # paused or gone meanwhile
        return
    yield _decoded(decode.folder_errors, errors)


def _conflict(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        file = reader.client.get_file(read.folder, read.path)
    except NotFound:
        file = {}
    yield _decoded(decode.conflict, read.folder, read.path, file)


def _conflicts(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        tree = reader.client.browse_database(read.folder)
    except TimedOut:  # a slow disk is no reason to take Syncthing for unreachable
        yield seen.ConflictsRead(folder=read.folder, paths=None)
    except NotFound:  # paused or gone meanwhile
        return
    else:
        yield _decoded(decode.conflicts, read.folder, tree)


def _conflicts_lost(_: Reader, read: Read) -> Iterator[Observation]:
    """There were more to be looked up than could wait: what is known is not all any more."""
    yield seen.ConflictsRead(folder=read.folder, paths=None)


def _upgrade(reader: Reader, _: Read) -> Iterator[Observation]:
    try:
        yield _decoded(decode.upgrade, reader.client.check_upgrade())
    except Unsupported:
        yield seen.UpgradeRead(latest=None)
    except TimedOut as error:  # what cannot be reached is a server on the Internet
        log.info("check for an upgrade: %s", error)


def _completion(reader: Reader, read: Read) -> Iterator[Observation]:
    try:
        completion = reader.client.get_completion(device=read.device, folder=read.folder)
    except NotFound:  # paused or gone meanwhile
        return
    yield _decoded(decode.completion, read.device, read.folder, completion)


def _decoded(decoder: Callable[..., Decoded], *arguments: Any) -> Decoded:
    try:
        return decoder(*arguments)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BadReply(f"url: what answers is not what Syncthing would say ({decoder.__name__}: {error!r})") from error


_ROWS: Mapping[str, Callable[[Reader, Read], Iterator[Observation]]] = {
    "version": _version,
    "status": _status,
    "config": _config,
    "restart_required": _restart_required,
    "connections": _connections,
    "errors": _errors,
    "pending": _pending,
    "statistics": _statistics,
    "last_file": _last_file,
    "folder": _folder,
    "folder_errors": _folder_errors,
    "scan_errors": _folder_errors,
    "completion": _completion,
    "conflict": _conflict,
    "conflicts": _conflicts,
    "conflicts_lost": _conflicts_lost,
    "upgrade": _upgrade,
}

"""What can be read of a Syncthing over REST, as a table of reads; each yields observations."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.errors import BadReply, NotFound
from stbridge.syncthing.client import SyncthingClient

Decoded = TypeVar("Decoded")

MOST_COMPLETIONS = 500
"""How many completions a snapshot reads at most."""


class Reader:
    """Reads one Syncthing.

    Args:
        client: the way to it.
    """

    def __init__(self, client: SyncthingClient) -> None:
        self._client = client
        self._own_id: str | None = None

    @property
    def own_id(self) -> str:
        """The ID of the device that is read; known after the first read of the status."""
        if self._own_id is None:
            self._own_id = _decoded(decode.status, self._client.get_status()).device_id
        return self._own_id

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

    def snapshot(self) -> Iterator[Observation]:
        """Read everything.

        The completions of many shares would take longer than the event ring lasts: beyond MOST_COMPLETIONS they are
        only asked for, and read while events are followed already.
        """
        self.forget()
        yield seen.SnapshotStarted()
        yield from self.read(Read("status"))
        configured = _decoded(decode.config, self._client.get_config(), self.own_id)
        yield configured  # first of all, because the rest is about what is configured
        for what in ("version", "connections", "errors", "pending", "restart_required"):
            yield from self.read(Read(what))
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
        for read in completions[:MOST_COMPLETIONS]:
            yield from self.read(read)
        yield seen.SnapshotComplete()
        yield seen.Stale(reads=completions[MOST_COMPLETIONS:])

    def _version(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.version, self._client.get_version())

    def _status(self, _: Read) -> Iterator[Observation]:
        status = _decoded(decode.status, self._client.get_status())
        self._own_id = status.device_id
        yield status

    def _config(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.config, self._client.get_config(), self.own_id)

    def _restart_required(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.restart_required, self._client.get_restart_required())

    def _connections(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.connections, self._client.get_connections(), self.own_id)

    def _errors(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.errors, self._client.get_errors())

    def _pending(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.pending_devices, self._client.get_pending_devices())
        yield _decoded(decode.pending_folders, self._client.get_pending_folders())

    def _statistics(self, _: Read) -> Iterator[Observation]:
        yield _decoded(decode.device_statistics, self._client.get_device_statistics())
        yield _decoded(decode.folder_statistics, self._client.get_folder_statistics())

    def _folder(self, read: Read) -> Iterator[Observation]:
        try:
            status = self._client.get_folder_status(read.folder)
        except NotFound:  # not running yet: its next change of state asks again
            return
        folder = _decoded(decode.folder_status, read.folder, status)
        yield folder
        if folder.counts is not None and folder.counts.failed:
            yield from self._folder_errors(read)

    def _folder_errors(self, read: Read) -> Iterator[Observation]:
        try:
            errors = self._client.get_folder_errors(read.folder)
        except NotFound:  # paused or gone meanwhile
            return
        yield _decoded(decode.folder_errors, errors)

    def _completion(self, read: Read) -> Iterator[Observation]:
        try:
            completion = self._client.get_completion(device=read.device, folder=read.folder)
        except NotFound:  # paused or gone meanwhile
            return
        yield _decoded(decode.completion, read.device, read.folder, completion)


def _decoded(decoder: Callable[..., Decoded], *arguments: Any) -> Decoded:
    try:
        return decoder(*arguments)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReply(
            f"url: what answers is not what Syncthing would say ({decoder.__name__}: {error!r})"
        ) from error


_ROWS: Mapping[str, Callable[[Reader, Read], Iterator[Observation]]] = {
    "version": Reader._version,
    "status": Reader._status,
    "config": Reader._config,
    "restart_required": Reader._restart_required,
    "connections": Reader._connections,
    "errors": Reader._errors,
    "pending": Reader._pending,
    "statistics": Reader._statistics,
    "folder": Reader._folder,
    "folder_errors": Reader._folder_errors,
    "scan_errors": Reader._folder_errors,
    "completion": Reader._completion,
}

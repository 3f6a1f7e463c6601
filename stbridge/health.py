"""The health file: the running service writes its status to it every half a minute, and `stbridge health` reads it."""

import errno
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from stbridge.errors import Failed

log = logging.getLogger(__name__)

FRESH_S = 60.0
"""Maximum age of a heartbeat. Its clock is monotonic: the same for all processes, and it does not jump."""

LONGEST_NAME = 100
"""Maximum length of a client ID in the file name, which may have 255 bytes."""

LARGEST = 1_000_000
"""Maximum number of bytes of the file that are read, because another user may have written it."""


def health_file(environment: Mapping[str, str], client_id: str) -> Path:
    """Return the path of a bridge's health file.

    It is in systemd's RUNTIME_DIRECTORY, else in the user's XDG_RUNTIME_DIR, else in a private directory below the
    directory for temporary files.

    Args:
        environment: the environment variables, which name these directories.
        client_id: the client ID of the bridge, which is unique at its broker.
    """
    name = quote(client_id, safe="")
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(client_id.encode()).hexdigest()[:16]}"
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if directory := environment.get(variable):
            return Path(directory.split(":")[0]) / f"stbridge-{name}.health"
    return _private_directory() / f"stbridge-{name}.health"


def _private_directory() -> Path:
    return Path(tempfile.gettempdir()) / f"stbridge-{os.geteuid()}"


class HealthFile:
    """The health file of one bridge; other users may be able to write to its directory.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    def write(self, status: str) -> None:
        """Write the status and the time; a failure is logged once and otherwise ignored."""
        try:
            self._replace(json.dumps({"pid": os.getpid(), "at": monotonic(), "status": status}))
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("cannot write %s (%s): `stbridge health` will not work", self._path, error.strerror)
            self._failed = True

    def _replace(self, content: str) -> None:
        if self._path.parent == _private_directory():
            with suppress(FileExistsError):
                self._path.parent.mkdir(0o700)
        _check_directory(self._path.parent)
        # created with O_EXCL, O_NOFOLLOW and mode 0600; a reader sees either the old file or the new one
        number, partial = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(content)
            Path(partial).replace(self._path)
        except OSError:
            with suppress(OSError):
                Path(partial).unlink()
            raise

    def check(self) -> str:
        """Return the status of the running service.

        Raises:
            Failed: the service does not run, or has not written its status for FRESH_S.
        """
        try:
            content = json.loads(self._read())
            pid, age, status = int(content["pid"]), monotonic() - content["at"], str(content["status"])
        except FileNotFoundError as error:
            raise Failed(f"no bridge runs here: there is no {self._path}") from error
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise Failed(f"cannot read {self._path} ({error})") from error
        if not _runs(pid):
            raise Failed(f"no bridge runs here: process {pid} has exited")
        if not -FRESH_S < age < FRESH_S:
            raise Failed(f"the bridge hangs: its last heartbeat is {age:.0f} s old")
        return status

    def _read(self) -> bytes:
        _check_directory(self._path.parent)
        # without O_NONBLOCK, opening a named pipe in its place would block
        number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "it is not a file of this user")
            # Another user can make a hard link to any file of this user if fs.protected_hardlinks is 0, for example to
            # the health file of another bridge. A file that is replaced at this moment has no link.
            if found.st_mode & _WRITABLE or found.st_nlink > 1:
                raise PermissionError(errno.EPERM, "others may write to it, or it has a second name")
            return file.read(LARGEST)


_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def _check_directory(directory: Path) -> None:
    """Refuse a directory in which other users may replace files; /tmp is accepted because it is sticky."""
    if directory == _private_directory():
        _check_private(directory)
        directory = directory.parent
    found = directory.stat()
    if found.st_uid not in (0, os.geteuid()) or (found.st_mode & _WRITABLE and not found.st_mode & stat.S_ISVTX):
        raise PermissionError(errno.EPERM, "others may replace files in its directory")


def _check_private(directory: Path) -> None:
    """Refuse a private directory that another user may have created in its place; a link is refused, too."""
    found = directory.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    if not private or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"{directory} is not a private directory of this user: remove it")


def _runs(pid: int) -> bool:
    """Return whether this process runs as this user; a process of another user only reuses its number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True

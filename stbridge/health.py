"""Whether the running service is healthy: it leaves a file behind at every look at its parts."""

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from stbridge.errors import Failed

log = logging.getLogger(__name__)

FRESH_S = 60.0
"""Older signs of life are none. The monotonic clock is one for all processes, and does not jump as that of the wall."""


def health_file(environment: Mapping[str, str]) -> Path:
    """Return where the file is: in systemd's RUNTIME_DIRECTORY, else the user's, else that for temporary files."""
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if directory := environment.get(variable):
            return Path(directory.split(":")[0]) / "stbridge.health"
    return Path(tempfile.gettempdir()) / f"stbridge-{os.getuid()}.health"


class HealthFile:
    """The file that tells how the service is.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    def write(self, status: str) -> None:
        """Leave a sign of life; a disk that is full or read-only is told once, and ends nothing."""
        content = json.dumps({"pid": os.getpid(), "at": monotonic(), "status": status})
        partial = self._path.with_suffix(".partial")
        try:
            partial.write_text(content, encoding="utf-8")
            partial.replace(self._path)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("cannot write %s (%s): `stbridge health` will not work", self._path, error.strerror)
            self._failed = True

    def check(self) -> str:
        """Return how the service is.

        Raises:
            Failed: it does not run, or its parts have not been looked at for a while.
        """
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            pid, age, status = int(content["pid"]), monotonic() - content["at"], str(content["status"])
        except FileNotFoundError as error:
            raise Failed(f"no bridge runs here: there is no {self._path}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failed(f"cannot read {self._path} ({error})") from error
        if not _lives(pid):
            raise Failed(f"no bridge runs here: process {pid} has ended")
        if not -FRESH_S < age < FRESH_S:
            raise Failed(f"the bridge hangs: its last sign of life is {age:.0f} s old")
        return status


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

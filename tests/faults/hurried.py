"""`stbridge run` with two shortened timeouts, and with a clock, a resolver and threads that a test can break.

- The bridge waits 2 s for an acknowledgement of the broker instead of 10 s.
- The bridge checks its threads every second instead of every 30 s, and each thread sends a heartbeat every 10 s.
- The file `clock` in the directory SPOILED holds the error of the wall clock in seconds.
- While the file `nameless` exists there, host names do not resolve.
- A thread whose name is in the file `dying` there dies once, or repeatedly if `again` follows the name.
"""

import os
import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

from stbridge import bridge, clock, instance, schedule
from stbridge.cli import main
from stbridge.mqtt import session
from stbridge.supervision import SupervisedThread
from stbridge.syncthing import poll

SPOILED = "FAULTS_DIRECTORY"


class SpoiledClock(datetime):
    """The wall clock, with an error that a test sets."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the time plus the error."""
        file = Path(os.environ[SPOILED]) / "clock"
        return super().now(tz) + timedelta(seconds=float(file.read_text() if file.exists() else 0))


_getaddrinfo = socket.getaddrinfo


def spoiled_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """Resolve addresses, and `localhost` unless a test has disabled names."""
    if host == "localhost":
        if (Path(os.environ[SPOILED]) / "nameless").exists():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        host = "127.0.0.1"
    return _getaddrinfo(host, *arguments, **options)


_heartbeat = SupervisedThread.heartbeat


def fatal_heartbeat(thread: SupervisedThread) -> None:
    """Die instead of sending a heartbeat if a test requests it, but not in start()."""
    file = Path(os.environ[SPOILED]) / "dying"
    if threading.current_thread().name == thread.name and file.exists():
        with suppress(FileNotFoundError):  # another thread has read it first, or the test has removed it
            name, _, again = file.read_text(encoding="utf-8").partition(" ")
            if name == thread.name:
                if not again:
                    file.unlink()
                raise RuntimeError("killed by a test")
    _heartbeat(thread)


if __name__ == "__main__":
    session.ACKNOWLEDGEMENT_TIMEOUT_S = 2.0
    bridge.SUPERVISION_S = 1.0
    for module in (instance, poll, schedule):
        module.HEARTBEAT_S = 10.0  # type: ignore[attr-defined]  # they import the name
    clock.datetime = SpoiledClock  # type: ignore[attr-defined]
    SupervisedThread.heartbeat = fatal_heartbeat  # type: ignore[method-assign, assignment]  # every thread calls it
    socket.getaddrinfo = spoiled_getaddrinfo
    main()

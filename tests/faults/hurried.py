"""`stbridge run` with two time-outs shortened, and with a clock, a resolver and threads that a test can spoil.

- An acknowledgement of the broker is waited for 2 s in place of 10 s.
- The threads are checked every second instead of every 10 s.
- In the directory SPOILED a file `clock` holds how many seconds the clock of the wall is wrong, and while there is a
  file `nameless` no host name is known.
- A thread whose name is in the file `dying` there dies; once, unless the name is followed by `again`.
"""

import os
import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

from stbridge import bridge, clock
from stbridge.cli import main
from stbridge.mqtt import session
from stbridge.supervision import SupervisedThread

SPOILED = "FAULTS_DIRECTORY"


class SpoiledClock(datetime):
    """The time of the wall, which somebody sets now and then."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return a wrong time."""
        file = Path(os.environ[SPOILED]) / "clock"
        return super().now(tz) + timedelta(seconds=float(file.read_text() if file.exists() else 0))


_getaddrinfo = socket.getaddrinfo


def spoiled_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """Know addresses, and `localhost` as long as names are known."""
    if host == "localhost":
        if (Path(os.environ[SPOILED]) / "nameless").exists():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        host = "127.0.0.1"
    return _getaddrinfo(host, *arguments, **options)


_heartbeat = SupervisedThread.heartbeat


def fatal_heartbeat(thread: SupervisedThread) -> None:
    """Die instead of sending a heartbeat if a test asks for it, but not in start()."""
    file = Path(os.environ[SPOILED]) / "dying"
    if threading.current_thread().name == thread.name and file.exists():
        with suppress(FileNotFoundError):  # another thread has died of it, or it was taken back
            name, _, again = file.read_text(encoding="utf-8").partition(" ")
            if name == thread.name:
                if not again:
                    file.unlink()
                raise RuntimeError("killed by a test")
    _heartbeat(thread)


if __name__ == "__main__":
    session.ACKNOWLEDGEMENT_TIMEOUT_S = 2.0
    bridge.SUPERVISION_S = 1.0
    clock.datetime = SpoiledClock  # type: ignore[attr-defined]
    SupervisedThread.heartbeat = fatal_heartbeat  # type: ignore[method-assign, assignment]  # every thread calls it
    socket.getaddrinfo = spoiled_getaddrinfo
    main()

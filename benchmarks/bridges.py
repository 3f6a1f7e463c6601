"""Runs many bridges, each in its own process, which is forked after all imports and so starts at once.

Usage: python -m benchmarks.bridges. Each line of standard input is a JSON list of bridges, see `Plan`. The reply is a
line of JSON with their process IDs. At end of file, all bridges are stopped.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, Self

import stbridge.bridge
import stbridge.health
import stbridge.settings_sources  # noqa: F401 - imported before the fork, so that all bridges share these pages
from stbridge.cli import main
from tests.servers import PATIENCE_S, ROOT

BROKER_PORT = "STBRIDGE_MQTT__PORT"
LONGEST_STOP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A bridge that is to be started.

    Attributes:
        log: path of its log.
        attempts: path of a file with the time of each attempt to connect to the broker, by the monotonic clock.
        variables: its settings.
    """

    log: str
    attempts: str
    variables: dict[str, str]


class Bridges:
    """The process that starts the bridges; all bridges are stopped at the end of its context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.bridges"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STBRIDGE_")}
        environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.start([])  # returns when everything is imported
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None, "it was started"
        try:
            self._process.communicate(timeout=LONGEST_STOP_S)  # closes its input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate(timeout=PATIENCE_S)
            raise

    def start(self, plans: Sequence[Plan]) -> Sequence[int]:
        """Start bridges, and return their process IDs."""
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it is piped"
        assert self._process.stdout is not None, "it is piped"
        self._process.stdin.write(json.dumps([asdict(plan) for plan in plans]) + "\n")
        self._process.stdin.flush()
        ids: Sequence[int] = json.loads(self._process.stdout.readline())
        return ids


def _serve() -> None:
    running: list[int] = []
    for line in sys.stdin:
        started = [_fork(Plan(**one)) for one in json.loads(line)]
        running += started
        sys.stdout.write(json.dumps(started) + "\n")
        sys.stdout.flush()
    for one in running:  # one that was killed is still a zombie, so no other process has its ID
        os.kill(one, signal.SIGTERM)
    for one in running:
        os.waitpid(one, 0)


def _fork(plan: Plan) -> int:
    process = os.fork()
    return process or _run(plan)


def _run(plan: Plan) -> NoReturn:
    """Run a bridge in this process, which is a copy of the one that has imported everything."""
    _redirect(plan.log)
    os.environ.update(plan.variables)
    _record_attempts(Path(plan.attempts), int(plan.variables[BROKER_PORT]))
    status = 1
    try:
        main(["run"])
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os._exit(status)  # the buffers of the process that was copied are not flushed a second time


def _redirect(log: str) -> None:
    nothing, to = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, opened in enumerate((nothing, to, to)):
        os.dup2(opened, number)


def _record_attempts(path: Path, port: int) -> None:
    """Record every attempt to connect to a port, also those that are refused, which no server sees."""
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][1] == port:
            os.write(record, f"{monotonic()}\n".encode())

    sys.addaudithook(look)


if __name__ == "__main__":
    _serve()

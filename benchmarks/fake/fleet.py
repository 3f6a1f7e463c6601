"""Starts a process of fake Syncthing instances, and controls it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_S = 10.0


class Fleet:
    """Fake Syncthing instances in their own process, which runs while the context is active.

    Args:
        instances: number of instances.
        folders: number of folders of each instance.
        devices: number of devices with which each instance shares all its folders.
        connected: whether the devices are connected.
    """

    def __init__(self, *, instances: int = 1, folders: int, devices: int, connected: bool = True) -> None:
        self.ports: list[int] = []
        self._arguments = [str(one) for one in (instances, folders, devices, int(connected))]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fake.server", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.ports = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None, "it was started"
        self._process.kill()
        self._process.communicate(timeout=STOP_S)

    @property
    def id(self) -> int:
        """The ID of the process."""
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def urls(self) -> list[str]:
        """URLs of the instances."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def settings(self) -> dict[str, str]:
        """Return the environment variables that configure them as the instances fake0, fake1, ... of a bridge."""
        prefix = "STBRIDGE_SYNCTHING__FAKE"
        return {
            name: value
            for number, url in enumerate(self.urls)
            for name, value in ((f"{prefix}{number}__URL", url), (f"{prefix}{number}__API_KEY", "key"))
        }

    def call(self, what: str, **arguments: Any) -> Any:
        """Call a method of the `Director`, wait for its end, and return its result."""
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it is piped"
        self._process.stdin.write(f"{what} {json.dumps(arguments)}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process is not None, "it was started"
        assert self._process.stdout is not None, "it is piped"
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the fake Syncthing instances has exited")
        return json.loads(line)

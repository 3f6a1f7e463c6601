"""Runs a private Syncthing instance that communicates only on this machine."""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from stbridge.errors import Failed

START_S = 60.0
STOP_S = 15.0
LOOK_S = 0.1

ZOMBIE = "Z"
"""State of a process whose first thread has exited (proc_pid_stat(5))."""

# No traffic leaves the machine: no discovery, no relays, no NAT, no STUN, no reports, no upgrades.
OPTIONS: Mapping[str, str] = {
    "globalAnnounceEnabled": "false",
    "localAnnounceEnabled": "false",
    "relaysEnabled": "false",
    "natEnabled": "false",
    "stunKeepaliveStartS": "0",
    "crashReportingEnabled": "false",
    "urAccepted": "-1",
    "autoUpgradeIntervalH": "0",
    "startBrowser": "false",
    "reconnectionIntervalS": "2",
    "progressUpdateIntervalS": "1",
}
VARIABLES: Mapping[str, str] = {"STNODEFAULTFOLDER": "1", "STNOUPGRADE": "1"}


def find_syncthing() -> str:
    """Return the path of the Syncthing binary on the PATH.

    Raises:
        Failed: there is none.
    """
    binary = shutil.which("syncthing")
    if binary is None:
        raise Failed("no syncthing is on the PATH: install it, on Debian by `apt-get install syncthing`")
    return binary


def environment() -> dict[str, str]:
    """Return the environment for a node, without the user's ST* variables: STGUIADDRESS overrides config.xml."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ST")} | dict(VARIABLES)


class ServerPorts:
    """Selects ports of the loopback address in turn, so that no port is selected again before its server has started.

    Args:
        ports: the range of ports.
    """

    def __init__(self, ports: range) -> None:
        first = random.randrange(len(ports))  # noqa: S311 - avoids collisions of processes, keeps no secret
        self._ports: Iterator[int] = itertools.cycle([*ports[first:], *ports[:first]])

    def free(self) -> int:
        """Return a free port."""
        while True:
            port = next(self._ports)
            with socket.socket() as probe, suppress(OSError):  # it is in use
                probe.bind(("127.0.0.1", port))
                return port


EVERY_SERVER_PORT = range(10_000, 32_000)
"""The ports of servers, below those that Linux and macOS take for outgoing connections.

So no connection takes a port before the server that it is meant for has started.
"""
SERVER_PORTS = ServerPorts(EVERY_SERVER_PORT)


def free_port() -> int:
    """Return a free port of the loopback address."""
    return SERVER_PORTS.free()


def other_processes(leader: int) -> list[int]:
    """Return the other running processes of a session: Syncthing is in another process group than its monitor.

    A process runs, and keeps its files open, until its last thread has exited.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has exited meanwhile
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            state, session, threads = fields[0], int(fields[3]), int(fields[17])
            if session == leader and int(entry.parent.name) != leader and (state != ZOMBIE or threads > 1):
                found.append(int(entry.parent.name))
    return found


def _send(number: signal.Signals, *processes: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # the process has exited meanwhile
            os.kill(process, number)


def _kill_others(leader: int) -> bool:
    """Kill the other processes of a session, and return whether there was none left."""
    others = other_processes(leader)
    _send(signal.SIGKILL, *others)
    return not others


class SyncthingNode:
    """One Syncthing instance with its own home directory and ports.

    Args:
        name: the name of its device.
        home: the directory of its configuration and database; created if it does not exist.
        binary: the Syncthing binary.
        monitor: whether Syncthing's own monitor process starts it again after the command to restart.
    """

    def __init__(self, name: str, home: Path, binary: str, *, monitor: bool = False) -> None:
        self.name = name
        self.home = home
        self.api_key = ""
        self.device_id = ""
        self.gui_port = free_port()
        self.sync_port = free_port()
        self._binary = binary
        self._monitor = monitor
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.gui_port}"

    @property
    def running(self) -> bool:
        """Whether its process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start Syncthing and wait until its API responds.

        Raises:
            Failed: Syncthing does not start.
        """
        if not (self.home / "config.xml").exists():
            self._generate()
        arguments = [self._binary, "serve", "--home", str(self.home), "--no-browser"]
        with (self.home / "syncthing.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments if self._monitor else [*arguments, "--no-restart"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:  # also Ctrl-C: no process must be left running
            self.stop()
            raise

    def _generate(self) -> None:
        subprocess.run(
            [self._binary, "generate", "--home", str(self.home)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        file = self.home / "config.xml"
        tree = ET.parse(file)
        root = tree.getroot()
        options, gui = root.find("options"), root.find("gui")
        assert options is not None, "Syncthing writes complete configurations"
        assert gui is not None, "Syncthing writes complete configurations"
        for address in options.findall("listenAddress"):
            options.remove(address)
        for option, value in {**OPTIONS, "listenAddress": f"tcp://127.0.0.1:{self.sync_port}"}.items():
            found = options.find(option)
            (ET.SubElement(options, option) if found is None else found).text = value
        gui_address = gui.find("address")
        assert gui_address is not None, "Syncthing writes complete configurations"
        gui_address.text = f"127.0.0.1:{self.gui_port}"
        for device in root.findall("device"):
            device.set("name", self.name)
        for folder in root.findall("folder"):
            root.remove(folder)
        tree.write(file)

    def _wait_until_ready(self) -> None:
        gui = ET.parse(self.home / "config.xml").getroot().find("gui")
        self.api_key = "" if gui is None else gui.findtext("apikey") or ""

        def ready() -> bool:
            if not self.running:
                raise Failed(f"Syncthing exited during its start: see {self.home / 'syncthing.log'}")
            try:
                self.device_id = self.request("GET", "/rest/system/status")["myID"]
            except (OSError, ValueError, KeyError):
                return False
            return True

        self.wait_for(ready, START_S)

    def stop(self) -> None:
        """Stop Syncthing and its monitor; may be called in any state."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill Syncthing without a shutdown, like a crash; its database is locked until all its processes are gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_S)
            self.wait_for(partial(_kill_others, self._process.pid), STOP_S)

    def hang(self) -> None:
        """Suspend its processes, so that it hangs."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Resume its processes after `hang`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            _send(number, self._process.pid, *other_processes(self._process.pid))

    def request(self, method: str, path: str, parameters: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Call the REST API and return the JSON of the response, None if it is empty.

        Raises:
            OSError: the API cannot be reached, or returns an error.
        """
        query = f"?{urlencode(parameters)}" if parameters else ""
        request = urllib.request.Request(  # noqa: S310 - the scheme is constant
            f"{self.url}{path}{query}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self.api_key},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content.strip() else None

    def wait_for(self, condition: Any, timeout_s: float = START_S) -> None:
        """Wait until a condition holds.

        Raises:
            Failed: the condition does not hold in time.
        """
        pause = threading.Event()
        deadline = monotonic() + timeout_s
        while not condition():
            if monotonic() > deadline:
                raise Failed(f"{self.name} was not ready within {timeout_s:.0f} s")
            pause.wait(LOOK_S)

    def link(self, other: "SyncthingNode") -> None:
        """Add two nodes to each other's devices; they connect soon after."""
        for here, there in ((self, other), (other, self)):
            here.request(
                "POST",
                "/rest/config/devices",
                body={
                    "deviceID": there.device_id,
                    "name": there.name,
                    "addresses": [f"tcp://127.0.0.1:{there.sync_port}"],
                },
            )

    def share(
        self,
        folder: str,
        path: Path,
        *,
        label: str = "",
        devices: Sequence["SyncthingNode"] = (),
        **settings: Any,
    ) -> None:
        """Add a folder that is shared with other nodes, and whose filesystem watcher reports changes after a second."""
        path.mkdir(parents=True, exist_ok=True)
        self.request(
            "POST",
            "/rest/config/folders",
            body={
                "id": folder,
                "label": label,
                "path": str(path),
                "devices": [{"deviceID": device.device_id} for device in (self, *devices)],
                "fsWatcherEnabled": True,
                "fsWatcherDelayS": 1,
                "rescanIntervalS": 3600,
                **settings,
            },
        )

    def is_connected(self, other: "SyncthingNode") -> bool:
        """Return whether it is connected to another node."""
        connections = self.request("GET", "/rest/system/connections")["connections"]
        return bool(connections.get(other.device_id, {}).get("connected"))

    def is_idle(self, folder: str) -> bool:
        """Return whether a folder is idle and in sync."""
        status = self.request("GET", "/rest/db/status", {"folder": folder})
        return bool(status["state"] == "idle" and status["needTotalItems"] == 0)

"""The test world: a real broker, real Syncthing instances and a real bridge, with checks of the published topics."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from stbridge.commands.dispatcher import MAX_SCAN_WORKERS, MAX_WORKERS
from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from stbridge.errors import SyncthingError
from stbridge.syncthing.connections import CONNECTIONS
from tests.faults.hurried import SPOILED
from tests.faults.truth import differences, fixed, truth
from tests.faults.witness import Witness
from tests.proxy import Proxy
from tests.servers import MANIFEST, PATIENCE_S, BridgeProcess, Mosquitto, eventually, manifest

RIGHT_AGAIN_S = 5.0
"""Seconds after a fault within which every topic must be correct again."""

SETTLED: Mapping[str, Sequence[str]] = {
    "FolderSummary": ("globalBytes", "globalFiles", "localFiles", "sequence", "remoteSequence", "needTotalItems"),
    "FolderCompletion": ("globalBytes", "needBytes"),
}
"""Values that Syncthing reports by an event some time after a change, and that its status contains."""

STILL_SEARCHED = "/conflicts complete: False should be True"
"""An allowed difference: the topic itself reports that the search of the folder is not complete."""

POOLED_THREADS = MAX_WORKERS + MAX_SCAN_WORKERS
"""Number of pooled threads, which wait for the next command after they have executed one."""

MORE_DESCRIPTORS = 4
"""Allowed number of additional descriptors: connections to Syncthing are kept for the next request."""

POOLED_CONNECTIONS = CONNECTIONS + 1
"""Allowed number of additional descriptors after many commands: the connections that the pool keeps, and that of the
long poll if the pool is full without it. At the start, when the bridge is online, there may be none."""

MORE_MEMORY = 128 * 1024 * 1024
"""Allowed growth in bytes: Python and its allocator return freed memory late or never, and each of two threads may have
held the largest reply."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """Threads, open file descriptors and resident memory of a process."""

    threads: int
    descriptors: int
    memory: int

    @classmethod
    def of(cls, process: int) -> "Vitals":
        """Read the values of a process."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        )
        descriptors = len(list(Path(f"/proc/{process}/fd").iterdir()))
        return cls(int(status["Threads"]), descriptors, int(status["VmRSS"].split()[0]) * 1024)


class World:
    """A broker, two Syncthing instances that share a folder, and a bridge behind proxies.

    The bridge reaches the broker and the first instance through the proxies.

    Args:
        directory: holds all files.
        binary: the Syncthing program.
    """

    def __init__(self, directory: Path, binary: str) -> None:
        self.directory = directory
        (directory / "broker").mkdir()
        (directory / "bridge").mkdir()
        self.broker = Mosquitto(directory / "broker")
        self.alpha = SyncthingNode("alpha", directory / "a/home", binary, monitor=True)
        self.beta = SyncthingNode("beta", directory / "b/home", binary)
        self.files = directory / "a/files"
        self.witness = Witness(self.broker.port)
        self.broker_proxy = Proxy(self.broker.port)
        self.alpha_proxy = Proxy(self.alpha.gui_port)
        self.bridge = self.new_bridge()
        self.vitals_at_start = Vitals(0, 0, 0)
        self._first: tuple[str, list[Any]] = ("", [])
        self._ends = ExitStack()

    def new_bridge(self, **variables: str) -> BridgeProcess:
        """Return a bridge that is not started, with additional settings."""
        usual = {
            "STBRIDGE_MQTT__HOST": "localhost",
            "STBRIDGE_MQTT__PORT": str(self.broker_proxy.port),
            "STBRIDGE_MQTT__KEEPALIVE_S": "5",
            "STBRIDGE_SYNCTHING__ALPHA__URL": f"http://localhost:{self.alpha_proxy.port}",
            "STBRIDGE_SYNCTHING__ALPHA__API_KEY": self.alpha.api_key,
            "STBRIDGE_SYNCTHING__ALPHA__TIMEOUT_S": "2",
            "STBRIDGE_POLL__CONNECTIONS": "1",
            "STBRIDGE_COMMANDS__ALLOW": '["read", "operate", "admin"]',
            SPOILED: str(self.directory),
        }
        return BridgeProcess(self.directory / "bridge", {**usual, **variables}, "tests.faults.hurried")

    def start(self) -> None:
        """Start everything, and wait until the bridge is online."""
        for start, stop in (
            (self.broker.start, self.broker.stop),
            (self.alpha.start, self.alpha.stop),
            (self.beta.start, self.beta.stop),
            (self.witness.start, self.witness.stop),
            (self.broker_proxy.start, self.broker_proxy.stop),
            (self.alpha_proxy.start, self.alpha_proxy.stop),
        ):
            self._ends.callback(stop)
            start()
        self.alpha.link(self.beta)
        self.alpha.share("docs", self.files / "docs", label="Documents", devices=[self.beta])
        self.beta.share("docs", self.directory / "b/files/docs", label="Documents", devices=[self.alpha])
        self.wait_until_quiet()
        self.bridge = self.new_bridge()
        self._ends.callback(self._stop_bridge)
        self.start_bridge()

    def _stop_bridge(self) -> None:
        self.bridge.stop()  # looked up late, because tests replace it

    def stop(self) -> None:
        """Stop everything."""
        self._ends.close()

    def start_bridge(self) -> None:
        """Start the bridge, and wait until it is online."""
        since = self.witness.count
        self.bridge.start()
        self.witness.wait_for("syncthing/bridge/state", b"online", since=since)
        self.vitals_at_start = self.vitals

    def wait_until_quiet(self) -> None:
        """Wait until both Syncthing instances are idle, and the first one has reported all its events."""

        def quiet() -> bool:
            try:
                running = {
                    node: [one["id"] for one in node.request("GET", "/rest/config/folders") if not one["paused"]]
                    for node in (self.alpha, self.beta)
                }
                return (
                    self.alpha.is_connected(self.beta)
                    and all(node.is_idle(folder) for node, folders in running.items() for folder in folders)
                    and (
                        "docs" not in running[self.alpha] or (self._has_published("docs") and self._is_answered("docs"))
                    )
                )
            except (OSError, ValueError):  # it is restarting
                return False

        self.alpha.wait_for(quiet)

    def let_the_bridge_take_events(self) -> None:
        """Give the bridge time for the last events: it collects them for 0.05 s, and may limit the rate of a topic."""
        threading.Event().wait(1)

    def _has_published(self, folder: str) -> bool:
        """Return whether the first instance's last events of a folder match its status; they come seconds later."""
        status = self.alpha.request("GET", "/rest/db/status", {"folder": folder})
        settled = [status.get(key) for key in SETTLED["FolderSummary"]]
        process = self.alpha.request("GET", "/rest/system/status")["startTime"]
        if self._first[0] != process:
            self._first = process, settled  # it records events only from the first request for them, which follows
        mask = {"since": 0, "timeout": 0, "events": ",".join(SETTLED)}
        answered = {
            event["type"]: event["data"].get("summary", event["data"])
            for event in self.alpha.request("GET", "/rest/events", mask)
            if event["data"]["folder"] == folder
        }
        if "FolderSummary" not in answered:
            return settled == self._first[1]
        return all(one[key] == status[key] for kind, one in answered.items() for key in SETTLED[kind] if key in status)

    def _is_answered(self, folder: str) -> bool:
        """Return whether it is known if the second instance shares a folder, which is reported after the connection."""
        of = {"folder": folder, "device": self.beta.device_id}
        answer = self.alpha.request("GET", "/rest/db/completion", of)
        return bool(answer.get("remoteState") != "unknown")  # version 1.19 does not report it

    def revive(self) -> None:
        """Wait until the first instance answers; start or resume it if a fault has left it stopped or hanging."""

        def is_there() -> bool:
            self.keep_alpha_alive()
            try:
                return bool(self.alpha.request("GET", "/rest/system/ping"))
            except (OSError, ValueError):
                return False

        self.alpha.wake()
        eventually(is_there)

    def keep_alpha_alive(self) -> None:
        """Start the first instance if it has stopped: its monitor gives up after four restarts within a minute."""
        if not self.alpha.running:
            self.alpha.start()

    def upgrade(self) -> None:
        """Make the first instance use the newest version from its next start on."""
        home = self.alpha.home
        upgraded = SyncthingNode("alpha", home, newest(), monitor=True)
        upgraded.gui_port, upgraded.sync_port = self.alpha.gui_port, self.alpha.sync_port
        self._ends.callback(upgraded.stop)
        self.alpha = upgraded

    def end_broker(self, end: Callable[[], None]) -> None:
        """Stop the broker, and wait until the witness has noticed, because it then resets its topics."""
        end()
        eventually(lambda: not self.witness.is_watching)

    def start_broker(self) -> None:
        """Start the broker, and wait until the witness has subscribed."""
        self.broker.start()
        eventually(lambda: self.witness.is_watching)

    # --- changes that a bridge could miss

    def write(self, name: str, content: bytes = b"content") -> None:
        """Write a file that will be synced."""
        (self.files / "docs" / name).write_bytes(content)
        self.alpha.request("POST", "/rest/db/scan", {"folder": "docs"})

    def add_folder(self, folder: str) -> None:
        """Add a folder that is not shared."""
        self.alpha.share(folder, self.files / folder)

    def remove_folder(self, folder: str) -> None:
        """Remove a folder."""
        self.alpha.request("DELETE", f"/rest/config/folders/{folder}")

    def rename(self, label: str) -> None:
        """Change the label of the folder."""
        self.alpha.request("PATCH", "/rest/config/folders/docs", body={"label": label})

    def pause(self, *, paused: bool) -> None:
        """Pause or resume the folder."""
        self.alpha.request("PATCH", "/rest/config/folders/docs", body={"paused": paused})

    @property
    def beta_topic(self) -> str:
        """The topic of the second instance, as a device of the first."""
        return f"syncthing/alpha/device/{short_id(self.beta.device_id)}"

    # --- checks

    def wrong(self) -> list[str]:
        """Return the differences between the published and the expected topics."""
        tree = self.witness.tree
        lines = differences(fixed(tree), truth("alpha", self.alpha))
        if tree.get("syncthing/bridge/state") != b"online":
            lines.append("the bridge is not online")
        return lines

    def wait_until_right(self, timeout_s: float = RIGHT_AGAIN_S) -> float:
        """Wait until every published topic is correct, and return the seconds that this took."""
        began, wrong = monotonic(), ["never looked"]

        def right() -> bool:
            nonlocal wrong
            try:
                wrong = self.wrong()
            except SyncthingError as error:  # it is restarting
                wrong = [str(error)]
            return not wrong

        try:
            eventually(right, timeout_s)
        except AssertionError:
            raise AssertionError("\n".join([f"not right after {timeout_s} s:", *wrong, *self.last_words()])) from None
        return monotonic() - began

    def untrue_topics(self, since: int) -> list[str]:
        """Return the topics that were wrong while bridge and Syncthing were both `online`, compared with now."""
        true = truth("alpha", self.alpha)
        both = {"syncthing/bridge/state": b"online", "syncthing/alpha/state": b"online"}
        trees = [one.tree for one in self.witness.moments(since) if one.tree.items() >= both.items()]
        lines = [line for tree in trees for line in differences(fixed(tree), true)]
        return [line for line in lines if not line.endswith(STILL_SEARCHED)]

    def last_words(self) -> list[str]:
        """Return the end of the bridge's log."""
        return self.bridge.log.read_text(encoding="utf-8").splitlines()[-25:]

    def ask(self, command: str, arguments: Mapping[str, Any] = {}) -> Any:
        """Send a command, and return its reply."""
        since = self.witness.count
        self.witness.publish(f"syncthing/alpha/command/{command}", json.dumps(arguments).encode())
        return json.loads(self.witness.wait_for(f"syncthing/alpha/response/{command}", since=since))

    @property
    def health(self) -> Any:
        """The health that the bridge publishes."""
        return json.loads(self.witness.tree.get("syncthing/bridge/health", b"{}"))

    @property
    def vitals(self) -> Vitals:
        """Threads, descriptors and memory of the bridge process."""
        return Vitals.of(self.bridge.id)

    @contextmanager
    def hung_bridge(self) -> Iterator[None]:
        """Suspend the bridge's process during the context."""
        self.bridge.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.bridge.signal(signal.SIGCONT)


def newest() -> str:
    """Return the newest available Syncthing program."""
    return _binaries()[-1][1]


def newest_is_version_2() -> bool:
    """Return whether Syncthing 2 is available."""
    return MANIFEST.is_file() and _binaries()[-1][0].startswith("2.")


def version_1() -> str:
    """Return the newest available Syncthing 1 program."""
    return [binary for version, binary in _binaries() if version.startswith("1.")][-1]


def _binaries() -> list[tuple[str, str]]:
    return list(manifest()["syncthing"].items())


def wait_for_vitals(world: World, more_descriptors: int = MORE_DESCRIPTORS) -> Vitals:
    """Wait until the bridge uses hardly more resources than after its start, and return them."""
    before = world.vitals_at_start

    def back() -> Vitals | None:
        now = world.vitals
        threads, descriptors = now.threads - before.threads, now.descriptors - before.descriptors
        fine = threads <= POOLED_THREADS and descriptors <= more_descriptors
        return now if fine and now.memory <= before.memory + MORE_MEMORY else None

    try:
        found: Vitals = eventually(back, PATIENCE_S)
    except AssertionError:
        process = psutil.Process(world.bridge.id)
        held = [*process.net_connections("all"), *process.open_files()]
        raise AssertionError("\n".join([f"{world.vitals} after {before}", *map(str, held)])) from None
    return found

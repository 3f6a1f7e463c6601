"""Cost of the idle bridge, its start time, and the parts of its memory."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from matplotlib.figure import Figure

from benchmarks import stage
from benchmarks.counting import CountingProxy
from benchmarks.devices import new_device_id
from benchmarks.receipts import Receipt, Receipts
from benchmarks.section import Plot, Section, Table, Verdict
from benchmarks.usage import Usage
from stbridge.demo.node import SyncthingNode
from tests.servers import ROOT, BridgeProcess, Subscriber

SIZES = (1, 50, 500)
DEVICES = 10
STARTS = 5
HOUR_S = 3600.0
QUIET_S = 5.0
LONGEST_QUIET_S = 90.0

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - private directories in it
"""For the health file, as with systemd. On a disk, the bridge would wait for each replacement of the file."""

MOST_REQUESTS = 240
MOST_CPU_PERCENT = 0.1
MOST_WAKE_UPS = 12
MOST_MEMORY_MB = 45
MOST_START_S = 1.5

LOADED = ("pydantic_settings", "urllib3", "paho.mqtt.client", "tenacity", "stbridge.bridge")
LOOK = """
import sys
def look():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])
print(look())
for module in sys.argv[1:]:
    __import__(module)
    print(look())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Resources that a bridge has used since its start, or since an earlier look.

    Attributes:
        at: the time in seconds.
        requests: number of requests to Syncthing by path.
        bytes_to_broker: number of bytes, including the overhead of MQTT.
        cpu_s: processor time.
        waits: number of times that its threads have waited.
        memory_mb: maximum of the resident memory, because the system reclaims pages when memory is short.
    """

    at: float
    requests: Counter[str]
    bytes_to_broker: int
    cpu_s: float
    waits: int
    memory_mb: float

    def since(self, before: "Look") -> "Look":
        """Return the difference from an earlier look."""
        return Look(
            at=self.at - before.at,
            requests=self.requests - before.requests,
            bytes_to_broker=self.bytes_to_broker - before.bytes_to_broker,
            cpu_s=self.cpu_s - before.cpu_s,
            waits=self.waits - before.waits,
            memory_mb=self.memory_mb,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Cost of an idle bridge.

    Attributes:
        folders: number of folders.
        spent: resources that it has used.
        kept: retained payloads by topic.
    """

    folders: int
    spent: Look
    kept: Mapping[str, bytes]

    @property
    def an_hour(self) -> float:
        """Factor from the measured time to an hour."""
        return HOUR_S / self.spent.at

    @property
    def requests_an_hour(self) -> float:
        """Number of requests to Syncthing per hour."""
        return self.spent.requests.total() * self.an_hour

    @property
    def wake_ups_a_minute(self) -> float:
        """How often its threads wake up in a minute."""
        return 60 * self.spent.waits / self.spent.at

    @property
    def cpu_percent(self) -> float:
        """Processor time as a percentage of a core."""
        return 100 * self.spent.cpu_s / self.spent.at


class Household:
    """A Syncthing instance, a broker and the bridge, connected through counting proxies.

    Args:
        where: its directory.
        folders: number of folders.
        ends: receives everything that must be stopped.
    """

    def __init__(self, where: Path, folders: int, ends: ExitStack) -> None:
        where.mkdir()
        self.folders = folders
        self.kept: dict[str, bytes] = {}
        self._where = where
        self._ends = ends
        self._runtime = ends.enter_context(
            TemporaryDirectory(prefix="stbridge-bench-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        )
        self._broker = ends.enter_context(stage.broker(where))
        self._node = ends.enter_context(stage.syncthing(where))
        _furnish(self._node, where, folders)
        self._to_syncthing = ends.enter_context(CountingProxy(self._node.gui_port))
        self._to_broker = ends.enter_context(CountingProxy(self._broker.port))
        self._bridge: BridgeProcess | None = None

    def time_starts(self, count: int) -> Sequence[float]:
        """Start the bridge several times, and return the seconds of each start until `online`."""
        return [self._time_start() for _ in range(count)]

    def _time_start(self) -> float:
        bridge, watcher = self._new_bridge(), Subscriber(self._broker.port, "syncthing/bridge/state")
        try:
            began = monotonic()
            bridge.start()
            watcher.wait_for_payload("syncthing/bridge/state", b"online")
            return monotonic() - began
        finally:
            bridge.stop()
            watcher.close()

    def settle(self) -> None:
        """Start the bridge, and wait until it publishes nothing more."""
        self._bridge = self._ends.enter_context(stage.running(self._new_bridge(), self._broker.port))
        receipts = Receipts(self._broker.port, "syncthing/#", "homeassistant/#").start()
        self._ends.callback(receipts.stop)
        deadline = monotonic() + LONGEST_QUIET_S
        while receipts.until(self._keep, QUIET_S) and monotonic() < deadline:
            pass

    def _new_bridge(self) -> BridgeProcess:
        url, runtime = f"http://127.0.0.1:{self._to_syncthing.port}", {"XDG_RUNTIME_DIR": self._runtime}
        return stage.new_bridge(self._where, self._to_broker.port, self._node, url=url, **runtime)

    def _keep(self, receipt: Receipt) -> bool:
        self.kept[receipt.topic] = receipt.payload
        return receipt.topic.rpartition("/")[2] not in ("health", "metrics")

    def look(self) -> Look:
        """Return the resources that the bridge has used so far."""
        assert self._bridge is not None, "settle() comes first"
        usage = Usage.of(self._bridge.id)
        return Look(
            at=monotonic(),
            requests=self._to_syncthing.requests.copy(),
            bytes_to_broker=self._to_broker.bytes_to,
            cpu_s=usage.cpu_s,
            waits=usage.waits,
            memory_mb=usage.most_memory_mb,
        )


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure idle bridges with different numbers of folders."""
    sizes, seconds = (SIZES[:2], 15.0) if quick else (SIZES, 240.0)
    with stage.directory() as where, ExitStack() as ends:
        households = [Household(where / str(size), size, ends) for size in sizes]
        starts = households[0].time_starts(STARTS)
        for one in households:
            one.settle()
            print(f"idle: {one.folders} folders: settled, {len(one.kept)} topics", flush=True)  # noqa: T201 - progress
        before = [one.look() for one in households]
        threading.Event().wait(seconds)
        idle = [
            Idle(folders=one.folders, spent=one.look().since(look), kept=one.kept)
            for one, look in zip(households, before, strict=True)
        ]
    return _section(idle, starts)


def _furnish(node: SyncthingNode, where: Path, folders: int) -> None:
    """Configure folders that are shared with devices that do not exist."""
    devices = [{"deviceID": new_device_id(), "name": f"device {number}"} for number in range(DEVICES)]
    node.request("PUT", "/rest/config/devices", body=[*node.request("GET", "/rest/config/devices"), *devices])
    shared = [{"deviceID": device["deviceID"]} for device in devices]
    names = [f"folder-{number:03}" for number in range(folders)]
    for name in names:
        (where / "files" / name).mkdir(parents=True)
    folder = {"devices": shared, "fsWatcherEnabled": False, "rescanIntervalS": 3600}
    bodies = [{"id": name, "path": str(where / "files" / name), **folder} for name in names]
    node.request("PUT", "/rest/config/folders", body=bodies)
    node.wait_for(lambda: node.is_idle(names[-1]))


# --- report


def _section(idle: Sequence[Idle], starts: Sequence[float]) -> Section:
    smallest = idle[0]
    seconds = smallest.spent.at
    return Section(
        title="While nothing happens",
        summary=[
            (
                f"Real Syncthing instances with {', '.join(str(one.folders) for one in idle)} folders, each"
                f" shared with {DEVICES} devices that do not exist, and a broker and a bridge for each instance."
                f" All run at the same time and are measured for {seconds:.0f} s after all were idle. Proxies count"
                " requests and bytes. Reads with a longer interval may be missing; they are at most 15 requests an"
                " hour."
            ),
            (
                f"From the start of the process to `online`, with one folder: {min(starts):.2f} to {max(starts):.2f} s"
                f" in {len(starts)} starts."
            ),
            (
                "Most of the memory is used by modules, above all by those that read the settings (last table). Each"
                " request, each message to the broker and each check of the threads wakes a thread."
            ),
        ],
        tables=[
            Table(
                title="Cost of an idle hour",
                head=[
                    "folders x devices",
                    "requests to Syncthing",
                    "processor time, s",
                    "share of a core, %",
                    "wake-ups a minute",
                    "resident, MB",
                    "to the broker, KB",
                ],
                rows=[_row(one) for one in idle],
            ),
            _requests(idle),
            _kept(idle),
            Table(title="Resident memory after imports, MB", head=["after", "MB", "growth"], rows=_imports()),
        ],
        plots=[
            Plot(name="idle", figure=_figure(idle), caption="Requests to Syncthing per hour, by number of folders.")
        ],
        verdicts=[
            Verdict(
                aim=f"at most {MOST_REQUESTS} requests an hour for any number of folders",
                measured=", ".join(f"{one.requests_an_hour:.0f} ({one.folders} folders)" for one in idle),
                met=all(one.requests_an_hour <= MOST_REQUESTS for one in idle),
            ),
            Verdict(
                aim=f"under {MOST_CPU_PERCENT} % of a core",
                measured=", ".join(f"{one.cpu_percent:.2f} % ({one.folders} folders)" for one in idle),
                met=all(one.cpu_percent < MOST_CPU_PERCENT for one in idle),
            ),
            Verdict(
                aim=f"at most {MOST_WAKE_UPS} wake-ups a minute for one instance",
                measured=", ".join(f"{one.wake_ups_a_minute:.0f} ({one.folders} folders)" for one in idle),
                met=smallest.wake_ups_a_minute <= MOST_WAKE_UPS,
            ),
            Verdict(
                aim=f"at most {MOST_MEMORY_MB} MB resident for one small instance",
                measured=", ".join(f"{one.spent.memory_mb:.1f} MB ({one.folders} folders)" for one in idle),
                met=smallest.spent.memory_mb <= MOST_MEMORY_MB,
            ),
            Verdict(
                aim=f"online within {MOST_START_S} s of its start",
                measured=f"{median(starts):.2f} s, at most {max(starts):.2f} s",
                met=max(starts) < MOST_START_S,
            ),
        ],
    )


def _row(one: Idle) -> list[str]:
    return [
        f"{one.folders} x {DEVICES}",
        f"{one.requests_an_hour:.0f}",
        f"{one.spent.cpu_s * one.an_hour:.1f}",
        f"{one.cpu_percent:.2f}",
        f"{one.wake_ups_a_minute:.0f}",
        f"{one.spent.memory_mb:.1f}",
        f"{one.spent.bytes_to_broker * one.an_hour / 1000:.0f}",
    ]


def _requests(idle: Sequence[Idle]) -> Table:
    paths = sorted({path for one in idle for path in one.spent.requests})
    rows = [[f"`{path}`", *(f"{one.spent.requests[path] * one.an_hour:.0f}" for one in idle)] for path in paths]
    return Table(title="Requests an hour", head=["path", *(f"{one.folders} folders" for one in idle)], rows=rows)


def _kept(idle: Sequence[Idle]) -> Table:
    """Table of the retained messages; discovery is a separate row, because it can be disabled."""
    rows = []
    for kind, found in KINDS.items():
        cells = []
        for one in idle:
            sizes = [len(topic) + len(payload) for topic, payload in one.kept.items() if found(topic.split("/"))]
            cells.append(f"{len(sizes)} ({sum(sizes) / 1000:.1f} KB)")
        rows.append([kind, *cells])
    title = "Retained messages: number, and bytes of topics and payloads"
    return Table(title=title, head=["of", *(f"{one.folders} x {DEVICES}" for one in idle)], rows=rows)


KINDS: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "the bridge": lambda levels: levels[:2] == ["syncthing", "bridge"],
    "each instance": lambda levels: levels[:2] == ["syncthing", "alpha"] and len(levels) == 3,
    "its folders, with failed items and conflicts": lambda levels: levels[1:3] == ["alpha", "folder"],
    "its devices": lambda levels: levels[1:3] == ["alpha", "device"],
    "completions, one for each folder of a device": lambda levels: levels[1:3] == ["alpha", "completion"],
    "Home Assistant's discovery": lambda levels: levels[0] == "homeassistant",
}


def _imports() -> list[list[str]]:
    command = [sys.executable, "-c", LOOK, *LOADED]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    resident = [int(line) / 1024 for line in said.split()]
    names = ["Python itself", *(f"`{name}`" for name in LOADED)]
    return [
        [name, f"{now:.1f}", f"{now - before:.1f}"]
        for name, now, before in zip(names, resident, [0.0, *resident], strict=False)
    ]


def _figure(idle: Sequence[Idle]) -> Figure:
    figure = Figure(figsize=(8, 2.5))
    axes = figure.add_subplot(xlabel="requests an hour", ylabel="folders")
    places = range(len(idle))
    left = [0.0] * len(idle)
    for path in sorted({path for one in idle for path in one.spent.requests}):
        widths = [one.spent.requests[path] * one.an_hour for one in idle]
        axes.barh(places, widths, left=left, label=path)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.axvline(MOST_REQUESTS, color="black", linestyle="--", label="aim")
    axes.set_yticks(places, [str(one.folders) for one in idle])
    axes.legend(bbox_to_anchor=(1.02, 1), loc="upper left", fontsize="small")
    return figure

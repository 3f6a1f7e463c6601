"""A sync of very many small files between two real Syncthing instances."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import stage
from benchmarks.audience import Audience, busiest
from benchmarks.quantiles import quantiles
from benchmarks.section import Plot, Section, Table, Verdict
from benchmarks.usage import Looks
from stbridge.demo.node import SyncthingNode
from tests.faults.truth import differences, fixed, truth
from tests.servers import ROOT, BridgeProcess, eventually, instance, is_state, manifest

FILES, QUICK_FILES = 100_000, 5_000
LONGEST_S = 700.0
A_DIRECTORY = 500
MANY, OTHER = "many", "other"
SCAN_EVERY_S = 2.0
RIGHT_S = 30.0
MAY_DIFFER = ("/conflicts complete: ", " last_file: ", " last_file_at: ", " last_file_deleted: ")
"""Keys that may differ. The bridge searched the folder for conflict files while it was small, but does not search a
large folder. No event contains the last file, and the read of it is rate limited during the many scans."""

MOST_LATENCY_MS = 1000.0
MOST_MORE_MB = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Results of a sync.

    Attributes:
        files: number of files to sync.
        synced: number of files that arrived in time.
        seconds: duration from the start of the scan.
        cpu_s: processor time of the bridge.
        more_mb: maximum growth of the bridge's memory.
        messages: number of messages to the broker in each second.
        busiest: maximum number of messages of one state topic in one second.
        latencies: latencies of changes of another folder, in milliseconds.
        wrong: differences from the topics that a newly started bridge would publish.
    """

    files: int
    synced: int
    seconds: float
    cpu_s: float
    more_mb: float
    messages: Sequence[int]
    busiest: int
    latencies: Sequence[float]
    wrong: Sequence[str]


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure a sync of many files."""
    result = sync(QUICK_FILES if quick else FILES)
    in_time = (
        "" if result.synced == result.files else f" It was stopped after {LONGEST_S:.0f} s, at {result.synced:,} files."
    )
    return Section(
        title=f"A sync of {result.files:,} small files",
        summary=[
            (
                f"{result.files:,} files of a few bytes are synced between two real Syncthing instances on this"
                f" machine, and the bridge follows both.{in_time} Meanwhile another folder of the second instance is"
                f" scanned every {SCAN_EVERY_S:.0f} s. Measured is the time from Syncthing's timestamp of its state"
                " change to its receipt by a subscriber. The Syncthing instances use all available processor time. At"
                " the end all topics are compared with those that a newly started bridge would publish."
            )
        ],
        tables=[_table(result)],
        plots=[_plot(result)],
        verdicts=_verdicts(result),
    )


def sync(files: int) -> Sync:
    """Let two Syncthing instances sync a number of files."""
    with ExitStack() as ends:
        where = ends.enter_context(stage.directory())
        broker = ends.enter_context(stage.broker(where))
        nodes = [ends.enter_context(stage.syncthing(where, name)) for name in ("alpha", "beta")]
        _share(where, nodes)
        audience = ends.enter_context(Audience(broker.port, frozenset({f"syncthing/beta/folder/{OTHER}"})))
        bridge = _bridge(where, broker.port, nodes)
        ends.callback(bridge.stop)
        bridge.start()
        eventually(lambda: audience.is_complete(folders=4, devices=1))
        _write(where / "alpha" / MANY, files)
        began_at, offset_s = time.monotonic(), time.time() - time.monotonic()
        with Looks(bridge.id) as looks, Scans(nodes[1]):
            synced = _wait(nodes, files)
            ended_at = time.monotonic()
        by_second = [audience.by_second[second] for second in range(int(began_at) + 1, int(ended_at))]
        return Sync(
            files=files,
            synced=synced,
            seconds=ended_at - began_at,
            cpu_s=looks.cpu_s,
            more_mb=looks.more_mb,
            messages=[counts.total() for counts in by_second],
            busiest=max(map(busiest, by_second), default=0),
            latencies=list(_latencies(audience, offset_s)),
            wrong=_wrong(audience, nodes) if synced == files else [],
        )


def _share(where: Path, nodes: Sequence[SyncthingNode]) -> None:
    one, other = nodes
    one.link(other)
    for node, peer in ((one, other), (other, one)):
        for folder in (MANY, OTHER):
            # writing each file to the disk immediately would only make the sync slower
            node.share(folder, where / node.name / folder, devices=[peer], disableFsync=True)
    eventually(lambda: one.is_connected(other) and all(node.is_idle(MANY) for node in nodes))


def _bridge(where: Path, port: int, nodes: Sequence[SyncthingNode]) -> BridgeProcess:
    (where / "bridge").mkdir()
    syncthings = {name: value for node in nodes for name, value in instance(node.name, node).items()}
    return BridgeProcess(where / "bridge", {"PYTHONPATH": str(ROOT), "STBRIDGE_MQTT__PORT": str(port), **syncthings})


def _write(directory: Path, files: int) -> None:
    for number in range(files):
        place = directory / f"{number // A_DIRECTORY:04}"
        if number % A_DIRECTORY == 0:
            place.mkdir()
        (place / f"{number:06}.txt").write_text(str(number), encoding="utf-8")


def _wait(nodes: Sequence[SyncthingNode], files: int) -> int:
    """Wait until the files have arrived or the time limit is over, and return the number of arrived files."""
    arrived, deadline, reported_at = 0, time.monotonic() + LONGEST_S, 0.0
    pause = threading.Event()
    while time.monotonic() < deadline and not (arrived == files and all(node.is_idle(MANY) for node in nodes)):
        arrived = nodes[1].request("GET", "/rest/db/status", {"folder": MANY})["localFiles"]
        if time.monotonic() - reported_at > 20:
            sys.stdout.write(f"  {arrived:,} of {files:,} files\n")
            sys.stdout.flush()
            reported_at = time.monotonic()
        pause.wait(1.0)
    return arrived


class Scans:
    """Scans the other folder repeatedly while its context is active.

    Args:
        node: the instance of the folder.
    """

    def __init__(self, node: SyncthingNode) -> None:
        self._node = node
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SCAN_EVERY_S):
            self._node.request("POST", "/rest/db/scan", {"folder": OTHER})


def _latencies(audience: Audience, offset_s: float) -> Iterator[float]:
    """Yield the latency of each state change; a timestamp without fractions comes from a summary, not from an event."""
    seen: set[str] = set()
    for at, _, payload in audience.kept:
        stamp = json.loads(payload)["state_changed_at"] or ""
        if "." in stamp and stamp not in seen:
            seen.add(stamp)
            yield (at + offset_s - datetime.fromisoformat(stamp).timestamp()) * 1000


def _wrong(audience: Audience, nodes: Sequence[SyncthingNode]) -> Sequence[str]:
    """Return the differences from the expected topics that remain after 30 s."""
    found: list[str] = []

    def right() -> bool:
        retained = {topic: payload for topic, payload in audience.newest.items() if payload and is_state(topic)}
        tree = fixed(retained)
        found[:] = [
            line
            for node in nodes
            for line in differences(
                {topic: value for topic, value in tree.items() if topic.startswith(f"syncthing/{node.name}/")},
                truth(node.name, node),
            )
            if not any(words in line for words in MAY_DIFFER)
        ]
        return not found

    try:
        eventually(right, RIGHT_S)
    except AssertionError:
        sys.stdout.write("\n".join(found) + "\n")
    return found


def _table(result: Sync) -> Table:
    messages, seconds = sum(result.messages), result.seconds
    latencies = result.latencies
    wrong = f"{len(result.wrong)}" if result.synced == result.files else "unknown"
    median, most, nearly_all = quantiles(latencies)
    return Table(
        title=f"With Syncthing {list(manifest()['syncthing'])[-1]}",
        head=("measure", "value"),
        rows=[
            (
                "files synced",
                f"{result.synced:,} in {seconds:.0f} s, {result.synced / seconds:,.0f} a second",
            ),
            (
                "processor time of the bridge",
                f"{result.cpu_s:.1f} s, {100 * result.cpu_s / seconds:.1f} % of a core",
            ),
            ("growth of its memory", f"{result.more_mb:.0f} MB"),
            ("messages to the broker", f"{messages:,}, {messages / seconds:.1f} a second"),
            ("most messages of one topic in one second", f"{result.busiest}"),
            (
                "latency of another folder's changes: median, 90th, 99th percentile, maximum",
                f"{median:.0f}, {most:.0f}, {nearly_all:.0f}, {max(latencies):.0f} ms of {len(latencies)}",
            ),
            ("topics or keys wrong at the end", wrong),
        ],
    )


def _plot(result: Sync) -> Plot:
    figure = Figure(figsize=(9, 3))
    axes = figure.subplots()
    axes.step(range(1, len(result.messages) + 1), result.messages, where="post")
    axes.set_xlabel(f"seconds since the beginning of a sync of {result.files:,} files")
    axes.set_ylabel("messages per second")
    axes.set_ylim(0, 1.1 * max(result.messages))
    axes.grid(alpha=0.3)
    figure.tight_layout()
    return Plot(name="files", figure=figure, caption="Messages to the broker while very many small files are synced.")


def _verdicts(result: Sync) -> Sequence[Verdict]:
    whole = result.synced == result.files
    return [
        Verdict(
            aim=f"a sync of {FILES:,} small files ends in the right state",
            measured=f"{result.synced:,} files in {result.seconds:.0f} s, {len(result.wrong)} topics or keys wrong",
            met=not result.wrong if whole else None,
        ),
        Verdict(
            aim="changes of other folders are published within a second meanwhile",
            measured=f"median {quantiles(result.latencies)[0]:.0f} ms, maximum {max(result.latencies):.0f} ms",
            met=max(result.latencies) < MOST_LATENCY_MS,
        ),
        Verdict(
            aim="memory is bounded",
            measured=f"{result.more_mb:.0f} MB more than before",
            met=result.more_mb < MOST_MORE_MB,
        ),
    ]

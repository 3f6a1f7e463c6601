"""What a sync of very many small files between two real Syncthings does."""

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
from tests.servers import ROOT, BridgeProcess, eventually, instance, manifest

FILES, QUICK_FILES = 100_000, 5_000
LONGEST_S = 700.0
A_DIRECTORY = 500
MANY, OTHER = "many", "other"
SCAN_EVERY_S = 2.0
RIGHT_S = 30.0
MAY_DIFFER = ("/conflicts complete: ", " last_file: ", " last_file_at: ", " last_file_deleted: ")
"""A folder that was small when the bridge started was searched for conflict files, a large one is not; and no event
tells the last file, which is read out of an allowance that the many scans have used up."""

MOST_LATENCY_MS = 1000.0
MOST_MORE_MB = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """What came of it.

    Attributes:
        files: how many there were to be synced.
        synced: how many of them arrived in time.
        seconds: how long that took, from the beginning of the scan on.
        cpu_s: processor time of the bridge.
        more_mb: memory of the bridge, at most, beyond what it took before.
        messages: to the broker, in each second.
        busiest: the most messages of one topic of state in one second.
        latencies: of changes of another folder, in milliseconds.
        wrong: what is not as a bridge would publish it that has just been started.
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


def run(quick: bool) -> Section:  # noqa: FBT001 - what every benchmark is called with
    """Measure."""
    result = sync(QUICK_FILES if quick else FILES)
    in_time = (
        "" if result.synced == result.files else f" It was broken off after {LONGEST_S:.0f} s, at {result.synced:,}."
    )
    return Section(
        title=f"A sync of {result.files:,} small files",
        summary=[
            (
                f"{result.files:,} files of a few bytes are synced from one real Syncthing to another on this machine,"
                f" both of which the bridge follows.{in_time} Meanwhile another folder of the second is scanned every"
                f" {SCAN_EVERY_S:.0f} s: what counts is the time from Syncthing's stamp on its change of state to a"
                " subscriber's receipt. The Syncthings take all of the processors that they can get. In the end all"
                " topics are compared with what a bridge would publish that has just been started."
            )
        ],
        tables=[_table(result)],
        plots=[_plot(result)],
        verdicts=_verdicts(result),
    )


def sync(files: int) -> Sync:
    """Have two Syncthings sync so many files."""
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
            # nothing but the end of the sync would come later of writing each file to the disk at once
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
    """Wait until the files have arrived, or it takes too long, and return how many have."""
    arrived, deadline, told_at = 0, time.monotonic() + LONGEST_S, 0.0
    pause = threading.Event()
    while time.monotonic() < deadline and not (arrived == files and all(node.is_idle(MANY) for node in nodes)):
        arrived = nodes[1].request("GET", "/rest/db/status", {"folder": MANY})["localFiles"]
        if time.monotonic() - told_at > 20:
            sys.stdout.write(f"  {arrived:,} of {files:,} files\n")
            sys.stdout.flush()
            told_at = time.monotonic()
        pause.wait(1.0)
    return arrived


class Scans:
    """Has the other folder scanned again and again, for as long as the `with` lasts.

    Args:
        node: where.
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
    """Give how long each change of state took; a stamp without fractions comes from a summary, not from an event."""
    told: set[str] = set()
    for at, _, payload in audience.kept:
        stamp = json.loads(payload)["state_changed_at"] or ""
        if "." in stamp and stamp not in told:
            told.add(stamp)
            yield (at + offset_s - datetime.fromisoformat(stamp).timestamp()) * 1000


def _wrong(audience: Audience, nodes: Sequence[SyncthingNode]) -> Sequence[str]:
    """Return what is not as it should be, if it does not become so soon."""
    found: list[str] = []

    def right() -> bool:
        retained = {topic: payload for topic, payload in audience.newest.items() if payload and "/event/" not in topic}
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
    wrong = f"{len(result.wrong)}" if result.synced == result.files else "not told"
    median, most, nearly_all = quantiles(latencies)
    return Table(
        title=f"With Syncthing {list(manifest()['syncthing'])[-1]}",
        head=("what", "how much"),
        rows=[
            (
                "files synced",
                f"{result.synced:,} in {seconds:.0f} s, {result.synced / seconds:,.0f} a second",
            ),
            (
                "processor time of the bridge",
                f"{result.cpu_s:.1f} s, {100 * result.cpu_s / seconds:.1f} % of a core",
            ),
            ("its memory, beyond what it took before", f"{result.more_mb:.0f} MB"),
            ("messages to the broker", f"{messages:,}, {messages / seconds:.1f} a second"),
            ("most messages of one topic in one second", f"{result.busiest}"),
            (
                "latency of another folder's changes: median, 90th, 99th percentile, greatest",
                f"{median:.0f}, {most:.0f}, {nearly_all:.0f}, {max(latencies):.0f} ms of {len(latencies)}",
            ),
            ("topics or keys wrong in the end", wrong),
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
    return Plot(name="files", figure=figure, caption="What the broker gets while very many small files are synced.")


def _verdicts(result: Sync) -> Sequence[Verdict]:
    whole = result.synced == result.files
    return [
        Verdict(
            aim=f"a sync of {FILES:,} small files ends in the right state",
            measured=f"{result.synced:,} files in {result.seconds:.0f} s, {len(result.wrong)} topics or keys wrong",
            met=not result.wrong if whole else None,
        ),
        Verdict(
            aim="changes of other folders take less than a second meanwhile",
            measured=f"median {quantiles(result.latencies)[0]:.0f} ms, greatest {max(result.latencies):.0f} ms",
            met=max(result.latencies) < MOST_LATENCY_MS,
        ),
        Verdict(
            aim="memory is bounded",
            measured=f"{result.more_mb:.0f} MB more than before",
            met=result.more_mb < MOST_MORE_MB,
        ),
    ]

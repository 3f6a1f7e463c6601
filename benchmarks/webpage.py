"""The web page: how fast a large fleet opens, and what a storm costs the server and the browser."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any

from benchmarks import stage
from benchmarks.fake.fleet import Fleet
from benchmarks.section import Section, Table, Verdict
from benchmarks.service import Service, service
from benchmarks.usage import Looks, Usage
from stbridge.demo.node import free_port
from tests.browser import Browser, chromium
from tests.servers import ANONYMOUS, eventually
from tests.web.serving import Page, Stream

FOLDERS, DEVICES = 1000, 100
STORM_FOLDERS, STORM_DEVICES = 100, 10
RATE = 10_000
FEW, MANY = 2, 10
"""Numbers of browsers at once."""
LONGEST_S = 120.0
MOST_OPENING_S = 2.0
MOST_PAUSE_MS = 500.0
MOST_UPDATES_PER_S = 1.2

BEAT = """
window.pauses = [];
window.last = performance.now();
setInterval(() => { const now = performance.now(); pauses.push(now - last); last = now; }, 20);
"""
"""Measures how long the page does not react: the longest time between two calls of a timer of 20 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a large fleet opens.

    Attributes:
        read_s: seconds from the start of `stbridge web` until it has read all retained topics.
        opened_s: seconds until the browser shows the matrix.
        memory_mb: resident memory of the server.
        heap_mb: memory of the page's scripts in the browser.
    """

    read_s: float
    opened_s: float
    memory_mb: float
    heap_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a storm costs.

    Attributes:
        browsers: number of browsers; one is Chromium, the others only receive.
        cpu: processor time of the server, in percent of a core.
        more_mb: maximum growth of the memory of the server.
        updates: updates per second that each browser gets.
        longest_pause_ms: the longest time in which the page did not react.
        wrong: number of folders that the page shows wrong at the end.
    """

    browsers: int
    cpu: float
    more_mb: float
    updates: float
    longest_pause_ms: float
    wrong: int


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure a large fleet, and storms with few and with many browsers."""
    if chromium() is None:
        raise RuntimeError("Chromium is not installed: run scripts/chromium")
    with stage.directory() as where:
        browser = Browser(where / "browser").start()
        try:
            browser.prepare(BEAT)
            opening = _opening(browser)
            loads = [_storm(browser, count, 5 if quick else 20) for count in (FEW, MANY)]
        finally:
            browser.stop()
    return Section(
        title="The web page",
        summary=[
            (
                "`stbridge web` as a process, with the topics of a real bridge of a fake Syncthing instance, and a real"
                f" Chromium. First {FOLDERS:,} folders x {DEVICES} devices; then {RATE:,} events a second about"
                f" {STORM_FOLDERS} folders x {STORM_DEVICES} devices. The bridge publishes each topic at most twice a"
                " second then."
            )
        ],
        tables=[_opening_table(opening), _storm_table(loads)],
        verdicts=_verdicts(opening, loads),
    )


@contextmanager
def _web(one: Service) -> Iterator[tuple[Page, int]]:
    """Run the page for the broker of a bridge; yields a client and the ID of the process."""
    port = free_port()
    settings = (f"web.port={port}", "mqtt.host=127.0.0.1", f"mqtt.port={one.broker_port}")
    flags = [part for setting in settings for part in ("--set", setting)]
    with stage.program(sys.executable, "-m", "stbridge", "web", "--log-level", "warning", *flags) as process:
        page = Page(port)
        try:
            yield page, process.pid
        finally:
            page.close()


def _has_read(page: Page, folders: int, devices: int) -> bool:
    """Return whether the server has read all topics; the matrix also contains the own device of the instance."""
    try:
        state = page.state()
    except OSError:  # the process does not listen yet
        return False
    matrix = state["matrix"]
    found = (len(matrix["folders"]), len(matrix["devices"]))
    return found == (folders, devices + 1) and "reading" not in state["tree"]["broker"]


def _opening(browser: Browser) -> Opening:
    lines = (ANONYMOUS, "max_queued_messages 0")  # Mosquitto drops what exceeds its queue
    with Fleet(folders=FOLDERS, devices=DEVICES) as fleet, service(fleet, broker_lines=lines) as one:
        one.wait_until_complete(FOLDERS, DEVICES, LONGEST_S)
        began_at = monotonic()
        with _web(one) as (page, process):
            pause = Event()  # asking all the time would slow the server down
            eventually(lambda: _has_read(page, FOLDERS, DEVICES) or pause.wait(0.5), LONGEST_S)
            read_s = monotonic() - began_at
            began_at = monotonic()
            browser.open(page.url, 1280, 900)
            browser.wait_for(f"{FOLDERS:,} folders on {DEVICES + 1} devices")
            return Opening(
                read_s=read_s,
                opened_s=monotonic() - began_at,
                memory_mb=Usage.of(process).memory_mb,
                heap_mb=browser.evaluate("performance.memory.usedJSHeapSize") / 2**20,
            )


def _storm(browser: Browser, browsers: int, seconds: float) -> Load:
    with (
        Fleet(folders=STORM_FOLDERS, devices=STORM_DEVICES) as fleet,
        service(fleet) as one,
        _web(one) as (page, process),
        ExitStack() as stack,
    ):
        one.wait_until_complete(STORM_FOLDERS, STORM_DEVICES, LONGEST_S)
        eventually(lambda: _has_read(page, STORM_FOLDERS, STORM_DEVICES), LONGEST_S)
        browser.open(page.url, 1280, 900)
        browser.wait_for(f"1 instance, {STORM_FOLDERS} folders, {STORM_DEVICES + 1} devices", "Folder-0000")
        since = "{boot}.{number}".format(**page.state())
        streams = [Stream(page, since) for _ in range(browsers - 1)]
        for stream in streams:
            stack.callback(stream.close)
        one.wait_until_quiet()
        browser.evaluate("pauses.length = 0")
        seen = len(streams[0].updates())
        with Looks(process) as looks:
            fleet.call("storm", rate=RATE, seconds=seconds, stirred=STORM_FOLDERS, beacons=0)
        updates = (len(streams[0].updates()) - seen) / seconds
        pause_ms = float(browser.evaluate("Math.max(...pauses)"))
        one.wait_until_quiet()
        return Load(
            browsers=browsers,
            cpu=looks.cpu_s / seconds * 100,
            more_mb=looks.more_mb,
            updates=updates,
            longest_pause_ms=pause_ms,
            wrong=_wrong(fleet, page),
        )


def _wrong(fleet: Fleet, page: Page) -> int:
    """Return how many folders the page has with other values than Syncthing, once they had the time to arrive."""
    true = {name: (one["state"], one["needBytes"]) for name, one in fleet.call("folders").items()}

    def differing() -> Sequence[str]:
        shown = page.state()["tree"]["instances"]["syncthing/fake0"]["folders"]
        return [name for name in true if _values(shown.get(name, {})) != true[name]]

    try:
        eventually(lambda: not differing(), 10)
    except AssertionError:
        return len(differing())
    return 0


def _values(shown: Any) -> tuple[Any, Any]:
    return shown.get("state"), shown.get("need_bytes")


def _opening_table(opening: Opening) -> Table:
    return Table(
        title=f"{FOLDERS:,} folders x {DEVICES} devices",
        head=("all topics read after, s", "shown after, s", "memory of the server, MB", "memory of the scripts, MB"),
        rows=[
            [
                f"{opening.read_s:.1f}",
                f"{opening.opened_s:.1f}",
                f"{opening.memory_mb:.0f}",
                f"{opening.heap_mb:.0f}",
            ]
        ],
    )


def _storm_table(loads: Sequence[Load]) -> Table:
    return Table.of(
        f"{RATE:,} events a second",
        loads,
        {
            "browsers": lambda one: f"{one.browsers}",
            "processor of the server, % of a core": lambda one: f"{one.cpu:.0f}",
            "growth of its memory, MB": lambda one: f"{one.more_mb:.0f}",
            "updates per second": lambda one: f"{one.updates:.1f}",
            "longest pause of the page, ms": lambda one: f"{one.longest_pause_ms:.0f}",
            "folders wrong at the end": lambda one: f"{one.wrong}",
        },
    )


def _verdicts(opening: Opening, loads: Sequence[Load]) -> Sequence[Verdict]:
    pause_ms = max(one.longest_pause_ms for one in loads)
    updates = max(one.updates for one in loads)
    return [
        Verdict(
            aim=f"{FOLDERS:,} folders x {DEVICES} devices open within {MOST_OPENING_S:.0f} s",
            measured=f"{opening.opened_s:.1f} s",
            met=opening.opened_s < MOST_OPENING_S,
        ),
        Verdict(
            aim=f"in a storm, the page never pauses for more than {MOST_PAUSE_MS:.0f} ms",
            measured=f"{pause_ms:.0f} ms",
            met=pause_ms < MOST_PAUSE_MS,
        ),
        Verdict(
            aim="in a storm, each browser gets one update a second, and the right state at the end",
            measured=f"{updates:.1f} updates a second, {sum(one.wrong for one in loads)} folders wrong",
            met=updates <= MOST_UPDATES_PER_S and not any(one.wrong for one in loads),
        ),
    ]

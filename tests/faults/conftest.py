"""Fixtures: one test world is shared by all faults, so each fault meets a bridge that has run through the others."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.world import World, newest

DEATH = re.compile("(died|reconnecting)\nTraceback.*?killed by a test", re.DOTALL)
"""What the bridge logs about a thread that a test has killed."""

CONDITION = re.compile(r"^\S+ \S+ (?:WARNING|ERROR) +((?!.*(?: died| is restarted)$).*)$", re.MULTILINE)
"""A log line about a problem; lines about thread deaths are left out, because each death is logged."""

MAX_REPEATED_LINES = 4
"""Maximum number of log lines about the same condition in a test; a bridge that logged every try would exceed it."""

RIGHT_AGAIN = "seconds until right again"
LOST = "lost"
"""Property that describes what a test has lost; without it, the test compared everything and lost nothing."""
NOTHING = "nothing"


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("faults"), newest())
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """Return the shared world with correct topics; if an earlier test left something broken, repair it first."""
    _world.broker.wake()
    _world.revive()
    _world.wait_until_quiet()
    if not _world.bridge.running:
        _world.start_bridge()
    _world.wait_until_right(30)
    size = _world.bridge.log.stat().st_size
    yield _world
    _world.broker_proxy.repair()
    _world.alpha_proxy.repair()
    log = _world.bridge.log.read_bytes()[size:].decode()
    assert "Traceback" not in DEATH.sub("", log), log
    assert _world.alpha.api_key not in log
    assert most_repeated(log) <= MAX_REPEATED_LINES, log


def most_repeated(log: str) -> int:
    """Return how often the log reports the same condition, ignoring the numbers in the line."""
    return max(Counter(re.sub(r"\d+", "N", line) for line in CONDITION.findall(log)).values(), default=0)


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Callable[[float], None]:
    """Return a function that records a duration for the summary of the run."""
    return partial(record_property, RIGHT_AGAIN)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option that writes the summary to a file."""
    parser.addoption("--table", type=Path, help="write how long each fault took to a Markdown file")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show how long it took after each fault until every topic was correct again."""
    rows = sorted(row for one in terminalreporter.getreports("passed") for row in measured(one))
    if rows:
        terminalreporter.section(RIGHT_AGAIN)
        for words, seconds, lost in rows:
            terminalreporter.write_line(f"{seconds:5.2f} s  {words}" + (f", lost: {lost}" if lost != NOTHING else ""))
    if file := config.getoption("table"):
        lines = [f"| fault | {RIGHT_AGAIN} | lost |", "|---|---|---|"]
        lines += [f"| {words} | {seconds:.2f} | {lost} |" for words, seconds, lost in rows]
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def measured(report: pytest.TestReport) -> list[tuple[str, float, str]]:
    """Return the measurements of a test: its name, its duration, and what was lost."""
    found: dict[str, Any] = dict(report.user_properties)
    return [(readable(report.nodeid), found[RIGHT_AGAIN], found.get(LOST, NOTHING))] if RIGHT_AGAIN in found else []


def readable(test: str) -> str:
    """Return the name of a test as words."""
    file, _, name = test.partition("::")
    words = name.removeprefix("test_").replace("_", " ").replace("[", ": ").removesuffix("]")
    return f"{Path(file).stem.removeprefix('test_')}: {words}"

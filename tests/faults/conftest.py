"""One world for all faults, so that each meets a bridge that has lived through the others."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.world import World, newest

DEATH = re.compile("(died|it is made anew)\nTraceback.*?killed by a test", re.DOTALL)
"""What the log says of a thread that a test has killed."""

MEASURED = pytest.StashKey[list[str]]()


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
    """A world in which all is right; if a fault before left a wreck, the bridge is a new one."""
    if not _world.bridge.running:
        _world.start_bridge()
    _world.wait_until_right(30)
    size = _world.bridge.log.stat().st_size
    yield _world
    _world.broker_proxy.mend()
    _world.alpha_proxy.mend()
    log = _world.bridge.log.read_bytes()[size:].decode()
    assert "Traceback" not in DEATH.sub("", log), log
    assert _world.alpha.api_key not in log


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Any:
    """Note how long something took, for the summary of the run."""
    rows = request.config.stash.setdefault(MEASURED, [])

    def note(seconds: float) -> None:
        rows.append(f"{seconds:5.2f} s  {request.node.name}")

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell how long it took after each fault until every topic was the truth again."""
    if rows := config.stash.get(MEASURED, []):
        terminalreporter.section("until right again")
        for row in rows:
            terminalreporter.write_line(row)

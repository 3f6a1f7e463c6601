"""Running scans: each runs once, and a command that a running scan covers waits for it."""

import threading
from typing import Any

import pytest

from stbridge.commands import scans
from stbridge.commands.pool import WorkerPool
from stbridge.commands.scans import Scans
from stbridge.core.command import EVERY_FOLDER
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Request
from stbridge.errors import Rejected

PATIENCE_S = 30.0
SCAN = next(command for command in COMMANDS if command.name == "scan")


class Runs:
    """Scans that run until the test lets them end, with or without a failure."""

    def __init__(self) -> None:
        self.began: list[tuple[str, str | None]] = []
        self.failure: Exception | None = None
        self._go_on = threading.Event()
        self._pool = WorkerPool("nas-scan", 8)
        self._pool.start()
        self.scans = Scans(self._pool, self._execute)

    def _execute(self, request: Request) -> None:
        self.began.append((request.arguments["folder"], request.arguments.get("sub")))
        assert self._go_on.wait(PATIENCE_S)
        if self.failure:
            raise self.failure

    def start(self, folder: str, sub: str | None = None) -> Any:
        """Request a scan, and return its future."""
        arguments = {"folder": folder} if sub is None else {"folder": folder, "sub": sub}
        return self.scans.start(Request(command=SCAN, arguments=arguments))

    def end(self, failure: Exception | None = None) -> None:
        """Let all scans end."""
        self.failure = failure
        self._go_on.set()


@pytest.mark.parametrize(
    ("first", "second", "joins"),
    [
        (("docs",), ("docs",), True),
        (("docs",), ("docs", "a"), True),
        (("docs", "a"), ("docs", "a"), True),
        ((EVERY_FOLDER,), ("docs",), True),
        ((EVERY_FOLDER,), ("docs", "a"), True),
        ((EVERY_FOLDER,), (EVERY_FOLDER,), True),
        (("docs", "a"), ("docs",), False),
        (("docs", "a"), ("docs", "b"), False),
        (("docs", "a"), ("art", "a"), False),
        (("docs",), ("art",), False),
        (("docs",), (EVERY_FOLDER,), False),
        ((EVERY_FOLDER, "a"), ("docs",), False),
    ],
)
def test_a_scan_joins_a_running_scan_that_covers_it(
    first: tuple[str, ...], second: tuple[str, ...], *, joins: bool
) -> None:
    """A running scan covers the same path, a path in its folder, or every folder, but not a larger one."""
    runs = Runs()
    one, other = runs.start(*first), runs.start(*second)
    assert (one is other) == joins
    runs.end()
    for future in (one, other):
        assert future.result(PATIENCE_S) is None
    assert len(runs.began) == (1 if joins else 2)


def test_a_finished_scan_is_not_joined() -> None:
    """A later request needs a new scan."""
    runs = Runs()
    runs.end()
    first = runs.start("docs")
    first.result(PATIENCE_S)
    second = runs.start("docs")
    assert second is not first
    second.result(PATIENCE_S)
    assert runs.began == [("docs", None)] * 2


@pytest.mark.parametrize(
    "failure",
    [Rejected("folder marker missing"), CommandError("not_applicable", "no"), RuntimeError("a bug")],
    ids=["refused", "not applicable", "a bug"],
)
def test_a_failure_reaches_every_joined_command(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The next scan starts again, whatever the failure was. An internal error is also logged."""
    runs = Runs()
    futures = [runs.start("docs") for _ in range(3)]
    runs.end(failure)
    assert [future.exception(PATIENCE_S) for future in futures] == [failure] * 3
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == (
        [failure] if isinstance(failure, RuntimeError) else []
    )
    runs.failure = None
    assert runs.start("docs").result(PATIENCE_S) is None


def test_the_number_of_running_scans_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more scan is refused, unless it joins a running one. A finished scan makes room."""
    monkeypatch.setattr(scans, "MAX_SCANS", 2)
    runs = Runs()
    futures = [runs.start("docs"), runs.start("art"), runs.start("art", "sub")]
    with pytest.raises(CommandError, match="2 scans are already running or queued") as refused:
        runs.start("new")
    assert refused.value.code == "rate_limited"
    runs.end()
    for future in futures:
        future.result(PATIENCE_S)
    assert runs.start("new").result(PATIENCE_S) is None

"""How the running service leaves a sign of life, and how that is read."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from stbridge.errors import Failed
from stbridge.health import FRESH_S, HealthFile, health_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the sign of life is."""
    return tmp_path / "stbridge.health"


def write(path: Path, **changes: Any) -> None:
    """Leave a sign of life as this process would, but for some changes."""
    sign = {"pid": os.getpid(), "at": monotonic(), "status": "well"}
    path.write_text(json.dumps(sign | changes), encoding="utf-8")


def dead_process() -> int:
    """Return the ID of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_the_service_wrote_is_what_the_check_says(path: Path) -> None:
    """The newest status counts, and no other file is left behind."""
    file = HealthFile(path)
    file.write("broker connecting")
    file.write("broker connected; nas online")
    assert HealthFile(path).check() == "broker connected; nas online"
    assert list(path.parent.iterdir()) == [path]


def test_without_a_file_no_bridge_runs(path: Path) -> None:
    """Before the first sign of life the service is not healthy."""
    with pytest.raises(Failed, match=f"no bridge runs here: there is no {path}"):
        HealthFile(path).check()


def test_a_process_that_has_ended_is_not_healthy(path: Path) -> None:
    """A file that a killed bridge left behind says nothing."""
    write(path, pid=dead_process())
    with pytest.raises(Failed, match="has ended"):
        HealthFile(path).check()


def test_a_process_of_somebody_else_counts_as_alive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check by another user than that of the service can tell as well."""

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    write(path)
    monkeypatch.setattr(os, "kill", refuse)
    assert HealthFile(path).check() == "well"


@pytest.mark.parametrize("age", [FRESH_S + 1, -FRESH_S - 1])
def test_an_old_sign_of_life_is_none(path: Path, age: float) -> None:
    """A bridge whose parts have not been looked at for a while hangs, and a sign from before a reboot is none."""
    write(path, at=monotonic() - age)
    with pytest.raises(Failed, match="hangs"):
        HealthFile(path).check()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"pid": "x", "at": 1, "status": ""}', b'{"pid": 1, "at": null}', b"\xff"]
)
def test_a_file_that_is_rubbish_is_told(path: Path, content: bytes) -> None:
    """Whatever is in the file, the check fails and names it."""
    path.write_bytes(content)
    with pytest.raises(Failed, match=f"cannot read {path}"):
        HealthFile(path).check()


def test_a_place_that_cannot_be_written_is_told_once_and_ends_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full or read-only disk costs the health check, not the service; when it mends, the next failure is news."""
    file = HealthFile(path / "missing" / "stbridge.health")
    with caplog.at_level(logging.WARNING):
        file.write("well")
        file.write("well")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        (path / "missing").mkdir(parents=True)
        file.write("well")
        assert file.check() == "well"
        (path / "missing" / "stbridge.health").unlink()
        (path / "missing").rmdir()
        file.write("well")
    assert len(caplog.records) == 2
    assert "`stbridge health` will not work" in caplog.text


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"RUNTIME_DIRECTORY": "/run/stbridge:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"},
            "/run/stbridge/stbridge.health",
        ),
        ({"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/stbridge.health"),
        ({}, f"{tempfile.gettempdir()}/stbridge-{os.getuid()}.health"),
    ],
)
def test_the_file_is_where_service_and_check_both_look(environment: Mapping[str, str], expected: str) -> None:
    """It is systemd's runtime directory, else the user's, else one for temporary files with the user in the name."""
    assert health_file(environment) == Path(expected)

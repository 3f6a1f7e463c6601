"""The health file: how the running service writes it, and how `stbridge health` reads it."""

import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.demo.node import SyncthingNode
from stbridge.errors import Failed
from stbridge.health import FRESH_S, HealthFile, health_file
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the health file."""
    return tmp_path / "stbridge.health"


def write(path: Path, **changes: Any) -> None:
    """Write a health file as this process would, with some changes."""
    sign = {"pid": os.getpid(), "at": monotonic(), "status": "well"}
    path.write_text(json.dumps(sign | changes), encoding="utf-8")


def dead_process() -> int:
    """Return the ID of a process that has exited."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_check_returns_what_the_service_wrote(path: Path) -> None:
    """The newest status counts, and writing leaves no other file behind."""
    file = HealthFile(path)
    file.write("broker connecting")
    file.write("broker connected; nas online")
    assert HealthFile(path).check() == "broker connected; nas online"
    assert list(path.parent.iterdir()) == [path]


def test_without_a_file_no_bridge_runs(path: Path) -> None:
    """Before it writes the file for the first time, the service is not healthy."""
    with pytest.raises(Failed, match=f"no bridge runs here: there is no {path}"):
        HealthFile(path).check()


def test_a_process_that_has_exited_is_not_healthy(path: Path) -> None:
    """The file of a killed bridge does not count."""
    write(path, pid=dead_process())
    with pytest.raises(Failed, match="has exited"):
        HealthFile(path).check()


def test_a_process_of_another_user_is_not_the_bridge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file belongs to this user, so its process did, too: another user's process has reused the process ID."""

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    write(path)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(Failed, match="has exited"):
        HealthFile(path).check()


@pytest.mark.parametrize("age", [FRESH_S + 1, -FRESH_S - 1])
def test_an_old_health_file_is_not_healthy(path: Path, age: float) -> None:
    """A bridge that has not checked its threads for a while hangs; a file from before a reboot is invalid, too."""
    write(path, at=monotonic() - age)
    with pytest.raises(Failed, match="hangs"):
        HealthFile(path).check()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"pid": "x", "at": 1, "status": ""}', b'{"pid": 1, "at": null}', b"\xff"]
)
def test_an_invalid_file_is_reported(path: Path, content: bytes) -> None:
    """The check fails with the name of the file, whatever the file contains."""
    path.write_bytes(content)
    with pytest.raises(Failed, match=f"cannot read {path}"):
        HealthFile(path).check()


def test_an_unwritable_file_is_reported_once_and_stops_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full or read-only disk disables only the health check; the first failure after a recovery is logged again."""
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
            "/run/stbridge/stbridge-nas.health",
        ),
        ({"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/stbridge-nas.health"),
        ({}, f"{tempfile.gettempdir()}/stbridge-{os.getuid()}/stbridge-nas.health"),
    ],
)
def test_service_and_check_use_the_same_path(environment: Mapping[str, str], expected: str) -> None:
    """The path is in systemd's runtime directory, else the user's, else a temporary one with the user in its name."""
    assert health_file(environment, "nas") == Path(expected)


@given(st.text(min_size=1).filter(str.isprintable), st.text(min_size=1).filter(str.isprintable))
def test_every_client_id_has_a_file_of_its_own(one: str, other: str) -> None:
    """Any client ID gives a valid file name inside the directory."""
    path = health_file({"XDG_RUNTIME_DIR": "/run"}, one)
    assert path.parent == Path("/run")
    assert len(os.fsencode(path.name)) < 255
    assert (path == health_file({"XDG_RUNTIME_DIR": "/run"}, other)) == (one == other)


def test_long_client_ids_have_different_files() -> None:
    """The name of a file has a limited length; a client ID may have 65535 bytes."""
    paths = {health_file({"XDG_RUNTIME_DIR": "/run"}, "x" * 1000 + end) for end in "ab"}
    assert {len(path.name) < 255 for path in paths} == {True}
    assert len(paths) == 2


# --- attacks by other users


def test_a_planted_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Any user can create files in a directory like /tmp: the bridge neither reads nor writes files of other users."""
    directory, victim = tmp_path / "tmp", tmp_path / "victim"
    directory.mkdir()
    directory.chmod(0o1777)
    write(victim)
    content = victim.read_bytes()
    path = directory / "stbridge.health"
    for name in ("stbridge.health", "stbridge.partial"):
        (directory / name).symlink_to(victim)
    with pytest.raises(Failed, match="cannot read"):
        HealthFile(path).check()
    HealthFile(path).write("well")
    assert HealthFile(path).check() == "well"
    assert victim.read_bytes() == content
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_a_directory_in_which_others_can_replace_files_is_refused(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A user who can replace the file decides whether the bridge counts as healthy."""
    path.parent.chmod(0o777)
    HealthFile(path).write("well")
    assert "others may replace files" in caplog.text
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """The file of another user may have any content."""
    write(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(Failed, match="not a file of this user"):
        HealthFile(path).check()


def test_a_pipe_instead_of_the_file_does_not_block(path: Path) -> None:
    """Opening a pipe would otherwise wait for a writer forever."""
    os.mkfifo(path)
    with pytest.raises(Failed, match="cannot read"):
        HealthFile(path).check()


def test_a_hard_link_to_another_file_is_refused(path: Path) -> None:
    """Where fs.protected_hardlinks is 0, any user can link the file of another bridge, or a copy that was kept open."""
    other = path.with_name("other.health")
    HealthFile(other).write("well")
    os.link(other, path)
    with pytest.raises(Failed, match="cannot read"):
        HealthFile(path).check()
    HealthFile(path).write("broker connecting")
    assert (HealthFile(path).check(), HealthFile(other).check()) == ("broker connecting", "well")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(path: Path, mode: int) -> None:
    """The file belongs to this user, but other users control its content."""
    write(path)
    path.chmod(mode)
    with pytest.raises(Failed, match="others may write"):
        HealthFile(path).check()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_file_that_others_can_replace_is_refused(path: Path, mode: int) -> None:
    """Another file of this user may have been moved to this path."""
    write(path)
    path.parent.chmod(mode)
    with pytest.raises(Failed, match="others may replace files"):
        HealthFile(path).check()


# --- the directory for temporary files, in which any user can create files


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files with the permissions of /tmp."""
    one = tmp_path / "tmp"
    one.mkdir()
    one.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(one))
    return one


def test_it_is_in_a_private_directory(shared: Path) -> None:
    """No other user can have created a file in it."""
    path = health_file({}, "nas")
    HealthFile(path).write("well")
    assert HealthFile(path).check() == "well"
    assert path.parent.parent == shared
    assert [one.name for one in shared.iterdir()] == [path.parent.name]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    HealthFile(path).write("broker connecting")
    assert HealthFile(path).check() == "broker connecting"


def plant_link(directory: Path) -> None:
    """Create a symbolic link to a directory of the user."""
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir(0o700)
    directory.symlink_to(elsewhere)


def plant_open_directory(directory: Path) -> None:
    """Create a directory that other users may enter."""
    directory.mkdir()
    directory.chmod(0o755)


def plant_directory(directory: Path) -> None:
    """Create a directory of another user."""
    directory.mkdir(0o700)
    os.chown(directory, 65534, 65534)


@pytest.mark.parametrize("plant", [plant_link, plant_open_directory, plant_directory, os.mkfifo, Path.touch])
def test_a_planted_directory_is_not_used(
    shared: Path, plant: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The bridge writes nothing through it and ignores its content, because its creator controls that content."""
    if plant is plant_directory and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    path = health_file({}, "nas")
    plant(path.parent)
    before = path.parent.lstat()
    HealthFile(path).write("well")
    assert "private directory" in caplog.text
    with pytest.raises(Failed, match="private directory"):
        HealthFile(path).check()
    if path.parent.is_dir():
        write(path)
        with pytest.raises(Failed, match="private directory"):
            HealthFile(path).check()
    assert path.parent.lstat().st_mode == before.st_mode
    assert shared.stat().st_mode & 0o7777 == 0o1777


def test_a_directory_for_temporary_files_without_sticky_bit_is_refused(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the sticky bit, other users could replace the bridge's directory with their own."""
    path = health_file({}, "nas")
    HealthFile(path).write("well")
    shared.chmod(0o777)
    HealthFile(path).write("well")
    assert "others may replace files" in caplog.text
    with pytest.raises(Failed, match="others may replace files"):
        HealthFile(path).check()


@pytest.mark.parametrize("variable", ["TMPDIR", "XDG_RUNTIME_DIR"])
def test_a_pipe_instead_of_the_file_blocks_no_bridge(
    variable: str, node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Neither the start and stop of the bridge nor `health` waits for a reader or writer of the pipe."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    places = {"XDG_RUNTIME_DIR": "", "RUNTIME_DIRECTORY": "", variable: str(shared)}
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **places, **instance("alpha", node)}
    name = f"stbridge-{os.getuid()}" if variable == "TMPDIR" else "stbridge-stbridge.health"
    os.mkfifo(shared / name)
    if os.geteuid() == 0:
        os.chown(shared / name, 65534, 65534)
    bridge = BridgeProcess(tmp_path, variables)
    assert bridge.run("health").returncode == 1
    try:
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        assert bridge.stop() == 0
    finally:
        bridge.kill()


def test_a_reader_never_sees_a_partial_file() -> None:
    """Each content is complete, even if two writers use the same file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "stbridge.health"
        status = {"short": "well", "long": "well " * 2000}
        HealthFile(path).write("well")
        stop = threading.Event()

        def keep_writing(text: str) -> None:
            while not stop.is_set():
                HealthFile(path).write(text)

        with ThreadPoolExecutor() as writers:
            for text in status.values():
                writers.submit(keep_writing, text)
            found = {HealthFile(path).check() for _ in range(1000)}
            stop.set()
        assert found <= set(status.values())
        assert list(Path(directory).iterdir()) == [path]


def test_two_bridges_of_one_user_use_different_files(node: SyncthingNode, broker: Mosquitto, tmp_path: Path) -> None:
    """`stbridge health` for a killed bridge does not return the status of the other one."""
    bridges = [
        BridgeProcess(
            tmp_path,
            {
                "STBRIDGE_MQTT__PORT": str(broker.port),
                "STBRIDGE_MQTT__CLIENT_ID": name,
                "STBRIDGE_MQTT__BASE_TOPIC": name,
                **instance("alpha", node),
            },
        ).start()
        for name in ("one", "other")
    ]
    try:
        for bridge in bridges:
            eventually(lambda bridge=bridge: bridge.run("health").returncode == 0)  # type: ignore[misc]
        bridges[0].kill()
        killed, running = (bridge.run("health") for bridge in bridges)
    finally:
        for bridge in bridges:
            bridge.kill()
    assert (killed.returncode, running.returncode) == (1, 0)
    assert "no bridge runs here" in killed.stderr
    assert "alpha" in running.stdout

"""How the running service leaves a sign of life, and how that is read."""

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
    with pytest.raises(Failed, match="has exited"):
        HealthFile(path).check()


def test_a_process_of_another_user_is_not_the_bridge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is ours, so its process was: the number is used again."""

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    write(path)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(Failed, match="has exited"):
        HealthFile(path).check()


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
            "/run/stbridge/stbridge-nas.health",
        ),
        ({"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/stbridge-nas.health"),
        ({}, f"{tempfile.gettempdir()}/stbridge-{os.getuid()}/stbridge-nas.health"),
    ],
)
def test_the_file_is_where_service_and_check_both_look(environment: Mapping[str, str], expected: str) -> None:
    """It is systemd's runtime directory, else the user's, else one for temporary files with the user in the name."""
    assert health_file(environment, "nas") == Path(expected)


@given(st.text(min_size=1).filter(str.isprintable), st.text(min_size=1).filter(str.isprintable))
def test_every_client_id_has_a_file_of_its_own(one: str, other: str) -> None:
    """Whatever is in it, the file is in the directory, and can have its name."""
    path = health_file({"XDG_RUNTIME_DIR": "/run"}, one)
    assert path.parent == Path("/run")
    assert len(os.fsencode(path.name)) < 255
    assert (path == health_file({"XDG_RUNTIME_DIR": "/run"}, other)) == (one == other)


def test_long_client_ids_have_different_files() -> None:
    """The name of a file is short; a client ID may have 65535 bytes."""
    paths = {health_file({"XDG_RUNTIME_DIR": "/run"}, "x" * 1000 + end) for end in "ab"}
    assert {len(path.name) < 255 for path in paths} == {True}
    assert len(paths) == 2


# --- what others may do to it


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """In a directory like /tmp anybody may make files: none of theirs is written to, or read."""
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


def test_a_directory_in_which_others_may_replace_files_is_refused(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever can do that decides whether the bridge is healthy."""
    path.parent.chmod(0o777)
    HealthFile(path).write("well")
    assert "others may replace files" in caplog.text
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """It may say anything."""
    write(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(Failed, match="not a file of this user"):
        HealthFile(path).check()


def test_a_pipe_in_its_place_is_not_waited_for(path: Path) -> None:
    """Opening it would otherwise wait for a writer for ever."""
    os.mkfifo(path)
    with pytest.raises(Failed, match="cannot read"):
        HealthFile(path).check()


def test_a_second_name_of_another_file_is_refused(path: Path) -> None:
    """Where fs.protected_hardlinks is 0, anybody may link the file of another bridge, or a copy that was kept open."""
    other = path.with_name("other.health")
    HealthFile(other).write("well")
    os.link(other, path)
    with pytest.raises(Failed, match="cannot read"):
        HealthFile(path).check()
    HealthFile(path).write("broker connecting")
    assert (HealthFile(path).check(), HealthFile(other).check()) == ("broker connecting", "well")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    """It is ours, and says what they like."""
    write(path)
    path.chmod(mode)
    with pytest.raises(Failed, match="others may write"):
        HealthFile(path).check()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_file_that_others_may_replace_is_refused(path: Path, mode: int) -> None:
    """Another file of this user may have been moved to its place."""
    write(path)
    path.parent.chmod(mode)
    with pytest.raises(Failed, match="others may replace files"):
        HealthFile(path).check()


# --- the directory for temporary files: everybody may make files in it


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files, as /tmp is."""
    one = tmp_path / "tmp"
    one.mkdir()
    one.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(one))
    return one


def test_it_is_in_a_private_directory(shared: Path) -> None:
    """Nobody else can have put anything there."""
    path = health_file({}, "nas")
    HealthFile(path).write("well")
    assert HealthFile(path).check() == "well"
    assert path.parent.parent == shared
    assert [one.name for one in shared.iterdir()] == [path.parent.name]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    HealthFile(path).write("broker connecting")
    assert HealthFile(path).check() == "broker connecting"


def plant_link(directory: Path) -> None:
    """Plant a link to a directory of the user."""
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir(0o700)
    directory.symlink_to(elsewhere)


def plant_open_directory(directory: Path) -> None:
    """Plant a directory that others may enter."""
    directory.mkdir()
    directory.chmod(0o755)


def plant_directory(directory: Path) -> None:
    """Plant a directory of another user."""
    directory.mkdir(0o700)
    os.chown(directory, 65534, 65534)


@pytest.mark.parametrize("plant", [plant_link, plant_open_directory, plant_directory, os.mkfifo, Path.touch])
def test_no_planted_directory_is_used(
    shared: Path, plant: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is written through it, and nothing in it counts: whoever made it decides what is in it."""
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


def test_a_directory_for_temporary_files_in_which_others_may_rename_is_refused(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the sticky bit, they may put another directory in the place of ours."""
    path = health_file({}, "nas")
    HealthFile(path).write("well")
    shared.chmod(0o777)
    HealthFile(path).write("well")
    assert "others may replace files" in caplog.text
    with pytest.raises(Failed, match="others may replace files"):
        HealthFile(path).check()


@pytest.mark.parametrize("variable", ["TMPDIR", "XDG_RUNTIME_DIR"])
def test_a_pipe_in_its_place_holds_up_no_bridge(
    variable: str, node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Neither its start nor its end waits for somebody who reads or writes there, nor does `health`."""
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


def test_a_reader_never_sees_half_of_it() -> None:
    """Two writers may even share a file: each content is whole."""
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


def test_two_bridges_of_one_user_are_told_apart(node: SyncthingNode, broker: Mosquitto, tmp_path: Path) -> None:
    """`stbridge health` of one that was killed does not return what the other has written."""
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

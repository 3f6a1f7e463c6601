"""The built wheel works on every available Python version, without the source tree."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from stbridge import __version__
from stbridge.demo.node import SyncthingNode
from stbridge.errors import UsageError
from tests.servers import PATIENCE_S, ROOT, Mosquitto, Subscriber, instance, manifest

MINORS = range(11, 20)
EXACT_PACKAGES = ROOT / "requirements/service.txt"
UNITS = ("systemd/stbridge.service", "systemd/user/stbridge.service")
BUILD_TOOLS = ROOT / ".cache/build/bin/python"
"""Installed by scripts/build."""


def pythons() -> Iterator[str]:
    """Yield one interpreter for each available Python version that the bridge supports."""
    ours = f"3.{sys.version_info.minor}"
    for version in (f"3.{minor}" for minor in MINORS):
        program = sys.executable if version == ours else shutil.which(f"python{version}") or _unpacked(version)
        if program and _answers(program, version):
            yield program


def _unpacked(version: str) -> str | None:
    """Return an interpreter that scripts/homeassistant has installed."""
    return next((str(path) for path in ROOT.glob(f".cache/*/*/usr/bin/python{version}")), None)


def _answers(program: str, version: str) -> bool:
    """Return whether an interpreter runs: pyenv provides commands for versions that are not installed."""
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return result.returncode == 0 and f" {version}." in result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution."""
    directory = tmp_path_factory.mktemp("source")
    subprocess.run([ROOT / "scripts/build", directory], check=True, env={**os.environ, "PYTHON": sys.executable})
    (built,) = directory.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution."""
    directory = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(directory)]
    command = [str(BUILD_TOOLS), "-m", "pip", "wheel", *options, "--no-build-isolation", str(source)]
    # Without an index pip can fetch nothing: all build requirements must be installed already.
    subprocess.run(command, check=True, env={**os.environ, "PIP_NO_INDEX": "1"})
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module", params=list(pythons()), ids=lambda program: Path(program).name)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and its locked packages into an environment, and return its directory of programs."""
    directory: Path = tmp_path_factory.mktemp("installed")
    subprocess.run([request.param, "-m", "venv", "--without-pip", str(directory)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(directory), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--requirement", str(EXACT_PACKAGES)], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    return directory / "bin"


@pytest.fixture(scope="module")
def syncthing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """Start a Syncthing instance of the newest version."""
    newest = list(manifest()["syncthing"].values())[-1]
    one = SyncthingNode("nas", tmp_path_factory.mktemp("syncthing"), newest)
    one.start()
    yield one
    one.stop()


def variables_of(directory: Path) -> Mapping[str, str]:
    """Return environment variables without the source tree, in which Python warnings are errors."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PYTHONWARNINGS": "error",
    }


def called(installed: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run(
        [installed / "stbridge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=variables_of(directory),
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git clone, so the list of files is unknown")
def test_the_source_distribution_holds_everything(source: Path) -> None:
    """Every file of the repository is in it, including all tests and their data, except files for git and CI."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in listed.splitlines() if not name.startswith((".ci/", ".git"))} - held == set()


def test_the_wheel_contains_only_the_program(wheel: Path) -> None:
    """The wheel contains types, license, console script and the units of systemd, and no tests."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        content = archive.read(metadata).decode()
    ours = f"syncthing_mqtt-{__version__}"
    assert {name.partition("/")[0] for name in names} == {"stbridge", f"{ours}.dist-info", f"{ours}.data"}
    units = {name for name in names if name.startswith(f"{ours}.data/")}
    assert units == {f"{ours}.data/data/share/stbridge/{name}" for name in UNITS}
    assert "stbridge/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Name: syncthing-mqtt\n" in content
    assert f"Version: {__version__}" in content
    assert "Requires-Python: >=3.11" in content


def test_the_program_shows_version_help_and_schema(installed: Path, tmp_path: Path) -> None:
    """Version, help and the schema of the settings need no settings."""
    assert called(installed, tmp_path, "--version").stdout == f"stbridge {__version__}\n"
    assert "exit status:" in called(installed, tmp_path, "--help").stdout
    assert json.loads(called(installed, tmp_path, "schema").stdout)["properties"]["mqtt"]


@pytest.mark.parametrize(("extra", "arguments"), [("watch", []), ("demo", []), ("completion", ["bash"])])
def test_a_command_that_needs_an_extra_names_it(
    installed: Path, tmp_path: Path, extra: str, arguments: list[str]
) -> None:
    """The wheel does not install optional packages; a command that needs them names the extra."""
    result = called(installed, tmp_path, extra, *arguments)
    assert result.returncode == UsageError.exit_status
    assert f"extra `{extra}`" in result.stderr


def test_the_wheel_installs_the_units(installed: Path) -> None:
    """Users without a clone copy the units of systemd from the environment of the program."""
    for name in UNITS:
        assert (installed.parent / "share/stbridge" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_client_can_be_used_from_python(installed: Path, tmp_path: Path, syncthing: SyncthingNode) -> None:
    """The package can be used as a Syncthing client without MQTT."""
    client = f"SyncthingClient({syncthing.api_key!r}, {syncthing.url!r})"
    script = f"from stbridge import SyncthingClient; print({client}.get_ping())"
    command = [str(installed / "python"), "-c", script]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=variables_of(tmp_path)
    )
    assert "pong" in result.stdout, result.stderr


def test_the_service_runs_from_the_wheel(
    installed: Path, tmp_path: Path, broker: Mosquitto, syncthing: SyncthingNode
) -> None:
    """The service publishes a real Syncthing instance to a real broker, is healthy, and stops cleanly."""
    subscriber = Subscriber(broker.port)
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", syncthing), **variables_of(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        bridge = subprocess.Popen([installed / "stbridge", "run"], cwd=tmp_path, env=variables, stderr=log)
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        assert json.loads(subscriber.latest()["syncthing/nas/connection"])["status"] == "online"
        health = called(installed, tmp_path, "health")
        assert health.returncode == 0, health.stderr
    finally:
        bridge.terminate()
        ended = bridge.wait(PATIENCE_S)
        subscriber.close()
    assert ended == 0
    assert "Warning" not in (tmp_path / "log").read_text(encoding="utf-8")

"""The built wheel works on every available Python version, with the newest and with the oldest allowed packages."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from stbridge import __version__
from stbridge.demo.node import SyncthingNode
from stbridge.errors import SettingsError, UsageError
from tests.servers import PATIENCE_S, ROOT, Mosquitto, Subscriber, eventually, instance, manifest

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = PROJECT["urls"]["Source"]
VERSIONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
"""The versions of Python for which the package is published."""

NEWEST, OLDEST = "newest", "oldest"
EXACT_PACKAGES = ROOT / "requirements/service.txt"
"""The newest allowed packages, when `scripts/lock --upgrade` has run."""

UNITS = ("systemd/stbridge-web.service", "systemd/stbridge.service", "systemd/user/stbridge.service")
BUILD_TOOLS = ROOT / ".cache/build/bin/python"
"""Installed by scripts/build."""

TOOLS = ROOT / ".cache/tools"


def python_of(version: str) -> str | None:
    """Return an interpreter of a version of Python."""
    ours = f"3.{sys.version_info.minor}"
    programs = [sys.executable] if version == ours else [shutil.which(f"python{version}"), *_unpacked(version)]
    return next((one for one in programs if one and _answers(one, version)), None)


def _unpacked(version: str) -> Iterator[str]:
    """Yield the interpreters that pyenv or scripts/homeassistant have installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))
    yield from map(str, ROOT.glob(f".cache/*/*/usr/bin/python{version}"))


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


@pytest.fixture(scope="session")
def uv() -> Path:
    """Return uv, which can also select the oldest allowed packages."""
    command = [ROOT / "scripts/environment", TOOLS, ROOT / "requirements/tools.txt"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHON": sys.executable})
    return TOOLS / "bin/uv"


@pytest.fixture(
    scope="module",
    params=[(version, packages) for version in VERSIONS for packages in (NEWEST, OLDEST)],
    ids="-".join,
)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory, uv: Path) -> Path:
    """Install the wheel and its packages into an environment, and return its directory of programs."""
    version, packages = request.param
    program = python_of(version)
    if program is None:
        pytest.skip(f"Python {version} is not installed on this machine")
    directory: Path = tmp_path_factory.mktemp("installed")
    subprocess.run([program, "-m", "venv", "--without-pip", str(directory)], check=True)
    install = [str(uv), "pip", "install", "--quiet", "--python", str(directory / "bin/python")]
    if packages == OLDEST:
        # Without builds: the oldest version is the oldest one with a wheel for this version of Python.
        subprocess.run([*install, "--resolution", "lowest-direct", "--no-build", str(wheel)], check=True)
    else:
        subprocess.run([*install, "--require-hashes", "--requirement", str(EXACT_PACKAGES)], check=True)
        subprocess.run([*install, "--no-deps", str(wheel)], check=True)
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


def called(
    installed: Path, directory: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run(
        [installed / "stbridge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**variables_of(directory), **(variables or {})},
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
    static = ROOT / "stbridge/web/static"
    assert {f"stbridge/web/static/{file.name}" for file in static.iterdir()} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Name: syncthing-mqtt\n" in content
    assert f"Version: {__version__}" in content
    assert "Requires-Python: >=3.11" in content
    assert "License-Expression: MPL-2.0\n" in content
    assert "Provides-Extra: dev" not in content


def test_the_readme_of_the_wheel_links_to_its_tag(wheel: Path) -> None:
    """PyPI has no files of the repository: links and pictures have the addresses of the files of this version."""
    with ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        content = archive.read(metadata).decode()
    targets = re.findall(r"\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)", content)
    outside = [one for one in map("".join, targets) if not one.startswith(("https://", "#"))]
    assert outside == []
    path = SOURCE.removeprefix("https://github.com/")
    linked = [one for one in map("".join, targets) if path in one]
    expected = (f"{SOURCE}/blob/v{__version__}/", f"https://raw.githubusercontent.com/{path}/v{__version__}/")
    assert {place: any(one.startswith(place) for one in linked) for place in expected} == dict.fromkeys(expected, True)
    assert [one for one in linked if not one.startswith(expected)] == []
    files = {one.removeprefix(place).partition("#")[0] for one in linked for place in expected if one.startswith(place)}
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_two_builds_of_the_same_source_are_equal(wheel: Path, source: Path, tmp_path: Path) -> None:
    """Anyone can build the published files again: from the source distribution, at another time, with another umask."""
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    command = ["sh", "-c", 'umask 077 && exec "$0" -m hatchling build --directory ../built', str(BUILD_TOOLS)]
    subprocess.run(command, check=True, cwd=tree, stdout=subprocess.DEVNULL)
    built = tmp_path / "built"
    assert (built / wheel.name).read_bytes() == wheel.read_bytes()
    assert (built / source.name).read_bytes() == source.read_bytes()


def test_the_oldest_version_of_python_is_required() -> None:
    """An installer selects this package only for the versions that are tested, and for later ones."""
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"


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


def test_the_web_page_needs_its_extra_or_the_packages_of_a_service(installed: Path, tmp_path: Path) -> None:
    """The list of exact packages is also that of the images, which serve the page."""
    result = called(installed, tmp_path, "web", variables={"STBRIDGE_WEB__HOST": "192.0.2.1"})
    if list(installed.parent.glob("lib/python*/site-packages/starlette")):
        assert result.returncode == SettingsError.exit_status
        assert "web.password" in result.stderr
    else:
        assert result.returncode == UsageError.exit_status
        assert "extra `web`" in result.stderr


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
    """The check succeeds, and the service publishes a real instance to a real broker, is healthy, and stops cleanly."""
    subscriber = Subscriber(broker.port)
    settings = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", syncthing)}
    variables = {**settings, **variables_of(tmp_path)}
    checked = called(installed, tmp_path, "check", variables=settings)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with (tmp_path / "log").open("wb") as log:
        bridge = subprocess.Popen([installed / "stbridge", "run"], cwd=tmp_path, env=variables, stderr=log)
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        subscriber.wait_for_json("syncthing/nas/connection", lambda one: one["status"] == "online")
        eventually(lambda: called(installed, tmp_path, "health").returncode == 0)
    finally:
        bridge.terminate()
        ended = bridge.wait(PATIENCE_S)
        subscriber.close()
    assert ended == 0
    assert "Warning" not in (tmp_path / "log").read_text(encoding="utf-8")

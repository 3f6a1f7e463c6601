"""The units for systemd fit the program that they start, and systemd has nothing against them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from stbridge import bridge
from stbridge.cli import _parser
from stbridge.commands.dispatcher import MAX_SCAN_WORKERS, MAX_WORKERS
from stbridge.errors import SettingsError
from stbridge.health import health_file
from stbridge.syncthing.transport import LARGEST_ANSWER
from tests.documents import ROOT, text_of
from tests.machine import Machine

MACHINE = ROOT / "systemd/stbridge.service"
USER = ROOT / "systemd/user/stbridge.service"
VARIABLES = ROOT / "systemd/stbridge.env"
MOST_EXPOSED = 1.5
MOST_INSTANCES = 50
"""Instances whose pools of commands can all be full at once: beyond that, start a second bridge."""

each_unit = pytest.mark.parametrize("unit", [MACHINE, USER], ids=["machine", "user"])
with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")


def values(unit: Path, key: str) -> list[str]:
    """Return the values that a key has in a unit."""
    return re.findall(rf"^{key}=(.*)$", text_of(unit), re.MULTILINE)


def analyzed(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Return what the real systemd says."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)}
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


@each_unit
def test_a_unit_starts_the_service_where_it_looks_for_its_settings_itself(unit: Path) -> None:
    """With no file named, settings in variables alone will do."""
    (start,) = values(unit, "ExecStart")
    program, *arguments = shlex.split(start.removeprefix("/usr/bin/env "))
    given = _parser().parse_args(arguments)
    assert (program, given.subcommand, given.config) == ("stbridge", "run", None)


@each_unit
def test_a_unit_does_not_start_again_what_has_wrong_settings(unit: Path) -> None:
    """Only where starting again may help, it is done, and then for ever."""
    assert values(unit, "Restart") == ["on-failure"]
    assert values(unit, "RestartPreventExitStatus") == [str(SettingsError.exit_status)]
    assert values(unit, "StartLimitIntervalSec") == ["0"]


@each_unit
def test_a_unit_has_more_patience_than_the_bridge(unit: Path) -> None:
    """Neither a slow look at the parts nor a stop that answers everything is cut short."""
    assert values(unit, "Type") == ["notify"]
    assert int(values(unit, "WatchdogSec")[0]) > 2 * bridge.SUPERVISION_S
    assert int(values(unit, "TimeoutStopSec")[0]) > bridge.STOP_S


def test_the_health_file_of_the_machine_has_a_place() -> None:
    """Nothing else can be written, and `stbridge health` looks there, too."""
    assert values(MACHINE, "ProtectSystem") == ["strict"]
    (directory,) = values(MACHINE, "RuntimeDirectory")
    path = f"/run/{directory}"
    assert health_file({"RUNTIME_DIRECTORY": path}, "stbridge").is_relative_to(path)


def test_the_health_file_of_a_user_is_where_that_user_looks() -> None:
    """The service has no directory of its own: `stbridge health` in a shell would not know of it."""
    assert values(USER, "RuntimeDirectory") == []


def test_the_secrets_of_the_machine_reach_their_settings(machine: Machine) -> None:
    """Each credential is called as the bridge expects, and may be missing: with a path the service would not start."""
    machine.config('[mqtt]\nusername = "bridge"\n[syncthing.local]\nurl = "http://127.0.0.1:8384"\n')
    for name in values(MACHINE, "LoadCredential"):
        assert ":" not in name
        machine.systemd_credential(name, f"from {name}")
    settings = machine.load()
    assert settings.mqtt.password.get_secret_value() == "from stbridge_mqtt_password"
    assert settings.syncthing["local"].api_key.get_secret_value() == "from stbridge_syncthing_local_api_key"


@each_unit
def test_the_file_of_variables_may_be_missing(unit: Path) -> None:
    """It is the example's name that the units read."""
    (file,) = values(unit, "EnvironmentFile")
    assert file.startswith("-")
    assert Path(file).name == VARIABLES.name


def test_the_example_of_variables_can_be_used(machine: Machine) -> None:
    """Whoever takes the hash signs away has settings that are understood."""
    lines = re.findall(r"^#(STBRIDGE_\w+)=(.*)$", text_of(VARIABLES), re.MULTILINE)
    machine.environment(dict(lines))
    settings = machine.load()
    assert settings.mqtt.host == "broker.lan"
    assert settings.syncthing["nas"].verify.startswith("sha256:")
    assert re.findall(r"^[^#\n]", text_of(VARIABLES), re.MULTILINE) == []


@each_unit
def test_a_unit_limits_memory_and_tasks(unit: Path) -> None:
    """A fault of the bridge cannot use up the machine, and the limits leave room for the bounds of its own."""
    (memory,) = values(unit, "MemoryMax")
    (tasks,) = values(unit, "TasksMax")
    assert memory.endswith("G")
    assert int(memory.removesuffix("G")) * 2**30 >= 8 * LARGEST_ANSWER  # a parsed reply needs several times its size
    assert int(tasks) > MOST_INSTANCES * (MAX_WORKERS + MAX_SCAN_WORKERS + 2)


@with_systemd
@each_unit
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    """The real systemd knows every key, and finds what is started."""
    manager = ["--user"] if unit == USER else []
    result = analyzed(*manager, "verify", unit, directory=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@with_systemd
def test_the_service_of_the_machine_is_exposed_little(tmp_path: Path) -> None:
    """The real systemd's own mark of how much a service might do, from 0 to 10."""
    result = analyzed("security", "--offline=true", MACHINE, directory=tmp_path)
    (mark,) = re.findall(r"exposure level for stbridge.service: ([\d.]+)", result.stdout)
    assert float(mark) <= MOST_EXPOSED

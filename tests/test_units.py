"""The systemd units match the program that they start, and systemd accepts them."""

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
"""Instances whose command pools can all be full at the same time: above this number, start a second bridge."""

WEB = ROOT / "systemd/stbridge-web.service"

each_unit = pytest.mark.parametrize("unit", [MACHINE, USER], ids=["machine", "user"])
with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")


def values(unit: Path, key: str) -> list[str]:
    """Return the values of a key in a unit."""
    return re.findall(rf"^{key}=(.*)$", text_of(unit), re.MULTILINE)


def analyzed(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Return the output of the real systemd-analyze."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)}
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


@each_unit
def test_a_unit_lets_the_service_find_its_settings(unit: Path) -> None:
    """The unit names no settings file, so that variables alone are sufficient."""
    (start,) = values(unit, "ExecStart")
    program, *arguments = shlex.split(start.removeprefix("/usr/bin/env "))
    given = _parser().parse_args(arguments)
    assert (program, given.subcommand, given.config) == ("stbridge", "run", None)


@each_unit
def test_a_unit_does_not_restart_after_wrong_settings(unit: Path) -> None:
    """The service is restarted only where that may help, and then without a limit."""
    assert values(unit, "Restart") == ["on-failure"]
    assert values(unit, "RestartPreventExitStatus") == [str(SettingsError.exit_status)]
    assert values(unit, "StartLimitIntervalSec") == ["0"]


@each_unit
def test_the_timeouts_of_a_unit_are_longer_than_those_of_the_bridge(unit: Path) -> None:
    """Neither a slow supervision check nor a stop that answers all commands is interrupted."""
    assert values(unit, "Type") == ["notify"]
    assert int(values(unit, "WatchdogSec")[0]) > 2 * bridge.SUPERVISION_S
    assert int(values(unit, "TimeoutStopSec")[0]) > bridge.STOP_S


def test_the_health_file_of_the_system_service_can_be_written() -> None:
    """No other path is writable, and `stbridge health` looks there, too."""
    assert values(MACHINE, "ProtectSystem") == ["strict"]
    (directory,) = values(MACHINE, "RuntimeDirectory")
    path = f"/run/{directory}"
    assert health_file({"RUNTIME_DIRECTORY": path}, "stbridge").is_relative_to(path)


def test_the_health_file_of_a_user_service_is_at_the_default_path() -> None:
    """The unit has no directory of its own, because `stbridge health` in a shell would not find it."""
    assert values(USER, "RuntimeDirectory") == []


def test_the_credentials_of_the_system_service_reach_their_settings(machine: Machine) -> None:
    """Each credential has the name that the bridge expects, and is optional: a path would make it mandatory."""
    machine.config('[mqtt]\nusername = "bridge"\n[syncthing.local]\nurl = "http://127.0.0.1:8384"\n')
    for name in values(MACHINE, "LoadCredential"):
        assert ":" not in name
        machine.systemd_credential(name, f"from {name}")
    settings = machine.load()
    assert settings.mqtt.password.get_secret_value() == "from stbridge_mqtt_password"
    assert settings.syncthing["local"].api_key.get_secret_value() == "from stbridge_syncthing_local_api_key"


@each_unit
def test_freed_memory_is_not_kept_for_each_thread(unit: Path) -> None:
    """Every thread of the command pool would add up to 0.2 MB; only the environment can configure this in glibc."""
    setting = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"
    assert setting in values(unit, "Environment")
    assert setting in text_of(ROOT / "Dockerfile").split()


@each_unit
def test_the_environment_file_is_optional(unit: Path) -> None:
    """The units read the file name of the example."""
    (file,) = values(unit, "EnvironmentFile")
    assert file.startswith("-")
    assert Path(file).name == VARIABLES.name


def test_the_example_of_the_environment_file_is_valid(machine: Machine) -> None:
    """Each setting in it is valid when a user uncomments it."""
    lines = re.findall(r"^#(STBRIDGE_\w+)=(.*)$", text_of(VARIABLES), re.MULTILINE)
    machine.environment(dict(lines))
    settings = machine.load()
    assert settings.mqtt.host == "broker.lan"
    assert settings.syncthing["nas"].verify.startswith("sha256:")
    assert re.findall(r"^[^#\n]", text_of(VARIABLES), re.MULTILINE) == []


@each_unit
def test_a_unit_limits_memory_and_tasks(unit: Path) -> None:
    """A fault in the bridge cannot exhaust the machine; the limits are above the bridge's own bounds."""
    (memory,) = values(unit, "MemoryMax")
    (tasks,) = values(unit, "TasksMax")
    assert memory.endswith("G")
    assert int(memory.removesuffix("G")) * 2**30 >= 8 * LARGEST_ANSWER  # a parsed reply needs several times its size
    assert int(tasks) > MOST_INSTANCES * (MAX_WORKERS + MAX_SCAN_WORKERS + 2)


@with_systemd
@each_unit
def test_systemd_accepts_a_unit(unit: Path, tmp_path: Path) -> None:
    """The real systemd knows every key, and finds the program."""
    manager = ["--user"] if unit == USER else []
    result = analyzed(*manager, "verify", unit, directory=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@with_systemd
@pytest.mark.parametrize("unit", [MACHINE, WEB], ids=["machine", "web"])
def test_the_system_service_has_a_low_exposure(unit: Path, tmp_path: Path) -> None:
    """The real systemd rates from 0 to 10 how much harm a service could do."""
    result = analyzed("security", "--offline=true", unit, directory=tmp_path)
    (mark,) = re.findall(r"exposure level for [\w-]+.service: ([\d.]+)", result.stdout)
    assert float(mark) <= MOST_EXPOSED


# --- the web page


def test_the_unit_of_the_web_page_runs_it(machine: Machine) -> None:
    """It has the hardening of the bridge's unit, and passwords that reach their settings."""
    (start,) = values(WEB, "ExecStart")
    assert _parser().parse_args(shlex.split(start.removeprefix("/usr/bin/env stbridge "))).subcommand == "web"
    assert values(WEB, "RestartPreventExitStatus") == [str(SettingsError.exit_status)]
    for name in values(WEB, "LoadCredential"):
        machine.systemd_credential(name, f"secret of {name}")
    machine.environment({"STBRIDGE_MQTT__USERNAME": "web"})
    settings = machine.load()
    assert settings.web.password.get_secret_value() == "secret of stbridge_web_password"
    assert settings.mqtt.password.get_secret_value() == "secret of stbridge_mqtt_password"
    hardening = text_of(MACHINE).partition("UMask=")[2].partition("[Install]")[0]
    assert hardening in text_of(WEB)


@with_systemd
def test_systemd_accepts_the_unit_of_the_web_page(tmp_path: Path) -> None:
    """The real systemd knows every key, and finds the program."""
    result = analyzed("verify", WEB, directory=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")

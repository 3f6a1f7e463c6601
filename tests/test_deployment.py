"""The unit, the image and the compose file fit the program that they start."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from argparse import Namespace
from urllib.parse import urlsplit

import pytest

from stbridge import bridge
from stbridge.cli import _parser
from stbridge.commands import desk
from stbridge.errors import SettingsError
from stbridge.health import health_file
from stbridge.settings_sources import SYSTEM_FILE
from tests.documents import ROOT, text_of
from tests.machine import Machine

UNIT = ROOT / "systemd/stbridge.service"
IMAGE = text_of(ROOT / "Dockerfile")
COMPOSE = text_of(ROOT / "docker-compose.yml")


def unit(key: str) -> list[str]:
    """Return the values that a key has in the unit."""
    return re.findall(rf"^{key}=(.*)$", text_of(UNIT), re.MULTILINE)


def understood(command: list[str]) -> Namespace:
    """Return what the command line makes of a command; one that it does not understand ends the test."""
    assert command[0] == "stbridge"
    return _parser().parse_args(command[1:])


# --- systemd


def test_the_unit_starts_the_service_with_the_usual_file() -> None:
    """What the unit starts is understood, and reads the settings where the documents say."""
    (start,) = unit("ExecStart")
    given = understood(shlex.split(start.removeprefix("/usr/bin/env ")))
    assert (given.subcommand, given.config) == ("run", SYSTEM_FILE)


def test_the_unit_does_not_start_again_what_has_wrong_settings() -> None:
    """Only where starting again may help, it is done."""
    assert unit("Restart") == ["on-failure"]
    assert unit("RestartPreventExitStatus") == [str(SettingsError.exit_status)]


def test_the_unit_has_more_patience_than_the_bridge() -> None:
    """Neither a slow look at the parts nor a stop that answers everything is cut short."""
    assert unit("Type") == ["notify"]
    assert int(unit("WatchdogSec")[0]) > 2 * bridge.SUPERVISION_S
    assert int(unit("TimeoutStopSec")[0]) > bridge.STOP_S + desk.STOP_S


def test_the_unit_gives_the_health_file_a_place() -> None:
    """Nothing else can be written, and `stbridge health` looks there, too."""
    assert unit("ProtectSystem") == ["strict"]
    (directory,) = unit("RuntimeDirectory")
    path = f"/run/{directory}"
    assert health_file({"RUNTIME_DIRECTORY": path}).is_relative_to(path)


def test_the_secrets_of_the_unit_reach_their_settings(machine: Machine) -> None:
    """Each credential is called as the bridge expects, and may be missing: with a path the service would not start."""
    machine.config('[syncthing.local]\nurl = "http://127.0.0.1:8384"\n')
    for name in unit("LoadCredential"):
        assert ":" not in name
        machine.systemd_credential(name, f"from {name}")
    settings = machine.load()
    assert settings.mqtt.password.get_secret_value() == "from stbridge_mqtt_password"
    assert settings.syncthing["local"].api_key.get_secret_value() == "from stbridge_syncthing_local_api_key"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_has_nothing_against_the_unit() -> None:
    """The real systemd knows every key of the unit."""
    result = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert UNIT.name not in result.stderr


# --- containers


def test_the_image_is_made_of_what_there_is() -> None:
    """Whatever is copied into the image exists, and the package is complete there."""
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", IMAGE, re.MULTILINE) for name in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    assert {"pyproject.toml", "stbridge", project["project"]["readme"]} <= set(copied)


def test_the_image_starts_the_service_and_its_health_check() -> None:
    """The commands of the image are understood."""
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", IMAGE, re.MULTILINE)
    (arguments,) = re.findall(r"^CMD (.*)$", IMAGE, re.MULTILINE)
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (.*)$", IMAGE, re.MULTILINE)
    assert understood(json.loads(entry) + json.loads(arguments)).subcommand == "run"
    assert understood(json.loads(check)).subcommand == "health"


def test_the_parts_of_the_compose_file_find_each_other(machine: Machine) -> None:
    """The settings in it are real, lead to the other services, and hold the key that Syncthing is given."""
    machine.environment(dict(re.findall(r"^ +(STBRIDGE_\w+): (.*)$", COMPOSE, re.MULTILINE)))
    settings = machine.load()
    services = set(re.findall(r"^  ([\w-]+):$", COMPOSE, re.MULTILINE))
    (nas,) = settings.syncthing.values()
    assert {settings.mqtt.host, urlsplit(nas.url).hostname} <= services - {"stbridge"}
    assert re.findall(r"STGUIAPIKEY: (.*)$", COMPOSE, re.MULTILINE) == [nas.api_key.get_secret_value()]


# --- the source


def test_the_source_distribution_is_complete() -> None:
    """Whoever gets the source can run its tests and read its documents."""
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))} - {"dist"}
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert set(included) == visible - {"pyproject.toml"}  # which is always in it


def test_scripts_that_are_called_exist() -> None:
    """The Makefile and CI start programs that are there."""
    for caller in (ROOT / "Makefile", ROOT / ".ci/run"):
        for name in re.findall(r"scripts/[\w-]+", text_of(caller)):
            assert (ROOT / name).stat().st_mode & 0o111, name

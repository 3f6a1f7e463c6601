"""The image and the compose file fit the program that they start, and the source distribution is complete."""

import json
import re
import tomllib
from argparse import Namespace
from urllib.parse import urlsplit

from stbridge.cli import _parser
from tests.documents import ROOT, text_of
from tests.machine import Machine

IMAGE = text_of(ROOT / "Dockerfile")
COMPOSE = text_of(ROOT / "docker-compose.yml")


def understood(command: list[str]) -> Namespace:
    """Return what the command line makes of a command; one that it does not understand ends the test."""
    assert command[0] == "stbridge"
    return _parser().parse_args(command[1:])


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

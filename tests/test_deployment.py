"""The image and the compose file match the program that they start, and the source distribution is complete."""

import json
import re
import subprocess
import tempfile
import tomllib
from argparse import Namespace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from stbridge.cli import _parser
from stbridge.health import health_file
from tests.documents import ROOT, text_of
from tests.machine import Machine

DOCKERFILE = ROOT / "Dockerfile"
IMAGE = text_of(DOCKERFILE)
COMPOSE: Any = yaml.safe_load(text_of(ROOT / "docker-compose.yml"))
SERVICES: Any = COMPOSE["services"]
PROJECT = tomllib.loads(text_of(ROOT / "pyproject.toml"))
COPIED = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", IMAGE, re.MULTILINE) for name in line.split()]


def understood(command: list[str]) -> Namespace:
    """Return the parsed arguments of a command; a command that the command line refuses fails the test."""
    assert command[0] == "stbridge"
    return _parser().parse_args(command[1:])


# --- the image


def test_the_image_copies_only_files_that_exist() -> None:
    """Everything that is copied into the image exists, and the package in the image is complete."""
    assert [name for name in COPIED if not (ROOT / name).exists()] == []
    described = {one["path"] for one in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]}
    assert {"pyproject.toml", "stbridge", *described} <= set(COPIED)


def test_the_build_context_contains_only_copied_files() -> None:
    """The context contains exactly the files that the Dockerfile copies, without the history or the caches."""
    lines = text_of(ROOT / ".dockerignore").splitlines()
    assert "*" in lines
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert all(any(fnmatch(name, f"{one}*") for one in let_in) for name in COPIED)
    assert all(any(name.startswith(one) for name in COPIED) for one in let_in)


def test_the_image_starts_the_service_and_its_health_check() -> None:
    """The command line accepts the commands of the image."""
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", IMAGE, re.MULTILINE)
    (arguments,) = re.findall(r"^CMD (.*)$", IMAGE, re.MULTILINE)
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (.*)$", IMAGE, re.MULTILINE)
    assert understood(json.loads(entry) + json.loads(arguments)).subcommand == "run"
    assert understood(json.loads(check)).subcommand == "health"


def test_the_image_runs_as_an_unprivileged_user() -> None:
    """In its container the bridge is neither root nor any user that exists on the machine."""
    assert re.findall(r"^USER (.*)$", IMAGE, re.MULTILINE) == ["65532:65532"]


# --- the compose file


def test_the_parts_of_the_compose_file_find_each_other(machine: Machine) -> None:
    """The settings in the file are valid, and lead to the other services and to the API key that one of them writes."""
    machine.environment(SERVICES["stbridge"]["environment"])
    machine.docker_secret("syncthing_nas_api_key", "the key")
    assert "/secrets/syncthing_nas_api_key" in SERVICES["key"]["entrypoint"][-1]
    settings = machine.load()
    (nas,) = settings.syncthing.values()
    assert {settings.mqtt.host, urlsplit(nas.url).hostname} <= set(SERVICES) - {"stbridge"}
    assert nas.api_key.get_secret_value() == "the key"


def test_the_key_is_read_from_the_configuration_of_syncthing(tmp_path: Path) -> None:
    """The command of the service `key` finds the API key in a configuration with the format of a real instance."""
    file, secrets = tmp_path / "config.xml", tmp_path / "key"
    file.write_text("<gui>\n        <address>x</address>\n        <apikey>aB3</apikey>\n    </gui>\n", encoding="utf-8")
    command = [part.replace("/secrets/syncthing_nas_api_key", str(secrets)) for part in SERVICES["key"]["entrypoint"]]
    subprocess.run([*command, file], check=True)
    assert secrets.read_text(encoding="utf-8").strip() == "aB3"


def test_the_bridge_in_the_compose_file_can_write_its_health_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's root is read-only except for the health file; it has no capabilities and cannot gain any."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # as in the image, whatever TMPDIR is here
    bridge = SERVICES["stbridge"]
    assert bridge["read_only"] is True
    assert bridge["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in bridge["security_opt"]
    assert [str(health_file({}, "stbridge").parent.parent)] == bridge["tmpfs"]


def test_the_bridge_in_the_compose_file_has_the_limits_of_its_unit() -> None:
    """The container has the same limits as the systemd service."""
    unit = dict(re.findall(r"^(MemoryMax|TasksMax)=(.*)$", text_of(ROOT / "systemd/stbridge.service"), re.MULTILINE))
    bridge = SERVICES["stbridge"]
    assert {"MemoryMax": bridge["mem_limit"].upper(), "TasksMax": str(bridge["pids_limit"])} == unit


def test_every_dependency_in_the_compose_file_can_become_healthy() -> None:
    """A service that others wait for to be healthy has a health check."""
    for service in SERVICES.values():
        waits = service.get("depends_on", {})
        healthy = [name for name in waits if isinstance(waits, dict) and waits[name]["condition"] == "service_healthy"]
        assert all(SERVICES[name]["healthcheck"]["test"] for name in healthy)
        assert set(waits) <= set(SERVICES)


def test_only_syncthing_can_be_reached_from_other_machines() -> None:
    """The broker and the GUIs use plain text, so they listen only on this machine."""
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    open_to_all = {(name, port) for name, ones in ports.items() for port in ones if not port.startswith("127.0.0.1:")}
    assert open_to_all == {("syncthing", "22000:22000/tcp"), ("syncthing", "22000:22000/udp")}


def test_the_files_that_the_compose_file_mounts_exist() -> None:
    """Files of the project exist, and volumes are declared."""
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert all((ROOT / one).exists() for one in mounts if one.startswith("./"))
    assert {one for one in mounts if not one.startswith("./")} == set(COMPOSE["volumes"])


def test_the_broker_of_the_compose_file_keeps_retained_messages() -> None:
    """A volume holds the retained topics, so the bridge can restore them after a restart of the broker."""
    lines = text_of(ROOT / "docker/mosquitto.conf").splitlines()
    assert "persistence true" in lines
    assert "mosquitto:/mosquitto/data" in SERVICES["mosquitto"]["volumes"]


# --- the source


def test_the_source_distribution_is_complete() -> None:
    """The source distribution contains all tests and documents."""
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))} - {"build", "dist"}
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert set(included) - {".dockerignore"} == visible - {"pyproject.toml"}  # pyproject.toml is always included


def test_scripts_that_are_called_exist() -> None:
    """Every program that the Makefile and CI start exists."""
    for caller in (ROOT / "Makefile", ROOT / ".ci/run"):
        for name in re.findall(r"scripts/[\w-]+", text_of(caller)):
            assert (ROOT / name).stat().st_mode & 0o111, name


def names_in(requirements: list[str]) -> set[str]:
    """Return the normalized names of packages."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[<>=~!\[; ]", one)[0]).lower() for one in requirements}


def test_the_package_names_the_systems_that_it_runs_on() -> None:
    """Only those that are tested: the service needs user IDs, terminals, and signals to processes."""
    systems = {one for one in PROJECT["project"]["classifiers"] if one.startswith("Operating System")}
    assert systems == {"Operating System :: POSIX :: Linux"}


def test_no_failed_test_is_retried() -> None:
    """A retry hides race conditions, which tests are meant to find."""
    for file in ("Makefile", ".ci/run", "pyproject.toml", "requirements/development.txt"):
        assert "rerun" not in text_of(ROOT / file), file


# --- pinned packages

INSTALLERS = [ROOT / "Makefile", ROOT / ".ci/run", *sorted((ROOT / "scripts").iterdir()), *ROOT.glob("**/Dockerfile")]
INSTALLS = re.compile(r"\b(?:pip3?|pipx|npm|npx|uvx)\"? (?:-\S+ )*(?:install|i|wheel|ci|run|exec)\b")
EXACT = (
    re.compile(r"--require-hashes"),
    re.compile(r"--no-deps.*(?:--no-build-isolation|\.whl)"),
    re.compile(r"\bnpm ci\b"),
    re.compile(r"--package-lock-only"),  # updates the lock file only
    # The tests against Home Assistant: it pins its direct requirements itself, and installs those of its integrations.
    re.compile(r'pip install .*"homeassistant==\$VERSION"'),
)


def installs(file: Path) -> list[str]:
    """Return the commands of a file that install packages, each on one line."""
    lines = text_of(file).replace("\\\n", " ").splitlines()
    parts = [part for line in lines if not line.lstrip().startswith("#") for part in line.split("&&")]
    return [part.strip() for part in parts if INSTALLS.search(part) and "apt-get" not in part]


def test_every_installed_package_is_pinned() -> None:
    """Each package has its version and its hash in a list, and build isolation installs none."""
    found = {file.relative_to(ROOT): installs(file) for file in INSTALLERS}
    assert {str(file) for file, commands in found.items() if commands} >= {"Dockerfile", "scripts/environment"}
    inexact = [
        (str(file), one)
        for file, commands in found.items()
        for one in commands
        if not any(kind.search(one) for kind in EXACT)
    ]
    assert inexact == []


@pytest.mark.parametrize(
    "file", ["service.txt", "development.txt", "build.txt", "tools.txt", "brokers.txt", "release.txt"]
)
def test_each_pinned_package_has_a_hash(file: str) -> None:
    """A package without a hash needs a run of scripts/lock."""
    packages = re.findall(r"^\S+==.*(?:\n .*)+", text_of(ROOT / "requirements" / file), re.MULTILINE)
    assert len(packages) == len(re.findall(r"^\w", text_of(ROOT / "requirements" / file), re.MULTILINE)) > 0
    assert [one for one in packages if "--hash=sha256:" not in one] == []


@pytest.mark.parametrize("group", ["build", "tools", "brokers", "release"])
def test_the_pinned_tools_match_the_requirements(group: str) -> None:
    """The list includes the packages that build the wheel. A difference needs a run of scripts/lock."""
    asked = PROJECT["dependency-groups"][group]
    listed = re.findall(r"^(\S+==\S+)", text_of(ROOT / f"requirements/{group}.txt"), re.MULTILINE)
    assert names_in(asked) <= names_in(listed)
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])


def test_packages_that_are_in_several_lists_have_one_version() -> None:
    """The packages for the build and the tests are installed into one environment."""
    versions: dict[str, set[frozenset[str]]] = {}
    for name in ("service.txt", "development.txt", "build.txt"):
        pinned = re.findall(r"^(\S+)==([^\s;]+)", text_of(ROOT / "requirements" / name), re.MULTILINE)
        for package in {one for one, _ in pinned}:  # a package may have one line for each version of Python
            versions.setdefault(package, set()).add(frozenset(number for one, number in pinned if one == package))
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("file", ["Dockerfile", "homeassistant-app/stbridge/Dockerfile", "docker-compose.yml"])
def test_a_file_with_images_without_digests_states_that(file: str) -> None:
    """A tag can be moved, so a reader must not take it for a pinned version."""
    text = text_of(ROOT / file)
    images = re.findall(r"^(?:FROM|\s+image:) (\S+)", text, re.MULTILINE)
    assert images
    assert all("@sha256:" in one for one in images) != ("by their tags" in text or "by its tag" in text)


@pytest.mark.parametrize("name", sorted(one.parent.name for one in (ROOT / "requirements").glob("*/package.json")))
def test_each_package_of_npm_has_a_hash(name: str) -> None:
    """Indirect dependencies have hashes, too. A missing hash needs a run of scripts/lock."""
    directory = ROOT / "requirements" / name
    asked = json.loads(text_of(directory / "package.json"))
    packages = json.loads(text_of(directory / "package-lock.json"))["packages"]
    versions = asked["dependencies"] | asked.get("optionalDependencies", {})
    assert {package: packages[f"node_modules/{package}"]["version"] for package in versions} == versions
    installed = [one for path, one in packages.items() if path and not one.get("inBundle")]
    assert [one for one in installed if not one.get("integrity", "").startswith("sha512-")] == []


@pytest.mark.parametrize(
    ("file", "optional"),
    [("service.txt", ("web",)), ("development.txt", ("demo", "completion", "watch", "web", "dev", "docs"))],
)
def test_the_pinned_packages_match_the_requirements(file: str, optional: tuple[str, ...]) -> None:
    """The lists contain every package that pyproject.toml requires. A difference needs a run of scripts/lock."""
    project = PROJECT["project"]
    groups = project["optional-dependencies"] | PROJECT["dependency-groups"]
    asked = [*project["dependencies"], *(one for name in optional for one in groups[name])]
    listed = re.findall(r"^(\S+==\S+)", text_of(ROOT / "requirements" / file), re.MULTILINE)
    assert names_in(asked) <= names_in(listed)

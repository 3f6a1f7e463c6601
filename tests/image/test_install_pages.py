"""Every command on the pages about installing and upgrading is run on a fresh Debian, or it is listed here.

There is no Docker engine and no systemd in the root directories of these tests. What the reader starts with them is
started here from the same files: the container from `compose.yaml` and the Dockerfile, the services from their units.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge import __version__
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing.tls import seen_fingerprint
from tests.documents import ROOT
from tests.image.container import CACHE, SYSTEM_PATH, Container, Image
from tests.image.machine import HOME, USER, DebianMachine
from tests.image.pages import Command, File, steps
from tests.secrecy import SECRECY
from tests.servers import PATIENCE_S, Mosquitto, Subscriber, change_gui, eventually, manifest, variables_of

pytestmark = pytest.mark.timeout(600)  # most of the time is that of the package servers

LINUX = ROOT / "docs/install-linux.md"
DOCKER = ROOT / "docs/install-docker.md"
SOURCE = ROOT / "docs/install-source.md"
UPGRADE = ROOT / "docs/upgrade.md"

FOLLOWED = {
    LINUX: (
        "Install the program",
        "Run it as a user service",
        "Run it as a system service",
        "Several Syncthing instances",
    ),
    DOCKER: ("One container", "The complete stack"),
    SOURCE: ("On Linux", "Without the test packages"),
    UPGRADE: ("Docker", "User service", "System service", "From source"),
}
"""The sections that these tests follow, on each page."""
ONE_CONTAINER, STACK = FOLLOWED[DOCKER]
UPGRADE_DOCKER, UPGRADE_USER, UPGRADE_MACHINE, UPGRADE_SOURCE = FOLLOWED[UPGRADE]

SYSTEMD = "systemd must be the first process of the machine; these tests start the services from their units"
DAEMON = "needs the Docker daemon; these tests build the image and start the container from the same files"
REGISTRY = "needs images of a registry; tests/test_compose.py runs the services of this file"
PUBLISHED = "the program is not published yet"

NOT_HERE = {
    r"(sudo )?systemctl .*": SYSTEMD,
    r"loginctl .*": SYSTEMD,
    r"journalctl .*": SYSTEMD,
    r"docker compose ps": DAEMON,
    r"docker compose logs --follow": DAEMON,
    r"docker compose down": DAEMON,
    r"docker image rm stbridge": DAEMON,
    r"docker compose (--profile \S+ )+up --detach": REGISTRY,
    r"pipx install syncthing-mqtt": PUBLISHED,
    r"pipx upgrade syncthing-mqtt": PUBLISHED,
    r"make test": "CI runs it on a new machine, before these tests",
}
"""Commands that these tests do not run, each with the reason."""

KEYS_OF_COMPOSE = {
    *("build", "cap_drop", "command", "entrypoint", "extra_hosts", "image", "mem_limit", "networks", "pids_limit"),
    *("read_only", "restart", "security_opt", "tmpfs", "volumes"),
}
"""The keys of the service that these tests know, as `docker compose config` prints them."""

BROKER_ADDRESS = "127.0.0.81"
"""A separate loopback address, because its port 1883 is free."""
PASSWORD = "the password of the bridge"
NOBODY = 61234
"""The user ID that the system service gets."""
DEMO_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The servers to which the pages connect the bridge: `broker.lan`, and two Syncthing instances."""

    subscriber: Subscriber
    local: SyncthingNode
    nas: SyncthingNode

    def wait_for_bridge(self, *instances: str) -> None:
        """Wait until the bridge and these instances are online."""
        topics = {f"syncthing/{name}/state" for name in ("bridge", *instances)}
        eventually(lambda: topics <= {topic for topic, value in self.subscriber.latest().items() if value == b"online"})

    @property
    def retained(self) -> set[str]:
        """The topics of the bridge that have a value, and are not the results of commands."""
        return {one for one in self.subscriber.latest() if re.match(r"(syncthing|homeassistant)/(?!.*/event/)", one)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the files of a release."""
    directory = tmp_path_factory.mktemp("release")
    subprocess.run([ROOT / "scripts/build", directory], check=True, env={**os.environ, "PYTHON": sys.executable})
    return directory


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Start the broker, which knows the user of the bridge, and two Syncthing instances of the newest version."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "stbridge", PASSWORD], check=True)
    users.chmod(0o644)
    lines = ["allow_anonymous true", f"password_file {users}", f"listener 1883 {BROKER_ADDRESS}"]
    broker = Mosquitto(tmp_path, lines=lines).start()
    SECRECY.keep(PASSWORD, "the password of the bridge")
    newest = list(manifest()["syncthing"].values())[-1]
    local, nas = (SyncthingNode(name, tmp_path / name, newest) for name in ("local", "nas"))
    subscriber = Subscriber(broker.port)
    try:
        for node in (local, nas):
            node.start()
            SECRECY.keep(node.api_key, node.name)
        yield Servers(subscriber=subscriber, local=local, nas=nas)
    finally:
        subscriber.close()
        for node in (local, nas):
            node.stop()
        broker.stop()


class Reader:
    """Follows pages on a fresh machine: types all commands, except those in NOT_HERE, and writes all files.

    Args:
        machine: the machine.
        replaced: what the reader writes instead of words of the page: placeholders, and the addresses of the servers.
        given: the input of commands that read it.
        special: functions that run a command in another way.
    """

    def __init__(
        self,
        machine: DebianMachine,
        *,
        replaced: Mapping[str, str],
        given: Mapping[str, str] | None = None,
        special: Mapping[str, Callable[[str], None]] | None = None,
    ) -> None:
        self.machine = machine
        self._replaced = replaced
        self._given = given or {}
        self._special = special or {}

    def follow(self, page: Path, *sections: str) -> None:
        """Follow sections of a page. A command that fails fails the test."""
        for step in steps(page, *sections):
            if isinstance(step, File):
                self.machine.write(step.path, self._here(step.text), added=step.added)
            elif not any(re.fullmatch(form, step.text) for form in NOT_HERE):
                self._run(step)

    def _run(self, step: Command) -> None:
        command = self._here(step.text)
        for form, function in self._special.items():
            if re.match(form, command):
                function(command)
                return
        given = next((text for end, text in self._given.items() if re.search(rf"{end}'?$", command)), "")
        result = self.machine.type(command, given)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"

    def _here(self, text: str) -> str:
        for word, instead in self._replaced.items():
            text = text.replace(word, instead)
        return text


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_every_section_with_steps_is_followed(page: Path) -> None:
    """These tests follow exactly the sections that contain commands or files."""
    assert {step.section for step in steps(page)} == set(FOLLOWED[page])


def test_a_command_that_is_not_run_is_on_a_page() -> None:
    """Each row of NOT_HERE is about a command of the pages."""
    typed = [step.text for page in FOLLOWED for step in steps(page) if isinstance(step, Command)]
    assert [form for form in NOT_HERE if not any(re.fullmatch(form, command) for command in typed)] == []


def offer_repository(machine: DebianMachine, release: Path) -> str:
    """Put the source of the release into a git repository on the machine, and return its address."""
    (archive,) = release.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(machine.path("/srv"), filter="data")
    (name,) = [one.name for one in machine.path("/srv").iterdir()]
    subprocess.run(["chown", "--recursive", "1000:1000", machine.path(f"/srv/{name}")], check=True)
    return f"/srv/{name}"


def commit(machine: DebianMachine, repository: str) -> None:
    """Commit the source, as soon as the machine has git."""
    identity = "-c user.name=x -c user.email=x"
    steps_of_git = f"git init --quiet && git add --all && git {identity} commit --quiet --message release"
    result = machine.type(f"(cd {repository} && {steps_of_git})")
    assert result.returncode == 0, result.stderr


# --- Linux


@contextmanager
def service(
    machine: DebianMachine, unit: str, user: str, environment: Mapping[str, str], *hidden: str
) -> Iterator[None]:
    """Run the command of a unit on the machine, with the variables of the unit."""
    text = machine.path(unit).read_text(encoding="utf-8")
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    own = variables_of(machine.path(unit))
    variables = {**environment, **{name: value.replace("%h", HOME) for name, value in own.items()}}
    command = [*machine.prefix(user, variables, hidden=hidden), *shlex.split(start)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log


@contextmanager
def directory(machine: DebianMachine, name: str, owner: int) -> Iterator[Path]:
    """Create a directory that systemd creates for a service, and delete it when the service has stopped."""
    path = machine.path(name)
    path.mkdir(mode=0o700, parents=True)
    shutil.chown(path, owner, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def service_of_the_user(machine: DebianMachine) -> Iterator[None]:
    """Run the service that the page installs for the user."""
    unit = "~/.config/systemd/user/stbridge.service"
    variables = {"HOME": HOME, "XDG_RUNTIME_DIR": "/run/user/1000"}
    with directory(machine, "/run/user/1000", 1000), service(machine, unit, USER, variables):
        yield


@contextmanager
def service_of_the_machine(machine: DebianMachine) -> Iterator[None]:
    """Run the system service as an unprivileged user, with the credentials of its unit and its additions."""
    unit, additions = (f"/etc/systemd/system/stbridge.service{part}" for part in ("", ".d/instances.conf"))
    variables = {
        "PATH": SYSTEM_PATH,
        "CREDENTIALS_DIRECTORY": "/run/credentials",
        "RUNTIME_DIRECTORY": "/run/stbridge",
    }
    with directory(machine, "/run/credentials", NOBODY) as credentials, directory(machine, "/run/stbridge", NOBODY):
        for file in (unit, additions):
            text = machine.path(file).read_text(encoding="utf-8")
            for name in re.findall(r"^LoadCredential=(.*)$", text, re.MULTILINE):
                shutil.copy(machine.path(f"/etc/credstore/{name}"), credentials)
                shutil.chown(credentials / name, NOBODY)
        with service(machine, unit, f"{NOBODY}:{NOBODY}", variables, "/home", "/root"):
            yield


def left_on(machine: DebianMachine) -> set[str]:
    """Return the files of the bridge on the machine, except what the user has downloaded."""
    form = re.compile(r"stbridge|syncthing.mqtt")
    files = (str(path.relative_to(machine.root)) for path in machine.root.rglob("*"))
    downloads = ("srv/", f"{HOME[1:]}/stbridge", f"{HOME[1:]}/syncthing_mqtt-")
    return {file for file in files if form.search(file) and not file.startswith(downloads)}


def test_the_pages_about_linux(tmp_path: Path, release: Path, servers: Servers) -> None:
    """Both services are installed, run, are upgraded, and leave nothing when they are uninstalled."""
    machine = DebianMachine(tmp_path / "root", {"broker.lan": BROKER_ADDRESS})
    (wheel,) = release.glob("*.whl")
    shutil.copy(wheel, machine.path("~/"))
    syncthing = f"{HOME}/.config/syncthing"
    machine.type(f"mkdir -p {syncthing}")
    machine.write(f"{syncthing}/config.xml", (servers.local.home / "config.xml").read_text(encoding="utf-8"))
    repository = offer_repository(machine, release)
    secure = servers.nas.url.replace("http:", "https:")
    again = "pipx install ./stbridge"  # the other way, for a reader who has not installed the file

    def install_in_the_other_way(command: str) -> None:
        for one in ("pipx uninstall syncthing-mqtt", command):
            result = machine.type(one)
            assert result.returncode == 0, result.stderr

    def clone(command: str) -> None:
        commit(machine, repository)
        assert machine.type(command).returncode == 0

    reader = Reader(
        machine,
        replaced={
            "VERSION": __version__,
            "ADDRESS": repository,
            "http://127.0.0.1:8384": servers.local.url,
            "https://nas.lan:8384": secure,
            "sha256:…": f"sha256:{seen_fingerprint(secure)}",
        },
        given={
            "stbridge_syncthing_local_api_key": servers.local.api_key,
            "stbridge_syncthing_nas_api_key": servers.nas.api_key,
            "stbridge_mqtt_password": PASSWORD,
        },
        special={f"{re.escape(again)}$": install_in_the_other_way, "git clone ": clone},
    )
    before = left_on(machine)
    reader.follow(LINUX, *FOLLOWED[LINUX])
    assert machine.type("stbridge --version").stdout == f"stbridge {__version__}\n"
    with service_of_the_user(machine):
        servers.wait_for_bridge("local")
    with service_of_the_machine(machine):
        servers.wait_for_bridge("local", "nas")
    reader.follow(UPGRADE, UPGRADE_MACHINE)
    assert servers.retained == set()
    with service_of_the_user(machine):
        servers.wait_for_bridge("local")
    reader.follow(UPGRADE, UPGRADE_USER)
    assert servers.retained == set()
    assert left_on(machine) == before


# --- Docker


class Compose:
    """Runs the commands of docker compose for one service: from the file of the page and the Dockerfile.

    Args:
        machine: the machine with the file.
        image: the image of this source.
        hosts: the addresses of names in the container.
    """

    def __init__(self, machine: DebianMachine, image: Image, hosts: Path) -> None:
        self._machine = machine
        self._image = image
        self._hosts = hosts
        self._up: Container | None = None

    def _service(self) -> Any:
        command = [str(CACHE / "docker-compose"), "config", "--format", "json"]
        place = self._machine.path(self._machine.where)
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
        assert (result.returncode, result.stderr) == (0, "")
        (service,) = json.loads(result.stdout)["services"].values()
        assert set(service) <= KEYS_OF_COMPOSE
        assert service["extra_hosts"] == ["host.docker.internal=host-gateway"]
        return service

    def build(self, _command: str) -> None:
        """Compare the files of the image with those of which the tests have built it."""
        source = Path(self._service()["build"]["context"])
        assert source.is_relative_to(self._machine.root)
        for name in ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", "requirements", "stbridge", "systemd"):
            options = ["--recursive", "--brief", "--exclude=__pycache__"]
            subprocess.run(["diff", *options, ROOT / name, source / name], check=True)

    def validate(self, _command: str) -> None:
        """Let docker compose read the file; its services are started in tests/test_compose.py."""
        place = self._machine.path(self._machine.where)
        subprocess.run([CACHE / "docker-compose", "config", "--quiet"], check=True, cwd=place)

    def container(self, *arguments: str) -> Container:
        """Return a container of the service; arguments replace the command of the image."""
        service = self._service()
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert service["tmpfs"] == ["/tmp"]
        volumes = {Path(one["source"]): one["target"] for one in service["volumes"]}
        assert all(one["type"] == "bind" and one["read_only"] for one in service["volumes"])
        volumes[self._hosts] = "/etc/hosts"
        return Container(self._image, {}, volumes=volumes, read_only=service["read_only"], arguments=arguments)

    def run(self, command: str) -> None:
        """Run a subcommand in a container of its own."""
        self.build(command)
        status, output = self.container(*command.split()[5:]).start().wait()
        assert status == 0, f"{command}\n{output}"

    def up(self, _command: str) -> None:
        """Start the service, in place of the one that runs, and wait until it is healthy."""
        self.stop("")
        self._up = self.container().start()
        eventually(lambda: self._up and self._up.health().returncode == 0)

    def stop(self, _command: str) -> None:
        """Stop the service."""
        if self._up is not None:
            assert self._up.stop() == 0
            self._up = None


def test_the_pages_about_docker(tmp_path: Path, release: Path, servers: Servers, image: Image) -> None:
    """The container is healthy with the files of the page, is upgraded, and leaves nothing; the stack is valid."""
    machine = DebianMachine(tmp_path / "root", {})
    assert machine.type("sudo apt update && sudo apt install git").returncode == 0
    repository = offer_repository(machine, release)
    commit(machine, repository)
    # It stands for an instance that listens on all addresses: one on loopback would refuse the name of the host.
    change_gui(servers.nas, insecureSkipHostcheck=True)
    hosts = tmp_path / "hosts"
    names = {"localhost": "127.0.0.1", "host.docker.internal": "127.0.0.1", "broker.lan": BROKER_ADDRESS}
    hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()), encoding="utf-8")
    compose = Compose(machine, image, hosts)
    reader = Reader(
        machine,
        replaced={
            "ADDRESS": repository,
            "host.docker.internal:8384": f"host.docker.internal:{servers.nas.gui_port}",
        },
        given={"secrets/syncthing_nas_api_key": servers.nas.api_key, "secrets/mqtt_password": PASSWORD},
        special={
            "docker compose build": compose.build,
            "docker compose run": compose.run,
            "docker compose up": compose.up,
            "docker compose stop": compose.stop,
        },
    )
    try:
        reader.follow(DOCKER, ONE_CONTAINER)
        servers.wait_for_bridge("nas")
        reader.follow(UPGRADE, UPGRADE_DOCKER)
    finally:
        compose.stop("")
    assert servers.retained == set()
    assert not machine.path("~/stbridge").exists()
    stack = Reader(machine, replaced={"ADDRESS": repository}, special={"docker compose up": compose.validate})
    stack.follow(DOCKER, STACK)
    assert machine.path("docker-compose.yml").exists()


# --- from source


def test_the_pages_about_the_source(tmp_path: Path, release: Path, servers: Servers) -> None:
    """The demo runs in a clone, and so does the program that `make` and pipx install in an editable way."""
    machine = DebianMachine(tmp_path / "root", {"broker.lan": BROKER_ADDRESS})
    syncthing = f"{HOME}/.config/syncthing"
    machine.type(f"mkdir -p {syncthing}")
    machine.write(f"{syncthing}/config.xml", (servers.local.home / "config.xml").read_text(encoding="utf-8"))
    repository = offer_repository(machine, release)

    def clone(command: str) -> None:
        commit(machine, repository)
        assert machine.type(command).returncode == 0

    def demo(command: str) -> None:
        result = machine.type(f"{command} SECONDS={DEMO_S}")
        assert result.returncode == 0, result.stdout + result.stderr

    reader = Reader(machine, replaced={"ADDRESS": repository}, special={"git clone ": clone, "make demo$": demo})
    reader.follow(SOURCE, *FOLLOWED[SOURCE])
    reader.follow(UPGRADE, UPGRADE_SOURCE)
    assert machine.type("stbridge --version").stdout == f"stbridge {__version__}\n"

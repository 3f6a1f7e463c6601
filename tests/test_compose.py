"""The services next to the bridge in the compose file, run without Docker: which clients are allowed in."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from stbridge.cli import _parser
from stbridge.demo.node import VARIABLES
from tests.dead_link import Cable
from tests.documents import ROOT, text_of
from tests.machine import Machine
from tests.secrecy import SECRECY
from tests.servers import Mosquitto, Subscriber, eventually, newest_syncthing

COMPOSE: Any = yaml.safe_load(text_of(ROOT / "docker-compose.yml"))
SERVICES: Any = COMPOSE["services"]
OWNERS = {"1883", "1000", "65532"}
"""User IDs in the images: of Mosquitto, of Syncthing and Node-RED, and of the bridge."""


class Volumes:
    """The volumes and files that a service mounts, in directories of the test.

    Args:
        directory: the directory that contains them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, service: str) -> dict[str, str]:
        """Return the path on this machine for each mount point in the container."""
        found = {}
        for mount in SERVICES[service].get("volumes", []):
            source, place = mount.split(":")[:2]
            path = ROOT / source if source.startswith("./") else self._directory / source
            if not source.startswith("./"):
                path.mkdir(exist_ok=True)
            found[place] = str(path.resolve())
        return found

    def here(self, service: str, text: str) -> str:
        """Replace container paths in a text of a service, the longest first, because one may be inside another."""
        for place, path in sorted(self.of(service).items(), reverse=True):
            text = re.sub(rf"(?<![\w/-]){place}(?![\w-])", path, text)
        return text

    def command(self, service: str, otherwise: Sequence[str] = ()) -> list[str]:
        """Return the command of a service without the entry point of Syncthing's image, which only changes the user."""
        parts = [*SERVICES[service].get("entrypoint", []), *SERVICES[service].get("command", [])] or otherwise
        return [self.here(service, part) for part in parts if part != "/bin/entrypoint.sh"]

    def make_passwords(self) -> None:
        """Run the service that generates the passwords; only root can make other users the owners of the files."""
        command = self.command("passwords")
        if os.getuid() == 0:  # with the capabilities of the container
            rights = ",".join(f"+{one.lower()}" for one in SERVICES["passwords"]["cap_add"])
            command = ["setpriv", f"--bounding-set=-all,{rights}", *command]
        else:
            command = [str(os.getuid()) if part in OWNERS else part for part in command]
        # Its volumes are mounted in a single directory there.
        made = self._directory / "made"
        made.mkdir(exist_ok=True)
        for place, path in self.of("passwords").items():
            link = made / Path(place).name
            if place.startswith("/made/") and not link.exists():
                link.symlink_to(path)
        subprocess.run([part.replace("/made", str(made)) for part in command], check=True)


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """The volumes before the first start: empty."""
    return Volumes(tmp_path)


def password_in(volumes: Volumes, service: str, name: str) -> str:
    """Return a password with the command from the comment in the compose file."""
    path = Path(volumes.of(service)["/passwords"], name)
    return SECRECY.keep(path.read_text(encoding="utf-8").strip(), name)


# --- the passwords


def test_passwords_are_generated_at_the_first_start_and_kept(volumes: Volumes, machine: Machine) -> None:
    """Each password is long, different, and readable only by its service; the bridge finds its own password."""
    volumes.make_passwords()
    files = [("mosquitto", "admin"), ("syncthing", "gui"), ("node-red", "editor")]
    made = [password_in(volumes, *one) for one in files]
    secrets = Path(volumes.of("stbridge")["/run/secrets"])
    machine.environment(SERVICES["stbridge"]["environment"])
    for file in secrets.iterdir():
        machine.docker_secret(file.name, file.read_text(encoding="utf-8"))
    mqtt = machine.load().mqtt
    made.append(mqtt.password.get_secret_value())
    assert mqtt.username == "stbridge"
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9]{24}", one) for one in made)
    web_secrets = Path(volumes.of("web")["/run/secrets"])
    every = [
        *secrets.iterdir(),
        *web_secrets.iterdir(),
        *(file for name, _ in files for file in Path(volumes.of(name)["/passwords"]).iterdir()),
    ]
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in every if file.stat().st_mode & 0o377} == {}
    volumes.make_passwords()
    assert [password_in(volumes, *one) for one in files] == made[:-1]


def test_the_web_page_finds_its_passwords(volumes: Volumes, machine: Machine) -> None:
    """It logs in to the broker as a user of its own, requires a password, and knows no instance."""
    volumes.make_passwords()
    machine.environment(SERVICES["web"]["environment"])
    for file in Path(volumes.of("web")["/run/secrets"]).iterdir():
        machine.docker_secret(file.name, file.read_text(encoding="utf-8"))
    settings = machine.load()
    assert (settings.mqtt.host, settings.mqtt.username, settings.syncthing) == ("mosquitto", "web", {})
    passwords = {one.password.get_secret_value() for one in (settings.mqtt, settings.web)}
    assert [re.fullmatch(r"[A-Za-z0-9]{24}", one) is not None for one in passwords] == [True, True]
    assert SERVICES["web"]["ports"] == [f"127.0.0.1:{settings.web.port}:{settings.web.port}"]
    assert _parser().parse_args(SERVICES["web"]["command"]).subcommand == "web"


def test_each_service_can_read_only_its_own_passwords() -> None:
    """The service that generates them has no network, and no other service mounts two of its volumes."""
    volumes_of = {
        name: {mount.split(":")[0] for mount in service.get("volumes", [])} for name, service in SERVICES.items()
    }
    secret = {one for one in volumes_of["passwords"] if not one.startswith("./")}
    assert SERVICES["passwords"]["network_mode"] == "none"
    assert {name: len(mounted & secret) for name, mounted in volumes_of.items() if mounted & secret} == {
        "passwords": len(secret),
        "mosquitto": 1,
        "syncthing": 1,
        "node-red": 1,
        "stbridge": 1,
        "key": 1,
        "web": 1,
    }


@pytest.mark.parametrize("service", ["mosquitto", "syncthing", "node-red", "web"])
def test_a_service_with_a_password_waits_for_it(service: str) -> None:
    """The service does not listen before its password exists."""
    assert SERVICES[service]["depends_on"]["passwords"] == {"condition": "service_completed_successfully"}


# --- the broker


@pytest.fixture
def start_broker(volumes: Volumes, tmp_path: Path) -> Iterator[Callable[[], Mosquitto]]:
    """Start the broker with the configuration of the compose file, on a free port of the loopback address."""
    started: list[Mosquitto] = []

    def start() -> Mosquitto:
        configured = text_of(ROOT / "docker/mosquitto.conf")
        lines = [line for line in configured.splitlines() if not line.startswith(("#", "listener "))]
        one = Mosquitto(tmp_path, lines=[volumes.here("mosquitto", line) for line in lines])
        started.append(one)
        return one.start()

    yield start
    for one in started:
        one.stop()


def sees_everything(port: int, variables: Mapping[str, str], *options: str) -> bool:
    """Return whether the client from the health check, and from the comment, gets access."""
    command = ["mosquitto_sub", "-p", str(port), "-t", "$SYS/broker/version", "-C", "1", "-W", "5", *options]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, check=False, capture_output=True, env=environment).returncode == 0


def test_the_broker_requires_a_password(volumes: Volumes, start_broker: Callable[[], Mosquitto]) -> None:
    """Without a password, neither another container nor another user's program on the machine can send commands."""
    volumes.make_passwords()
    port = start_broker().port
    assert not sees_everything(port, {})
    assert not sees_everything(port, {}, "-u", "admin", "-P", "guessed")
    admin = password_in(volumes, "mosquitto", "admin")
    variables = {key: volumes.here("mosquitto", value) for key, value in SERVICES["mosquitto"]["environment"].items()}
    assert sees_everything(port, variables)
    secrets = Path(volumes.of("stbridge")["/run/secrets"])
    username, password = (
        secrets.joinpath(f"mqtt_{key}").read_text(encoding="utf-8") for key in ("username", "password")
    )
    SECRECY.keep(password, "the password of the bridge")
    web = Path(volumes.of("web")["/run/secrets"])
    of_the_page = tuple(web.joinpath(f"mqtt_{key}").read_text(encoding="utf-8") for key in ("username", "password"))
    SECRECY.keep(of_the_page[1], "the password of the web page")
    for name, word in (("admin", admin), (username, password), of_the_page):
        Subscriber(port, username=name, password=word).close()


# --- Syncthing


def answer(url: str, headers: Mapping[str, str]) -> tuple[int, str, str]:
    """Return the status, the cookie and the text of a response."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - the scheme is ours
    try:
        with urllib.request.urlopen(request, timeout=10) as got:  # noqa: S310
            return got.status, got.headers.get("Set-Cookie", ""), got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Set-Cookie", ""), error.read().decode()


def read_by_a_web_page(url: str) -> str:
    """Return the response to a web page whose host name resolves to this address (DNS rebinding)."""
    named = {"Host": "evil.example:8384"}
    _, cookie, _ = answer(f"{url}/", named)
    name, _, token = cookie.partition(";")[0].partition("=")
    return answer(f"{url}/rest/config", {**named, "Cookie": f"{name}={token}", f"X-{name}": token})[2]


def answers(url: str) -> bool:
    """Return whether Syncthing's GUI responds."""
    try:
        return answer(f"{url}/rest/noauth/health", {})[0] == HTTPStatus.OK
    except OSError:
        return False


def test_no_web_page_can_read_the_api_key_of_syncthing(volumes: Volumes, cable: Cable, tmp_path: Path) -> None:
    """Syncthing listens on every address for the published port: its host check is off, and its password is set."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/syncthing").symlink_to(newest_syncthing("2"))  # as in the image; 1.x has other options
    home = tmp_path / "home"
    environment = {
        **VARIABLES,
        **SERVICES["syncthing"]["environment"],
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "STHOMEDIR": str(home),
    }
    volumes.make_passwords()
    command = [*cable.command, *volumes.command("syncthing", ["syncthing"])]
    url = "http://127.0.0.1:8384"
    for _ in ("the first start", "the next one"):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            eventually(lambda: cable.submit(answers, url).result(30))
            gui = ET.parse(home / "config.xml").getroot().find("gui")  # noqa: S314 - Syncthing's own file
            assert gui is not None
            key = SECRECY.keep(str(gui.findtext("apikey")), "the API key")
            assert key not in cable.submit(read_by_a_web_page, url).result(30)
            headers = {"X-API-Key": key, "Host": "syncthing:8384"}
            status, _, text = cable.submit(answer, f"{url}/rest/config/gui", headers).result(30)
            assert (status, json.loads(text)["user"]) == (200, "admin")
        finally:
            process.terminate()
            process.wait(30)
    password = password_in(volumes, "syncthing", "gui")
    assert password not in (tmp_path / "log").read_text(encoding="utf-8")

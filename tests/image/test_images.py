"""The Dockerfiles are carried out, step by step, and what comes of them runs on a real broker and Syncthing.

No Docker engine is needed, nor used: the base is Debian's own Python of the same minor version (scripts/image).
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from stbridge import __version__
from stbridge.demo.node import SyncthingNode
from stbridge.errors import SettingsError
from tests.image.container import Container, Image, build
from tests.servers import ROOT, Mosquitto, Subscriber, eventually, manifest

BASE = ROOT / ".cache/image/trixie"
COMPOSE = ROOT / "docker-compose.yml"
SUPERVISOR = "127.77.0.1"
TOKEN = "the token"

pytestmark = pytest.mark.skipif(not BASE.is_dir(), reason="no root directory: run `make test-image`")


@pytest.fixture(scope="module")
def syncthing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """A running Syncthing of the newest version."""
    newest = list(manifest()["syncthing"].values())[-1]
    one = SyncthingNode("nas", tmp_path_factory.mktemp("syncthing"), newest)
    one.start()
    yield one
    one.stop()


def config_of(node: SyncthingNode) -> Path:
    """Return its config.xml."""
    return node.home / "config.xml"


# --- the image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, as the Dockerfile makes it."""
    return build(ROOT / "Dockerfile", BASE, tmp_path_factory.mktemp("image"))


@pytest.fixture
def service(image: Image, broker: Mosquitto, syncthing: SyncthingNode, tmp_path: Path) -> Iterator[Container]:
    """The service `stbridge` of the compose file, confined as it is there; its key comes from the service `key`."""
    key = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["key"]["entrypoint"]
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    command = [part.replace("/secrets", str(secrets)) for part in key]
    subprocess.run([*command, config_of(syncthing)], check=True)
    variables = {
        "STBRIDGE_MQTT__HOST": "127.0.0.1",
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__NAS__URL": syncthing.url,
    }
    one = Container(image, tmp_path / "log", variables, {"/run/secrets": secrets}, confined=True)
    yield one
    one.stop()


def test_the_image_holds_the_bridge_and_no_installer(image: Image) -> None:
    """It runs as nobody, and pip is gone from what is handed over."""
    programs = {path.name for path in (image.root / "opt/stbridge/bin").iterdir()}
    assert "stbridge" in programs
    assert [name for name in programs if name.startswith("pip")] == []
    assert image.user == "65532:65532"


def test_the_service_of_the_compose_file_runs_confined(service: Container, subscriber: Subscriber) -> None:
    """With a read-only root and no rights at all it follows a real Syncthing, is healthy, and ends in order."""
    service.start()
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    assert json.loads(subscriber.latest()["syncthing/nas/connection"])["status"] == "online"
    assert service.health.returncode == 0, service.health.stderr
    assert service.call(["stbridge", "--version"]).stdout == f"stbridge {__version__}\n"
    assert service.stop() == 0, service.log.read_text(encoding="utf-8")
    assert "Traceback" not in service.log.read_text(encoding="utf-8")


# --- the compose file


@pytest.mark.parametrize("profile", ["", "home-assistant", "node-red"])
def test_docker_compose_understands_the_compose_file(profile: str, tmp_path: Path) -> None:
    """The real docker compose reads it, with every profile, and knows every service in it."""
    copy = ["cp", "--archive", str(ROOT / "docker-compose.yml"), str(ROOT / "docker"), str(ROOT / "examples")]
    (tmp_path / "project").mkdir()
    subprocess.run([*copy, str(tmp_path / "project")], check=True)
    project = f"mount --bind {tmp_path / 'project'} {BASE}/srv"
    profiles = ["--profile", profile] if profile else []
    compose = ["docker-compose", "--project-directory", "/srv", "--file", "/srv/docker-compose.yml", *profiles]
    script = f"{project} && exec chroot {BASE} {' '.join(compose)} config --services"
    result = subprocess.run(["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(result.stdout.split()) == {"mosquitto", "syncthing", "key", "stbridge", *([profile] if profile else [])}


# --- the app of Home Assistant


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of the app, made of what scripts/homeassistant-app puts together."""
    subprocess.run([ROOT / "scripts/homeassistant-app"], check=True, env={**os.environ, "PYTHON": sys.executable})
    made = build(ROOT / "dist/homeassistant-app/stbridge/Dockerfile", BASE, tmp_path_factory.mktemp("app"))
    with (made.root / "etc/hosts").open("a", encoding="ascii") as hosts:
        hosts.write(f"127.0.0.1 localhost\n{SUPERVISOR} supervisor\n")
    return made


@pytest.fixture
def supervisor(broker: Mosquitto) -> Iterator[HTTPServer]:
    """Be the Supervisor, which knows the broker, at the address and port where the app looks for it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/services/mqtt" and self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.send_response(200 if known else 400)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"host": "127.0.0.1", "port": broker.port, "ssl": False}}).encode())

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer((SUPERVISOR, 80), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def new_app(app: Image, tmp_path: Path) -> Iterator[Callable[[Any], Container]]:
    """Start the app with options that a user has filled in."""
    started: list[Container] = []

    def start(syncthing: list[Any]) -> Container:
        options = yaml.safe_load((ROOT / "homeassistant-app/stbridge/config.yaml").read_text(encoding="utf-8"))
        data = tmp_path / "data"
        data.mkdir()
        filled_in = {**options["options"], "syncthing": syncthing}
        (data / "options.json").write_text(json.dumps(filled_in), encoding="utf-8")
        mounts = {"/data": data}
        started.append(Container(app, tmp_path / "log", {"SUPERVISOR_TOKEN": TOKEN}, mounts).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.usefixtures("supervisor")
def test_the_app_runs_as_the_supervisor_starts_it(
    new_app: Callable[[Any], Container], subscriber: Subscriber, syncthing: SyncthingNode
) -> None:
    """Its own script finds the broker, gives up its rights and the token, and becomes a healthy bridge."""
    running = new_app([{"name": "nas", "url": syncthing.url, "api_key": syncthing.api_key, "verify": "system"}])
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    assert json.loads(subscriber.latest()["syncthing/nas/connection"])["status"] == "online"
    assert running.health.returncode == 0, running.health.stderr
    status = Path(f"/proc/{running.id}/status").read_text(encoding="utf-8")
    assert "Uid:\t65532\t65532\t65532\t65532" in status
    assert TOKEN.encode() not in Path(f"/proc/{running.id}/environ").read_bytes()
    assert running.stop() == 0


@pytest.mark.usefixtures("supervisor")
def test_the_app_with_wrong_options_ends_with_a_line_that_says_which(new_app: Callable[[Any], Container]) -> None:
    """The log of the app is all that its user sees."""
    running = new_app([{"name": "nas", "url": "nonsense", "api_key": "", "verify": "system"}])
    assert eventually(running.ended) == SettingsError.exit_status
    log = running.log.read_text(encoding="utf-8")
    assert "syncthing.nas.url" in log
    assert "Traceback" not in log

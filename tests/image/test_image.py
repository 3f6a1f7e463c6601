"""The images are built and run by the steps of their Dockerfiles, and checked by hadolint and docker compose."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stbridge import __version__
from stbridge.demo.node import SyncthingNode, free_port
from stbridge.errors import SettingsError
from tests.documents import ROOT
from tests.image.container import BUILD_ARGUMENTS, CACHE, Container, Image
from tests.secrecy import SECRECY
from tests.servers import Mosquitto, Subscriber, eventually, listens, manifest
from tests.supervisor import BROKER, TOKEN, Supervisor
from tests.web.serving import PASSWORD, Page

DOCKERFILES = [ROOT / "Dockerfile", ROOT / "homeassistant-app/stbridge/Dockerfile"]
COMPOSE: Any = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICE: Any = COMPOSE["services"]["stbridge"]
MOST_MEGABYTES = 60
SUPERVISOR_HOST = "127.0.0.80"
"""A separate loopback address, because its port 80 is free."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image of the app from the output of scripts/homeassistant-app."""
    source = tmp_path_factory.mktemp("app") / "ready"
    subprocess.run([ROOT / "scripts/homeassistant-app", source], check=True, env={"PYTHON": sys.executable})
    return Image(source / "stbridge/Dockerfile", tmp_path_factory.mktemp("app-image"), BUILD_ARGUMENTS)


@pytest.fixture(scope="module")
def syncthing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """Start a Syncthing instance of the newest version."""
    newest = list(manifest()["syncthing"].values())[-1]
    one = SyncthingNode("nas", tmp_path_factory.mktemp("syncthing"), newest)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def container() -> Iterator[Callable[..., Container]]:
    """Return a function that starts containers; stop them after the test."""
    started: list[Container] = []

    def start(*arguments: Any, **options: Any) -> Container:
        started.append(Container(*arguments, **options).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


def status_of(container: Container) -> Mapping[str, str]:
    """Return the kernel's status of the process."""
    lines = Path(f"/proc/{container.id}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_healthy(container: Container) -> bool:
    """Return whether the health check succeeds."""
    return container.health().returncode == 0


# --- checks of the tools


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=["bridge", "app"])
def test_hadolint_finds_no_problem_in_a_dockerfile(dockerfile: Path) -> None:
    """Hadolint reports no common mistake in either Dockerfile."""
    result = subprocess.run([CACHE / "tools/bin/hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("profiles", [[], ["home-assistant"], ["node-red"], ["*"]], ids=" ".join)
def test_docker_compose_accepts_its_file(profiles: list[str]) -> None:
    """With every profile, docker compose reports no error and no variable that must be set."""
    chosen = [argument for profile in profiles for argument in ("--profile", profile)]
    command = [str(CACHE / "docker-compose"), *chosen, "config", "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    without_profile = {name for name, one in COMPOSE["services"].items() if "profiles" not in one}
    every = set(COMPOSE["services"]) if profiles == ["*"] else without_profile | set(profiles)
    assert set(json.loads(result.stdout)["services"]) == every


# --- the image of the bridge


def test_the_image_holds_the_bridge_and_little_else(image: Image) -> None:
    """The image contains no pip in the environment, and adds at most 60 MB to Python."""
    added = image.root / "opt/stbridge"
    assert [name.name for name in (added / "bin").iterdir() if name.name.startswith("pip")] == []
    size = sum(file.lstat().st_size for file in added.rglob("*") if not file.is_symlink())
    assert size < MOST_MEGABYTES * 1e6
    assert any(added.glob(f"lib/*/site-packages/syncthing_mqtt-{__version__}.dist-info"))


def test_the_image_has_the_labels_of_its_release(image: Image) -> None:
    """Registries and tools find the source, the documentation, the license and the commit of an image."""
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.labels.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert labels | {"title": "", "description": "", "vendor": ""} == {
        "title": "",
        "description": "",
        "vendor": "",
        "licenses": project["license"],
        "source": project["urls"]["Source"],
        "url": project["urls"]["Homepage"],
        "documentation": project["urls"]["Documentation"],
        "version": BUILD_ARGUMENTS["VERSION"],
        "revision": BUILD_ARGUMENTS["REVISION"],
        "created": BUILD_ARGUMENTS["CREATED"],
    }


def test_the_image_runs_as_the_compose_file_asks(
    image: Image, container: Callable[..., Container], broker: Mosquitto, syncthing: SyncthingNode, tmp_path: Path
) -> None:
    """As an unprivileged user, with a read-only root and the key in a file, it is healthy, and stops cleanly."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/syncthing_nas_api_key").write_text(syncthing.api_key + "\n", encoding="utf-8")
    subscriber = Subscriber(broker.port)
    here = {"STBRIDGE_MQTT__HOST": "127.0.0.1", "STBRIDGE_MQTT__PORT": str(broker.port)}
    variables = SERVICE["environment"] | here | {"STBRIDGE_SYNCTHING__NAS__URL": syncthing.url}
    (place,) = [mount.split(":")[1] for mount in SERVICE["volumes"]]
    one = container(image, variables, volumes={tmp_path / "secrets": place}, read_only=SERVICE["read_only"])
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        subscriber.wait_for_json("syncthing/nas/connection", lambda one: one["status"] == "online")
        eventually(lambda: is_healthy(one))
        status = status_of(one)
        assert set(status["Uid"].split()) | set(status["Gid"].split()) == {"65532"}
        assert (status["NoNewPrivs"], int(status["CapEff"], 16)) == ("1", 0)
        assert one.stop() == 0
        subscriber.wait_for_payload("syncthing/bridge/state", b"offline")
    finally:
        subscriber.close()


def test_the_page_runs_as_its_document_asks(
    image: Image, container: Callable[..., Container], broker: Mosquitto, tmp_path: Path
) -> None:
    """The service for a machine with one container starts beside it, is healthy, and its password opens it."""
    document = (ROOT / "docs/web.md").read_text(encoding="utf-8")
    service: Any = yaml.safe_load(document.partition("```yaml\n")[2].partition("```")[0])["services"]["web"]
    SECRECY.keep(PASSWORD, "the password of the page")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/web_password").write_text(PASSWORD + "\n", encoding="utf-8")
    (tmp_path / "stbridge.toml").write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n', encoding="utf-8")
    port = free_port()
    variables = service["environment"] | {"STBRIDGE_WEB__HOST": "127.0.0.1", "STBRIDGE_WEB__PORT": str(port)}
    places = [mount.split(":") for mount in service["volumes"]]
    container(
        image,
        variables,
        volumes={tmp_path / source: place for source, place, _ in places},
        read_only=service["read_only"],
        arguments=service["command"],
    )
    eventually(lambda: listens(port))
    check = service["healthcheck"]["test"][-1].replace("8385", str(port))
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    page = Page(port)
    assert page.get("api/state", Host="nas.lan").status_code == 401
    assert page.post("api/login", {"password": PASSWORD}).status_code == 204
    assert page.get("api/state").status_code == 200
    page.close()


def test_the_health_check_of_the_image_fails_without_a_service(
    image: Image, container: Callable[..., Container]
) -> None:
    """A container with wrong settings exits with the status for wrong settings, and names the setting."""
    one = container(image, {"STBRIDGE_MQTT__PORT": "a lot"}, volumes={}, read_only=True)
    status, said = one.wait()
    assert status == SettingsError.exit_status
    assert "mqtt.port" in said


# --- the app of Home Assistant


def test_the_image_of_the_app_has_the_labels_of_the_supervisor(app: Image) -> None:
    """The Supervisor reads the type, the version and the architectures of a published image."""
    config: Any = yaml.safe_load((ROOT / "homeassistant-app/stbridge/config.yaml").read_text(encoding="utf-8"))
    assert app.labels["io.hass.type"] == "app"
    assert app.labels["io.hass.version"] == BUILD_ARGUMENTS["VERSION"]
    assert app.labels["io.hass.arch"].split("|") == config["arch"]


def test_the_app_runs_with_the_broker_of_the_supervisor(
    app: Image, container: Callable[..., Container], broker: Mosquitto, syncthing: SyncthingNode, tmp_path: Path
) -> None:
    """Its script asks the Supervisor for the broker, drops its rights and the token, and starts a healthy bridge."""
    config: Any = yaml.safe_load((ROOT / "homeassistant-app/stbridge/config.yaml").read_text(encoding="utf-8"))
    filled_in = {"syncthing": [{"name": "nas", "url": syncthing.url, "api_key": syncthing.api_key}]}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/options.json").write_text(json.dumps(config["options"] | filled_in), encoding="utf-8")
    (app.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{SUPERVISOR_HOST} supervisor\n", encoding="utf-8")
    supervisor = Supervisor({**BROKER, "host": "127.0.0.1", "port": broker.port}, SUPERVISOR_HOST, 80).start()
    subscriber = Subscriber(broker.port)
    try:
        one = container(app, {"SUPERVISOR_TOKEN": TOKEN}, volumes={tmp_path / "data": "/data"}, read_only=False)
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        subscriber.wait_for_json("syncthing/nas/connection", lambda one: one["status"] == "online")
        eventually(lambda: is_healthy(one))
        assert set(status_of(one)["Uid"].split()) == {"65532"}
        assert TOKEN not in Path(f"/proc/{one.id}/environ").read_text(encoding="utf-8")
        assert one.stop() == 0
    finally:
        supervisor.stop()
        subscriber.close()

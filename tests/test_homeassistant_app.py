"""The Home Assistant app: its options are settings, and its script passes them to the real bridge."""

import json
import re
import struct
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from stbridge import __version__
from stbridge.demo.node import SyncthingNode
from stbridge.errors import SettingsError
from stbridge.settings import LogSettings
from tests.documents import ROOT, rows, spans, text_of
from tests.machine import SETTINGS, Machine, Setting, value_of
from tests.servers import BridgeProcess, Mosquitto, Subscriber
from tests.supervisor import BROKER, TOKEN, Supervisor

APP = ROOT / "homeassistant-app/stbridge"
CONFIG: Any = yaml.safe_load(text_of(APP / "config.yaml"))
NAS = {"name": "nas", "url": "http://nas:8384", "api_key": "key"}
FORMS = re.compile(r"(?:str|bool|url|port|password|int|match\(.+\)|list\(.+\))\??")


def run_script() -> ModuleType:
    """Load the start script of the app."""
    loader = SourceFileLoader("run", str(APP / "run.py"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


RUN = run_script()


def leaves(values: Any, path: Setting = ()) -> Iterator[tuple[Setting, Any]]:
    """Yield every option with its path; those of a Syncthing instance use the name `nas`."""
    for key, value in values.items():
        if key == "syncthing":
            yield from leaves(value[0], (key, "nas"))
        elif isinstance(value, dict) and (value or key != "mqtt"):
            yield from leaves(value, (*path, key))
        elif not isinstance(value, dict):
            yield (*path, key), value


OPTIONS = {path: form for path, form in leaves(CONFIG["schema"]) if path[-1] != "name"}


# --- the files of the app


def test_the_app_has_the_version_of_the_bridge() -> None:
    """The version of the app matches the bridge that it installs, and its changelog has an entry for it."""
    assert CONFIG["version"] == __version__
    assert re.findall(r"^## (\S+)", text_of(APP / "CHANGELOG.md"), re.MULTILINE)[0] == __version__
    assert json.loads(text_of(APP.parent / "repository.json"))["name"]


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_is_a_setting(option: Setting) -> None:
    """The options have the names of the settings, and types that the Supervisor supports."""
    assert option in SETTINGS
    (form,) = OPTIONS[option] if isinstance(OPTIONS[option], list) else [OPTIONS[option]]
    assert FORMS.fullmatch(form)


def test_secrets_are_hidden_in_the_form() -> None:
    """Each secret setting has the type password in the form."""
    assert {path for path, form in OPTIONS.items() if str(form).startswith("password")} == {
        ("syncthing", "nas", "api_key"),
        ("mqtt", "password"),
    }


def test_the_levels_of_the_log_are_those_of_the_settings() -> None:
    """The form offers exactly the levels that the bridge accepts."""
    levels = typing.get_args(LogSettings.model_fields["level"].annotation)
    assert OPTIONS["log", "level"] == f"list({'|'.join(levels)})"


def test_every_option_is_explained() -> None:
    """The form has a name for each option, and the documentation has a row."""
    words = yaml.safe_load(text_of(APP / "translations/en.yaml"))["configuration"]
    for key, form in CONFIG["schema"].items():
        inner = form[0] if isinstance(form, list) else form
        assert set(words[key]["fields"]) == set(inner)
        assert all(field["name"] for field in words[key]["fields"].values())
    explained = {
        name.partition(".")[0] for cells in rows(text_of(APP / "DOCS.md"), "option") for name in spans(cells[0])
    }
    assert explained == set(CONFIG["schema"])


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_the_pictures_have_the_required_size(name: str, size: tuple[int, int]) -> None:
    """Home Assistant shows them without scaling."""
    content = (APP / name).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == size


# --- the behavior of the app


def test_the_default_options_are_valid(machine: Machine) -> None:
    """The user only has to add the API key and the address."""
    machine.environment(RUN.variables(CONFIG["options"], BROKER))
    settings = machine.load()
    assert value_of(settings, ("syncthing", "nas", "url")) == CONFIG["options"]["syncthing"][0]["url"]
    assert settings.commands.allow == tuple(CONFIG["options"]["commands"]["allow"])


@pytest.mark.parametrize(
    ("filled_in", "host", "port", "username", "tls"),
    [
        ({}, "core-mosquitto", 1883, "addons", False),
        ({"host": ""}, "core-mosquitto", 1883, "addons", False),
        ({"base_topic": "sync"}, "core-mosquitto", 1883, "addons", False),
        ({"host": "elsewhere"}, "elsewhere", 1883, "", False),
        ({"host": "elsewhere", "port": 8883, "username": "me"}, "elsewhere", 8883, "me", True),
    ],
)
def test_the_broker_of_home_assistant_is_used_unless_another_is_configured(
    machine: Machine, filled_in: Mapping[str, Any], host: str, port: int, username: str, *, tls: bool
) -> None:
    """The settings of the two brokers are not mixed, so no password is sent to the wrong broker."""
    machine.environment(RUN.variables({**CONFIG["options"], "mqtt": filled_in}, BROKER))
    mqtt = machine.load().mqtt
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.uses_tls) == (host, port, username, tls)
    assert mqtt.password.get_secret_value() == (BROKER["password"] if host == BROKER["host"] else "")


def test_several_instances_are_configured(machine: Machine) -> None:
    """Each entry becomes an instance; an empty list of commands makes a bridge that only reads."""
    options = {**CONFIG["options"], "syncthing": [NAS, {**NAS, "name": "lap-top"}], "commands": {"allow": []}}
    machine.environment(RUN.variables(options, BROKER))
    settings = machine.load()
    assert set(settings.syncthing) == {"nas", "lap-top"}
    assert settings.commands.allow == ()


@pytest.fixture
def supervisor() -> Iterator[Callable[[Any], str]]:
    """Start a simulated Supervisor that provides services, and return its address."""
    started: list[Supervisor] = []

    def start(service: Any) -> str:
        started.append(Supervisor(service).start())
        return started[-1].url

    yield start
    for one in started:
        one.stop()


def test_the_supervisor_is_asked_for_its_broker(supervisor: Callable[[Any], str]) -> None:
    """The Supervisor returns all connection data to clients with the token, and nothing if no broker is installed."""
    assert RUN.mqtt_service(supervisor(BROKER), TOKEN) == BROKER
    assert RUN.mqtt_service(supervisor(None), TOKEN) == {}


def test_without_any_broker_the_app_explains_what_to_do(
    supervisor: Callable[[Any], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The app exits as for wrong settings, with a message of one line."""
    options = tmp_path / "options.json"
    options.write_text(json.dumps(CONFIG["options"]), encoding="utf-8")
    monkeypatch.setattr(RUN, "OPTIONS", options)
    monkeypatch.setattr(RUN, "SUPERVISOR", supervisor(None))
    monkeypatch.setenv(RUN.TOKEN, TOKEN)
    with pytest.raises(SystemExit) as ended:
        RUN.main()
    assert ended.value.code == RUN.SETTINGS_WRONG == SettingsError.exit_status
    assert "install the Mosquitto app" in capsys.readouterr().err


def test_the_bridge_runs_with_the_options_of_the_app(
    supervisor: Callable[[Any], str], node: SyncthingNode, new_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """With a user's options and a broker from the Supervisor, it publishes a real Syncthing instance."""
    broker = new_broker().start()
    subscriber = Subscriber(broker.port)
    service = RUN.mqtt_service(supervisor({**BROKER, "host": "127.0.0.1", "port": broker.port}), TOKEN)
    options = {**CONFIG["options"], "syncthing": [{"name": "nas", "url": node.url, "api_key": node.api_key}]}
    bridge = BridgeProcess(tmp_path, RUN.variables(options, service)).start()
    try:
        assert subscriber.wait_for_json("syncthing/nas/connection")["status"] == "online"
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    finally:
        bridge.stop()
        subscriber.close()

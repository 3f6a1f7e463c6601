"""The Home Assistant app: its options are settings, and its script passes them to the real bridge."""

import hashlib
import json
import re
import struct
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from stbridge import __version__
from stbridge.cli import _SUBCOMMANDS
from stbridge.core.timing import parsed_seconds
from stbridge.demo.node import SyncthingNode, free_port
from stbridge.errors import SettingsError
from stbridge.settings import AlertSettings, HomeAssistantSettings, LogSettings
from stbridge.web.guard import Rules
from stbridge.web.server import WebServer
from tests.documents import ROOT, blocks, loaded, prose_of, rows, spans, text_of
from tests.machine import SETTINGS, Machine, Setting, value_of
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually
from tests.supervisor import BROKER, TOKEN, Supervisor
from tests.web.serving import Page

APP = ROOT / "homeassistant-app/stbridge"
DOCS = APP / "DOCS.md"
INSTALL = ROOT / "docs/install-home-assistant.md"
ENTITIES = ROOT / "docs/home-assistant.md"
CONFIG: Any = yaml.safe_load(text_of(APP / "config.yaml"))
WORDS: Any = yaml.safe_load(text_of(APP / "translations/en.yaml"))
NAS = {"name": "nas", "url": "http://nas:8384", "api_key": "key"}
FORMS = re.compile(r"(?:str|bool|url|port|password|int|match\((?P<match>.+)\)|list\((?P<list>.+)\))\??")


RUN = loaded(APP / "run.py")


def leaves(values: Mapping[str, Any], path: Setting = ()) -> Iterator[tuple[Setting, Any]]:
    """Yield every option with its path; those of a Syncthing instance use the name `nas`."""
    for key, value in values.items():
        if key == "syncthing":
            yield from leaves(value[0], (key, "nas"))
        elif isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def form_of(option: Setting) -> str:
    """Return the type of an option, or of the entries of a list."""
    form: str | list[str] = EVERY_OPTION[option]
    return form[0] if isinstance(form, list) else form


def shown(option: Setting) -> str:
    """Return the name of an option in the documentation."""
    return ".".join(part for part in option if part != "nas")


EVERY_OPTION = dict(leaves(CONFIG["schema"]))
OPTIONS = [option for option in EVERY_OPTION if option[-1] != "name" and option[0] not in RUN.OWN_OPTIONS]
"""The options that are settings of the bridge."""

# --- the files of the app


def test_the_app_has_the_version_of_the_bridge() -> None:
    """The version of the app matches the bridge that it installs; both changelogs have the same versions."""
    assert CONFIG["version"] == __version__
    versions = [re.findall(r"^## (\S+)", text_of(one / "CHANGELOG.md"), re.MULTILINE) for one in (APP, ROOT)]
    assert versions[0] == versions[1]
    assert versions[0][0] == __version__


def test_the_repository_of_the_app_has_a_name_and_real_addresses() -> None:
    """The Supervisor needs a name. An address, if there is one, is not that of an example."""
    repository = json.loads(text_of(APP.parent / "repository.json"))
    assert repository["name"]
    assert repository["maintainer"]
    for address in (repository.get("url"), CONFIG.get("url")):
        assert address is None or (address.startswith("https://") and not re.search("example|OWNER|USER", address))


DEFAULTS = {
    "apparmor": True,
    "backup": "hot",
    "boot": "auto",
    "hassio_role": "default",
    "homeassistant_api": False,
    "hassio_api": False,
    "host_network": False,
    "ingress": False,
    "ingress_port": 8099,
    "ingress_stream": False,
    "init": True,
    "panel_admin": True,
    "panel_icon": "mdi:puzzle",
    "stage": "stable",
    "startup": "application",
    "timeout": 10,
    "tmpfs": False,
}
"""The keys of an app that this one may need, with the value that the Supervisor uses without them."""

KEYS = {
    "arch",
    "backup_exclude",
    "breaking_versions",
    "description",
    "environment",
    "homeassistant",
    "image",
    "ingress_entry",
    "map",
    "name",
    "options",
    "panel_title",
    "ports",
    "ports_description",
    "schema",
    "services",
    "slug",
    "url",
    "version",
}
"""The keys without a default value. `watchdog`, `webui` and the keys that give rights to the machine are left out."""


def test_the_app_has_only_keys_that_it_needs() -> None:
    """The Supervisor ignores unknown keys silently. The linter of apps refuses those, and values equal to a default."""
    assert set(CONFIG) <= set(DEFAULTS) | KEYS
    assert {key: value for key, value in CONFIG.items() if key in DEFAULTS and value == DEFAULTS[key]} == {}
    assert {"name", "version", "slug", "description", "arch"} <= set(CONFIG)


def test_the_supervisor_accepts_the_values_of_the_app() -> None:
    """A wrong value makes the app disappear from the store, with a message in the Supervisor's log only."""
    shortest, longest = 10, 300
    assert set(CONFIG["arch"]) == {"aarch64", "amd64"}
    assert re.fullmatch(r"[a-z0-9_]+", CONFIG["slug"])
    assert isinstance(CONFIG["version"], str)
    assert CONFIG["stage"] in {"experimental", "deprecated"}
    assert shortest <= CONFIG["timeout"] <= longest
    assert isinstance(CONFIG["tmpfs"], bool)
    assert all(re.fullmatch(r"(?:mqtt|mysql):(?:provide|want|need)", one) for one in CONFIG["services"])


def test_another_broker_may_be_set() -> None:
    """The app can use Home Assistant's broker, but does not require it."""
    assert CONFIG["services"] == ["mqtt:want"]


def test_the_image_has_a_health_check() -> None:
    """The switch Watchdog uses the health check of the image, since the key `watchdog` is obsolete."""
    assert "HEALTHCHECK" in text_of(APP / "Dockerfile")


def test_only_the_app_has_a_configuration() -> None:
    """The Supervisor takes every file with this name, in any directory, for another app."""
    assert list(APP.parent.rglob("config.*")) == [APP / "config.yaml"]


# --- the published repository


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the content of the repository that users add by its address."""
    directory = tmp_path_factory.mktemp("published") / "repository"
    subprocess.run([ROOT / "scripts/homeassistant-app", "--published", directory], check=True)
    return directory


def test_the_published_repository_has_everything_that_the_store_shows(published: Path) -> None:
    """The store shows texts and pictures, and needs neither a Dockerfile nor the program."""
    assert {path.name for path in published.iterdir()} == {"LICENSE", "README.md", "repository.json", "stbridge"}
    assert {path.name for path in (published / "stbridge").iterdir()} == {
        "CHANGELOG.md",
        "DOCS.md",
        "README.md",
        "config.yaml",
        "icon.png",
        "logo.png",
        "translations",
    }


def test_the_published_app_has_a_prebuilt_image(published: Path) -> None:
    """The image has no tag: the Supervisor takes the one of `version`, and a workflow pushes exactly this image."""
    config = yaml.safe_load(text_of(published / "stbridge/config.yaml"))
    image = config.pop("image")
    assert config == CONFIG
    assert re.fullmatch(r"ghcr\.io/[a-z0-9-]+/[a-z0-9-]+", image)
    assert f"tags: {image}:${{{{ needs.build.outputs.version }}}}" in text_of(ROOT / ".github/workflows/release.yml")


def test_the_link_to_add_the_repository_has_its_address(published: Path) -> None:
    """The host name of the app depends on the spelling of the address, so all places have the same."""
    address = json.loads(text_of(published / "repository.json"))["url"]
    assert f"?repository_url={quote(address, safe='')})" in text_of(published / "README.md")
    assert f"`{address}`" in text_of(published / "README.md")


# --- the options


@pytest.mark.parametrize("option", EVERY_OPTION, ids=".".join)
def test_every_option_has_a_type_of_the_supervisor(option: Setting) -> None:
    """The Supervisor supports the type, and an expression in it is valid."""
    form = FORMS.fullmatch(form_of(option))
    assert form is not None
    re.compile(form["match"] or "")


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_is_a_setting(option: Setting) -> None:
    """The options have the names of the settings."""
    assert option in SETTINGS


def test_every_option_without_a_default_is_optional() -> None:
    """The Supervisor does not start an app without a value for each option, except for those with a question mark."""
    filled_in = dict(leaves(CONFIG["options"]))
    assert {option for option in EVERY_OPTION if not form_of(option).endswith("?")} <= set(filled_in)
    assert set(filled_in) <= set(EVERY_OPTION)
    assert set(CONFIG["options"]) == set(CONFIG["schema"])


def test_tables_are_nested_at_most_twice() -> None:
    """The Supervisor documents this limit."""
    assert max(len(option) for option in EVERY_OPTION) == len(("syncthing", "nas", "url"))


def test_secrets_are_hidden_in_the_form() -> None:
    """Each secret setting has the type password in the form."""
    assert {option for option in EVERY_OPTION if form_of(option).startswith("password")} == {
        ("syncthing", "nas", "api_key"),
        ("mqtt", "password"),
    }


def test_the_choices_of_an_option_are_those_of_the_bridge() -> None:
    """The form offers exactly the levels that the bridge accepts, and subcommands that exist."""
    levels = typing.get_args(LogSettings.model_fields["level"].annotation)
    assert form_of(("log", "level")) == f"list({'|'.join(levels)})"
    assert set(choices(("task",))) < set(_SUBCOMMANDS)


def choices(option: Setting) -> list[str]:
    """Return the values that an option offers."""
    form = FORMS.fullmatch(form_of(option))
    assert form is not None
    return form["list"].split("|")


# --- the texts


def fields(words: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the texts of every option and of every table, with their path."""
    for key, text in words.items():
        yield (*path, key), text
        yield from fields(text.get("fields", {}), (*path, key))


def names(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every option and of every table in the schema."""
    for key, form in schema.items():
        yield (*path, key)
        inner = form[0] if isinstance(form, list) else form
        yield from names(inner, (*path, key)) if isinstance(inner, dict) else ()


def test_every_option_is_translated() -> None:
    """The form has a name and a description for each option and each table, and for nothing else."""
    texts = dict(fields(WORDS["configuration"]))
    assert set(texts) == set(names(CONFIG["schema"]))
    for text in texts.values():
        assert set(text) <= {"name", "description", "fields"}
        assert text["name"]
        assert text["description"].endswith(".")


def test_the_documentation_explains_every_option() -> None:
    """The documentation of the app has a row for each option, and for each task."""
    explained = [name for cells in rows(text_of(DOCS), "option") for name in spans(cells[0])]
    assert sorted(explained) == sorted(map(shown, EVERY_OPTION))
    assert [name for cells in rows(text_of(DOCS), "task") for name in spans(cells[0])] == choices(("task",))


WITH_DEFAULT = [
    option for option in OPTIONS if SETTINGS[option].default and isinstance(SETTINGS[option].default, str | int | float)
]


@pytest.mark.parametrize("option", WITH_DEFAULT, ids=".".join)
def test_the_texts_name_the_real_default(option: Setting) -> None:
    """A default that the form or the documentation states is the one of the settings."""
    (row,) = [cells[1] for cells in rows(text_of(DOCS), "option") if spans(cells[0]) == [shown(option)]]
    description = dict(fields(WORDS["configuration"]))[tuple(part for part in option if part != "nas")]["description"]
    stated = re.findall(r"The default is `?(\w+)", f"{row}\n{description}")
    default = SETTINGS[option].default
    read = parsed_seconds if option[0] == "alerts" else type(default)
    assert {read(one) for one in stated} == ({default} if option != ("mqtt", "host") else set())


def test_the_examples_of_the_documentation_are_valid(machine: Machine) -> None:
    """A user can copy each block of options from the documentation."""
    found = [block for document in (DOCS, INSTALL) for block in blocks(document, "yaml")]
    assert len(found) > 1
    for block in found:
        options = {**CONFIG["options"], **yaml.safe_load(block)}
        assert set(options) == set(CONFIG["schema"])
        for option, value in leaves(options):
            for one in value if isinstance(value, list) else [value]:
                assert accepts(option, one), one
        variables = RUN.variables(options, BROKER)
        machine.environment({name: value.replace("…", "a5" * 32) for name, value in variables.items()})
        machine.load(*options["settings"])


def accepts(option: Setting, value: object) -> bool:
    """Return whether the Supervisor accepts a value, as far as the expression in its type decides."""
    form = FORMS.fullmatch(form_of(option))
    return form is not None and bool(re.match(form["match"] or "", str(value)))


SYNCTHING_APP = "https://github.com/Poeschl-HomeAssistant-Addons/repository"


@pytest.mark.parametrize("document", [DOCS, INSTALL], ids=lambda path: path.name)
def test_the_address_of_the_syncthing_app_is_that_of_its_repository(document: Path) -> None:
    """The Supervisor makes the host name of an app from the address of its repository."""
    host = f"{hashlib.sha1(SYNCTHING_APP.lower().encode(), usedforsecurity=False).hexdigest()[:8]}-syncthing"
    assert SYNCTHING_APP in text_of(document)
    assert set(re.findall(r"http://([0-9a-f]{8}-syncthing):8384", text_of(document))) >= {host}
    assert f"http://{host}:8384" in WORDS["configuration"]["syncthing"]["fields"]["url"]["description"]


def test_the_options_that_the_installation_names_exist() -> None:
    """Names with a dot or an underscore in the page on the installation are those of the form."""
    text = prose_of(INSTALL).replace("syncthing.home.", "syncthing.")
    named = {name for name in spans(text) if re.fullmatch(r"[a-z_]+[._][a-z_.]+", name)} - {"local_apps"}
    known = {shown(option) for option in EVERY_OPTION}
    assert named <= known | {name.rpartition(".")[2] for name in known}
    assert {"mqtt.host", "gui_url"} <= named


BLUEPRINTS = sorted((ROOT / "examples/home-assistant/blueprints").glob("*.yaml"))
LABELS = {
    "Visit",
    "import",
    *(name for one in BLUEPRINTS for name in re.findall(r'^ +name: "?(.+?)"?$', text_of(one), re.MULTILINE)),
}
"""Words of Home Assistant's own pages and of the forms of blueprints, which the documentation writes like the name of
an entity."""


@pytest.mark.parametrize("document", [ENTITIES, INSTALL], ids=lambda path: path.name)
def test_the_entities_that_a_page_names_exist(document: Path) -> None:
    """Each name in italics is an entity of the tables, which come from the code."""
    cells = [row[0] for row in rows(text_of(ENTITIES), "entity")]
    prose = "\n".join(line for line in prose_of(document).splitlines() if not line.startswith("|"))
    named = set(re.findall(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])", prose))
    assert named <= {cell.strip("*()") for cell in cells} | LABELS
    assert named


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
    assert settings.commands.allow == SETTINGS["commands", "allow"].default


SAMPLES: Mapping[Setting, tuple[Any, Any]] = {
    ("syncthing", "nas", "url"): ("http://68413af6-syncthing:8384", "http://68413af6-syncthing:8384"),
    ("syncthing", "nas", "api_key"): ("the key", "the key"),
    ("syncthing", "nas", "verify"): ("off", "off"),
    ("syncthing", "nas", "gui_url"): ("https://nas.lan:8384", "https://nas.lan:8384"),
    ("mqtt", "host"): ("broker.lan", "broker.lan"),
    ("mqtt", "port"): (1884, 1884),
    ("mqtt", "username"): ("me", "me"),
    ("mqtt", "password"): ("the password", "the password"),
    ("mqtt", "base_topic"): ("sync", "sync"),
    ("mqtt", "client_id"): ("second", "second"),
    ("homeassistant", "discovery_prefix"): ("discovery", "discovery"),
    ("commands", "allow"): (["scan", "pause"], ("scan", "pause")),
    ("alerts", "out_of_sync"): ("30m", 1800),
    ("alerts", "stuck"): ("600", 600),
    ("alerts", "stale"): ("2d", 172800),
    ("alerts", "unseen"): ("0", 0),
    ("alerts", "behind"): ("12 h", 43200),
    ("web", "allow"): (["scan", "pause"], ("scan", "pause")),
    ("log", "level"): ("debug", "debug"),
}
"""For each option a value as the Supervisor passes it, and the value of the setting, which is not the default."""


def filled_in() -> dict[str, Any]:
    """Return the options of the app with every sample."""
    options: dict[str, Any] = {**CONFIG["options"], "syncthing": [{"name": "nas"}]}
    for (section, *_, key), (value, _) in SAMPLES.items():
        if section == "syncthing":
            options[section][0][key] = value
        else:
            options[section] = {**options[section], key: value}
    return options


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_arrives_in_the_settings(machine: Machine, option: Setting) -> None:
    """The bridge gets the value that the user has filled in."""
    value, expected = SAMPLES[option]
    machine.environment(RUN.variables(filled_in(), BROKER))
    assert value_of(machine.load(), option) == expected != SETTINGS[option].default
    assert all(accepts(option, one) for one in (value if isinstance(value, list) else [value]))


def test_empty_options_leave_the_defaults(machine: Machine) -> None:
    """A field that the user has cleared counts as not filled in."""
    emptied = {table: dict.fromkeys(CONFIG["schema"][table], "") for table in ("mqtt", "homeassistant", "alerts")}
    machine.environment(RUN.variables({**CONFIG["options"], **emptied}, BROKER))
    settings = machine.load()
    assert settings.mqtt.host == BROKER["host"]
    assert settings.mqtt.base_topic == SETTINGS["mqtt", "base_topic"].default
    assert settings.homeassistant == HomeAssistantSettings()
    assert settings.alerts == AlertSettings()
    assert all(accepts(("alerts", key), "") for key in emptied["alerts"])


def test_other_settings_override_the_options(machine: Machine) -> None:
    """An entry of `settings` reaches the bridge as on its command line, with lists and with names in upper case."""
    further = ["alerts.device.P56IOI7.unseen=0", 'events.raw=["ItemFinished"]', "log.level=debug"]
    options = {**CONFIG["options"], "settings": further}
    _, subcommand, *flags = RUN.command(options, options["task"])
    assert subcommand == "run"
    assert flags == ["--set", further[0], "--set", further[1], "--set", further[2]]
    machine.environment(RUN.variables(options, BROKER))
    settings = machine.load(*further)
    assert settings.alerts.thresholds().devices == {"P56IOI7": {"unseen": 0}}
    assert settings.events.raw == ("ItemFinished",)
    assert settings.log.level == "debug"
    assert all(accepts(("settings",), one) for one in further)


@pytest.mark.parametrize(
    "refused",
    [
        "log.level",
        "mqtt.host=elsewhere",
        'mqtt.hosts=["elsewhere"]',
        "mqtt.username=me",
        "mqtt.password=secret",
        "syncthing.nas.api_key=key",
        'mqtt={host="elsewhere"}',
        "--config=/data/options.json",
    ],
)
def test_other_settings_cannot_name_a_broker_or_a_secret(refused: str) -> None:
    """Another broker would get the login of Home Assistant's, and every process can read a secret on a command line."""
    assert not accepts(("settings",), refused)


@pytest.mark.parametrize("task", choices(("task",)))
def test_the_task_is_a_subcommand(task: str) -> None:
    """The app runs the task. Its health check uses the same settings, so it finds the file of the same bridge."""
    options = {**CONFIG["options"], "task": task, "settings": ["mqtt.client_id=second"]}
    assert RUN.command(options, task) == ["stbridge", task, "--set", "mqtt.client_id=second"]
    assert RUN.command(options, "health") == ["stbridge", "health", "--set", "mqtt.client_id=second"]


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


def test_a_supervisor_that_does_not_answer_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """The app treats it like a Supervisor without a broker, and the log shows the difference."""
    assert RUN.mqtt_service(f"http://127.0.0.1:{free_port()}", TOKEN) == {}
    assert "cannot ask the Supervisor" in capsys.readouterr().err


@pytest.mark.parametrize("token", [TOKEN, "another token", None], ids=["no broker", "no right", "no Supervisor"])
def test_without_any_broker_the_app_explains_what_to_do(
    supervisor: Callable[[Any], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    token: str | None,
) -> None:
    """The app exits as for wrong settings, with a message of one line that names the option."""
    options = tmp_path / "options.json"
    options.write_text(json.dumps(CONFIG["options"]), encoding="utf-8")
    monkeypatch.setattr(RUN, "OPTIONS", options)
    monkeypatch.setattr(RUN, "SUPERVISOR", supervisor(None))
    monkeypatch.setattr("sys.argv", ["/run.py"])
    monkeypatch.delenv(RUN.TOKEN, raising=False)
    if token is not None:
        monkeypatch.setenv(RUN.TOKEN, token)
    with pytest.raises(SystemExit) as ended:
        RUN.main()
    assert ended.value.code == RUN.SETTINGS_WRONG == SettingsError.exit_status
    (line,) = capsys.readouterr().err.splitlines()
    assert "mqtt.host" in line
    assert "Mosquitto broker" in line


def chosen(supervisor: Callable[[Any], str], node: SyncthingNode, broker: Mosquitto) -> tuple[Any, Any]:
    """Return the options for a real Syncthing instance, and the Supervisor's answer that names a real broker."""
    service = RUN.mqtt_service(supervisor({**BROKER, "host": "127.0.0.1", "port": broker.port}), TOKEN)
    options = {**CONFIG["options"], "syncthing": [{"name": "nas", "url": node.url, "api_key": node.api_key}]}
    return options, service


def test_the_bridge_runs_with_the_options_of_the_app(
    supervisor: Callable[[Any], str], node: SyncthingNode, new_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """With a user's options and a broker from the Supervisor, it publishes a real Syncthing instance."""
    broker = new_broker().start()
    subscriber = Subscriber(broker.port)
    options, service = chosen(supervisor, node, broker)
    bridge = BridgeProcess(tmp_path, RUN.variables(options, service)).start()
    try:
        assert subscriber.wait_for_json("syncthing/nas/connection")["status"] == "online"
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    finally:
        bridge.stop()
        subscriber.close()


def test_the_panel_shows_the_page_of_the_bridge(
    supervisor: Callable[[Any], str], node: SyncthingNode, new_broker: Callable[..., Mosquitto], machine: Machine
) -> None:
    """The page has the port of the panel and the broker from the Supervisor, and only buttons that the user allows."""
    broker = new_broker().start()
    options, service = chosen(supervisor, node, broker)
    machine.environment(RUN.variables({**options, "web": {"allow": ["scan"]}}, service))
    settings = machine.load()
    assert settings.web.ingress_port == CONFIG.get("ingress_port", DEFAULTS["ingress_port"]) == RUN.INGRESS_PORT
    assert RUN.command({**options, "settings": ["mqtt.client_id=second"]}, "web")[1:] == [
        "web",
        "--set",
        "mqtt.client_id=second",
    ]
    own = settings.web.model_copy(update={"port": free_port(), "ingress_port": free_port()})
    server = WebServer(settings.model_copy(update={"web": own}), ingress=Rules(None, "127.0.0.1", framed=True))
    server.start()
    panel = Page(own.ingress_port)
    try:
        eventually(lambda: panel.state()["tree"]["broker"]["connected"])
        assert panel.state()["allow"] == ["scan"]
        assert "frame-ancestors 'self'" in panel.get("").headers["content-security-policy"]
    finally:
        panel.close()
        server.stop()


def test_the_app_starts_the_page_beside_the_bridge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only with the task `run`, as the same user, and with the same settings."""
    options = tmp_path / "options.json"
    started: list[list[str]] = []
    monkeypatch.setattr(RUN, "OPTIONS", options)
    monkeypatch.setattr("sys.argv", ["/run.py"])
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(RUN.os, name, lambda _: None)
    monkeypatch.setattr(RUN, "keep_page", lambda command, env: started.append([*command, env["STBRIDGE_MQTT__HOST"]]))
    monkeypatch.setattr(
        RUN.os, "execvpe", lambda _, command, env: started.append([*command, env["STBRIDGE_MQTT__HOST"]])
    )
    for task, processes in (("run", (0, 1)), ("purge", (1,))):
        values = {**CONFIG["options"], "mqtt": {"host": "broker.lan"}, "task": task}
        options.write_text(json.dumps(values), encoding="utf-8")
        for fork in processes:
            monkeypatch.setattr(RUN.os, "fork", lambda process=fork: process)
            with nullcontext() if fork else pytest.raises(SystemExit):
                RUN.main()
    assert started == [[*RUN.command(values, name), "broker.lan"] for name in ("web", "run", "purge")]


def test_the_app_starts_the_page_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else watches it: the health check of the app is that of the bridge."""
    program = f"""
import os, sys
with open({str(tmp_path / "starts")!r}, "a") as file:
    print(os.environ["WORD"], file=file)
with open(file.name) as file:
    sys.exit((0, 1, {RUN.SETTINGS_WRONG})[len(file.readlines()) - 1])
"""
    monkeypatch.setattr(RUN, "RESTART_S", 0)
    RUN.keep_page([sys.executable, "-c", program], {"WORD": "page"})
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "page\n" * 3
    assert [line.removeprefix("stbridge: the web page stopped ") for line in capsys.readouterr().err.splitlines()] == [
        f"with status {status} and starts again in 0 s" for status in (0, 1)
    ]


def test_the_app_removes_everything_that_the_bridge_has_published(
    supervisor: Callable[[Any], str], node: SyncthingNode, new_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """With the task `purge`, the topics and the devices of Home Assistant are gone before the app is uninstalled."""
    broker = new_broker().start()
    subscriber = Subscriber(broker.port)
    options, service = chosen(supervisor, node, broker)
    bridge = BridgeProcess(tmp_path, RUN.variables(options, service)).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    finally:
        bridge.stop()
    assert any(topic.startswith("homeassistant/device/") for topic in subscriber.latest())
    done = bridge.run(*RUN.command(options, "purge")[1:])
    assert done.returncode == 0
    assert re.fullmatch(r"\d+ topics cleared", done.stdout.splitlines()[-1])
    subscriber.close()
    fresh = Subscriber(broker.port)
    fresh.publish("end/of/retained", b"x")
    fresh.wait_for_payload("end/of/retained", b"x")
    assert set(fresh.latest()) == {"end/of/retained"}
    fresh.close()

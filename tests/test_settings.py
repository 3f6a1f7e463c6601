"""The sources of settings, their precedence, and the messages about invalid settings."""

import json
from collections.abc import Sequence

import pytest

from stbridge.settings import PREFIX, MqttSettings, TlsSettings
from stbridge.settings_sources import CONFIG_VARIABLE
from tests.machine import SECRETS, SETTINGS, Machine, Setting, value_of, variable_of

# --- precedence

STRENGTH = ("default", "file", "docker", "systemd", "environment", "flag")


@pytest.mark.parametrize("strongest", STRENGTH)
def test_a_setting_comes_from_the_strongest_source_that_has_it(machine: Machine, strongest: str) -> None:
    """A flag overrides the environment; then follow secret files of systemd and Docker, the TOML file, the default."""
    given = STRENGTH[: STRENGTH.index(strongest) + 1]
    flags = ["mqtt.username=flag"] if "flag" in given else []
    if "file" in given:
        machine.config('[mqtt]\nusername = "file"\n')
    if "docker" in given:
        machine.docker_secret("mqtt_username", "docker\n")
    if "systemd" in given:
        machine.systemd_credential("mqtt_username", "systemd\n")
    if "environment" in given:
        machine.environment({"STBRIDGE_MQTT__USERNAME": "environment"})
    assert machine.load(*flags).mqtt.username == ("" if strongest == "default" else strongest)


def test_sources_add_to_each_other(machine: Machine) -> None:
    """Each source provides the settings that it has, even within one table."""
    machine.config('[mqtt]\nhost = "file"\nport = 1\n[syncthing.nas]\nurl = "http://nas:8384"\n')
    machine.docker_secret("syncthing_nas_api_key", "key")
    machine.environment({"STBRIDGE_MQTT__PORT": "2", "STBRIDGE_SYNCTHING__LAPTOP__URL": "http://laptop:8384"})
    settings = machine.load("mqtt.client_id=flag")
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.client_id) == ("file", 2, "flag")
    assert set(settings.syncthing) == {"nas", "laptop"}
    assert settings.syncthing["nas"].api_key.get_secret_value() == "key"


PLACES = ("etc/stbridge.toml", "home/.config/stbridge/stbridge.toml", "xdg/stbridge/stbridge.toml", "variable", "named")


@pytest.mark.parametrize("strongest", PLACES)
def test_one_settings_file_is_read(machine: Machine, strongest: str) -> None:
    """The bridge reads only the most specific of the settings files that exist, and ignores the others."""
    for place in PLACES[: PLACES.index(strongest) + 1]:
        path = machine.file(place, f'[mqtt]\nusername = "{place}"\n')
        if place.startswith("xdg"):
            machine.environment({"XDG_CONFIG_HOME": str(machine.directory / "xdg")})
        elif place == "variable":
            machine.environment({CONFIG_VARIABLE: str(path)})
        elif place == "named":
            machine.config(path.read_text(encoding="utf-8"))
    assert machine.load().mqtt.username == strongest


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_every_setting_is_an_environment_variable(machine: Machine, path: Setting) -> None:
    """The environment can set everything that the TOML file can set."""
    default = SETTINGS[path].get_default(call_default_factory=True)
    samples = {
        "url": "http://nas",
        "gui_url": "http://nas",
        "enabled": "true",
        "password": "secret",
        "api_key": "secret",
    }
    if isinstance(default, tuple | dict):
        value = json.dumps(default)
    else:
        value = samples.get(path[-1], str(machine.file("a-file", "content") if default in (None, "") else default))
    needed = {
        "password": ("username", "bridge"),
        "password_file": ("username", "bridge"),
        "key_file": ("cert_file", value),
    }
    if path[-1] in needed:
        beside, needed_value = needed[path[-1]]
        machine.environment({variable_of((*path[:-1], beside)): needed_value})
    machine.environment({"STBRIDGE_SYNCTHING__NAS__URL": "http://nas", variable_of(path): value})
    *section, name = path
    assert name in value_of(machine.load(), tuple(section)).model_fields_set


# --- secrets


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_every_secret_may_be_in_a_file_beside_it(machine: Machine, path: Setting) -> None:
    """`..._file` names a file that contains the secret, with or without a newline at its end."""
    *section, name = path
    file = machine.file("secret", "from the file\n")
    machine.config(_table(section, f'{name}_file = "{file}"'))
    assert value_of(machine.load(), path) == "from the file"
    machine.config(_table(section, f'{name}_file = "{file}"\n{name} = "given"'))
    assert value_of(machine.load(), path) == "given"


def _table(section: Sequence[str], text: str) -> str:
    url = 'url = "http://nas"\n' if "nas" in section else 'username = "bridge"\n'
    return f"[{'.'.join(section)}]\n{url}{text}\n"


def test_a_secret_file_in_a_stronger_source_overrides_a_secret_in_a_weaker_one(machine: Machine) -> None:
    """A file that the environment names overrides the password in the TOML file."""
    machine.config('[mqtt]\nusername = "bridge"\npassword = "old"\n')
    machine.environment({"STBRIDGE_MQTT__PASSWORD_FILE": str(machine.file("password", "new"))})
    assert machine.load().mqtt.password.get_secret_value() == "new"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mqtt_username", ("mqtt", "username")),
        ("mqtt_password", ("mqtt", "password")),
        ("syncthing_nas_api_key", ("syncthing", "nas", "api_key")),
        ("stbridge_mqtt_password", ("mqtt", "password")),
        ("STBRIDGE_SYNCTHING__NAS__API_KEY", ("syncthing", "nas", "api_key")),
    ],
)
def test_a_secret_file_has_the_name_of_its_setting(machine: Machine, name: str, path: Setting) -> None:
    """Docker and systemd provide secrets as files, whose names consist of the parts of a setting."""
    machine.config('[mqtt]\nusername = "bridge"\n[syncthing.nas]\nurl = "http://nas"\n')
    machine.docker_secret("of_another_program", "left alone")
    machine.docker_secret(name, "docker\n")
    assert value_of(machine.load(), path) == "docker"
    machine.systemd_credential(name, "systemd\n")
    assert value_of(machine.load(), path) == "systemd"


def test_secrets_are_never_shown(machine: Machine) -> None:
    """Neither the settings nor the messages about faults contain a secret."""
    machine.config(_table(["syncthing", "nas"], 'api_key = "hidden-1"') + _table(["mqtt"], 'password = "hidden-2"'))
    settings = machine.load()
    assert "hidden" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    machine.config('[syncthing.nas]\napi_key = "hidden-1"\nverify = 1\n[mqtt]\npassword = ["hidden-2"]\n')
    faults = machine.faults("mqtt.password=[hidden-3", "mqtt.port=x")
    assert "hidden" not in "\n".join((*faults, *machine.faults()))


# --- invalid settings


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("MQTT", "x", "STBRIDGE_MQTT: no such setting; did you mean STBRIDGE_MQTT__TLS?"),
        ("MQTT__TLS", "x", "mqtt.tls: must be a table"),
        (
            "SYNCTHNG__MY_NAS__API_KEY",
            "x",
            "STBRIDGE_SYNCTHNG__MY_NAS__API_KEY: no such setting; did you mean STBRIDGE_SYNCTHING__MY_NAS__API_KEY?",
        ),
        ("CONFIGG", "x", "STBRIDGE_CONFIGG: no such setting; did you mean STBRIDGE_CONFIG?"),
        ("QQQQ__ZZZZ", "x", "STBRIDGE_QQQQ__ZZZZ: no such setting"),
        (
            "HOMEASSISTANT__EXCLUDE",
            '["folder/a*", "photos"]',
            "homeassistant.exclude: 'photos' must begin with folder/, device/ or entity/",
        ),
        ("COMMANDS__ALLOW", "read,operate", 'commands.allow: must be a list, such as ["one", "two"]'),
        ("COMMANDS__ALLOW", "", 'commands.allow: must be a list, such as ["one", "two"]'),
        ("SYNCTHING__NAS", "http://nas", "syncthing.nas: must be a table"),
        ("SYNCTHING__NAS__API_KEY", "x", "syncthing.nas.url: must be given"),
        ("SYNCTHING__NAS__URL", "http://nas:99999", "syncthing.nas.url: port out of range 0-65535"),
        ("MQTT__PORTS", "1", "mqtt.ports: no such setting; did you mean mqtt.port?"),
        ("MQTT__QQQQ", "1", "mqtt.qqqq: no such setting"),
        ("MQTT__TLS__INSECUR", "1", "mqtt.tls.insecur: no such setting; did you mean mqtt.tls.insecure?"),
        ("POLL__STATUS", "0", "poll.status: input should be greater than 0"),
    ],
)
def test_a_wrong_variable_is_reported_in_one_line(machine: Machine, name: str, value: str, fault: str) -> None:
    """The line names the setting and the valid values; it suggests a name only if one is similar."""
    machine.environment({PREFIX + name: value})
    assert machine.faults()[0] == fault


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["mqtt.port"], "--set mqtt.port: must look like section.key=value"),
        (["=1"], "--set =1: must look like section.key=value"),
        (["mqtt=1"], "mqtt: must be a table"),
        (["mqtt=1", "mqtt.port=1"], "mqtt.port: mqtt already has a value"),
        (["mqtt.host=a", "mqtt.host.b=c"], "mqtt.host.b: host already has a value"),
        (["commands.allow=[read"], "--set commands.allow: not valid TOML"),
        (["commands.allow=read"], "commands.allow: must be a list"),
    ],
)
def test_a_wrong_flag_is_reported_in_one_line(machine: Machine, flags: Sequence[str], fault: str) -> None:
    """An invalid command line leads to a message, and never to a traceback."""
    assert machine.faults(*flags)[0].startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[syncthing]\nurl = 'http://nas'\n", "syncthing.url: must be a table"),
        ("syncthing = 1\n", "syncthing: must be a table"),
        ("[mqtt]\npassword_file = 1\n", "mqtt.password_file: must be a path"),
        ('[mqtt]\npassword_file = "/nonexistent"\n', "mqtt.password_file: cannot read /nonexistent (No such file"),
        ('[mqtt]\npassword_file = "\\u0000"\n', "mqtt.password_file: cannot read"),
        ('[syncthing.nas]\nurl = "unix:relative"\n', "syncthing.nas.url: must look like https://"),
        ('[syncthing.nas]\nurl = "http://nas/?key=x"\n', "syncthing.nas.url: must end with the path"),
        ('[mqtt]\nhost = "mqtt://a:b@nas"\n', "mqtt.host: must be only a host name or address"),
        ('[mqtt]\nhost = "a:b@nas"\n', "mqtt.host: must be only a host name or address"),
        ("[mqtt]\nprotocol = 4\n", "mqtt.protocol: input should be 'auto', '5' or '3.1.1'"),
        ('[mqtt]\nbase_topic = "$SYS"\n', "mqtt.base_topic: must be a topic"),
    ],
)
def test_a_wrong_file_is_reported_in_one_line(machine: Machine, text: str, fault: str) -> None:
    """The message names the setting, whatever the TOML file contains."""
    machine.config(text)
    assert machine.faults()[0].startswith(fault)


def test_no_fault_hides_another(machine: Machine) -> None:
    """All faults are reported at once, each on its own line."""
    machine.config('[mqtt]\nport = 0\npassword_file = "/nonexistent"\n[syncthing.nas]\nurl = "nas"\nkey = "x"\n')
    machine.environment({"STBRIDGE_MQTT_HOST": "x", "STBRIDGE_LOG__LEVEL": "loud"})
    faults = machine.faults("poll.status=never")
    named = {fault.partition(":")[0] for fault in faults}
    assert named == {
        "STBRIDGE_MQTT_HOST",
        "mqtt.port",
        "mqtt.password_file",
        "syncthing.nas.url",
        "syncthing.nas.key",
        "log.level",
        "poll.status",
    }
    assert not any("\n" in fault for fault in faults)


@pytest.mark.parametrize("kind", ["directory", "not UTF-8", "loop"])
def test_a_secret_that_cannot_be_read_is_a_fault(machine: Machine, kind: str) -> None:
    """A secret that was provided but cannot be read is reported, and not ignored."""
    secrets = machine.directory / "docker"
    if kind == "loop":
        secrets.symlink_to(secrets)
    elif kind == "directory":
        (secrets / "mqtt_password").mkdir(parents=True)
    else:
        secrets.mkdir()
        (secrets / "mqtt_password").write_bytes(b"\xff")
    (fault,) = machine.faults()
    assert fault.startswith(f"{secrets}")
    assert "cannot" in fault


@pytest.mark.parametrize(
    ("port", "enabled", "uses_tls"), [(1883, None, False), (8883, None, True), (1883, True, True), (8883, False, False)]
)
def test_port_8883_means_tls_unless_configured_otherwise(port: int, enabled: bool | None, uses_tls: bool) -> None:
    """The standard port for MQTT over TLS enables TLS; `mqtt.tls.enabled` overrides that."""
    assert MqttSettings(port=port, tls=TlsSettings(enabled=enabled)).uses_tls is uses_tls

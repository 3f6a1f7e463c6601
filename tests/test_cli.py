"""The command line as users and service managers run it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stbridge.core.commands import COMMANDS
from stbridge.demo.node import free_port
from tests.conftest import ODD_FOLDER, Pair
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually

USAGE, FAILED, SETTINGS = 2, 1, 78


def stbridge(
    *arguments: str, variables: Mapping[str, str] | None = None, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in an environment without any settings of this machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STBRIDGE_", "ST"))}
    environment |= {"HOME": str(home or "/nonexistent"), **(variables or {})}
    environment.pop("XDG_CONFIG_HOME", None)
    return subprocess.run(
        [sys.executable, "-m", "stbridge", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )


def file_with(directory: Path, text: str) -> str:
    """Write a settings file and return its path."""
    file = directory / "stbridge.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_wrong_settings_exit_with_78_and_a_line_for_each_fault(tmp_path: Path) -> None:
    """Every fault is shown on its own line with the name of the setting, and no fault hides another."""
    config = file_with(
        tmp_path,
        '[mqtt]\nhots = "x"\nport = 99999\n[syncthing.nas]\nurl = "nas:8384"\n'
        '[syncthing.box]\nurl = "https://u:p@box"\napi_key = "very-secret-key"\nverify = "sha256:12"\n[nonsense]\n',
    )
    result = stbridge("run", "--config", config, variables={"STBRIDGE_MQTT_HOST": "x"})
    assert result.returncode == SETTINGS
    lines = result.stderr.splitlines()
    for setting in (
        "STBRIDGE_MQTT_HOST: no such setting; did you mean STBRIDGE_MQTT__HOST?",
        "mqtt.hots: no such setting; did you mean mqtt.hosts?",
        "mqtt.port:",
        "syncthing.nas.url: must look like",
        "syncthing.box.url: must not contain",
        "syncthing.box.verify: must be sha256:",
        "nonsense: no such setting",
    ):
        assert [line for line in lines if line.startswith(f"stbridge: {setting}")], (setting, lines)
    assert "Traceback" not in result.stderr
    assert "very-secret-key" not in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mqtt\n", "not valid TOML"),
        ('[syncthing.bridge]\nurl = "http://x"\n', "cannot be the name of an instance"),
        ('[syncthing."Nas"]\nurl = "http://x"\n', "cannot be the name of an instance"),
        ('[mqtt]\nbase_topic = "a/#"\n', "mqtt.base_topic: must be a topic"),
        ('[mqtt]\nbase_topic = "homeassistant"\n', "must differ"),
        ('[syncthing.nas]\nurl = "http://x"\n[commands]\nallow = ["reed"]\n', "commands.allow: 'reed' is neither"),
        ('[syncthing.nas]\nurl = "http://x"\napi_key_file = "/nonexistent/key"\n', "cannot read /nonexistent/key"),
        ('[syncthing.nas]\nurl = "https://x"\nverify = "/nonexistent/cert"\n', "cannot use the certificate file"),
        (
            '[syncthing.nas]\nurl = "https://x"\n[mqtt.tls]\nenabled = true\nca_file = "/nonexistent"\n',
            "mqtt.tls.ca_file",
        ),
    ],
)
def test_each_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A fault in the settings is shown before the service starts anything."""
    result = stbridge("run", "--config", file_with(tmp_path, text))
    assert result.returncode == SETTINGS, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_named_settings_file_must_exist() -> None:
    """A settings file that does not exist is a fault; the defaults are not used instead."""
    for result in (
        stbridge("check", "--config", "/nonexistent.toml"),
        stbridge("check", variables={"STBRIDGE_CONFIG": "/nonexistent.toml"}),
    ):
        assert result.returncode == SETTINGS
        assert "/nonexistent.toml: cannot read" in result.stderr


def test_without_settings_and_without_syncthing_the_searched_places_are_named(tmp_path: Path) -> None:
    """If no instance is configured or found, the message lists the places that were searched and the setting to add."""
    result = stbridge("check", home=tmp_path)
    assert result.returncode == SETTINGS
    assert f"{tmp_path}/.config/syncthing/config.xml" in result.stderr
    assert "syncthing.NAME.url" in result.stderr


def test_wrong_usage_exits_with_2() -> None:
    """An invalid command line gets the usual usage message."""
    assert stbridge("dance").returncode == USAGE
    assert stbridge().returncode == USAGE
    assert stbridge("run", "--set", "nothing").returncode == SETTINGS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chek"], "there is no subcommand 'chek'; did you mean check?"),
        (["CALL", "nas", "scan"], "there is no subcommand 'CALL'; did you mean call?"),
        (["dance"], "there is no subcommand 'dance', only run, check, call, "),
        (["call", "nsa", "scan"], "there is no instance 'nsa' in the settings; did you mean nas?"),
        (["call", "nas", "scna"], "there is no command 'scna'; did you mean scan?"),
        (["call", "nas", "scan", "fodler=docs"], "unknown argument 'fodler'; did you mean folder?"),
        (["call", "elsewhere", "scan"], "there is no instance 'elsewhere' in the settings, only nas"),
    ],
)
def test_a_misspelled_name_has_a_suggestion(arguments: Sequence[str], message: str) -> None:
    """As for settings, the message suggests a similar name; if no name is similar, it lists the valid ones."""
    result = stbridge(*arguments, variables={"STBRIDGE_SYNCTHING__NAS__URL": "http://127.0.0.1:1"})
    assert result.returncode == USAGE
    assert result.stderr.startswith(f"stbridge: {message}")


def test_the_local_syncthing_is_found(pair: Pair, broker: Mosquitto, tmp_path: Path) -> None:
    """If only the broker's port is set, the Syncthing instance of this machine is used as `local`."""
    home = tmp_path / ".config"
    home.mkdir()
    (home / "syncthing").symlink_to(pair.a.home)
    result = stbridge("check", variables={"STBRIDGE_MQTT__PORT": str(broker.port)}, home=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"syncthing.local: Syncthing v{pair.version}" in result.stdout
    assert pair.a.api_key not in result.stdout + result.stderr


def test_check_shows_what_to_fix(pair: Pair, tmp_path: Path) -> None:
    """`check` tests every connection, prints each finding with its setting, and fails if there is a problem."""
    config = file_with(
        tmp_path,
        f"[mqtt]\nport = {free_port()}\n"
        f'[syncthing.good]\nurl = "{pair.a.url}"\napi_key = "{pair.a.api_key}"\n'
        f'[syncthing.badkey]\nurl = "{pair.a.url}"\napi_key = "wrong-key"\n'
        f'[syncthing.nobody]\nurl = "http://127.0.0.1:{free_port()}"\napi_key = "x"\n'
        f'[syncthing.plain]\nurl = "{pair.a.url.replace("http:", "https:")}"\napi_key = "x"\n',
    )
    result = stbridge("check", "--config", config)
    assert result.returncode == FAILED
    findings = {line.split()[1].rstrip(":"): line for line in result.stdout.splitlines()}
    assert findings["mqtt"].startswith("FAIL")
    assert "mqtt.port" in findings["mqtt"]
    assert findings["syncthing.good"].startswith("ok")
    assert findings["syncthing.badkey.api_key"].startswith("FAIL")
    assert findings["syncthing.nobody.url"].startswith("FAIL")
    assert "sha256:" in findings["syncthing.plain.verify"]
    assert result.stdout.splitlines()[-1] == "4 problems found"
    assert "wrong-key" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_check_names_the_encryption_and_ends_with_a_verdict(pair: Pair, broker: Mosquitto, tmp_path: Path) -> None:
    """The last line states whether the bridge would work."""
    config = file_with(
        tmp_path,
        f'[mqtt]\nport = {broker.port}\n[syncthing.nas]\nurl = "{pair.a.url}"\napi_key = "{pair.a.api_key}"\n',
    )
    result = stbridge("check", "--config", config)
    assert "accepts the bridge with MQTT 5, unencrypted" in result.stdout
    assert result.stdout.splitlines()[-1] == "everything is fine"


def test_call_runs_the_same_commands(pair: Pair) -> None:
    """`call` executes over REST what an MQTT command would do, and prints the JSON."""
    variables = {"STBRIDGE_SYNCTHING__NAS__URL": pair.a.url, "STBRIDGE_SYNCTHING__NAS__API_KEY": pair.a.api_key}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return stbridge("call", "nas", *arguments, variables=variables)

    assert json.loads(call("get_ping").stdout) == {"ping": "pong"}
    assert json.loads(call("get_folder_status", "Odd").stdout)["state"]
    assert json.loads(call("browse_database", f"folder={ODD_FOLDER}", "level=0").stdout) is not None
    assert call("scan", "docs").returncode == 0
    assert "apiKey" not in call("get_config").stdout
    assert call("scan", "nowhere").returncode == FAILED
    assert call("dance").returncode == USAGE
    assert call("scan", "folder=docs", "speed=1").returncode == USAGE
    assert all(command.name in call("dance").stderr for command in COMMANDS)


def test_a_wrong_key_is_reported_and_the_service_keeps_trying(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """A wrong key, a wrong address and a stopped Syncthing instance each appear in `connection` and in one log line."""
    variables = {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__BADKEY__URL": pair.a.url,
        "STBRIDGE_SYNCTHING__BADKEY__API_KEY": "wrong-key-1234",
        "STBRIDGE_SYNCTHING__NOBODY__URL": f"http://127.0.0.1:{free_port()}",
        "STBRIDGE_SYNCTHING__STRANGER__URL": f"http://127.0.0.1:{broker.port}",
        "STBRIDGE_SYNCTHING__PLAIN__URL": pair.a.url.replace("http:", "https:"),
    }
    process = BridgeProcess(tmp_path, variables)
    try:
        process.start()
        for instance, status, setting in (
            ("badkey", "unauthorized", "api_key"),
            ("nobody", "unreachable", "url"),
            ("stranger", "unreachable", "url"),
            ("plain", "tls_error", "verify"),
        ):
            connection = subscriber.wait_for_json(f"syncthing/{instance}/connection", lambda one: one["message"])
            assert (connection["status"], setting in connection["message"]) == (status, True), connection
            subscriber.wait_for_payload(f"syncthing/{instance}/state", b"offline")
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
        eventually(lambda: "badkey unauthorized" in stbridge("health", variables=runtime).stdout)
        assert stbridge("health", variables=runtime).returncode == 0
    finally:
        assert process.stop() == 0
    log = process.log.read_text(encoding="utf-8")
    assert log.count("badkey: unauthorized") == 1
    assert "wrong-key-1234" not in log
    assert "Traceback" not in log
    assert stbridge("health", variables={"XDG_RUNTIME_DIR": str(tmp_path)}).returncode == FAILED


def test_the_schema_is_json_schema() -> None:
    """`schema` prints a JSON Schema for editors and validators."""
    schema = json.loads(stbridge("schema").stdout)
    assert set(schema["properties"]) >= {"mqtt", "syncthing", "commands", "log"}

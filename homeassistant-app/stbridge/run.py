"""Starts the bridge and its web page as an app of Home Assistant.

Its options, and the broker that the Supervisor knows, become settings.

With the argument `health` it is the health check of the container, which needs the same settings and the same user.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

OPTIONS = Path("/data/options.json")
SUPERVISOR = "http://supervisor"
TOKEN = "SUPERVISOR_TOKEN"  # noqa: S105 - the name of the variable
NOBODY = 65532
INGRESS_PORT = 8099
"""The port from which the Supervisor takes the panel; `ingress_port` in config.yaml has the same default."""

RESTART_S = 10.0
SETTINGS_WRONG = 78
NO_BROKER = (
    "mqtt.host: there is no MQTT broker: install and start the app Mosquitto broker, "
    "or set this option to the host of another broker"
)
OWN_OPTIONS = ("settings", "task")
"""Options that are not settings: further settings as KEY=VALUE, and the subcommand."""

Options = Mapping[str, Any]


def variables(options: Options, broker: Options) -> dict[str, str]:
    """Return the options as environment variables of the bridge.

    Args:
        options: as the user has filled them in.
        broker: the MQTT service of the Supervisor; it is used as long as the user has named no other host.
    """
    mqtt = {key: value for key, value in options["mqtt"].items() if value not in ("", None)}
    if "host" not in mqtt:
        mqtt |= {key: broker[key] for key in ("host", "port", "username", "password") if key in broker}
        mqtt["tls"] = {"enabled": broker.get("ssl", False)}
    syncthing = {one["name"]: {key: one[key] for key in one if key != "name"} for one in options["syncthing"]}
    sections = {key: value for key, value in options.items() if key not in OWN_OPTIONS}
    web = {**options.get("web", {}), "ingress_port": INGRESS_PORT}
    return dict(_flat("STBRIDGE", {**sections, "mqtt": mqtt, "syncthing": syncthing, "web": web}))


def _flat(name: str, values: Options) -> Iterator[tuple[str, str]]:
    separator = "_" if name == "STBRIDGE" else "__"
    for key, value in values.items():
        variable = f"{name}{separator}{key.upper()}"
        if isinstance(value, Mapping):
            yield from _flat(variable, value)
        else:
            yield variable, value if isinstance(value, str) else json.dumps(value)


def command(options: Options, subcommand: str) -> Sequence[str]:
    """Return the command line of a subcommand.

    A setting that is given as KEY=VALUE overrides an option, and keeps upper case, which a variable does not.
    """
    further = (part for setting in options["settings"] for part in ("--set", setting))
    return ["stbridge", subcommand, *further]


def mqtt_service(supervisor: str, token: str) -> Options:
    """Ask the Supervisor for the broker; empty if it has none or does not answer, which is logged."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is ours
        f"{supervisor}/services/mqtt", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            data: Options = json.load(answer)["data"]
    except urllib.error.HTTPError:  # it answers that no app provides the service
        return {}
    except OSError as error:
        _complain(f"cannot ask the Supervisor for its MQTT broker ({error})")
        return {}
    return data


def keep_page(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the web page, and start it again whenever it stops, unless its settings are wrong.

    Args:
        command: its command line.
        environment: its environment variables.
    """
    while (status := subprocess.run(command, env=environment, check=False).returncode) != SETTINGS_WRONG:  # noqa: S603
        _complain(f"the web page stopped with status {status} and starts again in {RESTART_S:.0f} s")
        threading.Event().wait(RESTART_S)  # it ends with the container


def _complain(text: str) -> None:
    print(f"stbridge: {text}", file=sys.stderr)


def main() -> None:
    """Become the bridge, or its health check, as a user without rights."""
    health = sys.argv[1:] == ["health"]
    options = json.loads(OPTIONS.read_text(encoding="utf-8"))
    needs_broker = not health and not options["mqtt"].get("host")
    broker = mqtt_service(SUPERVISOR, os.environ.get(TOKEN, "")) if needs_broker else {}
    if needs_broker and not broker:
        _complain(NO_BROKER)
        sys.exit(SETTINGS_WRONG)
    environment = {name: value for name, value in os.environ.items() if name != TOKEN}
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    environment |= variables(options, broker)
    if not health and options["task"] == "run" and os.fork() == 0:
        keep_page(command(options, "web"), environment)
        sys.exit()
    os.execvpe("stbridge", command(options, "health" if health else options["task"]), environment)  # noqa: S606, S607


if __name__ == "__main__":
    main()

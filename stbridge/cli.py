"""The command line: runs a subcommand; only this module exits the process."""

import argparse
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from stbridge import __version__
from stbridge.core.json_text import on_one_line
from stbridge.core.suggestion import suggestion_or_list
from stbridge.core.wording import counted
from stbridge.errors import Failed, Fatal, SettingsError, StbridgeError, UsageError, with_setting_path
from stbridge.output import close_streams, complain, discard, open_streams, say

if TYPE_CHECKING:
    from stbridge.settings import Settings

FAILED = 1
INTERRUPTED = 130
SHELLS = ("bash", "zsh", "tcsh")

MANUAL = """\
settings, in order of precedence:
  --set KEY=VALUE, --log-level LEVEL
  variables                 STBRIDGE_MQTT__HOST, STBRIDGE_SYNCTHING__NAS__API_KEY, ...
  secret files              in $CREDENTIALS_DIRECTORY (systemd) and /run/secrets (Docker)
  a TOML file               --config FILE, else $STBRIDGE_CONFIG, else ~/.config/stbridge/stbridge.toml,
                            else /etc/stbridge/stbridge.toml
  Without any settings, stbridge uses the broker on localhost, and the Syncthing instance of this machine as
  `local`.

exit status:
  0    success
  1    failed while running; start `run` again
  2    wrong usage
  78   invalid settings, one line per error; starting again does not help
  130  interrupted by Ctrl-C

examples:
  stbridge check
  stbridge run --config nas.toml
  stbridge call nas scan photos
  stbridge call local pause folder=photos
  stbridge watch --set mqtt.host=broker.lan
  stbridge web --set mqtt.host=broker.lan
"""
"""The text that `stbridge --help` shows below the subcommands."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand and exit with its status.

    0 success, 1 failed, 2 wrong usage, 78 invalid settings, 130 interrupted.
    """
    open_streams()
    try:
        status = _run(arguments)
    except KeyboardInterrupt:
        discard(sys.stdout)  # its reader may be blocked, and writing the buffer would block, too
        status = INTERRUPTED
    except SystemExit as end:  # argparse has shown the help or a usage error
        status = int(end.code or 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on, Python would print a traceback for Ctrl-C
    sys.exit(status if close_streams() else status or FAILED)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        given = _parsed(sys.argv[1:] if arguments is None else arguments)
        return _SUBCOMMANDS[given.subcommand](given)
    except SettingsError as error:
        for fault in error.faults:
            complain(on_one_line(fault))
        return error.exit_status
    except StbridgeError as error:
        complain(on_one_line(str(error)))
        return error.exit_status if isinstance(error, Fatal) else FAILED


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse argv and suggest a subcommand for an unknown one, which argparse of Python 3.11 does not do."""
    name = arguments[0] if arguments else ""
    if name and not name.startswith("-") and name not in _SUBCOMMANDS:
        raise UsageError(f"there is no subcommand {name!r}{suggestion_or_list(name, _SUBCOMMANDS)}")
    return _parser().parse_args(arguments)


def _parser(commands: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        commands: the commands that the parser accepts for `call`; only shell completion needs them. Without them,
            `call` itself refuses unknown commands and suggests a known one.
    """
    parser = argparse.ArgumentParser(
        prog="stbridge",
        description="Connects Syncthing to MQTT: publishes its state as it changes, and runs commands.",
        epilog=MANUAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stbridge {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="settings file, in TOML")
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, such as mqtt.host=nas; overrides the environment and the file",
    )
    common.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="same as log.level")
    client = argparse.ArgumentParser(add_help=False)
    client.add_argument(
        "--client-id",
        metavar="ID",
        help="client ID at the broker; the default is mqtt.client_id and a suffix for the subcommand. The client ID of "
        "a running bridge would disconnect that bridge",
    )
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    subcommands.add_parser("run", parents=[common], help="run the service")
    subcommands.add_parser("check", parents=[common, client], help="check the settings, the broker and every instance")
    call = subcommands.add_parser("call", parents=[common], help="run one command over REST")
    call.add_argument("instance", help="name of a Syncthing instance in the settings; `local` if there are none")
    call.add_argument("command", choices=commands, help="a command, such as scan or get_folder_status")
    call.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help="its arguments; the main one without KEY=")
    subcommands.add_parser("watch", parents=[common, client], help="show a live view of what the bridge publishes")
    subcommands.add_parser("web", parents=[common, client], help="serve a live web page of all bridges on the broker")
    subcommands.add_parser(
        "dashboard", parents=[common, client], help="print a Home Assistant dashboard for what the bridge publishes"
    )
    demo = subcommands.add_parser("demo", help="run a demo with a broker and two Syncthing nodes of its own")
    demo.add_argument("--seconds", type=float, help="stop after this many seconds instead of at Ctrl-C")
    purge = subcommands.add_parser(
        "purge",
        parents=[common, client],
        help="clear every retained topic and Home Assistant discovery topic of this bridge",
    )
    purge.add_argument("--force", action="store_true", help="clear the topics even while the bridge is online")
    purge.add_argument("--dry-run", action="store_true", help="only print the topics that would be cleared")
    subcommands.add_parser("schema", help="print the JSON Schema of the settings")
    completion = subcommands.add_parser("completion", help="print a shell completion script")
    completion.add_argument("shell", choices=SHELLS)
    subcommands.add_parser(
        "health", parents=[common], help="check whether the service with these settings runs and is healthy"
    )
    return parser


def _flags(given: argparse.Namespace) -> list[str]:
    return [*given.set, *([f"log.level={given.log_level}"] if given.log_level else [])]


def _read_settings(given: argparse.Namespace) -> "Settings":
    from stbridge.settings_sources import load  # noqa: PLC0415

    return load(config=given.config, flags=_flags(given))


def _settings(given: argparse.Namespace) -> "Settings":
    settings = _read_settings(given)
    if settings.syncthing:
        return settings
    from stbridge.local import with_local_syncthing  # noqa: PLC0415

    return with_local_syncthing(settings)


# Each subcommand imports its modules itself: `stbridge health` need not load the whole service, and Ctrl-C during
# imports is handled like any other.


def _service(given: argparse.Namespace) -> int:
    from stbridge.allocator import use_one_arena  # noqa: PLC0415
    from stbridge.bridge import Bridge  # noqa: PLC0415
    from stbridge.health import HealthFile, health_file  # noqa: PLC0415
    from stbridge.log import log_crash, secrets_of, start_logging  # noqa: PLC0415
    from stbridge.settings_sources import log_ignored_variables  # noqa: PLC0415

    settings = _settings(given)
    start_logging(settings.log, secrets_of(settings))
    log_ignored_variables(os.environ)
    threading.excepthook = log_crash
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda arrived, _frame: signals.put(arrived))
    use_one_arena()
    gc.freeze()  # imported objects stay: searching them again and again would stop every thread for some 20 ms
    # Failed calls leave reference cycles. With the default of 10, those that survive two collections stay for minutes.
    # If many objects are in use, Python does a full collection only after their number has grown by a quarter.
    gc.set_threshold(*gc.get_threshold()[:2], 1)
    Bridge(settings, HealthFile(health_file(os.environ, settings.mqtt.client_id))).run(signals)
    return 0


def _check(given: argparse.Namespace) -> int:
    from stbridge.check import Level, check, verdict  # noqa: PLC0415

    findings = check(_settings(given), given.client_id)
    for finding in findings:
        say(f"{finding.level:4}  {on_one_line(finding.text)}")
    say(verdict(findings))
    return FAILED if any(finding.level is Level.PROBLEM for finding in findings) else 0


def _call(given: argparse.Namespace) -> int:
    from stbridge.call import call  # noqa: PLC0415

    settings = _settings(given)
    if given.instance not in settings.syncthing:
        suggestion = suggestion_or_list(given.instance, settings.syncthing)
        raise UsageError(f"there is no instance {given.instance!r} in the settings{suggestion}")
    try:
        reply = call(settings.syncthing[given.instance], given.command, given.arguments)
    except Failed as error:
        raise Failed(with_setting_path(given.instance, str(error))) from error
    say(reply)
    return 0


def _purge(given: argparse.Namespace) -> int:
    from stbridge.purge import purge  # noqa: PLC0415

    count = 0
    settings = _read_settings(given)
    for topic in purge(settings, force=given.force, dry_run=given.dry_run, client_id=given.client_id):
        say(f"{'would clear' if given.dry_run else 'cleared'} {on_one_line(topic)}")
        count += 1
    done = "would be cleared" if given.dry_run else "cleared"
    say(f"{counted(count, 'topic')} {done}" if count else "there was nothing to clear")
    return 0


def _watch(given: argparse.Namespace) -> int:
    try:
        from stbridge.watch.live import Watch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"the live view needs {error.name}: install syncthing-mqtt with its extra `watch`") from error
    Watch(_read_settings(given).mqtt, client_id=given.client_id).run()
    return 0


def _dashboard(given: argparse.Namespace) -> int:
    from stbridge.dashboard import make_dashboard  # noqa: PLC0415

    made = make_dashboard(_read_settings(given), client_id=given.client_id)
    say(made.text.removesuffix("\n"))
    for name in made.uncertain:
        complain(f"{on_one_line(name)} is not in the dashboard: Home Assistant replaces its letters in entity IDs")
    return 0


def _web(given: argparse.Namespace) -> int:
    from stbridge.log import log_crash, secrets_of, start_logging  # noqa: PLC0415

    try:
        from stbridge.web.server import WebServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"the web page needs {error.name}: install syncthing-mqtt with its extra `web`") from error
    settings = _read_settings(given)
    start_logging(settings.log, secrets_of(settings))
    threading.excepthook = log_crash
    server = WebServer(settings, client_id=given.client_id)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.ends.put(None))
    server.run()
    return 0


def _demo(given: argparse.Namespace) -> int:
    try:
        from stbridge.demo.show import show  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"the demo needs {error.name}: install syncthing-mqtt with its extra `demo`") from error
    return show(given.seconds)


def _schema(_: argparse.Namespace) -> int:
    from stbridge.settings import Settings  # noqa: PLC0415

    say(json.dumps(Settings.model_json_schema(), indent=2))
    return 0


def _completion(given: argparse.Namespace) -> int:
    try:
        from shtab import complete  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = f"the completion needs {error.name}: install syncthing-mqtt with its extra `completion`"
        raise UsageError(message) from error
    from stbridge.core.commands import COMMANDS  # noqa: PLC0415

    say(complete(_parser([command.name for command in COMMANDS]), shell=given.shell))
    return 0


def _health(given: argparse.Namespace) -> int:
    from stbridge.health import HealthFile, health_file  # noqa: PLC0415

    client_id = _read_settings(given).mqtt.client_id
    say(on_one_line(HealthFile(health_file(os.environ, client_id)).check()))
    return 0


_SUBCOMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _service,
    "check": _check,
    "call": _call,
    "watch": _watch,
    "web": _web,
    "dashboard": _dashboard,
    "demo": _demo,
    "purge": _purge,
    "schema": _schema,
    "completion": _completion,
    "health": _health,
}

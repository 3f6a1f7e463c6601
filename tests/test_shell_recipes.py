"""The commands in the documents for a shell, run with a real broker, a real Syncthing instance and the bridge."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from tests.documents import ROOT, blocks
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance, manifest

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq here")

PAGES = [ROOT / f"docs/{name}.md" for name in ("shell", "alerting", "monitoring", "bandwidth", "node-red", "overview")]
LAPTOP = "AIR6LPZ-7K4PTTV-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"
BIN = Path(sys.executable).parent
CRON = re.compile(r"^[\d*/]+ [\d*/]+ \* \* \* (?P<command>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """A command in a document, and the output that the document shows, if it shows any."""

    command: str
    output: str


def examples() -> Iterator[Example]:
    """Yield every command that follows a prompt."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for found in re.finditer(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                yield Example(found["command"], found["output"])


def cron_lines() -> Iterator[str]:
    """Yield the command of every line of a crontab."""
    for page in PAGES:
        for block in blocks(page, "text"):
            yield from (found["command"] for found in CRON.finditer(block))


EVERY = list(examples())
OPTION_FILES = [one.command for one in EVERY if "~/.config" in one.command]
STREAMS = [
    one.command
    for one in EVERY
    if "while read" in one.command or ("mosquitto_sub -v" in one.command and "-W" not in one.command)
]
COMPARED = "last_file_at"
SECONDS = {"-W 600": "-W 12", "-W 3600": "-W 60", "-W 5 |": "-W 15 |", "& sleep 1;": "& sleep 5;"}
"""Durations that are too long for a test, or too short for a busy machine, and those of the test."""

TIMED_OUT = 27
"""Exit status of mosquitto_sub after the time of `-W`."""

ONCE = [one for one in EVERY if one.command not in {*OPTION_FILES, *STREAMS} and COMPARED not in one.command]


@dataclass(frozen=True, slots=True)
class Shop:
    """An instance named `nas` with the folder "photos" and the device "laptop", a bridge, and a user with a shell."""

    directory: Path
    node: SyncthingNode
    broker: Mosquitto
    subscriber: Subscriber
    variables: dict[str, str]

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """Start a command in the directory of the project; its output goes to a file."""
        for documented, tested in SECONDS.items():
            command = command.replace(documented, tested)
        with self.output.open("wb") as output, (self.directory / "errors.log").open("wb") as errors:
            return subprocess.Popen(
                ["bash", "-c", command],
                cwd=ROOT,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command, and return its exit status and its output."""
        process = self.start(command)
        try:
            status = process.wait(2 * PATIENCE_S)
        finally:
            stop(process)
        return status, self.output.read_text(encoding="utf-8")

    @property
    def output(self) -> Path:
        """The output of the latest command."""
        return self.directory / "output.log"

    @property
    def files(self) -> Path:
        """The directory of the folder."""
        return self.directory / "photos"

    @property
    def log(self) -> Path:
        """The file in which the stand-ins for other programs record their calls."""
        return self.directory / "stand-ins.log"

    @property
    def errors(self) -> str:
        """The error output of the latest command."""
        return (self.directory / "errors.log").read_text(encoding="utf-8")

    @property
    def logged(self) -> str:
        """What the stand-ins for other programs were called with."""
        return self.log.read_text(encoding="utf-8")

    def folder(self) -> Any:
        """Return the folder as Syncthing's configuration has it."""
        return self.node.request("GET", "/rest/config/folders/photos")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop every program of a pipe."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


STAND_IN = '#!/bin/sh\n{{ printf "%s\\n" "{name} $*"; {read}; }} >>"$STAND_INS"\nexit {status}\n'
STAND_INS = {
    "curl": (":", 0),
    "mail": ("cat", 0),
    "notify-send": (":", 0),
    "logger": (":", 0),
    "on_ac_power": (":", 1),
}
"""Programs that the examples call: how each uses its input, and its exit status. 1 of `on_ac_power` is battery."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All servers run, and the user has written the option files as the document describes."""
    directory = tmp_path_factory.mktemp("shop")
    (directory / "stand-ins.log").touch()
    with ExitStack() as ends:
        broker = Mosquitto(directory)
        ends.callback(broker.stop)
        broker.start()
        node = SyncthingNode("nas", directory / "node", list(manifest()["syncthing"].values())[-1])
        ends.callback(node.stop)
        node.start()
        node.request("POST", "/rest/config/devices", body={"deviceID": LAPTOP, "name": "laptop"})
        node.share("photos", directory / "photos", label="Photos")
        settings = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", node)}
        bridge = BridgeProcess(directory, settings)
        subscriber = Subscriber(broker.port)
        ends.callback(subscriber.close)
        ends.callback(bridge.stop)
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        ask(subscriber, "clear_errors", "PRESS", node="nas")
        one = Shop(directory, node, broker, subscriber, {**_variables(directory), **settings})
        for command in OPTION_FILES:
            assert one.run(command.replace("-h broker.lan", f"-h 127.0.0.1' '-p {broker.port}")) == (0, "")
        eventually(lambda: one.run("examples/shell/check nas") == (0, "nas: fine\n"))
        # the status that `stbridge health` prints is up to 30 s old
        eventually(lambda: one.run("stbridge health") == (0, "broker connected; nas online\n"), 2 * PATIENCE_S)
        yield one


@pytest.fixture(autouse=True)
def resumed(shop: Shop) -> Iterator[None]:
    """Resume the folder after each test: some commands pause it, and the bridge may not have executed them yet."""
    yield
    ask(shop.subscriber, "resume", '{"folder": "photos"}', node="nas")


def _variables(directory: Path) -> dict[str, str]:
    """Return the environment of the user, whose home is this directory."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STBRIDGE_", "XDG_"))},
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PATH": os.pathsep.join([str(_programs(directory / "bin")), str(BIN), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "STAND_INS": str(directory / "stand-ins.log"),
    }


def _programs(directory: Path) -> Path:
    directory.mkdir()
    for name, (read, status) in STAND_INS.items():
        (directory / name).write_text(STAND_IN.format(name=name, read=read, status=status), encoding="utf-8")
    metered = '#!/bin/sh\necho "GENERAL.METERED:yes (guessed)"\n'
    (directory / "nmcli").write_text(metered, encoding="utf-8")
    for file in directory.iterdir():
        file.chmod(0o755)
    return directory


def plain(text: str) -> str:
    """Return a text with each number replaced by 0, because numbers differ from run to run."""
    return re.sub(r"\d+(?:\.\d+)?", "0", text)


# --- commands that end


@pytest.mark.parametrize("example", ONCE, ids=lambda one: one.command[:60])
def test_a_command_prints_what_the_document_shows(shop: Shop, example: Example) -> None:
    """Each command succeeds. If the document shows its output, the real one differs only in numbers."""
    status, output = shop.run(example.command)
    assert status == (TIMED_OUT if example.command.endswith("-W 2") else 0), shop.errors
    if example.output:
        assert plain(output) == plain(example.output)


def test_the_option_files_contain_the_login(shop: Shop) -> None:
    """Each Mosquitto client has its own file, which other users cannot read."""
    for name in ("sub", "pub", "rr"):
        file = Path(shop.variables["HOME"]) / f".config/mosquitto_{name}"
        assert file.read_text(encoding="utf-8").splitlines()[-2:] == ["-u reader", "-P secret"]
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("last_file_at", "fresh"),
    [(timedelta(days=1), True), (timedelta(days=8), False), (None, False)],
)
def test_an_old_change_is_distinguished_from_a_recent_one(
    shop: Shop, last_file_at: timedelta | None, fresh: bool
) -> None:
    """A folder without any change counts as old."""
    (example,) = [one for one in EVERY if COMPARED in one.command]
    at = last_file_at and (datetime.now(UTC) - last_file_at).strftime("%Y-%m-%dT%H:%M:%S.123Z")
    shop.subscriber.publish("syncthing/other/folder/photos", json.dumps({"last_file_at": at}), retain=True)
    status, output = shop.run(example.command.replace("syncthing/nas/", "syncthing/other/"))
    shop.subscriber.publish("syncthing/other/folder/photos", "", retain=True)
    assert (status == 0, json.loads(output)) == (fresh, fresh)
    assert example.output == "true\n"


# --- commands that wait for messages


def _conflict(shop: Shop) -> None:
    (shop.files / f"{os.urandom(4).hex()}.sync-conflict-20261123-201405-ABCDEFG.txt").touch()
    ask(shop.subscriber, "scan", '{"folder": "photos", "wait": true}', node="nas")


def _synced(shop: Shop) -> None:
    shop.subscriber.publish("syncthing/nas/event/folder_synced", '{"folder": "photos"}')


def _offline(shop: Shop) -> None:
    shop.subscriber.publish("syncthing/other/state", "offline")


TRIGGERS: Sequence[tuple[str, Callable[[Shop], None], str]] = (
    ("examples/shell/alerts", _conflict, "nas: Photos: conflict: "),
    ("folder_synced", _synced, "photos is in sync"),
    ("grep --line-buffered offline", _offline, "syncthing/other/state offline"),
    ("-t 'syncthing/#'", _offline, "syncthing/bridge/state online"),
)


@pytest.mark.parametrize("command", STREAMS)
def test_a_command_reports_what_happens(shop: Shop, command: str) -> None:
    """The command reports an event on its output, or to the program that the document names."""
    trigger, text = next((trigger, text) for part, trigger, text in TRIGGERS if part in command)
    shop.log.write_text("", encoding="utf-8")
    process = shop.start(command.replace("-p 12345", ""))

    def reported() -> bool:
        trigger(shop)  # repeated, because events before the subscription are lost
        return text in shop.logged + shop.output.read_text(encoding="utf-8")

    try:
        eventually(reported)
    finally:
        stop(process)
        _remove_conflicts(shop)


def _remove_conflicts(shop: Shop) -> None:
    for file in shop.files.glob("*.sync-conflict-*"):
        file.unlink()
    ask(shop.subscriber, "scan", '{"folder": "photos", "wait": true}', node="nas")
    eventually(lambda: shop.run("examples/shell/check nas") == (0, "nas: fine\n"))


# --- lines of a crontab


@pytest.mark.parametrize("line", list(cron_lines()))
def test_a_line_of_a_crontab_works(shop: Shop, line: str) -> None:
    """It pauses the folder for some time, scans, or sends a mail."""
    since = shop.subscriber.count
    shop.log.write_text("", encoding="utf-8")
    own = line.replace("/usr/local/bin/", "examples/shell/").replace("syncthing/laptop/", "syncthing/nas/")
    assert shop.run(own) == (0, "")
    if "mail" in line:
        assert "Syncthing on nas me@example.org\nnas: fine" in shop.logged
    elif "/scan" in line:
        assert shop.subscriber.wait_for_json("syncthing/nas/response/scan", since=since)["status"] != "error"
    else:
        shop.subscriber.wait_for_json("syncthing/nas/folder/photos", lambda one: one["resume_at"], since=since)
        assert shop.folder()["paused"]


def test_a_repeated_pause_ends_later(shop: Shop) -> None:
    """A job that renews a short pause keeps the folder paused."""
    pauses = [
        ask(shop.subscriber, "pause", json.dumps({"folder": "photos", "for": duration}), node="nas")["data"][
            "resume_at"
        ]
        for duration in ("1m", "7m")
    ]
    assert pauses[0] < pauses[1]
    assert shop.folder()["paused"]


# --- the script `send`


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["nas", "scan", '{"folder": "photos", "wait": true}'], 0, '"status":"ok"'),
        (["nas", "scan", "nothing"], 1, '"code":"not_found"'),
        (["nobody", "scan", "photos", "-W", "1"], 3, "no reply from the bridge"),
    ],
)
def test_the_exit_status_shows_whether_a_command_worked(
    shop: Shop, arguments: Sequence[str], status: int, text: str
) -> None:
    """The reply is printed, and contains the reason if the command failed."""
    found, output = shop.run(shlex.join(["examples/shell/send", *arguments]))
    assert text in output + shop.errors
    assert found == status

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
SECONDS = {"-W 600": "-W 12", "-W 3600": "-W 60"}
"""Durations that are too long for a test."""

ONCE = [one for one in EVERY if one.command not in {*OPTION_FILES, *STREAMS} and COMPARED not in one.command]


@dataclass(frozen=True, slots=True)
class Shop:
    """An instance named `nas` with the folder "photos" and the device "laptop", a bridge, and a user with a shell."""

    files: Path
    node: SyncthingNode
    broker: Mosquitto
    bridge: BridgeProcess
    subscriber: Subscriber
    variables: dict[str, str]
    log: Path

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Start a command in the directory of the project."""
        for longer, shorter in SECONDS.items():
            command = command.replace(longer, shorter)
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=ROOT,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command, and return its exit status and its output."""
        process = self.start(command)
        try:
            output, _ = process.communicate(timeout=2 * PATIENCE_S)
        finally:
            stop(process)
        return process.returncode, output

    @property
    def logged(self) -> str:
        """What the stand-ins for other programs were called with."""
        return self.log.read_text(encoding="utf-8")

    def folder(self) -> Any:
        """Return the folder as Syncthing's configuration has it."""
        return self.node.request("GET", "/rest/config/folders/photos")


def stop(process: "subprocess.Popen[str]") -> None:
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
    broker = Mosquitto(directory).start()
    node = SyncthingNode("nas", directory / "node", list(manifest()["syncthing"].values())[-1])
    settings = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", node)}
    bridge = BridgeProcess(directory, settings)
    subscriber = Subscriber(broker.port)
    programs = _programs(directory / "bin")
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STBRIDGE_", "XDG_"))},
        **settings,
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "STAND_INS": str(directory / "stand-ins.log"),
    }
    one = Shop(directory / "photos", node, broker, bridge, subscriber, variables, directory / "stand-ins.log")
    one.log.touch()
    try:
        node.start()
        node.request("POST", "/rest/config/devices", body={"deviceID": LAPTOP, "name": "laptop"})
        node.share("photos", one.files, label="Photos")
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        ask(subscriber, "clear_errors", "PRESS", node="nas")
        for command in OPTION_FILES:
            own = command.replace("-h broker.lan", f"-h 127.0.0.1' '-p {broker.port}")
            assert one.run(own) == (0, "")
        eventually(lambda: one.run("examples/shell/check nas") == (0, "nas: fine\n"))
        yield one
    finally:
        subscriber.close()
        bridge.stop()
        node.stop()
        broker.stop()


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
    assert "error" not in output.replace('"error":null', "").lower(), output
    assert status == 0, output
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
    output = shop.log.with_name("output.log")
    output.write_text("", encoding="utf-8")
    shop.log.write_text("", encoding="utf-8")

    def reported() -> bool:
        trigger(shop)  # again and again, because events before the subscription are lost
        return text in shop.logged + output.read_text(encoding="utf-8")

    own = command.replace("-p 12345", "")
    process = shop.start(f"{{ {own}; }} >{shlex.quote(str(output))}")
    try:
        eventually(reported)
    finally:
        stop(process)
        _remove_conflicts(shop)


def _remove_conflicts(shop: Shop) -> None:
    for file in shop.files.glob("*.sync-conflict-*"):
        file.unlink()
    ask(shop.subscriber, "scan", '{"folder": "photos", "wait": true}', node="nas")


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
        ask(shop.subscriber, "resume", '{"folder": "photos"}', node="nas")


def test_a_repeated_pause_ends_later(shop: Shop) -> None:
    """A job that renews a short pause keeps the folder paused."""
    pauses = [
        ask(shop.subscriber, "pause", json.dumps({"folder": "photos", "for": duration}), node="nas")["data"][
            "resume_at"
        ]
        for duration in ("1m", "7m")
    ]
    assert pauses[0] < pauses[1]
    ask(shop.subscriber, "resume", '{"folder": "photos"}', node="nas")
    assert not shop.folder()["paused"]


# --- the script `command`


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["nas", "scan", '{"folder": "photos"}'], 0, '"status":"ok"'),
        (["nas", "scan", "nothing"], 1, '"code":"not_found"'),
        (["nobody", "scan", "photos", "-W", "1"], 3, "no reply from the bridge"),
    ],
)
def test_the_exit_status_shows_whether_a_command_worked(
    shop: Shop, arguments: Sequence[str], status: int, text: str
) -> None:
    """The reply is printed, and contains the reason if the command failed."""
    found, output = shop.run(shlex.join(["examples/shell/command", *arguments]))
    assert text in output
    assert found == status

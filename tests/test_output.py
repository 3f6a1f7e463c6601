"""No subcommand hangs or exits with a traceback, whatever happens to its output, its broker or Syncthing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stbridge.call import call
from stbridge.check import Level, check
from stbridge.core.commands import COMMANDS
from stbridge.demo.node import free_port
from stbridge.errors import Fatal
from stbridge.settings import MqttSettings, Settings, SyncthingSettings
from tests.servers import PATIENCE_S, Mosquitto, Subscriber, content_of, eventually
from tests.syncthing.pretended import DOCUMENTS, PretendedSyncthing
from tests.syncthing.server import ScriptedServer, Table, answers, hangs

FAILED, INTERRUPTED = 1, 130

EVENT = json.dumps({"event_type": "conflict", "path": "x" * 200})
TOPIC = "syncthing/nas/event/conflict"

FOLDER = json.dumps(dict.fromkeys(["id", "label", "paused", "completion", "need_bytes", "global_bytes"]))
"""A payload that `purge` recognizes as that of a folder."""


ENDS: Mapping[str, str] = {
    "no output": ">&-",
    "full disk": ">/dev/full",
    "no errors": "2>&-",
    "full errors": "2>/dev/full",
    "nothing at all": "<&- >&- 2>&-",
}
"""Redirections of standard output and standard error in a shell."""


@pytest.fixture
def syncthing() -> Iterator[PretendedSyncthing]:
    """A simulated Syncthing instance with recorded responses of a real one."""
    servers: list[ScriptedServer] = []

    def serve(table: Table) -> ScriptedServer:
        servers.append(ScriptedServer(table).start())
        return servers[-1]

    yield PretendedSyncthing(serve)
    for server in servers:
        server.stop()


def environment(home: Path, broker: Mosquitto | None = None, url: str = "http://127.0.0.1:1") -> dict[str, str]:
    """Return the environment variables of a bridge."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("STBRIDGE_", "PYTHONUNBUFFERED"))}
    return {
        **ours,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "STBRIDGE_MQTT__PORT": str(broker.port if broker else free_port()),
        "STBRIDGE_SYNCTHING__NAS__URL": url,
        "STBRIDGE_SYNCTHING__NAS__API_KEY": "key",
    }


@contextmanager
def running(arguments: str, variables: Mapping[str, str], **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a subcommand."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stbridge", *arguments.split()],
        env=variables,
        text=True,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def errors_of(process: subprocess.Popen[str]) -> str:
    """Wait until a process has exited, and return its standard error."""
    process.wait(PATIENCE_S)
    assert process.stderr is not None
    return process.stderr.read()


# --- streams


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("arguments", ["check", "call nas get_status", "purge", "schema", "completion bash", "--help"])
def test_a_stream_that_cannot_be_written_causes_no_traceback(
    arguments: str, end: str, broker: Mosquitto, syncthing: PretendedSyncthing, tmp_path: Path
) -> None:
    """Output that is lost on a full disk is a failure, which is reported in one line."""
    script = f'exec "$@" {ENDS[end]}'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "stbridge", *arguments.split()]
    variables = environment(tmp_path, broker, syncthing.url)
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    lost = end == "full disk"
    assert result.stderr == ("stbridge: cannot write to standard output (No space left on device)\n" if lost else "")
    assert result.returncode == (FAILED if lost else 0)


@pytest.mark.parametrize("arguments", ["schema", "check", "call nas get_status"])
def test_output_to_a_closed_pipe_is_a_failure_without_a_message(
    arguments: str, broker: Mosquitto, syncthing: PretendedSyncthing, tmp_path: Path
) -> None:
    """`stbridge schema | head` closes the pipe like this."""
    ours, theirs = os.pipe()
    os.close(ours)
    with running(arguments, environment(tmp_path, broker, syncthing.url), stdout=theirs) as process:
        os.close(theirs)
        assert errors_of(process) == ""
        assert process.returncode == FAILED


def test_purge_clears_everything_although_its_output_is_closed(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """`stbridge purge | head -1` does not stop early."""
    for number in range(300):
        subscriber.publish(f"syncthing/nas/folder/{number}", FOLDER, retain=True)
    ours, theirs = os.pipe()
    os.close(ours)
    with running("purge", environment(tmp_path, broker), stdout=theirs) as process:
        os.close(theirs)
        assert errors_of(process) == ""
    eventually(lambda: subscriber.latest() == {} or [one for one in subscriber.messages if not one.payload][299:])


@pytest.mark.parametrize("end", ["no output", "full errors", "nothing at all"])
def test_the_service_runs_without_its_streams(
    end: str, broker: Mosquitto, subscriber: Subscriber, syncthing: PretendedSyncthing, tmp_path: Path
) -> None:
    """The service connects, and stops cleanly, although its log cannot be written."""
    command = ["bash", "-c", f'exec "$@" {ENDS[end]}', "bash", sys.executable, "-m", "stbridge", "run"]
    with subprocess.Popen(command, env=environment(tmp_path, broker, syncthing.url)) as process:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    subscriber.wait_for_payload("syncthing/bridge/state", b"offline")


def test_names_that_the_terminal_cannot_encode_are_escaped(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Output in an encoding with few characters does not fail."""
    subscriber.publish("syncthing/nas/folder/büro", FOLDER, retain=True)
    with running("purge", {**environment(tmp_path, broker), "PYTHONIOENCODING": "ascii"}) as process:
        assert errors_of(process) == ""
        assert process.stdout is not None
        assert process.stdout.readline() == "cleared syncthing/nas/folder/b\\xfcro\n"


# --- the live view, into a pipe


@pytest.fixture
def watch(broker: Mosquitto, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`stbridge watch` into a pipe."""
    with running("watch", environment(tmp_path, broker)) as process:
        yield process


def wait_for_watch(watch: subprocess.Popen[str], subscriber: Subscriber) -> None:
    """Wait until it has printed a line."""
    subscriber.publish(TOPIC, EVENT, retain=True)
    assert watch.stdout is not None
    assert "conflict" in watch.stdout.readline()


@pytest.mark.parametrize("goes_on", [True, False], ids=["busy", "quiet"])
def test_watch_exits_when_its_reader_exits(
    watch: subprocess.Popen[str], subscriber: Subscriber, *, goes_on: bool
) -> None:
    """`stbridge watch | head -1` exits, even if nothing is published any more."""
    wait_for_watch(watch, subscriber)
    assert watch.stdout is not None
    watch.stdout.close()
    if goes_on:
        subscriber.publish(TOPIC, EVENT)
    assert errors_of(watch) == ""
    assert watch.returncode == FAILED


def test_watch_with_a_full_pipe_can_be_interrupted(watch: subprocess.Popen[str], subscriber: Subscriber) -> None:
    """A full pipe neither blocks Ctrl-C nor lets memory grow."""
    wait_for_watch(watch, subscriber)
    for _ in range(3000):
        subscriber.publish(TOPIC, EVENT)
    watch.send_signal(signal.SIGINT)
    assert errors_of(watch) == ""
    assert watch.returncode == INTERRUPTED


def test_watch_accepts_payloads_of_any_form(watch: subprocess.Popen[str], subscriber: Subscriber) -> None:
    """Any client may publish: payloads that are nested too deeply, or are not valid events, are not shown."""
    wait_for_watch(watch, subscriber)
    for kind in ("event/conflict", "folder/docs", "system", "errors", "response/scan"):
        for payload in (b"null", b"[]", b"{}", b'{"items": 5}', b'{"path": ' + b"[" * 900 + b"]" * 900 + b"}"):
            subscriber.publish(f"syncthing/nas/{kind}", payload)
    subscriber.publish(TOPIC, json.dumps({"event_type": "conflict", "path": "the last"}))
    assert watch.stdout is not None
    assert next(line for line in watch.stdout if "the last" in line)
    watch.send_signal(signal.SIGINT)
    assert errors_of(watch) == ""


def test_watch_exits_when_the_broker_stops(
    watch: subprocess.Popen[str], subscriber: Subscriber, broker: Mosquitto
) -> None:
    """`watch` prints one line that gives the reason."""
    wait_for_watch(watch, subscriber)
    broker.kill()
    assert len(errors_of(watch).splitlines()) == 1
    assert watch.returncode == FAILED


# --- a broker or a Syncthing instance that does not answer


@pytest.mark.parametrize("arguments", ["check", "purge", "watch"])
def test_a_broker_that_hangs_is_given_up(
    arguments: str, broker: Mosquitto, syncthing: PretendedSyncthing, tmp_path: Path
) -> None:
    """The broker accepts connections and sends nothing: each subcommand exits by itself, with one line."""
    broker.hang()
    with running(arguments, environment(tmp_path, broker, syncthing.url)) as process:
        printed = errors_of(process)
        assert process.stdout is not None
        printed += "".join(line for line in process.stdout if line.startswith("FAIL"))
    assert process.returncode == FAILED
    assert len(printed.splitlines()) == 1
    assert "mqtt" in printed


@pytest.mark.parametrize("arguments", ["check", "call nas get_ping"])
def test_a_syncthing_that_hangs_can_be_interrupted(
    arguments: str, broker: Mosquitto, syncthing: PretendedSyncthing, tmp_path: Path
) -> None:
    """Ctrl-C stops a wait for a response without a traceback."""
    syncthing.table.update(dict.fromkeys(syncthing.table, hangs))
    with running(arguments, environment(tmp_path, broker, syncthing.url)) as process:
        syncthing.server.wait_until_hanging()
        process.send_signal(signal.SIGINT)
        assert errors_of(process) == ""
        assert process.returncode == INTERRUPTED


def test_ctrl_c_while_modules_are_loaded_causes_no_traceback(tmp_path: Path) -> None:
    """On a slow machine, a subcommand needs half a second to start."""
    with running("check", {**environment(tmp_path), "PYTHONVERBOSE": "1"}) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if "import 'pydantic" in line)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in errors_of(process)
        assert process.returncode == INTERRUPTED


# --- a Syncthing instance with responses of another form

STRANGE: tuple[Any, ...] = (None, [], {}, "text", 5, [None], {"errors": 5}, {"folders": None, "devices": 5})
STRANGE_PATHS = [*DOCUMENTS, "everything"]
ARGUMENTS: Mapping[str, str] = {
    "folder": "docs",
    "device": "BETABET",
    "pending_folder": "docs",
    "pending_device": "BETABET",
    "folder_type": "sendreceive",
    "text": "text",
    "integer": "1",
    "boolean": "true",
    "texts": '["text"]',
    "object": '{"folders": [{"id": "docs"}]}',
}


def spoil(syncthing: PretendedSyncthing, path: str, answer: Any) -> None:
    """Make one path, or every path, return another answer."""
    for one in syncthing.table if path == "everything" else [path]:
        syncthing.table[one] = answers(answer)


def test_check_reports_a_syncthing_that_is_too_old(syncthing: PretendedSyncthing) -> None:
    """`check` would otherwise print "ok" for an instance that the bridge cannot use."""
    syncthing.table["/rest/system/version"] = answers({"version": "v1.18.6", "os": "linux", "arch": "amd64"})
    settings = Settings(
        mqtt=MqttSettings(port=free_port()),
        syncthing={"nas": SyncthingSettings(url=syncthing.url, api_key=SecretStr("key"))},
    )
    finding = check(settings)[-1]
    assert finding.level is Level.PROBLEM
    assert "Syncthing v1.18.6 at" in finding.text
    assert "is too old: 1.19 or later is needed" in finding.text


@pytest.mark.parametrize("path", STRANGE_PATHS)
def test_check_accepts_any_response(path: str, syncthing: PretendedSyncthing) -> None:
    """A response that does not have Syncthing's format is a finding, and never an exception."""
    settings = Settings(
        mqtt=MqttSettings(port=free_port()),
        syncthing={"nas": SyncthingSettings(url=syncthing.url, api_key=SecretStr("key"))},
    )
    for answer in STRANGE:
        spoil(syncthing, path, answer)
        finding = [one for one in check(settings) if one.level is not Level.HINT][-1]
        assert finding.level is not Level.OK or path not in (
            "/rest/system/version",
            "/rest/system/status",
            "everything",
        )


@pytest.mark.parametrize("path", STRANGE_PATHS)
def test_call_accepts_any_response(path: str, syncthing: PretendedSyncthing) -> None:
    """Each command prints JSON, or fails with a message."""
    settings = SyncthingSettings(url=syncthing.url, api_key=SecretStr("key"))
    syncthing.has_folders(docs=False)
    for answer in STRANGE:
        spoil(syncthing, path, answer)
        for command in COMMANDS:
            given = [f"{row.name}={ARGUMENTS[row.type]}" for row in command.arguments if not row.needs_bridge]
            try:
                json.loads(call(settings, command.name, given))
            except Fatal as error:
                assert str(error)  # noqa: PT017 - most of them are refused, and some are not


def test_an_unexpected_response_is_one_line(syncthing: PretendedSyncthing, broker: Mosquitto, tmp_path: Path) -> None:
    """The message of `call` contains the address."""
    spoil(syncthing, "/rest/system/status", {})
    with running("call nas get_ping", environment(tmp_path, broker, syncthing.url)) as process:
        (line,) = errors_of(process).splitlines()
    assert process.returncode == FAILED
    assert syncthing.url in line


# --- the demo


def test_the_demo_exits_when_its_reader_exits(binary: str, tmp_path: Path) -> None:
    """`stbridge demo | head -3` stops its broker and its nodes, and leaves nothing behind."""
    programs, scratch = tmp_path / "bin", tmp_path / "scratch"
    programs.mkdir()
    scratch.mkdir()
    (programs / "syncthing").symlink_to(binary)
    variables = {**environment(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(scratch)}
    with running("demo", variables) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)][-1]
        process.stdout.close()
        assert errors_of(process) == ""
        assert process.returncode == FAILED
    assert list(scratch.iterdir()) == []
    commands = map(content_of, Path("/proc").glob("[0-9]*/cmdline"))
    assert not [command for command in commands if os.fsencode(scratch) in command]

"""The demo: runs the bridge with a private broker and two private Syncthing nodes, and changes files on the nodes.

`Audience` is the MQTT client that prints what the bridge publishes.
"""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from stbridge.bridge import Bridge
from stbridge.demo.audience import Audience, Clock
from stbridge.demo.broker import EmbeddedBroker
from stbridge.demo.node import SyncthingNode, find_syncthing, free_port
from stbridge.errors import Failed, StbridgeError
from stbridge.log import secrets_of, start_logging
from stbridge.output import say
from stbridge.settings import LogSettings, MqttSettings, Settings, SyncthingSettings
from stbridge.settings.web import WebSettings

FOLDER = "photos"
NODES = ("laptop", "nas")
BETWEEN_CHANGES_S = 3.0
PHOTO_BYTES = 3_000_000
FILM_BYTES = 60_000_000


def show(seconds: float | None) -> int:
    """Run the demo, print a summary, and clean up; return the exit status: 0 if everything worked.

    Args:
        seconds: how long to continue after the main part; None continues until Ctrl-C.
    """
    pause = threading.Event()  # never set: its `wait` lasts until the time is over or a signal interrupts it

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    failure: str | None = None
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stbridge-demo-")))
        try:
            audience = _Servers(stack, directory).start()
            clock = Clock(seconds)
        except KeyboardInterrupt:
            return 1
        try:
            _Scenario(audience, directory).run(clock, pause)
        except KeyboardInterrupt:
            Clock.show("interrupted")
        except StbridgeError as error:
            failure = str(error)
    _sum_up(audience, failure)
    return 1 if failure else 0


class _Servers:
    """Starts the broker, the Syncthing nodes and the bridge; the stack stops them, even if one of them cannot start."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory

    def start(self) -> Audience:
        binary = find_syncthing()
        Clock.show(f"starting a broker and two private Syncthing nodes ({binary}) in {self._directory}")
        broker = EmbeddedBroker()
        broker.start()
        self._stack.callback(broker.stop)
        nodes = [SyncthingNode(name, self._directory / name / "home", binary) for name in NODES]
        for node in nodes:
            self._stack.callback(node.stop)
        with ThreadPoolExecutor() as both:
            list(both.map(SyncthingNode.start, nodes))
        laptop, nas = nodes
        laptop.link(nas)
        laptop.share(FOLDER, self._directory / "laptop" / FOLDER, label="Photos", devices=[nas])
        nas.share(FOLDER, self._directory / "nas" / FOLDER, label="Photos", devices=[laptop])
        settings = _settings(broker, nodes)
        start_logging(settings.log, secrets_of(settings))
        audience = Audience(settings.mqtt, Clock.show)
        audience.start()
        self._stack.callback(audience.stop)
        Clock.show(f"starting the bridge; watch it with: mosquitto_sub -p {broker.port} -v -t 'syncthing/#'")
        bridge = Bridge(settings)
        bridge.start()
        self._stack.callback(bridge.stop)
        audience.wait_for("bridge", "bridge_state", lambda word: word == "online")
        self._open_page(settings)
        return audience

    def _open_page(self, settings: Settings) -> None:
        """Serve the web page, which needs the extra `web`, as long as the demo runs."""
        try:
            from stbridge.web.offers import OFFERED  # noqa: PLC0415 - as below
            from stbridge.web.server import WebServer  # noqa: PLC0415 - its libraries may not be installed
        except ModuleNotFoundError as error:
            Clock.show(f"there is no web page, because it needs {error.name}")
            return
        web = WebSettings(port=free_port(), allow=OFFERED)
        page = WebServer(settings.model_copy(update={"web": web}))
        page.start()
        self._stack.callback(page.stop)
        Clock.show(f"open the web page: http://127.0.0.1:{web.port}/")


def _settings(broker: EmbeddedBroker, nodes: list[SyncthingNode]) -> Settings:
    """Return settings that no file and no environment variable of the user can change."""
    return Settings.model_construct(
        **{
            **{name: field.default for name, field in Settings.model_fields.items()},
            "mqtt": MqttSettings(host="127.0.0.1", port=broker.port, protocol="3.1.1"),
            "syncthing": {
                node.name: SyncthingSettings(url=node.url, api_key=SecretStr(node.api_key)) for node in nodes
            },
            "log": LogSettings(level="warning"),
        }
    )


class _Scenario:
    """The steps of the demo; each step waits until its effect is published on the broker."""

    def __init__(self, audience: Audience, directory: Path) -> None:
        self._audience = audience
        self._folders = {node: directory / node / FOLDER for node in NODES}
        self._photos = self._folders["laptop"]
        self._since = 0

    def run(self, clock: Clock, pause: threading.Event) -> None:
        device = self._audience.wait_for("laptop", "device", lambda one: one["connected"])
        Clock.show(f"         the laptop is connected to {device['name']}")
        self._write_and_wait("holiday.jpg", PHOTO_BYTES)
        self._write_and_wait("film.mp4", FILM_BYTES)
        self._command("laptop", "scan", folder="Photos")
        self._command("nas", "get_folder_status", folder=FOLDER)
        self._command("laptop", "priority", folder=FOLDER, file="film.mp4")
        self._raise_and_clear_problem()
        self._pause_and_resume()
        self._conflict()
        self._delete_and_wait("film.mp4")
        count = 0
        while not clock.over:
            count += 1
            self._write_and_wait(f"photo-{count}.jpg", PHOTO_BYTES // 10)
            pause.wait(BETWEEN_CHANGES_S)

    def _write_and_wait(self, name: str, count: int) -> None:
        self._change(f"writing {name} on the laptop", lambda: (self._photos / name).write_bytes(os.urandom(count)))
        self._wait_for_folder(lambda one: one["last_file"] == name and not one["last_file_deleted"] and one["in_sync"])

    def _delete_and_wait(self, name: str) -> None:
        self._change(f"deleting {name} on the laptop", (self._photos / name).unlink)
        self._wait_for_folder(lambda one: one["last_file"] == name and one["last_file_deleted"])

    def _change(self, what: str, change: Callable[[], object]) -> None:
        self._since = self._audience.mark()
        Clock.show(f"         {what}")
        change()

    def _wait_for_folder(self, condition: Callable[[dict[str, object]], object]) -> None:
        self._audience.wait_for("nas", "folder", condition, since=self._since)

    def _pause_and_resume(self) -> None:
        self._since = self._audience.mark()
        self._command("nas", "pause", folder=FOLDER)
        self._wait_for_folder(lambda one: one["paused"])
        self._command("nas", "resume", folder=FOLDER)
        self._wait_for_folder(lambda one: one["in_sync"])

    def _raise_and_clear_problem(self) -> None:
        self._since = self._audience.mark()
        self._command("nas", "new_error", message="this error was sent over MQTT")
        self._wait_for_event("nas", "problem_raised", code="system_errors")
        self._command("nas", "clear_errors")
        self._wait_for_event("nas", "problem_cleared", code="system_errors")

    def _conflict(self) -> None:
        """Change a file on both nodes while they are disconnected, and delete the conflict files."""
        self._since = self._audience.mark()
        self._command("nas", "pause", device="laptop")
        self._audience.wait_for("laptop", "device", lambda one: not one["connected"], since=self._since)
        Clock.show("         writing notes.txt on both nodes while they are disconnected")
        for node, photos in self._folders.items():
            (photos / "notes.txt").write_text(f"the {node} writes this")
            self._command(node, "scan", folder="Photos")
        self._command("nas", "resume", device="laptop")
        for node in self._folders:
            self._wait_for_event(node, "problem_raised", code="conflicts")
        self._since = self._audience.mark()
        for file in self._photos.glob("notes.sync-conflict-*"):
            Clock.show(f"         deleting {file.name} on the laptop")
            file.unlink()
        for node in self._folders:
            self._wait_for_event(node, "problem_cleared", code="conflicts")

    def _wait_for_event(self, instance: str, event_type: str, **data: str) -> None:
        wanted = {"event_type": event_type, **data}.items()
        self._audience.wait_for(instance, "event", lambda one: wanted <= one.items(), since=self._since)

    def _command(self, instance: str, name: str, **arguments: object) -> None:
        reply = self._audience.command(instance, name, arguments)
        if reply["status"] == "error":
            raise Failed(f"{name} failed: {reply['error']['message']}")


def _sum_up(audience: Audience, failure: str | None) -> None:
    say("\npublished:  " + ", ".join(f"{count} {kind}" for kind, count in audience.published.most_common()))
    say("commands:   " + ", ".join(f"{reply} x {count}" for reply, count in sorted(audience.replies.items())))
    say(f"failed:     {failure}" if failure else "everything worked")
    logging.shutdown()

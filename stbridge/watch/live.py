"""Shows the live screen on a terminal; without a terminal, prints plain lines."""

import json
import sys
import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from stbridge.core.messages import Message, Received
from stbridge.core.topics import Address, Topics
from stbridge.errors import Failed
from stbridge.mqtt.observer import Observer
from stbridge.output import reader_has_left, say
from stbridge.settings import MqttSettings
from stbridge.watch.board import Board, Place
from stbridge.watch.keyboard import Keyboard
from stbridge.watch.lines import describe_received
from stbridge.watch.screen import screen

LEAST_BETWEEN_S = 0.1
"""Minimum seconds between two updates of the screen."""

MOST_BETWEEN_S = 5.0
"""Maximum seconds between two updates of the screen."""

LOOK_S = 1.0
"""Seconds between two checks whether the reader of the output, such as a pipe, still exists."""

MOST_LINES = 1000
"""Maximum number of lines that are queued for output; then no further messages are read from the broker."""


class Watch:
    """Shows what the bridge publishes.

    Args:
        settings: the settings of the broker.
        console: the console for the output.
        client_id: the client ID; None derives one from the client ID of the bridge.
    """

    def __init__(self, settings: MqttSettings, console: Console | None = None, *, client_id: str | None = None) -> None:
        self._topics = Topics(settings.base_topic, strict=settings.strict_topics)
        self._board = Board(self._topics)
        self._console = console or Console()
        self._interactive = self._console.is_terminal and sys.stdin.isatty()
        self._changed = threading.Condition()
        self._dirty = True
        self._over = False
        self._lines: deque[str] = deque()
        self._chosen: Place | None = None
        self._note = ""
        self._observer = Observer(
            settings,
            [f"{settings.base_topic}/#"],
            self._take,
            ended=self._wake,
            role="watch",
            client_id=client_id,
        )

    def run(self) -> None:
        """Watch until `q` or Ctrl-C, or until the output cannot be written any more.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
            Failed: the connection to the broker was lost.
        """
        try:
            self._observer.start()
            if self._interactive:
                self._show_screen()
            else:
                self._print_lines()
        finally:
            self._end()
            self._observer.stop()
        if self._observer.failure:
            raise Failed(str(self._observer.failure))

    def _print_lines(self) -> None:
        while not reader_has_left() and not self._observer.failure:
            self._wait_for(lambda: self._lines or self._observer.failure, LOOK_S)
            while self._lines:
                if not say(self._lines.popleft()):
                    return
                self._wake()

    def _show_screen(self) -> None:
        with (
            Live(console=self._console, screen=True, auto_refresh=False) as live,
            Keyboard(self._pressed),
        ):
            while not self._over and not self._observer.failure:
                with self._changed:
                    self._dirty = False
                    shown = screen(self._board, self._selected, self._note, height=self._console.height)
                live.update(shown, refresh=True)
                self._wait_for(lambda: self._over or self._observer.failure, LEAST_BETWEEN_S)
                self._wait_for(lambda: self._dirty or self._over or self._observer.failure, MOST_BETWEEN_S)

    def _wait_for(self, condition: Any, timeout_s: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(condition, timeout_s)

    def _wake(self) -> None:
        with self._changed:
            self._dirty = True
            self._changed.notify_all()

    def _end(self) -> None:
        self._over = True
        self._wake()

    # --- the observer's thread

    def _take(self, received: Received) -> None:
        now = datetime.now().astimezone()
        with self._changed:
            self._board.take(received, now)
            if not self._interactive and (line := describe_received(self._topics, received)):
                self._changed.wait_for(lambda: self._over or len(self._lines) < MOST_LINES)
                self._lines.append(f"{now:%H:%M:%S} {line}")
        self._wake()

    # --- the keyboard's thread

    def _pressed(self, key: str) -> None:
        with self._changed:
            match key:
                case "q":
                    self._over = True
                case "up" | "down":
                    self._select(-1 if key == "up" else 1)
                case "s":
                    self._command("scan", {})
                case "p":
                    self._command("set_paused", {"paused": not self._folder().get("paused")})
        self._wake()

    def _select(self, step: int) -> None:
        if (selected := self._selected) is not None:
            places = self._board.places()
            self._chosen = places[(places.index(selected) + step) % len(places)]

    @property
    def _selected(self) -> Place | None:
        """The chosen folder, if it still exists; otherwise the first folder."""
        places = self._board.places()
        return self._chosen if self._chosen in places else next(iter(places), None)

    def _folder(self) -> Mapping[str, Any]:
        selected = self._selected
        return {} if selected is None else self._board.instances[selected.instance].folders[selected.folder]

    def _command(self, name: str, arguments: Mapping[str, Any]) -> None:
        if (selected := self._selected) is None:
            return
        instance, folder = selected
        topic = self._topics.build(instance, Address("command", name=name))
        self._observer.publish(Message(topic=topic, payload=json.dumps({"folder": folder, **arguments}).encode()))
        self._note = f"sent {name} for {folder} to {instance}"

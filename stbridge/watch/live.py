"""Shows the live screen on a terminal; without a terminal, prints plain lines."""

import sys
import threading
from collections import deque
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stbridge.core.messages import Received
from stbridge.core.topics import Topics
from stbridge.errors import Failed
from stbridge.mqtt.observer import Observer
from stbridge.output import reader_has_left, say
from stbridge.settings import MqttSettings
from stbridge.watch.board import Board
from stbridge.watch.cells import in_ascii
from stbridge.watch.keyboard import Keyboard
from stbridge.watch.lines import describe_received
from stbridge.watch.screen import screen
from stbridge.watch.view import View

LEAST_BETWEEN_S = 0.1
"""Minimum seconds between two updates of the screen."""

MOST_BETWEEN_S = 1.0
"""Maximum seconds between two updates of the screen, which also shows the time left, and the terminal's new size."""

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
        self._view = View()
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
                    shown = self._screen()
                live.update(shown, refresh=True)
                self._wait_for(lambda: self._over or self._observer.failure, LEAST_BETWEEN_S)
                self._wait_for(lambda: self._dirty or self._over or self._observer.failure, MOST_BETWEEN_S)

    def _screen(self) -> Text:
        now, (width, height) = datetime.now().astimezone(), self._console.size
        shown = screen(self._board, self._view, now=now, width=width, height=height)
        return in_ascii(shown) if self._console.options.ascii_only else shown

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
            command = self._view.press(key, self._board)
            self._over = self._over or self._view.over
        if command is not None:
            self._observer.publish(command)
        self._wake()

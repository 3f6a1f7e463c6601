"""What the user has chosen on the screen, and what each key does."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stbridge.core.alerts import FOLDER
from stbridge.core.messages import Message
from stbridge.core.topics import Address
from stbridge.watch.board import Board, Place, name_of
from stbridge.watch.notices import is_off
from stbridge.watch.status import needs_attention

PAGE_STEP = 10
"""How many lines a key moves by that moves by a page."""

FAR = 1_000_000
"""More lines than a page has."""


class Page(Enum):
    """The pages of the screen."""

    LIST = "list"
    PROBLEMS = "problems"
    DETAILS = "details"


@dataclass(slots=True)
class View:
    """What the screen shows of the board.

    Attributes:
        page: the page.
        attention_only: whether the list contains only what needs attention.
        first: the first line of a page without a selection.
        note: a message that replaces the help.
        over: whether the user has quit.
        chosen: the folder or device that the user has selected.
        shown: the selection that the list shows; messages that arrive later may change what is selected.
    """

    page: Page = Page.LIST
    attention_only: bool = False
    first: int = 0
    note: str = ""
    over: bool = False
    chosen: Place | None = None
    shown: Place | None = None

    def places(self, board: Board) -> list[Place]:
        """Return the folders and devices in the list."""
        if not self.attention_only:
            return board.places()
        return [
            place
            for place in board.places()
            if not is_off(board.instances[place.instance]) and needs_attention(place, board.payload(place))
        ]

    def selected(self, board: Board) -> Place | None:
        """Return the chosen folder or device, if it still exists on the page; in the list, otherwise the first one."""
        if self.page is Page.DETAILS:
            return self.chosen if self.chosen and board.payload(self.chosen) else None
        places = self.places(board)
        return self.chosen if self.chosen in places else next(iter(places), None)

    def press(self, key: str, board: Board) -> Message | None:
        """React to a key.

        Args:
            key: the name of the key, or its character.
            board: the messages received so far.

        Returns:
            the command to publish, if there is one.
        """
        self.note = ""
        if key in _STEPS:
            self._move(_STEPS[key], board)
        elif key in _ACTIONS:
            return _ACTIONS[key](self, board)
        return None

    def turn_to(self, page: Page) -> None:
        """Show the beginning of a page, or the list again if the page is shown already."""
        self.page, self.first = (Page.LIST if self.page is page else page), 0

    def _move(self, step: int, board: Board) -> None:
        if self.page is not Page.LIST:
            self.first = max(0, self.first + step)
        elif (selected := self.selected(board)) is not None:
            places = self.places(board)
            self.chosen = self.shown = places[max(0, min(len(places) - 1, places.index(selected) + step))]


def _quit(view: View, _: Board) -> None:
    view.over = True


def _back(view: View, _: Board) -> None:
    view.over = view.page is Page.LIST
    view.page = Page.LIST


def _problems(view: View, _: Board) -> None:
    view.turn_to(Page.PROBLEMS)


def _details(view: View, board: Board) -> None:
    if view.page is Page.LIST:
        view.chosen = view.selected(board)
    if view.chosen is not None:
        view.turn_to(Page.DETAILS)


def _filter(view: View, _: Board) -> None:
    view.page, view.attention_only = Page.LIST, not view.attention_only


def _scan(view: View, board: Board) -> Message | None:
    selected = view.selected(board)
    if selected is not None and selected.kind != FOLDER:
        view.note = "Only folders can be scanned: select a folder."
        return None
    return _command(view, board, "scan", {})


def _pause(view: View, board: Board) -> Message | None:
    selected = view.selected(board)
    paused = selected is not None and bool(board.payload(selected).get("paused"))
    return _command(view, board, "set_paused", {"paused": not paused})


def _command(view: View, board: Board, name: str, arguments: Mapping[str, Any]) -> Message | None:
    selected = view.selected(board)
    if selected is None or view.page is Page.PROBLEMS:  # no selection is visible there
        return None
    if view.page is Page.LIST and view.shown not in (None, selected):
        view.note = "Nothing was sent, because the selection has changed: select again."
        return None
    view.note = f"Sent {name} for {name_of(selected, board.payload(selected))} to {selected.instance}."
    topic = board.topics.build(selected.instance, Address("command", name=name))
    return Message(topic=topic, payload=json.dumps({selected.kind: selected.identifier, **arguments}).encode())


_STEPS: Mapping[str, int] = {
    "up": -1,
    "k": -1,
    "down": 1,
    "j": 1,
    "page up": -PAGE_STEP,
    "page down": PAGE_STEP,
    " ": PAGE_STEP,
    "home": -FAR,
    "end": FAR,
}
"""By how many lines each key moves."""

_ACTIONS: Mapping[str, Callable[[View, Board], Message | None]] = {
    "q": _quit,
    "escape": _back,
    "enter": _details,
    "tab": _problems,
    "f": _filter,
    "s": _scan,
    "p": _pause,
}

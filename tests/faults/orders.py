"""The commands of a random walk, and a record of their replies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stbridge.core.command import Argument, Command
from stbridge.core.commands import BRIDGE_COMMANDS, COMMANDS
from tests.faults.plan import Model
from tests.faults.witness import Witness

ROWS: Mapping[str, Command] = {
    command.name: command
    for command in (*COMMANDS, *BRIDGE_COMMANDS)
    if command.repeatable or command.name in ("new_error", "restart")
}
"""The other commands stop Syncthing for good, use the Internet, or take too long for a walk."""

NEVER_GIVEN = {"for", "replace"}
"""Excluded arguments: a new reader cannot know about a pause that expires."""


def arguments_for(command: Command, number: int, model: Model, random: Random) -> dict[str, Any]:
    """Draw arguments by the table of commands; some of them name objects that do not exist."""
    given = [one for one in command.arguments if one.required or one.name == "path" or random.random() < 0.5]
    if command.either:
        one_of = random.choice(command.either)
        given = [one for one in command.arguments if one.name == one_of or (one.required and one.name != "for")]
    return {one.name: _value(one, number, model, random) for one in given if one.name not in NEVER_GIVEN}


def _value(argument: Argument, number: int, model: Model, random: Random) -> Any:
    folder = random.choice(["docs", "docs", *model.of("folders")])
    devices = ["beta", "beta", *model.of("strangers")]
    texts = {
        "file": random.choice(["none", *model.of("files")]),
        "path": f"accepted-{number}",
        "sub": "a",
        "prefix": "a",
    }
    choices: Mapping[str, Sequence[Any]] = {
        "folder": [folder, folder, folder, "nowhere", argument.special or folder],
        "device": devices,
        "pending_device": devices,
        "pending_folder": ["nowhere", *model.of("offers")],
        "folder_type": ["sendreceive", "receiveonly"],
        "integer": [1, 2, 3],
        "boolean": [True, False],
        "texts": [[f"*.ignored-{number}"]],
        "object": [{"folders": [{"id": folder, "label": f"Configured {number}"}]}],
        "text": [texts.get(argument.name, f"text {number} of a walk")],
    }
    return random.choice(choices[argument.type])


@dataclass(slots=True)
class Order:
    """A sent command.

    Attributes:
        transaction: identifies its reply.
        since: number of messages seen before it was sent.
        excuse: why the reply may be missing; empty if a reply is required.
        disturbed: whether it may have more than one reply.
        replies: the replies so far.
    """

    instance: str
    command: Command
    arguments: Mapping[str, Any]
    transaction: str
    since: int
    excuse: str = ""
    disturbed: bool = False
    replies: list[Any] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Problems with the replies."""
        if not self.replies and not self.excuse:
            return [f"{self} has no reply"]
        if len(self.replies) > 1 and not self.disturbed:
            return [f"{self} has {len(self.replies)} replies: {self.replies}"]
        return []

    def __str__(self) -> str:
        return f"{self.transaction} ({self.instance} {self.command.name} {json.dumps(self.arguments)})"


class Orders:
    """Record of all commands of a walk.

    Args:
        witness: sends the commands and receives the replies.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._open: list[Order] = []
        self.sent = self.repeated = self.excused = 0

    def send(self, name: str, arguments: Mapping[str, Any], transaction: str, *, retain: bool) -> Order:
        """Send a command, and return its record."""
        command = ROWS[name]
        instance = "bridge" if command in BRIDGE_COMMANDS else "alpha"
        order = Order(instance, command, arguments, transaction, since=self._witness.count)
        payload = json.dumps({**arguments, "transaction": transaction}).encode()
        self._witness.publish(f"syncthing/{instance}/command/{name}", payload, retain=retain)
        self._open.append(order)
        self.sent += 1
        return order

    def excuse(self, why: str, *, only_once: bool = False) -> None:
        """Excuse missing replies: commands without a reply may never get one.

        Args:
            why: what happened.
            only_once: whether this applies only to commands that must not be executed twice.
        """
        self._collect()
        for order in self._open:
            if not order.replies and not (only_once and order.command.repeatable):
                order.excuse = order.excuse or why

    def unanswered(self) -> list[Order]:
        """Return the commands that still need a reply."""
        self._collect()
        return [order for order in self._open if not order.replies and not order.excuse]

    def close(self, *, disturbed: bool) -> tuple[Sequence[Order], list[str]]:
        """Close the record of all commands so far, and return the commands and their problems.

        Args:
            disturbed: whether a connection broke, after which MQTT may deliver commands and replies again.
        """
        self._collect()
        for order in self._open:
            order.disturbed = order.disturbed or disturbed
        closed, self._open = self._open, []
        self.repeated += sum(len(order.replies) > 1 for order in closed)
        self.excused += sum(not order.replies for order in closed)
        return closed, [fault for order in closed for fault in order.faults]

    def _collect(self) -> None:
        for order in self._open:
            topic = f"syncthing/{order.instance}/response/{order.command.name}"
            replies = map(json.loads, self._witness.seen(topic, order.since))
            order.replies = [reply for reply in replies if reply["transaction"] == order.transaction]

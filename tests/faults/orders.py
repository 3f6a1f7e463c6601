"""The commands of a walk, and the account of them: what was answered, and how often that took effect."""

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
"""The others end Syncthing for good, or ask the Internet, or take longer than a walk has patience for."""

NEVER_GIVEN = {"for", "replace"}
"""A pause that ends by itself is no truth that a fresh reader finds."""


def arguments_for(command: Command, number: int, model: Model, random: Random) -> dict[str, Any]:
    """Draw arguments as the table of commands describes them; some name nothing that there is."""
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
    """A command that was sent.

    Attributes:
        transaction: by which its reply is known.
        since: how many messages had been seen before.
        excuse: why there may be no reply; nothing if there has to be one.
        disturbed: whether it may have more than one reply.
        replies: what was answered.
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
        """What is wrong with the replies."""
        if not self.replies and not self.excuse:
            return [f"{self} has no reply"]
        if len(self.replies) > 1 and not self.disturbed:
            return [f"{self} has {len(self.replies)} replies: {self.replies}"]
        return []

    def __str__(self) -> str:
        return f"{self.transaction} ({self.instance} {self.command.name} {json.dumps(self.arguments)})"


class Orders:
    """All commands of a walk.

    Args:
        witness: sends them, and sees the replies.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._open: list[Order] = []
        self.sent = self.repeated = self.excused = 0

    def send(self, name: str, arguments: Mapping[str, Any], transaction: str, *, retain: bool) -> Order:
        """Send a command, and return the account of it."""
        command = ROWS[name]
        instance = "bridge" if command in BRIDGE_COMMANDS else "alpha"
        order = Order(instance, command, arguments, transaction, since=self._witness.count)
        payload = json.dumps({**arguments, "transaction": transaction}).encode()
        self._witness.publish(f"syncthing/{instance}/command/{name}", payload, retain=retain)
        self._open.append(order)
        self.sent += 1
        return order

    def excuse(self, why: str, *, only_once: bool = False) -> None:
        """Note that what is not answered yet may never be.

        Args:
            why: what happened.
            only_once: that is true only of commands that must not be carried out twice.
        """
        self._collect()
        for order in self._open:
            if not order.replies and not (only_once and order.command.repeatable):
                order.excuse = order.excuse or why

    def unanswered(self) -> list[Order]:
        """Return the commands whose reply has to come yet."""
        self._collect()
        return [order for order in self._open if not order.replies and not order.excuse]

    def close(self, *, disturbed: bool) -> tuple[Sequence[Order], list[str]]:
        """End the account of all commands so far, and return them, and what is wrong with them.

        Args:
            disturbed: whether a connection broke: then MQTT delivers commands and replies again.
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

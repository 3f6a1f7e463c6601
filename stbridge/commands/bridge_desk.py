"""Commands to the bridge itself: `syncthing/bridge/command/NAME`."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic

from stbridge.commands.replies import send_reply
from stbridge.core.commands import BRIDGE_COMMANDS
from stbridge.core.envelope import CommandError, Reply, parse, select, transaction_of
from stbridge.core.messages import Received
from stbridge.core.topics import BRIDGE, Topics
from stbridge.mqtt.outbox import Outbox

log = logging.getLogger(__name__)

_ROWS = {command.name: command for command in BRIDGE_COMMANDS}


class BridgeDesk:
    """Takes commands to the bridge; each is done at once, without any network.

    Args:
        topics: builds the topics.
        outbox: where replies go, and what `republish` sends again.
    """

    def __init__(self, topics: Topics, outbox: Outbox) -> None:
        self._topics = topics
        self._outbox = outbox
        self._last_time: dict[str, float] = {}
        self._operations: Mapping[str, Callable[[], None]] = {"republish": outbox.resend}

    def take(self, name: str, received: Received) -> None:
        """Carry out a command and answer it."""
        began = monotonic()
        error: CommandError | None = None
        try:
            self._carry_out(name, received)
        except CommandError as refused:
            error = refused
        log.info("command %s/%s: %s", BRIDGE, name, error.message if error else "ok")
        reply = Reply(
            command=name,
            status="error" if error else "ok",
            error=error,
            transaction=transaction_of(received.payload),
            took_ms=round((monotonic() - began) * 1000),
        )
        send_reply(self._outbox, self._topics, BRIDGE, received, reply)
        received.acknowledge()
        self._outbox.flush()

    def _carry_out(self, name: str, received: Received) -> None:
        command = select(_ROWS, name, received, _ROWS)
        parse(command, received.payload)
        now = monotonic()
        if now - self._last_time.get(name, -command.every_s) < command.every_s:
            raise CommandError("rate_limited", f"{name} is carried out once in {command.every_s:.0f} s")
        self._last_time[name] = now
        self._operations[name]()

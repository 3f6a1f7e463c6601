"""Commands to the bridge itself: `syncthing/bridge/command/NAME`."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

from stbridge.commands.refusals import RefusalLog
from stbridge.commands.replies import send_reply
from stbridge.core.commands import BRIDGE_COMMANDS
from stbridge.core.envelope import CommandError, Reply, parse, select, transaction_of
from stbridge.core.messages import Received
from stbridge.core.token_bucket import TokenBucket
from stbridge.core.topics import BRIDGE, Topics
from stbridge.mqtt.outbox import Outbox

log = logging.getLogger(__name__)

_ROWS = {command.name: command for command in BRIDGE_COMMANDS}


class BridgeCommands:
    """Executes commands to the bridge immediately, because none of them needs the network.

    Args:
        topics: builds the topics.
        outbox: receives the replies; `republish` sends its contents again.
        allowed: the names of the commands on the allow-list.
    """

    def __init__(self, topics: Topics, outbox: Outbox, allowed: frozenset[str]) -> None:
        self._topics = topics
        self._outbox = outbox
        self._allowed = allowed
        self._refusals = RefusalLog(BRIDGE)
        self._buckets = {row.name: TokenBucket(burst=1, every_s=row.every_s) for row in BRIDGE_COMMANDS}
        self._operations: Mapping[str, Callable[[], None]] = {"republish": partial(outbox.resend, also_skipped=True)}

    def receive(self, name: str, received: Received) -> None:
        """Execute a command and answer it; must be called by one thread only."""
        began = monotonic()
        error: CommandError | None = None
        try:
            self._execute(name, received)
        except CommandError as refused:
            error = refused
        if error is None:
            log.info("command %s/%s: ok", BRIDGE, name)
        else:
            self._refusals.add(name, error.code, error.message)
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

    def _execute(self, name: str, received: Received) -> None:
        row = select(_ROWS, name, received, self._allowed)
        parse(row, received.payload)
        if not self._buckets[name].take(monotonic()):
            raise CommandError("rate_limited", f"{name} is executed at most once in {row.every_s:.0f} s")
        self._operations[name]()

"""Commands to one Syncthing: checked against the table, carried out by workers, answered exactly once."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from time import monotonic

from stbridge.core.commands import COMMANDS, Command
from stbridge.core.envelope import CommandError, Reply, Request, parse, transaction_of, with_ids
from stbridge.core.messages import Received
from stbridge.core.observations import Read
from stbridge.core.state import State
from stbridge.errors import SyncthingError
from stbridge.operations import carry_out
from stbridge.scans import Scans
from stbridge.syncthing import SyncthingClient

log = logging.getLogger(__name__)

SCAN_PATIENCE_S = 2.0
"""How long a scan may take before its reply is `accepted`."""

MOST_WORKERS = 32
"""How many commands may be under way at once; more are refused."""

_ROWS = {command.name: command for command in COMMANDS}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A command that arrived.

    Attributes:
        name: the last level of its topic.
        received: the message.
        at: when, by the monotonic clock.
    """

    name: str
    received: Received
    at: float


class CommandDesk:
    """Takes commands to one Syncthing.

    Args:
        name: the name of the instance.
        client: the way to Syncthing; used by several threads.
        allowed: the names of the commands that may be carried out.
        answer: sends the one reply to a command.
        happened: tells the end of a scan that had been accepted.
        read: asks for something to be read that no event will tell.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        *,
        allowed: frozenset[str],
        answer: Callable[[Received, Reply], None],
        happened: Callable[..., None],
        read: Callable[[Iterable[Read]], None],
    ) -> None:
        self._name = name
        self._client = client
        self._allowed = allowed
        self._answer = answer
        self._happened = happened
        self._read = read
        self._scans = Scans(name, lambda request: carry_out(client, request))
        self._last_time: dict[str, float] = {}
        self._workers = threading.Semaphore(MOST_WORKERS)

    def take(self, arrival: Arrival, state: State) -> None:
        """Check a command, and have it carried out; returns at once.

        Args:
            arrival: the command.
            state: what is known of Syncthing, to find folders and devices by their names.
        """
        try:
            request = self._check(arrival, state)
        except CommandError as error:
            arrival.received.acknowledge()
            self._reply(arrival, None, error=error)
            return
        if not request.command.repeatable:
            arrival.received.acknowledge()  # at most once: better lost than carried out twice
        threading.Thread(
            target=self._work, args=(arrival, request), name=f"{self._name}-{arrival.name}", daemon=True
        ).start()

    def _check(self, arrival: Arrival, state: State) -> Request:
        if arrival.received.retained:
            raise CommandError("retained_command", "a retained command is never carried out: publish it without")
        if not arrival.received.payload:
            raise CommandError("empty_payload", "an empty payload does nothing: send {} or PRESS")
        command = _ROWS.get(arrival.name)
        if command is None:
            raise CommandError("unknown_command", f"there is no command {arrival.name!r}")
        if arrival.name not in self._allowed:
            raise CommandError("forbidden", f"{arrival.name} is not allowed: add it to the setting commands.allow")
        request = with_ids(parse(command, arrival.received.payload), state.config)
        self._limit(command)
        if not self._workers.acquire(blocking=False):
            raise CommandError("rate_limited", f"{MOST_WORKERS} commands are under way already")
        return request

    def _limit(self, command: Command) -> None:
        now = monotonic()
        left = self._last_time.get(command.name, -command.every_s) + command.every_s - now
        if command.every_s and left > 0:
            raise CommandError(
                "rate_limited",
                f"{command.name} is carried out once in {command.every_s:.0f} s: {left:.0f} s left",
            )
        self._last_time[command.name] = now

    def _work(self, arrival: Arrival, request: Request) -> None:
        try:
            if request.command.name == "scan":
                self._scan(arrival, request)
            else:
                self._reply(arrival, request, data=carry_out(self._client, request))
                self._read(Read(what) for what in request.command.changes)
        except SyncthingError as error:
            self._reply(arrival, request, error=CommandError(error.code, str(error)))
        except Exception as error:  # whatever it is, the sender gets its one reply, and the log the traceback
            log.exception("command %s failed", arrival.name)
            self._reply(arrival, request, error=CommandError("syncthing_error", f"internal error: {error!r}"))
        finally:
            self._workers.release()
            if request.command.repeatable:
                arrival.received.acknowledge()

    def _scan(self, arrival: Arrival, request: Request) -> None:
        scan = self._scans.start(request)
        try:
            scan.result(None if request.arguments.get("wait") else SCAN_PATIENCE_S)
        except FutureTimeout:
            self._reply(arrival, request, status="accepted")
            scan.add_done_callback(lambda ended: self._scan_ended(request, ended))
        else:
            self._reply(arrival, request)

    def _scan_ended(self, request: Request, scan: "Future[None]") -> None:
        error = scan.exception()
        self._happened(
            "scan_finished",
            folder=request.arguments["folder"],
            error=None if error is None else str(error),
            transaction=request.transaction,
        )

    def _reply(
        self,
        arrival: Arrival,
        request: Request | None,
        *,
        status: str = "ok",
        data: object = None,
        error: CommandError | None = None,
    ) -> None:
        transaction = request.transaction if request else transaction_of(arrival.received.payload)
        reply = Reply(
            command=arrival.name,
            status="error" if error else status,
            data=data,
            error=error,
            transaction=transaction,
            took_ms=round((monotonic() - arrival.at) * 1000),
        )
        log.info("command %s/%s: %s", self._name, arrival.name, error.message if error else status)
        self._answer(arrival.received, reply)

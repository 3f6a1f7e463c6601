"""Commands to one Syncthing: checked against the table, carried out by workers, answered exactly once."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

from stbridge.commands.arrival import Arrival, Unanswered
from stbridge.commands.ledger import Ledger, key_of
from stbridge.commands.operations import carry_out
from stbridge.commands.scans import Scans
from stbridge.commands.turns import Turn, Turns
from stbridge.core import observations as seen
from stbridge.core.command import Command
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Reply, Request, Scalar, parse, select, transaction_of
from stbridge.core.messages import Received
from stbridge.core.naming import Known, check_applicable, with_ids
from stbridge.core.observations import Read
from stbridge.core.state import State
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import in_utc, seconds
from stbridge.errors import SyncthingError, Unreachable
from stbridge.syncthing import SyncthingClient

log = logging.getLogger(__name__)

SCAN_PATIENCE_S = 2.0
"""How long a scan may take before its reply is `accepted`."""

MOST_WORKERS = 32
"""How many commands may be under way at once; more are refused."""

MOST_UNANSWERED = 1000
"""How many commands, those that wait for a scan to end included, may be waiting for their reply."""

MOST_UNANSWERED_BYTES = 64 * 1024 * 1024
"""How large they may be altogether."""

SAID_AGAIN_S = 60.0
"""How often at most the log tells of commands that are too many."""

STOP_S = 2.0
"""How long commands under way may take when the bridge stops."""

_ROWS = {command.name: command for command in COMMANDS}


class CommandDesk:
    """Takes commands to one Syncthing.

    Args:
        name: the name of the instance.
        client: the way to Syncthing; used by several threads.
        allowed: the names of the commands that may be carried out.
        answer: sends a reply to a message.
        happened: tells the end of a scan that had been accepted.
        read: asks for something to be read that no event will tell.
        report: takes in what only the bridge itself knows of its Syncthing.
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
        report: Callable[[seen.Observation], None],
    ) -> None:
        self._name = name
        self._client = client
        self._allowed = allowed
        self._answer = answer
        self._happened = happened
        self._read = read
        self._report = report
        self._scans = Scans(name, lambda request: carry_out(client, request))
        self._ledger = Ledger()
        self._unanswered = Unanswered(MOST_UNANSWERED, MOST_UNANSWERED_BYTES)
        self._turns = Turns()
        self._last_time: dict[str, float] = {}
        self._said_at: float | None = None
        self._not_resumed: set[Paused] = set()
        self._workers = threading.Semaphore(MOST_WORKERS)

    def admit(self, arrival: Arrival) -> bool:
        """Let a command in, to be taken or refused later; any thread.

        Returns:
            whether there was room for it; if not, it has been answered.
        """
        if self._unanswered.add(arrival):
            return True
        if self._said_at is None or arrival.at - self._said_at > SAID_AGAIN_S:
            self._said_at = arrival.at
            log.warning("%s: too many commands are under way: more are refused", self._name)
        error = CommandError("rate_limited", "too many commands are under way already")
        self._send(arrival, _reply(arrival, error=error, transaction=transaction_of(arrival.received.payload)))
        return False

    def take(self, arrival: Arrival, state: State) -> None:
        """Check a command that was let in, and have it carried out; returns at once.

        Args:
            arrival: the command.
            state: what is known of Syncthing, to find folders and devices by their names.
        """
        request: Request | None = None
        try:
            request = self._check(arrival, state)
            if self._is_repeated(request, arrival):
                return
            self._limit(request.command)
        except CommandError as error:
            self._finish(arrival, request, error=error)
            return
        if not request.command.repeatable:
            arrival.received.acknowledge()  # at most once: better lost than carried out twice
        turn = self._turns.draw() if request.command.in_order else None
        self._start(f"{self._name}-{arrival.name}", self._work, arrival, request, turn)

    def refuse(self, arrival: Arrival) -> None:
        """Answer a command that was let in but comes too late: the bridge is stopping."""
        self._finish(arrival, None, error=_stopping("it was not carried out, send it again"))

    def stop(self) -> None:
        """Let commands under way end, and answer those that take too long."""
        for arrival in self._unanswered.wait_for_all(STOP_S):
            self._finish(arrival, None, error=_stopping("what Syncthing was asked to do may still be done"))

    def resume(self, paused: Paused) -> None:
        """End a pause whose time is up; returns at once."""
        request = Request(command=_ROWS["resume"], arguments={paused.kind: paused.id})
        self._start(f"{self._name}-resume", self._resume, paused, request, self._turns.draw())

    @staticmethod
    def _start(name: str, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, name=name, daemon=True).start()

    # --- before it is carried out

    def _check(self, arrival: Arrival, state: State) -> Request:
        command = select(_ROWS, arrival.name, arrival.received, self._allowed)
        if arrival.expired:
            raise CommandError("timeout", "its message expiry passed before it could be carried out")
        if arrival.received.again and not command.repeatable:  # an earlier life of the bridge may have had it
            raise CommandError("timeout", "it may have been carried out before the bridge was restarted; it is not now")
        known = Known(config=state.config, pending_devices=state.pending_devices, pending_folders=state.pending_folders)
        request = with_ids(parse(command, arrival.received.payload), known)
        check_applicable(request, state.config)
        return request

    def _is_repeated(self, request: Request, arrival: Arrival) -> bool:
        """Answer a command as before if it has been carried out, or let it wait for the first of its kind."""
        key = key_of(request, arrival.received)
        if key is None:
            return False
        first, reply = self._ledger.begin(key, arrival, monotonic())
        if reply is not None and self._unanswered.claim(arrival):
            self._send(arrival, reply)
        return not first

    def _limit(self, command: Command) -> None:
        now = monotonic()
        left = self._last_time.get(command.name, -command.every_s) + command.every_s - now
        if command.every_s and left > 0:
            raise CommandError(
                "rate_limited",
                f"{command.name} is carried out once in {command.every_s:.0f} s: {left:.0f} s left",
            )
        if not self._workers.acquire(blocking=False):
            raise CommandError("rate_limited", "too many commands are under way already")
        self._last_time[command.name] = now

    # --- in a worker's thread

    def _work(self, arrival: Arrival, request: Request, turn: Turn | None) -> None:
        try:
            if turn:
                with turn.taken():
                    self._carry_out(arrival, request)
            elif request.command.name == "scan":
                self._scan(arrival, request)
            else:
                self._carry_out(arrival, request)
        except (SyncthingError, CommandError) as error:
            self._finish(arrival, request, error=error)
            if _may_have_happened(error):
                self._read(Read(what) for what in request.command.changes)
        except Exception as error:  # whatever it is, the sender gets its one reply, and the log the traceback
            log.exception("command %s failed", arrival.name)
            self._finish(arrival, request, error=_internal(error))
        finally:
            self._workers.release()

    def _carry_out(self, arrival: Arrival, request: Request) -> None:
        data = self._perform(request)
        self._finish(arrival, request, data=self._note_pause(request) or data)
        self._read(Read(what) for what in request.command.changes)

    def _perform(self, request: Request) -> object:
        """Have it done; of an upgrade, tell that it is in progress: a restart ends it, or that it is refused."""
        if request.command.operation != "upgrade":
            return carry_out(self._client, request)
        self._report(seen.Upgrading(in_progress=True))
        try:
            return carry_out(self._client, request)
        except (SyncthingError, CommandError):
            self._report(seen.Upgrading(in_progress=False))
            raise

    def _note_pause(self, request: Request) -> dict[str, str | None] | None:
        """Tell the state how long a pause lasts; it resumes, and says until when."""
        if request.command.operation not in ("pause", "set_paused") or request.arguments.get("paused") is False:
            return None
        kind = "folder" if "folder" in request.arguments else "device"
        duration = request.arguments.get("for")
        until = None if duration is None else datetime.now(UTC) + timedelta(seconds=seconds(duration))
        self._report(seen.PauseTimed(paused=Paused(kind, request.arguments[kind]), until=until))
        return {"resume_at": in_utc(until)} if until else None

    def _resume(self, paused: Paused, request: Request, turn: Turn) -> None:
        try:
            with turn.taken():
                carry_out(self._client, request)
        except SyncthingError as error:
            if paused not in self._not_resumed:  # it is tried every 30 s
                self._not_resumed.add(paused)
                log.warning("%s: a pause is over, but %s cannot be resumed yet: %s", self._name, paused.id, error)
        else:
            self._not_resumed.discard(paused)

    def _scan(self, arrival: Arrival, request: Request) -> None:
        scan = self._scans.start(request)
        if request.arguments.get("wait"):
            scan.add_done_callback(lambda ended: self._finish(arrival, request, error=_failure(ended)))
            return
        try:
            scan.exception(SCAN_PATIENCE_S)
        except FutureTimeout:
            self._finish(arrival, request, status="accepted")
            scan.add_done_callback(partial(self._scan_ended, request.arguments["folder"], request.transaction))
        else:
            self._finish(arrival, request, error=_failure(scan))

    def _scan_ended(self, folder: str, transaction: Scalar, scan: "Future[None]") -> None:
        error = _failure(scan)
        told = None if error is None else str(error)
        self._happened("scan_finished", folder=folder, error=told, transaction=transaction)

    # --- the one reply

    def _finish(
        self,
        arrival: Arrival,
        request: Request | None,
        *,
        status: str = "ok",
        data: object = None,
        error: SyncthingError | CommandError | None = None,
    ) -> None:
        """Answer a command, and all that wait for the same; does nothing if it has been answered."""
        if not self._unanswered.claim(arrival):
            return
        transaction = request.transaction if request else transaction_of(arrival.received.payload)
        reply = _reply(arrival, status=status, data=data, error=error, transaction=transaction)
        level = logging.DEBUG if error is None and request and request.command.group == "read" else logging.INFO
        log.log(level, "command %s/%s: %s", self._name, arrival.name, error or status)
        key = request and key_of(request, arrival.received)
        repeated = self._ledger.end(key, reply, carried_out=_may_have_happened(error)) if key else []
        for one in (arrival, *(other for other in repeated if self._unanswered.claim(other))):
            self._send(one, reply)

    def _send(self, arrival: Arrival, reply: Reply) -> None:
        self._answer(arrival.received, reply)
        arrival.received.acknowledge()


def _reply(
    arrival: Arrival,
    *,
    status: str = "ok",
    data: object = None,
    error: SyncthingError | CommandError | None = None,
    transaction: Scalar,
) -> Reply:
    return Reply(
        command=arrival.name,
        status="error" if error else status,
        data=data,
        error=None if error is None else CommandError(error.code, str(error)),
        transaction=transaction,
        took_ms=round((monotonic() - arrival.at) * 1000),
    )


def _failure(scan: "Future[None]") -> SyncthingError | CommandError | None:
    error = scan.exception()
    return error if error is None or isinstance(error, SyncthingError | CommandError) else _internal(error)


def _internal(error: BaseException) -> CommandError:
    return CommandError("syncthing_error", f"internal error: {error!r}")


def _may_have_happened(error: SyncthingError | CommandError | None) -> bool:
    """Tell whether a command was carried out, as far as one can know."""
    return error is None or (isinstance(error, Unreachable) and error.arrived)


def _stopping(what: str) -> CommandError:
    return CommandError("unreachable", f"the bridge is stopping; {what}")

"""Commands to one Syncthing instance: checked against the table, executed on a pool, answered exactly once."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from math import ceil
from time import monotonic
from typing import Any

from stbridge.clock import utc_now
from stbridge.commands.operations import execute
from stbridge.commands.pending import IncomingCommand, PendingCommands, ReplyCache, key_of
from stbridge.commands.pool import OrderedLane, WorkerPool
from stbridge.commands.refusals import RefusalLog
from stbridge.commands.scans import Scans
from stbridge.core import observations as seen
from stbridge.core.command import ALL_FOLDERS, EVERY_FOLDER, Command
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Reply, Request, Scalar, parse, select, transaction_of
from stbridge.core.known import Known, check_applicable, with_ids
from stbridge.core.messages import Received
from stbridge.core.observations import Observation, Read
from stbridge.core.timed_pauses import Paused, may_resume
from stbridge.core.timing import in_utc, seconds
from stbridge.core.token_bucket import TokenBucket
from stbridge.errors import SyncthingError, SyncthingUnavailable, TimedOut
from stbridge.syncthing import SyncthingClient

log = logging.getLogger(__name__)

MAX_WORKERS = 8
"""How many commands are executed at once, the first of the ordered ones included."""

MAX_SCAN_WORKERS = 16
"""How many scans hold a request to Syncthing at once."""

ACCEPTED_AFTER_S = 2.0
"""How long a scan may take before its reply is `accepted`."""

START_WITHIN_S = 60.0
"""How long a command may wait for a thread or its turn; after that it is answered, and not executed."""

MAX_PENDING = 1000
"""How many commands, those that wait for the end of a scan included, may be waiting for their reply."""

MAX_PENDING_BYTES = 64 * 1024 * 1024
"""How large they may be in total."""

_ROWS = {command.name: command for command in COMMANDS}


class CommandDispatcher:
    """Takes commands to one Syncthing instance.

    Args:
        name: the name of the instance.
        client: the connection to Syncthing; used by several threads.
        read_client: another one for commands that only read; it refuses an answer that is too large for a reply.
        scan_client: another one, whose requests are cut off when Syncthing has restarted.
        allowed: the names of the commands on the allow-list.
        known: returns what exists now; called in a thread of the pool.
        answer: queues a reply to a message.
        emit: publishes an event of the bridge.
        take: takes in what commands have changed, before it returns.
        check_connection: has the follower check its connection, because a command timed out on another one.
    """

    def __init__(
        self,
        name: str,
        client: SyncthingClient,
        read_client: SyncthingClient,
        scan_client: SyncthingClient,
        *,
        allowed: frozenset[str],
        known: Callable[[], Known],
        answer: Callable[[Received, Reply], None],
        emit: Callable[..., None],
        take: Callable[[Sequence[Observation]], None],
        check_connection: Callable[[], None],
    ) -> None:
        self._name = name
        self._client = client
        self._read_client = read_client
        self._scan_client = scan_client
        self._allowed = allowed
        self._known = known
        self._answer = answer
        self._emit = emit
        self._take = take
        self._check_connection = check_connection
        self._pool = WorkerPool(f"{name}-command", MAX_WORKERS)
        self._scan_pool = WorkerPool(f"{name}-scan", MAX_SCAN_WORKERS)
        self._lane = OrderedLane(self._pool)
        self._lanes: Mapping[str, WorkerPool | OrderedLane] = {
            "": self._pool,
            "ordered": self._lane,
            "large": OrderedLane(self._pool),
        }
        self._slow_lane = OrderedLane(self._pool)
        self._scans = Scans(self._scan_pool, lambda request: execute(scan_client, request))
        self._pending = PendingCommands(MAX_PENDING, MAX_PENDING_BYTES)
        self._replies = ReplyCache()
        self._lock = threading.Lock()
        self._early: list[IncomingCommand] = []
        self._opened_at: float | None = None
        self._buckets = {row.name: TokenBucket(burst=1, every_s=row.every_s) for row in COMMANDS}
        self._refusals = RefusalLog(name)
        self._resuming: set[Paused] = set()
        self._not_resumed: set[Paused] = set()
        self._unavailable_at = -1.0
        self._unaccepted: deque[tuple[float, IncomingCommand, Request]] = deque()
        self._accepting = False
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the first thread; commands are kept until `open` is called.

        Raises:
            RuntimeError: no thread can be started.
        """
        self._pool.start()
        if not self._pool.submit(int):  # one thread from the start: it runs what no other can be started for
            raise RuntimeError("can't start new thread")
        self._scan_pool.start()

    def open(self) -> None:
        """Execute the commands that were kept, in their order, and those that arrive from now on."""
        with self._lock:
            if self._opened_at is None:
                self._opened_at = monotonic()
                for command in self._early:
                    self._enqueue(command)
                self._early.clear()

    def receive(self, name: str, received: Received) -> None:
        """Accept a command to be executed, or refuse it if there are too many; any thread, never blocks."""
        command = IncomingCommand(name, received, monotonic())
        if not self._pending.add(command):
            self._refuse(command)
            return
        with self._lock:
            if self._opened_at is None:
                self._early.append(command)
            else:
                self._enqueue(command)

    def submit(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function in a thread of the pool.

        Returns:
            False if the pool is not running, so that the function is not called.
        """
        return self._pool.submit(function, *arguments)

    def submit_slow(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Run a function in a thread of the pool, after those that were submitted to this before.

        Returns:
            False if the pool is not running, so that the function is not called.
        """
        return self._slow_lane.submit(function, *arguments)

    def resume(self, paused: Paused) -> None:
        """End a timed pause, unless that is being tried already or the allow-list does not admit it; never blocks."""
        with self._lock:
            if paused in self._resuming or not may_resume(self._allowed):
                return
            self._resuming.add(paused)
        self._lane.submit(self._end_pause, paused, monotonic())

    def syncthing_restarted(self) -> None:
        """Fail the scans of the process that has exited: nobody answers them; never blocks."""
        self._scan_client.break_off()
        self._scans.end_all(CommandError("unreachable", "Syncthing restarted before the scan finished; send it again"))

    def stop(self, deadline: float) -> None:
        """Answer every command: those that are not started at once, the others when they end or at the deadline.

        Args:
            deadline: by the monotonic clock.
        """
        self._stopping.set()
        for command in self._pending.close():
            self._finish(command, None, error=_stopping("the command was not executed, send it again"), claimed=True)
        late = self._pending.wait_for_all(max(0.0, deadline - monotonic()))
        error = _stopping("Syncthing may still execute the command")
        self._scans.end_all(error)
        for command in late:
            self._finish(command, None, error=error)
        self._pool.stop()
        self._scan_pool.stop()
        for client in (self._client, self._read_client, self._scan_client):
            client.close()  # or the process could not exit before the threads are done with their requests

    def _enqueue(self, command: IncomingCommand) -> None:
        row = _ROWS.get(command.name)
        queue = self._lanes[row.lane if row else ""]
        queue.submit(self._dispatch, command)  # a pool that has stopped takes nothing, and all is answered then

    def _refuse(self, command: IncomingCommand) -> None:
        """Answer a command that was not added to the pending ones."""
        if self._pending.closed:
            error = _stopping("the command was not executed, send it again")
        else:
            error = CommandError("rate_limited", "too many commands are already waiting")
        self._refusals.add(command.name, error.code, error.message)
        self._send(command, _reply(command, error=error, transaction=transaction_of(command.received.payload)))

    # --- in a thread of the pool

    def _dispatch(self, command: IncomingCommand) -> None:
        if not self._pending.start(command):
            return
        request: Request | None = None
        try:
            request = self._check(command)
            if self._is_repeated(request, command):
                return
            self._limit(request.command)
            if not request.command.repeatable:
                command.received.acknowledge()  # at most once: better lost than executed twice
            if request.command.name == "scan":
                self._scan(command, request)
            else:
                self._execute(command, request)
        except (SyncthingError, CommandError) as error:
            self._finish(command, request, error=error)
            if request and _may_have_run(error):
                self._read_changes(request)
            if isinstance(error, TimedOut):
                self._check_connection()
        except Exception as error:  # a bug must not leave the command without a reply; the log has the traceback
            log.exception("command %s failed", command.name)
            self._finish(command, request, error=_internal(error))

    def _check(self, command: IncomingCommand) -> Request:
        row = select(_ROWS, command.name, command.received, self._allowed)
        if command.expired:
            raise CommandError("timeout", "its message expiry interval passed before it could be executed")
        if monotonic() - max(command.at, self._opened_at or 0.0) > START_WITHIN_S:
            raise CommandError(
                "timeout", f"it was not executed: other commands took longer than {START_WITHIN_S:.0f} s"
            )
        if command.received.again and not row.repeatable:  # the previous run of the bridge may have had it
            raise CommandError("timeout", "it may have been executed before the bridge restarted; not executed again")
        request, known = parse(row, command.received.payload), self._known()
        request = with_ids(request, known)
        check_applicable(request, known.config)
        return request

    def _is_repeated(self, request: Request, command: IncomingCommand) -> bool:
        """Answer a copy of a command with the first one's reply, or let it wait for that."""
        key = key_of(request, command.received)
        if key is None:
            return False
        first, reply = self._replies.begin(key, command, monotonic())
        if reply is not None and self._pending.claim(command):
            self._send(command, reply)
        return not first

    def _limit(self, row: Command) -> None:
        now, bucket = monotonic(), self._buckets[row.name]
        with self._lock:
            granted, left_s = bucket.take(now), bucket.available_in(now)
        if not granted:
            raise CommandError(
                "rate_limited",
                f"{row.name} is executed at most once in {row.every_s:.0f} s; {ceil(left_s)} s left",
            )

    def _execute(self, command: IncomingCommand, request: Request) -> None:
        data = self._perform(request)
        # The end of a pause is taken in before the reply promises it: otherwise a stop in between would lose it.
        data = self._note_pause(request) or data
        self._finish(command, request, data=data)
        self._read_changes(request)

    def _perform(self, request: Request) -> object:
        """Have it done; an upgrade is in progress until Syncthing refuses it or restarts."""
        if request.command.operation != "upgrade":
            client = self._read_client if request.command.group == "read" else self._client
            return execute(client, request, self._time_pauses)
        self._take([seen.Upgrading(in_progress=True)])
        try:
            return execute(self._client, request)
        except (SyncthingError, CommandError):
            self._take([seen.Upgrading(in_progress=False)])
            raise

    def _read_changes(self, request: Request) -> None:
        """Have read what no event reports."""
        if request.command.changes:
            self._take([seen.Stale(reads=tuple(Read(what) for what in request.command.changes))])

    # --- pauses

    def _note_pause(self, request: Request) -> dict[str, str | None] | None:
        """Take in until when a folder or device is paused, and return that for the reply."""
        if request.command.operation not in ("pause", "resume", "set_paused"):
            return None
        kind = "folder" if "folder" in request.arguments else "device"
        paused = Paused(kind, request.arguments[kind])
        with self._lock:
            self._resuming.discard(paused)  # an attempt that is queued behind this command is void
        if request.command.operation == "resume" or request.arguments.get("paused") is False:
            return None
        duration = request.arguments.get("for")
        until = None if duration is None else utc_now() + timedelta(seconds=seconds(duration))
        self._take([seen.PauseTimed(paused=paused, until=until)])
        return {"resume_at": in_utc(until)} if until else None

    def _time_pauses(self, folders: Sequence[str], timeout_s: float | None) -> None:
        """Have folders resumed after some seconds, or not (None)."""
        until = None if timeout_s is None else utc_now() + timedelta(seconds=timeout_s)
        self._take([seen.PauseTimed(paused=Paused("folder", folder), until=until) for folder in folders])

    def _end_pause(self, paused: Paused, since: float) -> None:
        """Resume a folder or a device; the instance asks for it again if that fails."""
        with self._lock:
            wanted = paused in self._resuming
        try:
            # After a failure, the attempts that were queued before it are left to the next time: each would wait again.
            if wanted and self._unavailable_at < since:
                request = Request(command=_ROWS["resume"], arguments={paused.kind: paused.id})
                execute(self._client, request)
                self._not_resumed.discard(paused)
                # No event follows if it was not paused any more.
                self._take([seen.PauseTimed(paused=paused, until=None)])
        except SyncthingError as error:
            if isinstance(error, SyncthingUnavailable | TimedOut):
                self._unavailable_at = monotonic()
            if paused not in self._not_resumed:  # it is tried every 30 s
                self._not_resumed.add(paused)
                log.warning("%s: the pause of %s is over, but cannot resume it yet: %s", self._name, paused.id, error)
        finally:
            with self._lock:
                self._resuming.discard(paused)

    # --- scans

    def _scan(self, command: IncomingCommand, request: Request) -> None:
        scan = self._scans.start(request)
        if not request.arguments.get("wait"):
            with self._lock:
                self._unaccepted.append((monotonic() + ACCEPTED_AFTER_S, command, request))
                accepting, self._accepting = self._accepting, True
            if not accepting:
                self._pool.submit(self._accept_long_scans)
        scan.add_done_callback(partial(self._scan_ended, command, request))

    def _accept_long_scans(self) -> None:
        """Answer with `accepted` the scans that take too long to be waited for; one task at a time does it for all."""
        while True:
            with self._lock:
                if not self._unaccepted or self._stopping.is_set():
                    self._accepting = False
                    return
                due_at, command, request = self._unaccepted[0]
            if self._stopping.wait(max(0.0, due_at - monotonic())):
                continue
            self._unaccepted.popleft()
            self._finish(command, request, status="accepted", data=self._scanned(request))

    def _scan_ended(self, command: IncomingCommand, request: Request, scan: "Future[None]") -> None:
        error = scan.exception()
        if error is not None and not isinstance(error, SyncthingError | CommandError):
            error = _internal(error)
        data = self._scanned(request) if error is None else None
        if not self._finish(command, request, data=data, error=error) and not request.arguments.get("wait"):
            self._emit(
                "scan_finished",
                folder=request.arguments["folder"] or ALL_FOLDERS,
                error=None if error is None else str(error),
                transaction=request.transaction,
            )

    def _scanned(self, request: Request) -> dict[str, list[str]]:
        """Return which folders a scan is about: Syncthing passes over paused ones without a word."""
        folder, config = request.arguments["folder"], self._known().config
        if folder != EVERY_FOLDER or config is None:
            return {"folders": [folder] if folder else []}
        return {"folders": [one.id for one in config.folders.values() if not one.paused]}

    # --- the one reply

    def _finish(
        self,
        command: IncomingCommand,
        request: Request | None,
        *,
        status: str = "ok",
        data: object = None,
        error: SyncthingError | CommandError | None = None,
        claimed: bool = False,
    ) -> bool:
        """Answer a command, and the copies that wait for the same reply; False if it has been answered already."""
        if not claimed and not self._pending.claim(command):
            return False
        transaction = request.transaction if request else transaction_of(command.received.payload)
        reply = _reply(command, status=status, data=data, error=error, transaction=transaction)
        if error is None:
            level = logging.DEBUG if request and request.command.group == "read" else logging.INFO
            log.log(level, "command %s/%s: %s", self._name, command.name, status)
        else:
            self._refusals.add(command.name, error.code, str(error))
        key = request and key_of(request, command.received)
        copies = self._replies.end(key, reply, executed=_may_have_run(error)) if key else []
        for one in (command, *(copy for copy in copies if self._pending.claim(copy))):
            self._send(one, reply)
        return True

    def _send(self, command: IncomingCommand, reply: Reply) -> None:
        self._answer(command.received, reply)
        command.received.acknowledge()


def _reply(
    command: IncomingCommand,
    *,
    status: str = "ok",
    data: object = None,
    error: SyncthingError | CommandError | None = None,
    transaction: Scalar,
) -> Reply:
    return Reply(
        command=command.name,
        status="error" if error else status,
        data=data,
        error=None if error is None else CommandError(error.code, str(error)),
        transaction=transaction,
        took_ms=round((monotonic() - command.at) * 1000),
    )


def _internal(error: BaseException) -> CommandError:
    return CommandError("syncthing_error", f"internal error: {error!r}")


def _may_have_run(error: SyncthingError | CommandError | None) -> bool:
    """Tell whether a command was executed, as far as one can know."""
    return error is None or (isinstance(error, SyncthingError) and error.may_have_run)


def _stopping(what: str) -> CommandError:
    return CommandError("unreachable", f"the bridge is stopping; {what}")

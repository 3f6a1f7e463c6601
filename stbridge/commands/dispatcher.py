"""Commands to one Syncthing instance: each is checked against the table, executed on a pool, and answered once."""

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
from stbridge.errors import SyncthingError, SyncthingUnavailable, TimedOut, with_setting_path
from stbridge.syncthing import SyncthingClient

log = logging.getLogger(__name__)

MAX_WORKERS = 8
"""Maximum number of commands that run at the same time, including the one from the ordered lane."""

MAX_SCAN_WORKERS = 16
"""Maximum number of scans with an open request to Syncthing."""

ACCEPTED_AFTER_S = 2.0
"""Seconds after which a running scan is answered with `accepted`."""

START_WITHIN_S = 60.0
"""Maximum seconds that a command may be queued; after that it is answered and not executed."""

MAX_PENDING = 1000
"""Maximum number of unanswered commands, including those that wait for a scan to finish."""

MAX_PENDING_BYTES = 64 * 1024 * 1024
"""Maximum total size of these commands, in bytes."""

_ROWS = {command.name: command for command in COMMANDS}


class CommandDispatcher:
    """Checks, executes and answers commands to one Syncthing instance.

    Args:
        name: the name of the instance.
        client: the client for Syncthing; used by several threads.
        read_client: another client for commands with large answers; it refuses those that are too large for a reply.
        scan_client: another client for scans; its requests are aborted when Syncthing has restarted.
        allowed: the names of the commands on the allow-list.
        known: returns the existing folders, devices and pending ones; called in a thread of the pool.
        answer: queues a reply to a message.
        emit: publishes an event of the bridge.
        take: applies the changes that commands have made, before it returns.
        check_connection: makes the follower check its connection, because a command timed out on another connection.
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
        """Start the first thread; commands are queued until `open` is called.

        Raises:
            RuntimeError: no thread can be started.
        """
        self._pool.start()
        # One thread from the start: it runs everything if no other thread can be started later.
        if not self._pool.submit(int):
            raise RuntimeError("cannot start a thread for commands")
        self._scan_pool.start()

    def open(self) -> None:
        """Execute the queued commands in their order, and those that arrive from now on."""
        with self._lock:
            if self._opened_at is None:
                self._opened_at = monotonic()
                for command in self._early:
                    self._enqueue(command)
                self._early.clear()

    def receive(self, name: str, received: Received) -> None:
        """Accept a command into the bounded queue, or refuse it if the queue is full; thread-safe, never blocks."""
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
        """Run a function in a thread of the pool, after earlier functions that were submitted here.

        Returns:
            False if the pool is not running, so that the function is not called.
        """
        return self._slow_lane.submit(function, *arguments)

    def resume(self, paused: Paused) -> None:
        """End a timed pause, unless an attempt is already in progress or the allow-list forbids it; never blocks."""
        with self._lock:
            if paused in self._resuming or not may_resume(self._allowed):
                return
            self._resuming.add(paused)
        self._lane.submit(self._end_pause, paused, monotonic())

    def syncthing_restarted(self) -> None:
        """Fail the scans of the process that has exited, because they will not be answered; never blocks."""
        self._scan_client.break_off()
        self._scans.end_all(CommandError("unreachable", "Syncthing restarted before the scan finished; send it again"))

    def stop(self, deadline: float) -> None:
        """Answer all commands: queued ones immediately, running ones when they finish or at the deadline.

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
            client.close()  # otherwise the process could not exit before the threads finish their requests

    def _enqueue(self, command: IncomingCommand) -> None:
        row = _ROWS.get(command.name)
        queue = self._lanes[row.lane if row else ""]
        queue.submit(self._dispatch, command)  # a stopped pool rejects it, but then all are answered

    def _refuse(self, command: IncomingCommand) -> None:
        """Answer a command that was not added to the pending commands."""
        if self._pending.closed:
            error = _stopping("the command was not executed, send it again")
        else:
            error = CommandError("rate_limited", "too many commands are already waiting")
        self._refusals.add(command.name, error.code, error.message)
        self._send(command, _reply(command, error=error, transaction=transaction_of(command.received.payload)))

    # --- called in a thread of the pool

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
                command.received.acknowledge()  # before it runs, so at most once: better lost than executed twice
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
        opened_at = self._opened_at or 0.0
        if opened_at - command.at > START_WITHIN_S:
            raise CommandError(
                "timeout", f"it was not executed: the start of the bridge took longer than {START_WITHIN_S:.0f} s"
            )
        if monotonic() - max(command.at, opened_at) > START_WITHIN_S:
            raise CommandError(
                "timeout", f"it was not executed: other commands took longer than {START_WITHIN_S:.0f} s"
            )
        if command.received.again and not row.repeatable:  # the previous run of the bridge may have executed it
            raise CommandError("timeout", "it may have been executed before the bridge restarted; not executed again")
        request, known = parse(row, command.received.payload), self._known()
        if known.config is None and (request.arguments.get("for") is not None or row.name == "reset"):
            raise CommandError(
                "unreachable",
                "it was not executed: the bridge has not read the configuration of Syncthing yet, so it could not end "
                "the pause; send it again",
            )
        request = with_ids(request, known)
        check_applicable(request, known.config)
        return request

    def _is_repeated(self, request: Request, command: IncomingCommand) -> bool:
        """Answer a copy of a command with the reply to the first one, or make it wait for that reply."""
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
        pauses = self._pauses(request)
        try:
            data = self._perform(request)
        except SyncthingError as error:
            if error.may_have_run and request.arguments.get("for") is not None:
                self._note_pauses(request, pauses)  # otherwise a pause that takes effect later would never end
            raise
        # The end of a pause is recorded before the reply confirms it; otherwise a stop in between would lose it.
        data = self._note_pauses(request, pauses) or data
        self._finish(command, request, data=data)
        self._read_changes(request)

    def _perform(self, request: Request) -> object:
        """Execute a request; an upgrade counts as in progress until Syncthing refuses it or restarts."""
        if request.command.operation != "upgrade":
            has_large_answer = request.command.group == "read" or request.command.lane == "large"
            client = self._read_client if has_large_answer else self._client
            return execute(client, request, self._time_pauses)
        self._take([seen.Upgrading(in_progress=True)])
        try:
            return execute(self._client, request)
        except (SyncthingError, CommandError):
            self._take([seen.Upgrading(in_progress=False)])
            raise

    def _read_changes(self, request: Request) -> None:
        """Request reads of the changes that no event reports."""
        if request.command.changes:
            self._take([seen.Stale(reads=tuple(Read(what) for what in request.command.changes))])

    # --- pauses

    def _pauses(self, request: Request) -> Sequence[Paused]:
        """Return the folder or the devices that a command pauses or resumes.

        `pause_all` with a duration leaves out devices that somebody has paused already without an end, so that the
        bridge does not resume them. It asks Syncthing, because the known configuration may be older than the previous
        command.
        """
        if request.command.operation in ("pause", "resume", "set_paused"):
            kind = "folder" if "folder" in request.arguments else "device"
            return [Paused(kind, request.arguments[kind])]
        known = self._known()
        if request.command.operation not in ("pause_all", "resume_all") or known.config is None:
            return []
        devices = [Paused("device", one) for one in known.config.devices]
        if request.arguments.get("for") is None:
            return devices
        try:
            running = {one["deviceID"] for one in self._client.get_config()["devices"] or () if not one["paused"]}
        except SyncthingError as error:
            error.may_have_run = False  # nothing was paused yet
            raise
        return [one for one in devices if one.id in running or one in known.timed_pauses]

    def _note_pauses(self, request: Request, pauses: Sequence[Paused]) -> dict[str, str | None] | None:
        """Record until when folders or devices are paused, and return that time for the reply.

        A command that resumes them discards that time.
        """
        with self._lock:
            self._resuming.difference_update(pauses)  # cancels attempts that are queued behind this command
        resumes = request.command.operation in ("resume", "resume_all") or request.arguments.get("paused") is False
        duration = None if resumes else request.arguments.get("for")
        until = None if duration is None else utc_now() + timedelta(seconds=seconds(duration))
        if resumes:
            timed = self._known().timed_pauses
            pauses = [one for one in pauses if one in timed]
        if not pauses:
            return None
        self._take([seen.PauseTimed(paused=paused, until=until) for paused in pauses])
        with self._lock:
            self._resuming.difference_update(pauses)  # the previous end of the pause may have been due until now
            self._not_resumed.difference_update(pauses)
        return {"resume_at": in_utc(until)} if until else None

    def _time_pauses(self, folders: Sequence[str], timeout_s: float | None) -> None:
        """Schedule that folders are resumed after some seconds; None cancels it."""
        until = None if timeout_s is None else utc_now() + timedelta(seconds=timeout_s)
        self._take([seen.PauseTimed(paused=Paused("folder", folder), until=until) for folder in folders])

    def _end_pause(self, paused: Paused, since: float) -> None:
        """Resume a folder or a device; if that fails, the instance requests it again."""
        with self._lock:
            wanted = paused in self._resuming
        try:
            # After a failure, attempts that were queued before it are skipped until the next time; each would time out.
            if wanted and self._unavailable_at < since:
                request = Request(command=_ROWS["resume"], arguments={paused.kind: paused.id})
                execute(self._client, request)
                with self._lock:
                    self._not_resumed.discard(paused)
                # No event follows if it was no longer paused.
                self._take([seen.PauseTimed(paused=paused, until=None)])
        except SyncthingError as error:
            if isinstance(error, SyncthingUnavailable | TimedOut):
                self._unavailable_at = monotonic()
            with self._lock:
                logged = paused in self._not_resumed
                self._not_resumed.add(paused)
            if not logged:  # once, because it is retried every 30 s
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
        """Answer long scans with `accepted`; one task at a time does so for all scans."""
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
                label=self._label(request.arguments["folder"]),
                error=None if error is None else with_setting_path(self._name, str(error)),
                transaction=request.transaction,
            )

    def _label(self, folder: str) -> str:
        config = self._known().config
        found = None if config is None else config.folders.get(folder)
        return "" if found is None else found.label

    def _scanned(self, request: Request) -> dict[str, list[str]]:
        """Return the folders that a scan covers; Syncthing silently skips paused ones."""
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
        """Answer a command and the copies that wait for the same reply; return False if it was already answered."""
        if not claimed and not self._pending.claim(command):
            return False
        transaction = request.transaction if request else transaction_of(command.received.payload)
        shown = None if error is None else CommandError(error.code, with_setting_path(self._name, str(error)))
        reply = _reply(command, status=status, data=data, error=shown, transaction=transaction)
        if shown is None:
            level = logging.DEBUG if request and request.command.group == "read" else logging.INFO
            log.log(level, "command %s/%s: %s", self._name, command.name, status)
        else:
            self._refusals.add(command.name, shown.code, shown.message)
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
    error: CommandError | None = None,
    transaction: Scalar,
) -> Reply:
    return Reply(
        command=command.name,
        status="error" if error else status,
        data=data,
        error=error,
        transaction=transaction,
        took_ms=round((monotonic() - command.at) * 1000),
    )


def _internal(error: BaseException) -> CommandError:
    return CommandError("syncthing_error", f"internal error: {error!r}")


def _may_have_run(error: SyncthingError | CommandError | None) -> bool:
    """Return whether a command may have been executed."""
    return error is None or (isinstance(error, SyncthingError) and error.may_have_run)


def _stopping(what: str) -> CommandError:
    return CommandError("unreachable", f"the bridge is stopping; {what}")

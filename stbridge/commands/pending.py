"""The unanswered commands, and a cache of the latest replies."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic

from stbridge.core.envelope import Reply, Request
from stbridge.core.messages import Received

REPLY_KEPT_S = 600.0
MAX_REPLIES = 500
"""Maximum number of remembered commands; the oldest are removed first."""

Key = bytes


@dataclass(frozen=True, slots=True, eq=False)
class IncomingCommand:
    """A command that arrived.

    Attributes:
        name: the last level of its topic.
        received: the message.
        at: when it arrived, by the monotonic clock.
    """

    name: str
    received: Received
    at: float

    @property
    def size(self) -> int:
        """Approximate memory usage in bytes."""
        return len(self.name) + len(self.received.payload) + len(self.received.correlation or b"")

    @property
    def expired(self) -> bool:
        """Whether its message expiry (MQTT 5) has passed."""
        expiry_s = self.received.expiry_s
        return expiry_s is not None and monotonic() - self.at >= expiry_s


class PendingCommands:
    """The unanswered commands; each is claimed once, by the thread that answers it.

    The limits here bound all memory that commands use.

    Args:
        max_count: maximum number of commands.
        max_bytes: maximum total size in bytes.
    """

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._started: dict[IncomingCommand, bool] = {}
        self._bytes = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called, after which no command is added or started."""
        return self._closed

    def add(self, command: IncomingCommand) -> bool:
        """Add a command; return False if a limit is reached or `close` was called."""
        with self._changed:
            full = len(self._started) >= self._max_count or self._bytes + command.size > self._max_bytes
            if full or self._closed:
                return False
            self._started[command] = False
            self._bytes += command.size
            return True

    def start(self, command: IncomingCommand) -> bool:
        """Mark a command as started; return False if it must not run, because it was already answered."""
        with self._changed:
            if command not in self._started:
                return False
            self._started[command] = True
            return True

    def claim(self, command: IncomingCommand) -> bool:
        """Remove a command in order to answer it; return False if another thread has claimed it."""
        with self._changed:
            if command not in self._started:
                return False
            self._remove(command)
            return True

    def close(self) -> list[IncomingCommand]:
        """Stop adding and starting commands; claim and return those that were not started."""
        with self._changed:
            self._closed = True
            waiting = [command for command, started in self._started.items() if not started]
            for command in waiting:
                self._remove(command)
            return waiting

    def wait_for_all(self, timeout_s: float) -> list[IncomingCommand]:
        """Wait until all commands are answered; return those that are still unanswered after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: not self._started, timeout_s)
            return list(self._started)

    def _remove(self, command: IncomingCommand) -> None:
        del self._started[command]
        self._bytes -= command.size
        self._changed.notify_all()


def key_of(request: Request, received: Received) -> Key | None:
    """Return the key by which copies of a command are recognized; None if each copy is executed.

    A sender that needs a command to run only once sets a transaction or correlation data, and sends the same message
    again if it is in doubt. A broker that missed an acknowledgement also sends it again. Commands that only read are
    executed again.
    """
    if request.command.group == "read" or (request.transaction is None and received.correlation is None):
        return None
    marks = repr((request.command.name, request.transaction, received.correlation))
    # A hash and not the payload itself: hundreds are remembered, and each may have megabytes.
    return sha256(marks.encode("utf-8", "surrogatepass") + received.payload).digest()


@dataclass(slots=True)
class _Entry:
    """A command that was started; `reply` is None until the command is answered."""

    at: float
    reply: Reply | None = None
    waiting: list[IncomingCommand] = field(default_factory=list)


class ReplyCache:
    """The latest commands and their replies, so that a copy of a command gets the first one's reply; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def begin(self, key: Key, command: IncomingCommand, now: float) -> tuple[bool, Reply | None]:
        """Record that a command is about to be executed.

        Args:
            key: the key of the command.
            command: the command. If it is a copy and the first one is not answered yet, `end` returns it later.
            now: the time of the monotonic clock.

        Returns:
            whether it is the first command with this key, and the reply to the first one, if there is one.
        """
        with self._lock:
            self._forget_old(now)
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = _Entry(now)
                return True, None
            if entry.reply is None:
                entry.waiting.append(command)
            return False, entry.reply

    def end(self, key: Key, reply: Reply, *, executed: bool) -> list[IncomingCommand]:
        """Store the reply to the first command with a key, and return the copies that wait for it.

        Args:
            key: the key of the command.
            reply: the reply to the first one.
            executed: False if it cannot have been executed, so that the next copy will be.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return []
            entry.reply = reply
            if not executed:
                del self._entries[key]
            waiting, entry.waiting = entry.waiting, []
            return waiting

    def _forget_old(self, now: float) -> None:
        for key, entry in list(self._entries.items()):
            if now - entry.at < REPLY_KEPT_S and len(self._entries) < MAX_REPLIES:
                return
            if entry.reply is not None:
                del self._entries[key]

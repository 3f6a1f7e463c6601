"""What was carried out lately: the same command again is not carried out twice, but gets the first reply again."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256

from stbridge.commands.arrival import Arrival
from stbridge.core.envelope import Reply, Request
from stbridge.core.messages import Received

KEPT_S = 600.0
MOST = 500
"""How many commands are remembered; the oldest are forgotten first."""

Key = bytes


def key_of(request: Request, received: Received) -> Key | None:
    """Return what the same command would have in common with this one; None if a repetition is another command.

    A sender that wants a command done once gives it a transaction or correlation data, and sends the same message
    again if it is in doubt; so does a broker that missed an acknowledgement. What only reads is simply read again.
    """
    if request.command.group == "read" or (request.transaction is None and received.correlation is None):
        return None
    marks = repr((request.command.name, request.transaction, received.correlation))
    # Not the payload itself: hundreds are remembered, and each may be megabytes.
    return sha256(marks.encode("utf-8", "surrogatepass") + received.payload).digest()


@dataclass(slots=True)
class _Entry:
    """A command that was begun; `reply` is None until it has ended."""

    at: float
    reply: Reply | None = None
    waiting: list[Arrival] = field(default_factory=list)


class Ledger:
    """Remembers commands and their replies for a while; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def begin(self, key: Key, arrival: Arrival, now: float) -> tuple[bool, Reply | None]:
        """Note that a command arrived.

        Args:
            key: of the command.
            arrival: to be answered together with the first if that is still under way.
            now: by the monotonic clock, in seconds.

        Returns:
            whether it is the first of its kind, and the reply that the first one got, if it has ended.
        """
        with self._lock:
            self._forget_old(now)
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = _Entry(now)
                return True, None
            if entry.reply is None:
                entry.waiting.append(arrival)
            return False, entry.reply

    def end(self, key: Key, reply: Reply, *, carried_out: bool) -> list[Arrival]:
        """Note the reply of the first, and return those that wait for it.

        Args:
            key: of the command.
            reply: what the first one got.
            carried_out: False if nothing can have happened, so that the same command may be tried again.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return []
            entry.reply = reply
            if not carried_out:
                del self._entries[key]
            waiting, entry.waiting = entry.waiting, []
            return waiting

    def _forget_old(self, now: float) -> None:
        for key, entry in list(self._entries.items()):
            if now - entry.at < KEPT_S and len(self._entries) < MOST:
                return
            if entry.reply is not None:
                del self._entries[key]

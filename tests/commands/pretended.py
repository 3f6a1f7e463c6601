"""A scripted Syncthing client for the command tests: it uses no network, and calls can be made to wait or fail."""

import threading
from collections.abc import Callable
from typing import Any

from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.transport import Transport

PATIENCE_S = 30.0

SCAN = "/rest/db/scan"


class PretendedTransport(Transport):
    """A transport that answers from `answers`, by path: functions are called, and exceptions are raised.

    Args:
        note: called with each request, as in `POST /rest/db/scan`.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.answers: dict[str, Any] = {}
        self._note = note
        self._gates: dict[str, threading.Event] = {}
        self._asked = threading.Semaphore(0)

    def call(self, method: str, path: str, **_details: Any) -> Any:
        """Answer a call when its path is released."""
        self._note(f"{method} {path}")
        self._asked.release()
        if gate := self._gates.get(path):
            assert gate.wait(PATIENCE_S)
        answer = self.answers.get(path, {})
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:  # noqa: ARG002 - it does not wait
        """Check the condition once instead of waiting for it."""
        assert condition()

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def break_off(self) -> None:
        """Do nothing: calls that are held stay held, like a request that cannot be interrupted."""

    def hold(self, path: str) -> None:
        """Make calls of a path wait until `release`."""
        self._gates[path] = threading.Event()

    def release(self) -> None:
        """Let all calls that are held continue."""
        for gate in self._gates.values():
            gate.set()

    def wait_until_asked(self) -> None:
        """Wait until one more call was made."""
        assert self._asked.acquire(timeout=PATIENCE_S)


class PretendedClient(SyncthingClient):
    """A client on a scripted transport."""

    def __init__(self, transport: PretendedTransport) -> None:
        self.url = "pretended"
        self._transport = transport

"""A pretended Syncthing for the command plane: no network; what it is asked may be held up, or fail."""

import threading
from collections.abc import Callable
from typing import Any

from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.transport import Transport

PATIENCE_S = 30.0

SCAN = "/rest/db/scan"


class PretendedTransport(Transport):
    """Answers from `answers`, by path; what is a function there is called, what is an exception is raised.

    Args:
        note: is told each call, as `POST /rest/db/scan`.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.answers: dict[str, Any] = {}
        self._note = note
        self._gates: dict[str, threading.Event] = {}
        self._asked = threading.Semaphore(0)

    def call(self, method: str, path: str, **_details: Any) -> Any:
        """Answer a call, as soon as its path is not held any more."""
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
        """Look once: it holds, or never will."""
        assert condition()

    def close(self) -> None:
        """There is nothing to close."""

    def break_off(self) -> None:
        """What is held stays held, as a request does that cannot be broken off."""

    def hold(self, path: str) -> None:
        """Have calls of a path wait."""
        self._gates[path] = threading.Event()

    def release(self) -> None:
        """Let everything that is held go on."""
        for gate in self._gates.values():
            gate.set()

    def wait_until_asked(self) -> None:
        """Wait until one more call has been made."""
        assert self._asked.acquire(timeout=PATIENCE_S)


class PretendedClient(SyncthingClient):
    """A client on a pretended transport."""

    def __init__(self, transport: PretendedTransport) -> None:
        self.url = "pretended"
        self._transport = transport

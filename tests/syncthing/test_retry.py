"""The retry policy: which failures are retried and when a call gives up, without a connection."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest
from tenacity import RetryError

from stbridge.errors import (
    BadReply,
    ConnectTimedOut,
    NotFound,
    Starting,
    SyncthingError,
    TimedOut,
    TlsFailure,
    Unauthorized,
    Unreachable,
)
from stbridge.syncthing import retry
from stbridge.syncthing.retry import ATTEMPTS, retrying, waiting

REFUSED = Unreachable("refused", arrived=False)
BROKEN = Unreachable("broken")


@dataclass(frozen=True)
class Limits:
    """The method of a call, and when no further attempt starts."""

    method: str = "GET"
    deadline: float = math.inf


class Call:
    """A call with a sequence of results, the last of which repeats."""

    def __init__(self, *ends: Any, then: Callable[[], object] = lambda: None) -> None:
        self.count = 0
        self._ends = ends
        self._then = then

    def __call__(self, _: Limits | None = None) -> Any:
        end = self._ends[min(self.count, len(self._ends) - 1)]
        self.count += 1
        self._then()
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that cuts a wait short; there is no pause between attempts here."""
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0)
    monkeypatch.setattr(retry, "LOOK_S", 0)
    return threading.Event()


@pytest.mark.parametrize(
    ("error", "with_get", "with_post"),
    [
        (REFUSED, ATTEMPTS, ATTEMPTS),
        (BROKEN, ATTEMPTS, 1),
        (Starting("starting"), ATTEMPTS, 1),
        (TimedOut("late"), 1, 1),
        (ConnectTimedOut("no connection in time"), 1, 1),
        (TlsFailure("another certificate"), 1, 1),
        (Unauthorized("another key"), 1, 1),
        (BadReply("another server"), 1, 1),
        (NotFound("no such folder"), 1, 1),
    ],
    ids=str,
)
def test_only_safe_and_useful_attempts_are_repeated(
    stopped: threading.Event, error: SyncthingError, with_get: int, with_post: int
) -> None:
    """A POST is repeated only if it cannot have arrived. No attempt is repeated that would fail again."""
    for method, attempts in (("GET", with_get), ("POST", with_post)):
        call = Call(error)
        with pytest.raises(type(error)) as raised:
            retrying(stopped)(call, Limits(method))
        assert raised.value is error
        assert call.count == attempts


def test_an_attempt_that_succeeds_is_the_last(stopped: threading.Event) -> None:
    """The result of the last attempt is returned."""
    call = Call(BROKEN, REFUSED, "pong")
    assert retrying(stopped)(call, Limits()) == "pong"
    assert call.count == 3


def test_after_a_stop_there_is_no_further_attempt(stopped: threading.Event) -> None:
    """The stop happens during the first attempt."""
    call = Call(BROKEN, then=stopped.set)
    with pytest.raises(Unreachable):
        retrying(stopped)(call, Limits())
    assert call.count == 1


def test_after_the_deadline_there_is_no_further_attempt(stopped: threading.Event) -> None:
    """The deadline of the call has passed at the end of the first attempt."""
    call = Call(BROKEN)
    with pytest.raises(Unreachable):
        retrying(stopped)(call, Limits(deadline=monotonic()))
    assert call.count == 1


def test_a_wait_ends_when_its_condition_holds(stopped: threading.Event) -> None:
    """An unreachable Syncthing and a false condition both continue the wait."""
    call = Call(BROKEN, False, Starting("starting"), False, True)
    waiting(30, stopped)(call)
    assert call.count == 5


def test_a_wait_ends_when_its_time_is_over(stopped: threading.Event) -> None:
    """The wait has a time limit."""
    with pytest.raises(RetryError):
        waiting(0, stopped)(Call(False))


def test_a_wait_is_cut_short_by_a_stop(stopped: threading.Event) -> None:
    """A bridge that stops must not wait."""
    call = Call(False, then=stopped.set)
    with pytest.raises(RetryError):
        waiting(3600, stopped)(call)
    assert call.count == 1


def test_a_wait_ends_with_a_permanent_error(stopped: threading.Event) -> None:
    """An error that waiting does not change is raised at once."""
    with pytest.raises(NotFound):
        waiting(3600, stopped)(Call(NotFound("no such folder")))

"""Retry policies: for failed calls, for waits until a condition holds, and for instances that are unreachable."""

import threading
from time import monotonic
from typing import Protocol

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_when_event_set,
    wait_random,
)
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_base
from tenacity.wait import wait_random_exponential

from stbridge.backoff import Backoff
from stbridge.errors import BadReply, ConnectTimedOut, Starting, SyncthingUnavailable, TimedOut, Unreachable

ATTEMPTS = 4
LONGEST_WAIT_S = 1.0

LOOK_S = 0.5
"""Maximum seconds between two checks of a condition."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 3.0
"""Maximum seconds between attempts to reach an instance; short, so that its return is published soon."""

IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "PATCH", "DELETE"})
"""Methods that are safe to repeat (RFC 9110, 9.2.2). PATCH is an exception: Syncthing merges the given values."""


class Call(Protocol):
    """What the policy has to know about a call."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def deadline(self) -> float:
        """When no further attempt starts, by the monotonic clock."""


def retrying(stopped: threading.Event) -> Retrying:
    """Return the policy for calls, which are retried if that is safe and may help.

    A POST is retried only if Syncthing cannot have received it. A call that timed out is not retried, because the
    caller has already waited for the whole timeout.

    The first argument of the retried function is its `Call`. Use one policy for all calls of a client: each policy is a
    reference cycle, so a policy for each call would be garbage that only the garbage collector can free.

    Args:
        stopped: interrupts a pause. tenacity then makes one more attempt, so the function itself must also check it.
    """
    return Retrying(
        retry=_may_help,
        stop=stop_after_attempt(ATTEMPTS) | _StopAtDeadline() | stop_when_event_set(stopped),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT_S),
        sleep=sleep_using_event(stopped),
        reraise=True,
    )


def _may_help(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ConnectTimedOut) or not isinstance(error, Unreachable | Starting):
        return False
    return _call(state).method in IDEMPOTENT_METHODS or not error.may_have_run


class _StopAtDeadline(stop_base):
    def __call__(self, retry_state: RetryCallState) -> bool:
        return monotonic() >= _call(retry_state).deadline


def _call(state: RetryCallState) -> Call:
    call: Call = state.args[0]
    return call


def new_backoff() -> Backoff:
    """Return the backoff for attempts to reach an unreachable instance."""
    return Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)


def waiting(timeout_s: float, stopped: threading.Event) -> Retrying:
    """Return the policy that repeats a call until it returns True, even if Syncthing is unreachable in between.

    Args:
        timeout_s: seconds after which it raises RetryError.
        stopped: interrupts the wait.
    """
    return Retrying(
        retry=retry_if_exception_type((SyncthingUnavailable, TimedOut, BadReply))
        | retry_if_result(lambda holds: not holds),
        stop=stop_after_delay(timeout_s) | stop_when_event_set(stopped),
        wait=wait_random(LOOK_S / 2, LOOK_S),
        sleep=sleep_using_event(stopped),
    )

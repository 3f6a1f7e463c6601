"""What is tried again, and when: the policies for a call that fails, and for a Syncthing that is away."""

import threading

from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_when_event_set,
    wait_random,
)
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from stbridge.backoff import Backoff
from stbridge.errors import Starting, SyncthingUnavailable, TimedOut, Unreachable

ATTEMPTS = 4
LONGEST_WAIT_S = 1.0

LOOK_S = 0.5
"""Seconds between two looks at whether something has come to be."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 3.0
"""Between two tries to reach a Syncthing that is away: short, so that the truth is told soon after it is back."""

IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "PATCH", "DELETE"})
"""Calls that do no harm twice (RFC 9110, 9.2.2). PATCH is not so in general; Syncthing's merges given values."""


def retrying(method: str, stopped: threading.Event) -> Retrying:
    """Return what makes a call, again where that is safe and may help.

    A POST is made again only if it cannot have arrived, because there was no connection. What timed out is not tried
    again: that was a long wait already, and whoever waits for the call knows better.

    Args:
        method: the method of HTTP.
        stopped: cuts a wait short. tenacity makes the call once more then, so the call must look at it, too.
    """

    def may_help(error: BaseException) -> bool:
        if isinstance(error, TimedOut):
            return False
        if isinstance(error, Unreachable) and not error.arrived:
            return True
        return method in IDEMPOTENT_METHODS and isinstance(error, Unreachable | Starting)

    return Retrying(
        retry=retry_if_exception(may_help),
        stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(stopped),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT_S),
        sleep=sleep_using_event(stopped),
        reraise=True,
    )


def new_backoff() -> Backoff:
    """Return the pauses between the tries to reach a Syncthing that is away."""
    return Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)


def waiting(timeout_s: float, stopped: threading.Event) -> Retrying:
    """Return what makes a call until it returns True, however often Syncthing cannot be reached meanwhile.

    Args:
        timeout_s: after so many seconds it raises RetryError.
        stopped: cuts the wait short.
    """
    return Retrying(
        retry=retry_if_exception_type(SyncthingUnavailable) | retry_if_result(lambda holds: not holds),
        stop=stop_after_delay(timeout_s) | stop_when_event_set(stopped),
        wait=wait_random(LOOK_S / 2, LOOK_S),
        sleep=sleep_using_event(stopped),
    )

"""What is tried again, and when: the one policy for all calls."""

import threading

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from stbridge.errors import Starting, TimedOut, Unreachable

ATTEMPTS = 4
LONGEST_WAIT_S = 1.0

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
        if stopped.is_set() or isinstance(error, TimedOut):
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

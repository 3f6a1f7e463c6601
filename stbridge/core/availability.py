"""The state machine of the availability of a Syncthing instance; the follower of its events drives it."""

from collections.abc import Mapping
from enum import Enum


class Availability(Enum):
    """The availability of an instance, as the bridge knows it.

    CONNECTING: nothing has been read since the start of the bridge, and nothing has failed.
    SYNCING: everything is being read, the first time or after an outage.
    LIVE: everything is known and follows the events.
    DEGRADED: the instance was live, and the follower checks whether it still is: another thread reported a failure,
        or events were missed and everything is being read again.
    UNREACHABLE: the last attempt to use the instance failed.
    """

    CONNECTING = "connecting"
    SYNCING = "syncing"
    LIVE = "live"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"

    @property
    def online(self) -> bool:
        """Whether the topic `state` is `online`."""
        return self in (Availability.LIVE, Availability.DEGRADED)

    @property
    def tried(self) -> bool:
        """Whether the first attempt to read the instance has ended, with or without success."""
        return self not in (Availability.CONNECTING, Availability.SYNCING)

    def after(self, signal: "Signal") -> "Availability":
        """Return the availability after a signal; a signal without a transition changes nothing."""
        return TRANSITIONS[self].get(signal, self)


class Signal(Enum):
    """What the follower of the events has observed."""

    READ_STARTED = "everything is being read"
    READ_COMPLETED = "everything has been read"
    RESUMED = "no event was missed"
    SUSPECTED = "another thread could not reach the instance"
    FAILED = "the instance cannot be used"


TRANSITIONS: Mapping[Availability, Mapping[Signal, Availability]] = {
    Availability.CONNECTING: {
        Signal.READ_STARTED: Availability.SYNCING,
        Signal.FAILED: Availability.UNREACHABLE,
    },
    Availability.SYNCING: {
        Signal.READ_COMPLETED: Availability.LIVE,
        Signal.FAILED: Availability.UNREACHABLE,
    },
    Availability.LIVE: {
        Signal.READ_STARTED: Availability.DEGRADED,
        Signal.SUSPECTED: Availability.DEGRADED,
        Signal.FAILED: Availability.UNREACHABLE,
    },
    Availability.DEGRADED: {
        Signal.READ_COMPLETED: Availability.LIVE,
        Signal.RESUMED: Availability.LIVE,
        Signal.FAILED: Availability.UNREACHABLE,
    },
    Availability.UNREACHABLE: {
        Signal.READ_STARTED: Availability.SYNCING,
        Signal.RESUMED: Availability.LIVE,
    },
}
"""The next availability for each signal; a pair that is not listed changes nothing."""

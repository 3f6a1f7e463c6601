"""Finds responses of reads that are older than what the State already knows.

An event or a command can overtake the response to a read that was requested before it, because each uses its own
connection and thread. The response would then replace the newer value, and no further event would correct that.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read

MOST_KEPT = 10_000
"""Maximum number of values whose last change is kept: more than change while one read is in progress."""


class Moment(NamedTuple):
    """A point in the sequence of observations.

    Attributes:
        epoch: changes with the availability of the instance.
        order: the number of observations that were applied before it.
    """

    epoch: int
    order: int


class ReadOrder:
    """The order in which the values of reads were last observed, by reads and by events.

    Args:
        epoch: the number of the first epoch. Responses to requests of an earlier epoch are dropped, because events may
            have been missed in between.
    """

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self._last = 0  # the number of observations so far
        self._observed: OrderedDict[Read, int] = OrderedDict()

    @property
    def moment(self) -> Moment:
        """The current moment."""
        return Moment(self.epoch, self._last)

    def begin_epoch(self) -> None:
        """Begin the next epoch; nothing that was observed before is compared with a response any more."""
        self.epoch += 1
        self._observed.clear()

    def note(self, *reads: Read) -> None:
        """Note that the values of some reads are observed now."""
        for read in reads:
            self._last += 1
            self._observed[read] = self._last
            self._observed.move_to_end(read)
            if len(self._observed) > MOST_KEPT:
                self._observed.popitem(last=False)

    def forget(self, *reads: Read) -> None:
        """Forget when the values of some reads were observed, because their folder or device is removed."""
        for read in reads:
            self._observed.pop(read, None)

    def observed_since(self, read: Read, since: Moment) -> bool:
        """Return whether the value of a read was observed again after a moment before its request."""
        return self._observed.get(read, 0) > since.order


def read_of(observation: Observation) -> Read | None:
    """Return the read that returns the value of an observation; None if no event reports such values."""
    row = _ROWS.get(type(observation))
    return None if row is None else row(observation)


_ROWS: Mapping[type[Observation], Callable[[Any], Read]] = {
    seen.FolderRead: lambda one: Read("folder", one.folder),
    seen.FolderStateChanged: lambda one: Read("folder", one.folder),
    seen.FolderErrorsRead: lambda one: Read("folder_errors", one.folder),
    seen.CompletionRead: lambda one: Read("completion", one.folder, one.device),
    seen.ConfigRead: lambda _: Read("config"),
    seen.ConfigSaved: lambda _: Read("config"),
    seen.FolderPaused: lambda _: Read("config"),
    seen.DevicePaused: lambda _: Read("config"),
    seen.PauseTimed: lambda _: Read("config"),
    seen.ConnectionsRead: lambda _: Read("connections"),
    seen.DeviceConnected: lambda _: Read("connections"),
    seen.DeviceDisconnected: lambda _: Read("connections"),
    seen.ConflictsRead: lambda one: Read("conflicts", one.folder),
}
"""The read that returns the value of each kind of observation, for kinds that events or commands report as well."""

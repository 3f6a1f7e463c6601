"""What a fleet of bridges did: its arrivals, its cost, and its deaths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

HERD_S = 0.1
"""Attempts to connect within this time count as simultaneous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How bridges came online, and their topics became right.

    Attributes:
        name: the cause.
        bridges: the base topics of these bridges.
        online_s: seconds until each bridge was online, by base topic; a bridge that was not seen is missing.
        right_s: seconds until all topics of each bridge were right; the same.
        attempts: seconds of each attempt to connect of each bridge; 0 is when the broker served, or the bridges
            started.
        broker_cpu_s: processor time of the broker meanwhile.
        bridges_cpu_s: processor time of all bridges meanwhile.
        wrong: topics that a new subscriber finds wrong afterwards.
        topics: number of topics that it compared.
        outage_s: seconds without a broker.
    """

    name: str
    bridges: Sequence[str]
    online_s: Mapping[str, float]
    right_s: Mapping[str, float]
    attempts: Mapping[str, Sequence[float]]
    broker_cpu_s: float
    bridges_cpu_s: float
    wrong: Sequence[str]
    topics: int
    outage_s: float = 0.0

    @property
    def unseen(self) -> Sequence[str]:
        """The bridges that were not seen to come online or to become right."""
        return [one for one in self.bridges if one not in self.online_s or one not in self.right_s]

    @property
    def without_attempt(self) -> Sequence[str]:
        """The bridges of which no attempt to connect was recorded."""
        return [one for one in self.bridges if not self.attempts.get(one)]

    @property
    def during_outage(self) -> Sequence[float]:
        """The times of all attempts while there was no broker."""
        return [at for at in chain.from_iterable(self.attempts.values()) if at < 0]

    @property
    def after_outage(self) -> Sequence[float]:
        """The times of all attempts since the broker served."""
        return [at for at in chain.from_iterable(self.attempts.values()) if at >= 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Cost of a period in which nothing else happens.

    Attributes:
        name: what happens in Syncthing.
        seconds: duration.
        counted: how much the counters of the broker have grown.
        broker_cpu_s: processor time of the broker.
        bridges_cpu_s: processor time of all bridges.
    """

    name: str
    seconds: float
    counted: Mapping[str, float]
    broker_cpu_s: float
    bridges_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in units of 2^20 bytes.

    Attributes:
        broker: resident memory of the broker.
        resident: resident memory of each bridge.
        private: the part of it that the bridge does not share with others.
        broker_files: number of files and sockets that the broker has open.
        values: what the broker publishes about itself.
    """

    broker: float
    resident: Sequence[float]
    private: Sequence[float]
    broker_files: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """What happened when some bridges were killed.

    Attributes:
        killed: the base topics of the killed bridges.
        last_will_s: seconds until the last will of each killed bridge arrived, by base topic.
        others: the base topics of last-will messages of bridges that were not killed.
    """

    killed: Sequence[str]
    last_will_s: Mapping[str, float]
    others: Sequence[str]

    @property
    def missing(self) -> Sequence[str]:
        """The killed bridges whose last will did not arrive."""
        return [one for one in self.killed if one not in self.last_will_s]


def most_at_once(times: Sequence[float]) -> int:
    """Return the maximum number of times within HERD_S."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] > HERD_S:
            first += 1
        most = max(most, last - first + 1)
    return most

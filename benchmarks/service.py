"""The bridge with fake Syncthings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from benchmarks import stage
from benchmarks.audience import Audience
from benchmarks.fake.fleet import Fleet
from benchmarks.usage import Usage
from tests.servers import ROOT, BridgeProcess, eventually

QUIET_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some events cost.

    Attributes:
        events: how many there were.
        cpu_us: processor time of the bridge for each, in microseconds.
        messages: to the broker, for each.
        requests: to Syncthing, for each.
    """

    events: int
    cpu_us: float
    messages: float
    requests: float


class Service:
    """A bridge, what it reads and who listens to it.

    Args:
        fleet: the fake Syncthings.
        process: of the bridge.
        audience: sees what it publishes.
        began_at: when it was started, by the monotonic clock.
    """

    def __init__(self, fleet: Fleet, process: BridgeProcess, audience: Audience, began_at: float) -> None:
        self.fleet = fleet
        self.audience = audience
        self._process = process
        self._began_at = began_at

    @property
    def process(self) -> int:
        """The ID of the bridge's process."""
        return self._process.id

    @property
    def usage(self) -> Usage:
        """What the bridge has used so far."""
        return Usage.of(self._process.id)

    @property
    def online_after_s(self) -> float:
        """How long it took until the bridge said that it is online, all topics being there."""
        assert self.audience.online_at is not None, "it is complete"
        return self.audience.online_at - self._began_at

    def wait_until_complete(self, folders: int, devices: int, longest_s: float) -> float:
        """Wait until everything is known and published, and return how many seconds after the start that is."""
        eventually(lambda: self.audience.is_complete(folders, devices), longest_s)
        return monotonic() - self._began_at

    def wait_until_quiet(self) -> None:
        """Wait until nothing is published any more."""
        seen, since = self.audience.messages, monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if self.audience.messages != seen:
                seen, since = self.audience.messages, monotonic()
            return monotonic() - since > QUIET_S

        eventually(quiet, LONGEST_S)

    def cost_of(self, *, rate: int, seconds: float, stirred: int, spread: bool = False) -> Cost:
        """Have many events, and return what they cost, what follows later included; for the arguments see `Storm`."""
        requests, messages, usage = self._requests, self.audience.messages, self.usage
        storm = self.fleet.tell("storm", rate=rate, seconds=seconds, stirred=stirred, spread=spread)
        self.wait_until_quiet()
        events = storm["events"]
        return Cost(
            events=events,
            cpu_us=(self.usage.cpu_s - usage.cpu_s) / events * 1e6,
            messages=(self.audience.messages - messages) / events,
            requests=(self._requests - requests) / events,
        )

    @property
    def _requests(self) -> int:
        return sum(self.fleet.tell("requests").values())


@contextmanager
def service(fleet: Fleet, *, closely: frozenset[str] = frozenset(), **variables: str) -> Iterator[Service]:
    """Have a bridge that has just been started, with a broker.

    Args:
        fleet: the fake Syncthings, which have been started.
        closely: topics of which every message is kept.
        variables: more settings.
    """
    with stage.directory() as where, stage.broker(where) as broker, Audience(broker.port, closely) as audience:
        (where / "bridge").mkdir()
        settings = {"PYTHONPATH": str(ROOT), "STBRIDGE_MQTT__PORT": str(broker.port), **fleet.settings(), **variables}
        process = BridgeProcess(Path(where / "bridge"), settings)
        try:
            yield Service(fleet, process.start(), audience, monotonic())
        finally:
            process.stop()

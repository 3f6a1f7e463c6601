"""The bridge with fake Syncthing instances."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from benchmarks import stage
from benchmarks.audience import Audience
from benchmarks.fake.fleet import Fleet
from benchmarks.usage import Usage
from tests.servers import ANONYMOUS, ROOT, BridgeProcess, eventually

QUIET_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of some events.

    Attributes:
        events: number of events.
        cpu_us: processor time of the bridge per event, in microseconds.
        messages: messages to the broker per event.
        requests: requests to Syncthing per event.
    """

    events: int
    cpu_us: float
    messages: float
    requests: float


class Service:
    """A bridge with its fake Syncthing instances and a subscriber.

    Args:
        fleet: the fake instances.
        process: of the bridge.
        audience: the subscriber to its topics.
        began_at: its start time by the monotonic clock.
        broker_port: the port of the broker.
    """

    def __init__(
        self, fleet: Fleet, process: BridgeProcess, audience: Audience, began_at: float, *, broker_port: int
    ) -> None:
        self.fleet = fleet
        self.audience = audience
        self.broker_port = broker_port
        self._process = process
        self._began_at = began_at

    @property
    def process(self) -> int:
        """The ID of the bridge's process."""
        return self._process.id

    @property
    def usage(self) -> Usage:
        """Resources that the bridge has used so far."""
        return Usage.of(self._process.id)

    @property
    def online_after_s(self) -> float:
        """Seconds from the start until the bridge published `online`, when all topics exist."""
        assert self.audience.online_at is not None, "it is complete"
        return self.audience.online_at - self._began_at

    def wait_until_complete(self, folders: int, devices: int, longest_s: float) -> float:
        """Wait until all values are published, and return the seconds since the start."""
        eventually(lambda: self.audience.is_complete(folders, devices), longest_s)
        return monotonic() - self._began_at

    def wait_until_quiet(self) -> None:
        """Wait until nothing more is published."""
        seen, since = self.audience.messages, monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if self.audience.messages != seen:
                seen, since = self.audience.messages, monotonic()
            return monotonic() - since > QUIET_S

        eventually(quiet, LONGEST_S)

    def cost_of(self, *, rate: int, seconds: float, stirred: int, spread: bool = False) -> Cost:
        """Create many events, and return their cost including delayed work; for the arguments see `Storm`."""
        requests, messages, usage = self._requests, self.audience.messages, self.usage
        storm = self.fleet.call("storm", rate=rate, seconds=seconds, stirred=stirred, spread=spread)
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
        return sum(self.fleet.call("requests").values())


@contextmanager
def service(
    fleet: Fleet,
    *,
    closely: frozenset[str] = frozenset(),
    broker_lines: Sequence[str] = (ANONYMOUS,),
    **variables: str,
) -> Iterator[Service]:
    """Start a bridge with a broker.

    Args:
        fleet: the started fake instances.
        closely: topics of which every message is kept.
        broker_lines: the settings of the broker.
        variables: additional settings.
    """
    with (
        stage.directory() as where,
        stage.broker(where, broker_lines) as broker,
        Audience(broker.port, closely) as audience,
    ):
        (where / "bridge").mkdir()
        settings = {"PYTHONPATH": str(ROOT), "STBRIDGE_MQTT__PORT": str(broker.port), **fleet.settings(), **variables}
        process = BridgeProcess(Path(where / "bridge"), settings)
        try:
            yield Service(fleet, process.start(), audience, monotonic(), broker_port=broker.port)
        finally:
            process.stop()

"""A random walk through faults, commands and changes; after each burst every topic must become correct again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from stbridge.syncthing.calls.events import EXTRA_S
from stbridge.syncthing.client import SLOW_S
from stbridge.syncthing.event_stream import POLL_S
from tests.faults.conftest import DEATH
from tests.faults.ground import Ground
from tests.faults.orders import Order
from tests.faults.plan import Burst, Planned, plan
from tests.faults.steps import STEPS
from tests.faults.world import POOLED_CONNECTIONS, RIGHT_AGAIN_S, Vitals, wait_for_vitals
from tests.servers import eventually

ANSWERED_S = SLOW_S + 15.0
"""Time after which the bridge has given up every request that Syncthing does not answer."""

FORGOTTEN_S = POLL_S + EXTRA_S + RIGHT_AGAIN_S
"""Time limit after a silent loss: a lost connection looks like one without events until its request times out."""

LATE_S = 30.0
"""Extra time after a missed deadline, which distinguishes late topics from permanently wrong ones."""

NOTES = 20
"""Number of latest notes to find in Syncthing's log; a note that is repeated is repeated soon."""

LOG_LINES = 40
LOG_LINES_OF_A_STEP = 10
"""Maximum number of log lines for a burst, plus the maximum for each of its steps."""

UNDONE = ("unreachable", "timeout", "syncthing_error")
"""Error codes after which it is unknown whether the command was executed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Measurements after a burst.

    Attributes:
        at: seconds since the walk began.
        burst: its number.
        right_s: seconds from idle Syncthing instances until every published topic was correct.
        messages: number of messages through the broker since the walk began.
        topics: number of retained topics.
        log_lines: number of lines that the bridge has logged during the burst.
        process: the process ID of the bridge.
        vitals: threads, file descriptors and memory of the bridge.
    """

    at: float
    burst: int
    right_s: float
    messages: int
    topics: int
    log_lines: int
    process: int
    vitals: Vitals


class Walk:
    """Runs a random walk; the same seed gives the same steps.

    Args:
        ground: the started world.
        seed: determines all steps.
    """

    def __init__(self, ground: Ground, seed: int) -> None:
        self._ground = ground
        self._seed = seed
        self._began = monotonic()
        self._steps: list[str] = []
        self._restarts = 0

    def go(self) -> Iterator[Reading]:
        """Run bursts without end, and yield a reading after each.

        Raises:
            AssertionError: the state differs from the expected state; the message contains the seed and the steps.
        """
        for burst in plan(self._seed, STEPS):
            self._steps = []
            try:
                yield self._live_through(burst)
            except Exception as error:  # every error needs the seed and the steps that reproduce it
                began = f"SEED={self._seed}, burst {burst.number}, with these steps:"
                words = [began, *self._steps, f"{type(error).__name__}: {error}", *self._ground.last_words()]
                raise AssertionError("\n".join(words)) from error

    def _live_through(self, burst: Burst) -> Reading:
        ground = self._ground
        size, connections = ground.bridge.log.stat().st_size, ground.broker_proxy.connections
        for planned in burst.steps:
            self._take(planned)
        for planned in burst.mending:
            self._take(planned)
        ground.let_live()
        orders = self._settle_orders(connections)
        ground.settle()
        right_s = self._wait_until_right(self._deadline())
        vitals = wait_for_vitals(ground, POOLED_CONNECTIONS)
        self._check_effects(orders)
        lines = self._check_log(self._log(size), burst)
        since = monotonic() - self._began
        return Reading(
            at=since,
            burst=burst.number,
            right_s=right_s,
            messages=ground.witness.count,
            topics=len(ground.witness.tree),
            log_lines=lines,
            process=ground.bridge.id,
            vitals=vitals,
        )

    def _log(self, since: int) -> str:
        """Return what the bridge has logged beyond a log size."""
        return self._ground.bridge.log.read_bytes()[since:].decode()

    def _deadline(self) -> float:
        """Return the seconds within which every topic must be correct."""
        forgotten_at = self._ground.forgotten_at
        if forgotten_at is None:
            return RIGHT_AGAIN_S
        # Later bursts may be the first whose changes are reported only by events.
        return max(RIGHT_AGAIN_S, forgotten_at + FORGOTTEN_S - monotonic())

    def _wait_until_right(self, soon_s: float) -> float:
        try:
            return self._ground.wait_until_right(soon_s)
        except AssertionError as error:
            late_s = self._ground.wait_until_right(LATE_S)
            raise AssertionError(f"it was correct only after {soon_s + late_s:.1f} s; before: {error}") from error

    def _take(self, planned: Planned) -> None:
        self._steps.append(f"{monotonic() - self._began:7.2f} {planned}")
        planned.step.do(self._ground, *planned.arguments)

    def _settle_orders(self, connections: int) -> Sequence[Order]:
        """Wait for every reply, and check the replies.

        Args:
            connections: number of connections to the broker before the commands were sent; after another one, MQTT may
                deliver messages again.
        """
        book = self._ground.orders
        try:
            eventually(lambda: not book.unanswered(), ANSWERED_S)
        finally:
            orders, faults = book.close(disturbed=self._ground.broker_proxy.more_than(connections))
            assert not faults, "\n".join(faults)
        return orders

    def _check_effects(self, orders: Sequence[Order]) -> None:
        """Compare the effects of non-repeatable commands with their replies."""
        log = self._ground.syncthing_log()
        for order in orders:
            codes = [reply["error"]["code"] if reply["error"] else "ok" for reply in order.replies]
            if order.command.name == "new_error":
                message = order.arguments["message"]
                times = log.count(message)
                assert times <= 1, f"{order} was executed {times} times"
                # Some of the other servers accept every command and send Syncthing's headers.
                executed = times == 1 or message.encode() in self._ground.executed_elsewhere
                assert executed or "ok" not in codes, f"{order} was not executed, although its reply is ok"
            elif order.command.name == "restart":
                self._restarts += not codes or "ok" in codes or any(code in UNDONE for code in codes)
        for note in self._ground.notes[-NOTES:]:
            assert log.count(note) <= 1, f"{note!r} was noted {log.count(note)} times"
        restarts = self._ground.starts() - self._ground.own_starts
        assert 0 <= restarts <= self._restarts, f"{self._restarts} restarts were ordered, {restarts} were executed"

    def _check_log(self, log: str, burst: Burst) -> int:
        """Check what the bridge has logged, and return the number of lines."""
        own = DEATH.sub("", log)
        assert "Traceback" not in own, log
        assert self._ground.alpha.api_key not in log
        lines = len(own.splitlines())
        assert lines <= LOG_LINES + LOG_LINES_OF_A_STEP * len(burst.steps), log
        return lines

"""A walk at random through faults, commands and changes, after whose every burst all has to be right again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from stbridge.syncthing.adapters import CONNECTIONS
from stbridge.syncthing.client import SLOW_S
from stbridge.syncthing.event_stream import POLL_S
from tests.faults.conftest import DEATH
from tests.faults.ground import Ground
from tests.faults.orders import Order
from tests.faults.plan import Burst, Planned, plan
from tests.faults.steps import STEPS
from tests.faults.world import RIGHT_AGAIN_S, Vitals, wait_for_vitals
from tests.servers import eventually

ANSWERED_S = SLOW_S + 15.0
"""By then the bridge has given up on everything that Syncthing does not answer."""

CONNECTED = "connected to the broker"
"""What the log says when a connection was made anew: what was on its way may come again."""

FORGOTTEN_S = POLL_S + 10.0
"""A connection that the network has forgotten looks like one on which there are no events, until a request ends."""

LATE_S = 30.0
"""What is right then was late; what is not is wrong for good."""

NOTES = 20
"""So many of the latest notes are looked for in Syncthing's log; what comes twice does so soon."""

LOG_LINES = 40
LOG_LINES_OF_A_STEP = 10
"""So many lines the log may have of a burst at most, and of each step of it."""

UNDONE = ("unreachable", "timeout", "syncthing_error")
"""Error codes after which a command may have been carried out, or not."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen after a burst.

    Attributes:
        at: seconds since the walk began.
        burst: its number.
        right_s: how long it took, after the Syncthings had settled, until everything published was true.
        messages: how many messages the broker has carried since the walk began.
        log_lines: how many lines the bridge has logged of the burst.
        process: the ID of the bridge.
        vitals: what the bridge holds.
    """

    at: float
    burst: int
    right_s: float
    messages: int
    log_lines: int
    process: int
    vitals: Vitals


class Walk:
    """A walk: the same seed takes the same steps.

    Args:
        ground: where it goes; started.
        seed: what decides all steps.
    """

    def __init__(self, ground: Ground, seed: int) -> None:
        self._ground = ground
        self._seed = seed
        self._began = monotonic()
        self._told: list[str] = []
        self._restarts = 0

    def go(self) -> Iterator[Reading]:
        """Go on without an end, and yield what is seen after each burst.

        Raises:
            AssertionError: something is not as it should be; the words tell how to come there again.
        """
        for burst in plan(self._seed, STEPS):
            self._told = []
            try:
                yield self._live_through(burst)
            except Exception as error:  # whatever it was, one wants to come there again
                begun = f"SEED={self._seed}, burst {burst.number}, which was:"
                words = [begun, *self._told, f"{type(error).__name__}: {error}", *self._ground.last_words()]
                raise AssertionError("\n".join(words)) from error

    def _live_through(self, burst: Burst) -> Reading:
        ground = self._ground
        size = ground.bridge.log.stat().st_size
        for planned in burst.steps:
            self._take(planned)
        for planned in burst.mending:
            self._take(planned)
        ground.let_live()
        orders = self._settle_orders(size)
        ground.settle()
        right_s = self._wait_until_right(self._deadline())
        vitals = wait_for_vitals(ground, CONNECTIONS)
        self._check_effects(orders)
        lines = self._check_log(self._log(size), burst)
        since = monotonic() - self._began
        return Reading(since, burst.number, right_s, ground.witness.count, lines, ground.bridge.id, vitals)

    def _log(self, since: int) -> str:
        """Return what the bridge has logged since its log had a size."""
        return self._ground.bridge.log.read_bytes()[since:].decode()

    def _deadline(self) -> float:
        """Return within how many seconds all has to be right."""
        forgotten, self._ground.forgotten = self._ground.forgotten, False
        return FORGOTTEN_S if forgotten else RIGHT_AGAIN_S

    def _wait_until_right(self, soon_s: float) -> float:
        try:
            return self._ground.wait_until_right(soon_s)
        except AssertionError as error:
            late_s = self._ground.wait_until_right(LATE_S)
            raise AssertionError(f"it was right {soon_s + late_s:.1f} s later only; before: {error}") from error

    def _take(self, planned: Planned) -> None:
        self._told.append(f"{monotonic() - self._began:7.2f} {planned}")
        planned.step.do(self._ground, *planned.arguments)

    def _settle_orders(self, size: int) -> Sequence[Order]:
        """Wait for every reply, and compare with what must have come."""
        book = self._ground.orders
        try:
            eventually(lambda: not book.unanswered(), ANSWERED_S)
        finally:
            orders, faults = book.close(disturbed=CONNECTED in self._log(size))
            assert not faults, "\n".join(faults)
        return orders

    def _check_effects(self, orders: Sequence[Order]) -> None:
        """Compare what commands did that must not be repeated with what was answered."""
        log = self._ground.syncthing_log()
        for order in orders:
            codes = [reply["error"]["code"] if reply["error"] else "ok" for reply in order.replies]
            if order.command.name == "new_error":
                times = log.count(order.arguments["message"])
                assert times <= 1, f"{order} was carried out {times} times"
                assert times == 1 or "ok" not in codes, f"{order} was not carried out, though its reply is ok"
            elif order.command.name == "restart":
                self._restarts += not codes or "ok" in codes or any(code in UNDONE for code in codes)
        for note in self._ground.notes[-NOTES:]:
            assert log.count(note) <= 1, f"{note!r} was noted {log.count(note)} times"
        restarts = self._ground.starts() - self._ground.own_starts
        assert 0 <= restarts <= self._restarts, f"{self._restarts} restarts were ordered, {restarts} were carried out"

    def _check_log(self, log: str, burst: Burst) -> int:
        """Look at what the bridge has logged, and return how many lines that are."""
        own = DEATH.sub("", log)
        assert "Traceback" not in own, log
        assert self._ground.alpha.api_key not in log
        lines = len(own.splitlines())
        assert lines <= LOG_LINES + LOG_LINES_OF_A_STEP * len(burst.steps), log
        return lines

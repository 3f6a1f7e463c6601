"""The world of a random walk: every part changes and fails, and it records which missing replies a fault excuses."""

import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from tests.faults.changes import ChangingWorld
from tests.faults.orders import Orders
from tests.servers import BridgeProcess, eventually, listening_count
from tests.syncthing.server import Behaviour, ScriptedServer, answers, stranger, truncates

BRIDGE_STATE = "syncthing/bridge/state"
SYNCTHING_STATE = "syncthing/alpha/state"

SESSION_S = 45.0
"""The broker keeps commands for a disconnected bridge for slightly longer than this."""

REPORTED_S = 20.0
"""Time after which the broker has noticed a hanging bridge, and the bridge a hanging Syncthing."""

STRANGERS: Mapping[str, Behaviour] = {
    "401": stranger(401, "Not Authorized"),
    "500": stranger(500, "Internal Server Error"),
    "a page": stranger(200, "<html>It works!</html>"),
    "a list": answers([]),
    "half an answer": truncates,
}
"""Servers that answer in place of Syncthing."""


KNOWN_OF_A_FOLDER = r"syncthing/alpha/folder/{}(/conflicts| (conflicts|last_file\w*|problems?):)"
KNOWN_OF_THE_WHOLE = r"syncthing/alpha/system (conflicts|problems?):"
"""Values that a running bridge keeps for a paused folder and that a new reader cannot find out."""


class Anywhere(dict[str, Any]):
    """A table that has the same behavior for every path."""

    def get(self, _path: str, _default: Any = None) -> Any:
        return self[""]


class Ground(ChangingWorld):
    """A changing world in which everything fails."""

    def __init__(self, directory: Path, binary: str) -> None:
        super().__init__(directory, binary)
        self.orders = Orders(self.witness)
        self.notes: list[str] = []
        """Texts that must appear at most once, sent by commands without a transaction."""
        self.forgotten_at: float | None = None
        """When connections to Syncthing were last dropped silently, by time.monotonic()."""
        self.own_starts = 1
        """How often a step has started Syncthing."""
        self.executed_elsewhere = b""
        """The bodies of the requests that other servers received in place of Syncthing."""
        self._broker_since = 0
        self._away_since: float | None = None
        self._stranger: ScriptedServer | None = None

    def new_bridge(self, **variables: str) -> BridgeProcess:
        """Return a bridge with short poll intervals, for changes that Syncthing reports by no event."""
        polls = {f"STBRIDGE_POLL__{what}": "2" for what in ("ERRORS", "STATISTICS", "STATUS")}
        return super().new_bridge(**polls, **variables)

    def stop(self) -> None:
        """Stop everything."""
        if self._stranger:
            self._stranger.stop()
        if self.bridge.running:
            self.wake_bridge()  # a step that failed may have left it suspended
        super().stop()

    def wrong(self) -> list[str]:
        """Return the differences between the published and the expected state."""
        paused = [folder["id"] for folder in self.request("GET", "/rest/config/folders") if folder["paused"]]
        known = [KNOWN_OF_A_FOLDER.format(folder) for folder in paused] + [KNOWN_OF_THE_WHOLE] * bool(paused)
        return [line for line in super().wrong() if not any(re.match(one, line) for one in known)]

    # --- commands

    def order(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a command over MQTT, and record it."""
        self._order(name, arguments, number, retain=False)

    def order_and_cut(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a command, and cut the connection while the bridge receives or acknowledges it."""
        self._order(name, arguments, number, retain=False)
        self.broker_proxy.cut()

    def note_once(self, number: int) -> None:
        """Send a command without a transaction that must not be executed twice."""
        text = f"note {number} of a walk"
        self.notes.append(text)
        self.witness.publish("syncthing/alpha/command/new_error", text.encode())

    def note_once_and_cut(self, number: int) -> None:
        """Send such a command, and cut the connection immediately."""
        self.note_once(number)
        self.broker_proxy.cut()

    def order_retained(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a retained command, which the bridge must reject."""
        self._order(name, arguments, number, retain=True)

    def _order(self, name: str, arguments: Mapping[str, Any], number: int, *, retain: bool) -> None:
        given = dict(arguments)
        if "path" in given:
            given["path"] = str(self.files / given["path"])
        order = self.orders.send(name, given, f"order-{number}", retain=retain)
        order.disturbed = retain  # the broker may deliver it and also retain it
        if b"online" not in self.witness.seen(BRIDGE_STATE, self._broker_since):
            order.excuse = "the bridge had not connected to this broker yet"

    # --- the broker

    def kill_broker(self) -> None:
        """Kill the broker; all its data is lost."""
        self.end_broker(self.broker.kill)

    def stop_broker(self) -> None:
        """Stop the broker, which has no persistence."""
        self.end_broker(self.broker.stop)

    def end_broker(self, end: Callable[[], None]) -> None:
        """Stop the broker in the given way; all its data is lost."""
        self.orders.excuse("the broker lost it")
        super().end_broker(end)
        self._broker_since = self.witness.count

    def restart_broker(self) -> None:
        """Kill the broker, and start it again immediately without its data."""
        self.kill_broker()
        self.start_broker()

    def hang_broker(self) -> None:
        """Suspend the broker's process."""
        self.broker.hang()

    def wake_broker(self) -> None:
        """Resume the broker's process."""
        self.broker.wake()

    # --- the bridge

    def kill_bridge(self) -> None:
        """Kill the bridge, as a crash would."""
        self.bridge.kill()
        self._bridge_ended()

    def end_bridge(self) -> None:
        """Stop the bridge, which exits with status 0 unless it has only just started."""
        status = self.bridge.stop()
        assert status in (0, -signal.SIGTERM), f"the bridge exited with {status}"
        self._bridge_ended()

    def _bridge_ended(self) -> None:
        self._away_since = monotonic()
        self.orders.excuse("the bridge stopped, and the command must not be executed twice", only_once=True)

    def begin_bridge(self) -> None:
        """Start the bridge."""
        if self._away_since is not None and monotonic() - self._away_since > SESSION_S:
            self.orders.excuse("the bridge was stopped for too long")
        self._away_since = None
        self.bridge.start()

    def hang_bridge(self) -> None:
        """Suspend the bridge's process."""
        self.bridge.signal(signal.SIGSTOP)

    def wake_bridge(self) -> None:
        """Resume the bridge's process."""
        self.bridge.signal(signal.SIGCONT)

    def let_die(self, thread: str) -> None:
        """Make a thread of the bridge die at its next heartbeat."""
        (self.directory / "dying.partial").write_text(thread, encoding="utf-8")
        (self.directory / "dying.partial").rename(self.directory / "dying")

    def let_live(self) -> None:
        """Cancel a requested thread death that has not happened yet."""
        (self.directory / "dying").unlink(missing_ok=True)

    # --- the Syncthing instances

    def kill_syncthing(self) -> None:
        """Kill the first instance."""
        self.alpha.kill()

    def kill_beta(self) -> None:
        """Kill the second instance."""
        self.beta.kill()

    def start_syncthing(self) -> None:
        """Start the first instance again."""
        self.alpha.start()
        self.own_starts += 1

    def starts(self) -> int:
        """Return how often the first instance has started, according to its log."""
        return listening_count(self.alpha)

    def syncthing_log(self) -> str:
        """Return the log of the first instance."""
        return (self.alpha.home / "syncthing.log").read_text(encoding="utf-8", errors="replace")

    def forget_connections(self) -> None:
        """Drop all connections to Syncthing silently: neither side is notified."""
        self.alpha_proxy.repair(lost=True)
        self.forgotten_at = monotonic()

    def lead_astray(self, answer: str) -> None:
        """Make another server answer in place of Syncthing."""
        self._stranger = ScriptedServer(Anywhere({"": STRANGERS[answer]})).start()
        self.alpha_proxy.lead_to(self._stranger.port)

    def lead_home(self) -> None:
        """Make Syncthing answer again."""
        self.alpha_proxy.lead_to(self.alpha.gui_port)
        if self._stranger:
            self._stranger.stop()
            self.executed_elsewhere += b"\n".join(request.body for request in self._stranger.requests)
        self._stranger = None

    # --- reports about stopped parts

    def see_bridge_missed(self) -> None:
        """Wait until the broker no longer reports the bridge as online."""
        eventually(lambda: self.witness.tree.get(BRIDGE_STATE) != b"online", REPORTED_S)

    def see_syncthing_missed(self) -> None:
        """Wait until the broker reports that Syncthing or the bridge itself is offline."""

        def missed() -> bool:
            tree = self.witness.tree
            return tree.get(SYNCTHING_STATE) == b"offline" or tree.get(BRIDGE_STATE) != b"online"

        eventually(missed, REPORTED_S)

"""What a walk goes through: a changing world in which everything fails, with an account of what that excuses."""

import re
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from stbridge.demo.node import SyncthingNode
from tests.faults.changes import ChangingWorld
from tests.faults.orders import Orders
from tests.servers import BridgeProcess, eventually
from tests.syncthing.server import Behaviour, ScriptedServer, says, stranger, truncates

BRIDGE_STATE = "syncthing/bridge/state"
SYNCTHING_STATE = "syncthing/alpha/state"

SESSION_S = 45.0
"""For somewhat longer the broker keeps commands for a bridge that is away."""

TOLD_S = 20.0
"""By then the broker has missed a bridge that hangs, and the bridge has missed a Syncthing."""

STARTED = ("GUI and API listening on 127", "GUI and API listening (address")
"""What Syncthing's log says at each start."""

STRANGERS: Mapping[str, Behaviour] = {
    "401": stranger(401, "Not Authorized"),
    "500": stranger(500, "Internal Server Error"),
    "a page": stranger(200, "<html>It works!</html>"),
    "a list": says([]),
    "half an answer": truncates,
}
"""What answers in the place of Syncthing."""


KNOWN_OF_A_FOLDER = r"syncthing/alpha/folder/{}(/conflicts| (conflicts|last_file\w*|problems?):)"
KNOWN_OF_THE_WHOLE = r"syncthing/alpha/system (conflicts|problems?):"
"""What a bridge still knows of a folder that was paused, and no fresh reader can find out."""


class Anywhere(dict[str, Any]):
    """A table that has the same behaviour for every path."""

    def get(self, _path: str, _default: Any = None) -> Any:
        return self[""]


class Ground(ChangingWorld):
    """A changing world in which everything fails."""

    def __init__(self, directory: Path, binary: str) -> None:
        super().__init__(directory, binary)
        self.orders = Orders(self.witness)
        self.notes: list[str] = []
        """What was commanded to be done once, by commands that nothing tells from another."""
        self.forgotten = False
        """Whether the network has forgotten connections to Syncthing since that was last looked at."""
        self.own_starts = 1
        """How often Syncthing was started by a step."""
        self._broker_since = 0
        self._away_since: float | None = None
        self._stranger: ScriptedServer | None = None

    def new_bridge(self, **variables: str) -> BridgeProcess:
        """Return a bridge that finds soon what Syncthing has no event for."""
        polls = {f"STBRIDGE_POLL__{what}": "2" for what in ("ERRORS", "STATISTICS", "STATUS")}
        return super().new_bridge(**polls, **variables)

    def stop(self) -> None:
        """End everything."""
        if self._stranger:
            self._stranger.stop()
        super().stop()

    def wrong(self) -> list[str]:
        """Return what is not as it should be."""
        paused = [folder["id"] for folder in self.request("GET", "/rest/config/folders") if folder["paused"]]
        known = [KNOWN_OF_A_FOLDER.format(folder) for folder in paused] + [KNOWN_OF_THE_WHOLE] * bool(paused)
        return [line for line in super().wrong() if not any(re.match(one, line) for one in known)]

    # --- commands

    def order(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a command over MQTT, and keep account of it."""
        self._order(name, arguments, number, retain=False)

    def order_and_cut(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a command, and cut the way while the bridge is about to take it in or to acknowledge it."""
        self._order(name, arguments, number, retain=False)
        self.broker_proxy.cut()

    def note_once(self, number: int) -> None:
        """Have something done that must not be done twice, by a command that nothing tells from another."""
        text = f"note {number} of a walk"
        self.notes.append(text)
        self.witness.publish("syncthing/alpha/command/new_error", text.encode())

    def note_once_and_cut(self, number: int) -> None:
        """Do so, and cut the way at once."""
        self.note_once(number)
        self.broker_proxy.cut()

    def order_retained(self, name: str, arguments: Mapping[str, Any], number: int) -> None:
        """Send a command as it must not be sent."""
        self._order(name, arguments, number, retain=True)

    def _order(self, name: str, arguments: Mapping[str, Any], number: int, *, retain: bool) -> None:
        given = dict(arguments)
        if "path" in given:
            given["path"] = str(self.files / given["path"])
        order = self.orders.send(name, given, f"order-{number}", retain=retain)
        order.disturbed = retain  # the broker may deliver it, and have it besides
        if b"online" not in self.witness.seen(BRIDGE_STATE, self._broker_since):
            order.excuse = "the broker had not met the bridge yet"

    # --- the broker

    def kill_broker(self) -> None:
        """Kill the broker, and with it all that it holds."""
        self.end_broker(self.broker.kill)

    def stop_broker(self) -> None:
        """Stop the broker, which has no memory."""
        self.end_broker(self.broker.stop)

    def end_broker(self, end: Callable[[], None]) -> None:
        """End the broker, and with it all that it holds."""
        self.orders.excuse("the broker lost it")
        super().end_broker(end)
        self._broker_since = self.witness.count

    def restart_broker(self) -> None:
        """Kill the broker, and have it back at once, without anything."""
        self.kill_broker()
        self.start_broker()

    def hang_broker(self) -> None:
        """Stop the broker in its tracks."""
        self.broker.hang()

    def wake_broker(self) -> None:
        """Let the broker go on."""
        self.broker.wake()

    # --- the bridge

    def kill_bridge(self) -> None:
        """End the bridge as a crash would."""
        self.bridge.kill()
        self._bridge_ended()

    def end_bridge(self) -> None:
        """Ask the bridge to end, which it does with success unless it has hardly begun."""
        status = self.bridge.stop()
        assert status in (0, -signal.SIGTERM), f"the bridge ended with {status}"
        self._bridge_ended()

    def _bridge_ended(self) -> None:
        self._away_since = monotonic()
        self.orders.excuse("the bridge ended, and it must not be carried out twice", only_once=True)

    def begin_bridge(self) -> None:
        """Start the bridge."""
        if self._away_since is not None and monotonic() - self._away_since > SESSION_S:
            self.orders.excuse("the bridge was away for too long")
        self._away_since = None
        self.bridge.start()

    def hang_bridge(self) -> None:
        """Stop the bridge in its tracks."""
        self.bridge.signal(signal.SIGSTOP)

    def wake_bridge(self) -> None:
        """Let the bridge go on."""
        self.bridge.signal(signal.SIGCONT)

    def let_die(self, thread: str) -> None:
        """Have a thread of the bridge die at its next sign of life."""
        (self.directory / "dying.partial").write_text(thread, encoding="utf-8")
        (self.directory / "dying.partial").rename(self.directory / "dying")

    def let_live(self) -> None:
        """Take back a death that has not come by now."""
        (self.directory / "dying").unlink(missing_ok=True)

    # --- the Syncthings

    def kill_syncthing(self) -> None:
        """Kill the first Syncthing."""
        kill_all_of(self.alpha)

    def kill_beta(self) -> None:
        """Kill the second Syncthing."""
        kill_all_of(self.beta)

    def start_syncthing(self) -> None:
        """Start the first Syncthing again."""
        self.alpha.start()
        self.own_starts += 1

    def starts(self) -> int:
        """Return how often the first Syncthing has started, by its log."""
        return sum(map(self.syncthing_log().count, STARTED))

    def syncthing_log(self) -> str:
        """Return what the first Syncthing has logged."""
        return (self.alpha.home / "syncthing.log").read_text(encoding="utf-8", errors="replace")

    def forget_connections(self) -> None:
        """Have the network forget all connections to Syncthing, without a word to anybody."""
        self.alpha_proxy.mend(lost=True)
        self.forgotten = True

    def lead_astray(self, answer: str) -> None:
        """Have somebody answer in the place of Syncthing."""
        self._stranger = ScriptedServer(Anywhere({"": STRANGERS[answer]})).start()
        self.alpha_proxy.lead_to(self._stranger.port)

    def lead_home(self) -> None:
        """Have Syncthing answer again."""
        self.alpha_proxy.lead_to(self.alpha.gui_port)
        if self._stranger:
            self._stranger.stop()
        self._stranger = None

    # --- what is said of what is away

    def see_bridge_missed(self) -> None:
        """Wait until nobody is told any more that the bridge is online."""
        eventually(lambda: self.witness.tree.get(BRIDGE_STATE) != b"online", TOLD_S)

    def see_syncthing_missed(self) -> None:
        """Wait until everybody is told that Syncthing is offline, or that the bridge itself is."""

        def missed() -> bool:
            tree = self.witness.tree
            return tree.get(SYNCTHING_STATE) == b"offline" or tree.get(BRIDGE_STATE) != b"online"

        eventually(missed, TOLD_S)


def kill_all_of(node: SyncthingNode) -> None:
    """Kill a Syncthing, and wait until the last of its processes has gone, or the next could not start."""
    node.kill()
    eventually(lambda: not listens(node.gui_port) and not listens(node.sync_port))


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""The shell examples report problems from a real broker to which the bridge publishes a real Syncthing instance."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from stbridge.demo.node import SyncthingNode
from tests.documents import ROOT
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance, manifest

EXAMPLES = ROOT / "examples/shell"

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq here")


@dataclass(frozen=True, slots=True)
class House:
    """An instance named `nas` with the folder "docs", a bridge that publishes it, and a subscriber."""

    files: Path
    broker: Mosquitto
    bridge: BridgeProcess
    subscriber: Subscriber

    @property
    def options(self) -> list[str]:
        """The options for mosquitto_sub that select the broker."""
        return ["-h", "127.0.0.1", "-p", str(self.broker.port)]

    def scan(self) -> None:
        """Scan the folder, and wait until the scan is complete."""
        assert ask(self.subscriber, "scan", '{"folder": "docs", "wait": true}', node="nas")["status"] == "ok"


@pytest.fixture
def house(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[House]:
    """All servers run, and there are no problems."""
    binary = list(manifest()["syncthing"].values())[-1]
    node = SyncthingNode("nas", tmp_path / "home", binary)
    node.start()
    bridge = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", node)})
    try:
        node.share("docs", tmp_path / "docs", label="Documents")
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        yield House(tmp_path / "docs", broker, bridge, subscriber)
    finally:
        bridge.stop()
        node.stop()


def checked(house: House, name: str) -> tuple[int, str]:
    """Return the exit status and the output line of the example that checks for problems."""
    result = subprocess.run(
        [EXAMPLES / "check", name, *house.options],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return result.returncode, result.stdout + result.stderr


def test_a_check_distinguishes_fine_problems_and_unknown(house: House) -> None:
    """Retained topics of a stopped bridge do not count, because they may be outdated."""
    ask(house.subscriber, "clear_errors", "PRESS", node="nas")  # 1.29 warns if it runs as root
    eventually(lambda: checked(house, "nas") == (0, "nas: fine\n"))
    assert checked(house, "nobody")[0] == 3
    ask(house.subscriber, "new_error", "the disk is full", node="nas")
    status, line = eventually(lambda: (found := checked(house, "nas"))[0] and found)
    assert status == 2
    assert "the disk is full" in line
    house.bridge.stop()
    assert checked(house, "nas") == (3, "unknown: the bridge is offline\n")


def test_alerts_are_printed_as_lines(house: House, tmp_path: Path) -> None:
    """Each conflict is printed, and so is each problem when it is cleared."""
    printed, numbers = tmp_path / "printed", count()

    def prints_one_more() -> bool:
        (house.files / f"{next(numbers)}.sync-conflict-20261123-201405-ABCDEFG.txt").touch()
        house.scan()
        return "nas: Documents: conflict: " in printed.read_text(encoding="utf-8")

    with printed.open("wb") as out:
        alerts = subprocess.Popen([EXAMPLES / "alerts", *house.options], stdout=out, start_new_session=True)
    try:
        eventually(prints_one_more)  # events before its subscription are not printed
        for file in house.files.glob("*.sync-conflict-*"):
            file.unlink()
        house.scan()
        eventually(lambda: "nas: Documents: over: " in printed.read_text(encoding="utf-8"))
    finally:
        os.killpg(alerts.pid, signal.SIGTERM)  # every program of the pipe
        alerts.wait(PATIENCE_S)

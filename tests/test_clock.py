"""A wall clock that is set while the bridge runs: a machine without a battery starts in 1970, and NTP sets it later."""

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from tests.conftest import Pair
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, instance

OFFSET_C = Path(__file__).with_name("clock_offset.c")
HOUR = 3600


class Clock:
    """The wall clock of a process, some seconds off; its steady clocks are those of the machine.

    Args:
        directory: where the library and the offset are kept.
    """

    def __init__(self, directory: Path) -> None:
        self._library = directory / "clock_offset.so"
        self._offset = directory / "offset"
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler for the library that sets the clock of a process")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(OFFSET_C)], check=True)
        self.set(0)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process with this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._offset)}

    def set(self, offset_s: int) -> None:
        """Set the clock some seconds before or after the clock of the machine."""
        new = self._offset.with_suffix(".new")
        new.write_bytes(struct.pack("q", offset_s))
        new.replace(self._offset)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that is right, as yet."""
    return Clock(tmp_path)


@pytest.fixture
def bridge(clock: Clock, pair: Pair, broker: Mosquitto, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge to one node, with that clock; not started."""
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a), **clock.variables}
    process = BridgeProcess(tmp_path, variables)
    yield process
    process.stop()


def _online(subscriber: Subscriber) -> None:
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["in_sync"])


def _raised(subscriber: Subscriber) -> set[str]:
    events = [one for one in subscriber.messages if one.topic == "syncthing/alpha/event/problem_raised"]
    return {json.loads(one.payload)["code"] for one in events}


def _health(subscriber: Subscriber) -> Any:
    return subscriber.wait_for_json("syncthing/bridge/health", since=subscriber.count)


def test_a_clock_that_starts_in_1970_and_is_set_by_ntp(
    clock: Clock, pair: Pair, bridge: BridgeProcess, subscriber: Subscriber
) -> None:
    """Nothing lasts 56 years: no uptime, no pause, and no problem follows from the step."""
    clock.set(30 - int(time.time()))
    bridge.start()
    _online(subscriber)
    assert ask(subscriber, "pause", '{"folder": "docs", "for": "25s"}')["status"] == "ok"
    subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["resume_at"])
    clock.set(0)
    assert _health(subscriber)["uptime_s"] < HOUR
    folder = json.loads(subscriber.latest()["syncthing/alpha/folder/docs"])
    assert folder["paused"], "the step has ended the pause"
    assert folder["resume_at"] > "2026"
    since = subscriber.count
    subscriber.wait_for_json("syncthing/alpha/event/folder_resumed", since=since)
    subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["in_sync"], since=since)
    device = json.loads(subscriber.latest()[f"syncthing/alpha/device/{short_id(pair.b.device_id)}"])
    assert device["connected"] is True
    assert not _raised(subscriber) & {"stale", "unseen", "stuck", "out_of_sync", "behind"}


def test_a_clock_that_is_set_back_by_an_hour(clock: Clock, bridge: BridgeProcess, subscriber: Subscriber) -> None:
    """A pause of seconds ends after seconds."""
    clock.set(HOUR)
    bridge.start()
    _online(subscriber)
    assert ask(subscriber, "pause", '{"folder": "docs", "for": "4s"}')["status"] == "ok"
    clock.set(0)
    subscriber.wait_for_json("syncthing/alpha/event/folder_resumed")
    assert 0 <= _health(subscriber)["uptime_s"] < HOUR

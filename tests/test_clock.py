"""Steps of the wall clock at runtime: a machine without a clock battery starts in 1970 until NTP sets the clock."""

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
from tests.servers import PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance

OFFSET_C = Path(__file__).with_name("clock_offset.c")
HOUR = 3600


class Clock:
    """A wall clock for one process that is off by some seconds; its monotonic clocks are those of the machine.

    Args:
        directory: the directory for the library and the offset.
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
        """The environment variables that give a process this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._offset)}

    def set(self, offset_s: int) -> None:
        """Set the clock to this number of seconds after (or, if negative, before) the clock of the machine."""
        new = self._offset.with_suffix(".new")
        new.write_bytes(struct.pack("q", offset_s))
        new.replace(self._offset)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that is correct at first."""
    return Clock(tmp_path)


@pytest.fixture
def bridge(clock: Clock, pair: Pair, broker: Mosquitto, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge to one node that uses this clock; not started yet."""
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
    """Return the next `bridge/health`, which is published every 29.5 s."""
    since, topic = subscriber.count, "syncthing/bridge/health"
    eventually(lambda: any(one.topic == topic for one in subscriber.messages[since:]), 2 * PATIENCE_S)
    return json.loads(subscriber.latest()[topic])


def test_a_clock_that_starts_in_1970_and_is_set_by_ntp(
    clock: Clock, pair: Pair, bridge: BridgeProcess, subscriber: Subscriber
) -> None:
    """The step must not lead to an uptime or a pause of 56 years, and must not raise problems."""
    clock.set(30 - int(time.time()))
    bridge.start()
    _online(subscriber)
    assert ask(subscriber, "pause", '{"folder": "docs", "for": "25s"}')["status"] == "ok"
    subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["resume_at"])
    since = subscriber.count
    clock.set(0)
    folder = subscriber.wait_for_json(
        "syncthing/alpha/folder/docs", lambda one: (one["resume_at"] or "2") > "2", since=since
    )
    assert folder["paused"], "the step has ended the pause"
    assert 0 <= _health(subscriber)["uptime_s"] < HOUR
    subscriber.wait_for_json("syncthing/alpha/event/folder_resumed", since=since)
    subscriber.wait_for_json("syncthing/alpha/folder/docs", lambda one: one["in_sync"], since=since)
    device = json.loads(subscriber.latest()[f"syncthing/alpha/device/{short_id(pair.b.device_id)}"])
    assert device["connected"] is True
    assert not _raised(subscriber) & {"stale", "unseen", "stuck", "out_of_sync", "behind"}


def test_a_clock_that_is_set_back_by_an_hour(clock: Clock, bridge: BridgeProcess, subscriber: Subscriber) -> None:
    """A pause of some seconds still ends after these seconds."""
    clock.set(HOUR)
    bridge.start()
    _online(subscriber)
    assert ask(subscriber, "pause", '{"folder": "docs", "for": "4s"}')["status"] == "ok"
    clock.set(0)
    subscriber.wait_for_json("syncthing/alpha/event/folder_resumed")
    assert 0 <= _health(subscriber)["uptime_s"] < HOUR

"""Whether another client has the client ID, and whether it is worth waiting for it to go."""

import threading
from time import monotonic

import pytest

from stbridge.core.messages import Message
from stbridge.mqtt import contest as contest_module
from stbridge.mqtt.contest import HEAR_S, SHORT_LIVES, Contest, Signature
from stbridge.mqtt.protocol import ProtocolChoice
from stbridge.settings import MqttSettings
from tests.servers import Mosquitto, Subscriber

STATE, INFO = "syncthing/bridge/state", "syncthing/bridge/info"
BIRTH = Message(topic=STATE, payload=b"online", retain=True)
WILL = Message(topic=STATE, payload=b"offline", retain=True)


class Wait:
    """A contest in which every connection was short, and how long it leaves the broker to the other one."""

    def __init__(self, port: int) -> None:
        self._settings = MqttSettings(host="127.0.0.1", port=port)
        self._contest = Contest(self._settings, BIRTH, WILL, Signature(INFO, lambda payload: payload == b"ours"))
        for _ in range(SHORT_LIVES):
            self._contest.ended(0.1, None)
        self._stop = threading.Event()
        self._began = monotonic()

    def was_given_up(self) -> bool:
        """Wait, and tell whether that went on when all that the broker keeps had been heard."""
        assert self._contest.likely
        self._contest.wait(self._stop, ProtocolChoice(self._settings.protocol), self._beat)
        return self._stop.is_set()

    def _beat(self) -> None:
        if monotonic() - self._began > 3 * HEAR_S:
            self._stop.set()


@pytest.mark.parametrize(
    ("kept", "waits"),
    [
        ({STATE: b"online", INFO: b"theirs"}, True),
        ({STATE: b"online", INFO: b"ours"}, False),
        ({STATE: b"offline", INFO: b"theirs"}, False),
        ({}, False),
    ],
    ids=["another is online", "what we said ourselves", "another has gone", "nothing"],
)
def test_the_broker_is_left_to_another_bridge_only(
    broker: Mosquitto,
    subscriber: Subscriber,
    monkeypatch: pytest.MonkeyPatch,
    kept: dict[str, bytes],
    waits: bool,
) -> None:
    """A broker that has not noticed yet that our last connection is no more keeps our own `online`."""
    monkeypatch.setattr(contest_module, "FIRST_WAIT_S", 600.0)
    for topic, payload in kept.items():
        subscriber.publish(topic, payload, retain=True)
    assert Wait(broker.port).was_given_up() == waits


def test_who_lives_longer_is_told_of_another_client_too() -> None:
    """Of two that throw each other out, one may always live for a while, and has to be mended all the same."""
    contest = Contest(MqttSettings(), BIRTH, WILL)
    for _ in range(SHORT_LIVES - 1):
        contest.ended(20, None)
        assert contest.hint == ""
    contest.ended(20, None)
    assert "set another mqtt.client_id" in contest.hint
    assert not contest.likely


@pytest.mark.parametrize(
    ("lived_s", "mark", "told"),
    [(20, b"theirs", True), (20, b"ours", False), (0.1, b"theirs", False)],
    ids=["another's in place of ours", "ours", "that of an earlier life, when ours had not been left yet"],
)
def test_who_finds_the_mark_of_another_bridge_in_place_of_its_own_is_told(
    lived_s: float, mark: bytes, told: bool
) -> None:
    """Even if that comes so seldom by now that connections live for long."""
    contest = Contest(MqttSettings(), BIRTH, WILL, Signature(INFO, lambda payload: payload == b"ours"))
    contest.note_mark(b"of an earlier life")
    contest.ended(lived_s, None)
    contest.note_mark(mark)
    contest.ended(20, None)
    assert ("set another mqtt.client_id" in contest.hint) is told

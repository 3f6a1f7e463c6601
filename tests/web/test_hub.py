"""The updates for the browsers, one per second for all of them."""

import json
import threading
from typing import Any

import pytest

from stbridge.core.messages import Received
from stbridge.web import hub as hub_module
from stbridge.web.bases import BaseTopics
from stbridge.web.fleet import Fleet
from stbridge.web.hub import KEPT_TICKS, QUIET_S, Hub
from tests.servers import PATIENCE_S
from tests.web.trees import FOLDER, TREE, payload_of


def hub_with(tree: dict[str, Any]) -> Hub:
    """Return a hub that has received these topics, without a thread."""
    hub = Hub(Fleet(BaseTopics(["syncthing"], strict=False)))
    hub.expect_again()
    hub.connected()
    receive(hub, tree)
    return hub


def receive(hub: Hub, tree: dict[str, Any]) -> None:
    """Let a hub receive these topics."""
    for topic, value in tree.items():
        hub.take(Received(topic=f"syncthing/{topic}", payload=payload_of(value)))


def kept(hub: Hub) -> dict[str, bytes]:
    """Return the messages that wait for the next tick."""
    return {**hub._newest, **dict(hub._passing)}  # noqa: SLF001


def last(hub: Hub) -> dict[str, Any]:
    """Return the last update."""
    ticks = hub.since(hub.boot, 0)
    assert ticks
    found: dict[str, Any] = json.loads(ticks[-1].data)
    return found


def whole(hub: Hub) -> dict[str, Any]:
    """Return the whole state."""
    found: dict[str, Any] = json.loads(hub.whole({"allow": []}))
    return found


def test_many_messages_are_one_update() -> None:
    """Of a topic that changes a thousand times in a second, only the last payload is parsed and sent."""
    hub = hub_with(dict(TREE))
    assert hub.tick(1.0)
    for number in range(1000):
        receive(hub, {"nas/folder/photos": {**FOLDER, "completion": number / 10}})
    assert hub.tick(2.0)
    assert last(hub)["patch"]["instances"] == {"syncthing/nas": {"folders": {"photos": {"completion": 99.9}}}}
    assert last(hub)["number"] == 2


def test_without_changes_there_is_no_update() -> None:
    """A fleet at rest costs nothing, once the first seconds have shown that nothing else arrives."""
    hub = hub_with(dict(TREE))
    assert [hub.tick(at) for at in (0.0, 1.0, QUIET_S + 0.5, QUIET_S + 1)] == [True, False, True, False]


def test_a_snapshot_and_the_updates_after_it_are_everything() -> None:
    """What has arrived after the last update is in the next one, and not in the snapshot."""
    hub = hub_with(dict(TREE))
    hub.tick(0.0)
    receive(hub, {"nas/event/conflict": {"event_type": "conflict", "path": "a"}})
    before = whole(hub)
    assert (before["number"], before["events"]) == (1, [])
    hub.tick(1.0)
    assert [one["path"] for one in last(hub)["events"]] == ["a"]
    assert hub.since(hub.boot, 2) == []


def test_a_browser_that_has_missed_too_much_starts_again() -> None:
    """The same holds if it has the updates of an earlier process."""
    hub = hub_with({})
    for number in range(KEPT_TICKS + 10):
        receive(hub, {f"nas/folder/{number}": FOLDER})
        hub.tick(float(number))
    ticks = hub.since(hub.boot, KEPT_TICKS + 5)
    assert ticks is not None
    assert [tick.number for tick in ticks] == [KEPT_TICKS + number for number in range(6, 11)]
    assert hub.since(hub.boot, 5) is None
    assert hub.since(hub.boot, 10) is not None
    assert hub.since(hub.boot, KEPT_TICKS + 11) is None
    assert hub.since("another", KEPT_TICKS) is None
    assert hub.since(hub.boot, -1) is None


def test_a_lost_connection_is_shown() -> None:
    """What is known stays, and the time of the loss does not move with each attempt."""
    hub = hub_with(dict(TREE))
    hub.tick(0.0)
    hub.disconnected("refused")
    hub.tick(1.0)
    first = last(hub)["patch"]["broker"]
    assert (first["connected"], first["message"]) == (False, "refused")
    hub.disconnected("no route")
    hub.tick(2.0)
    assert last(hub)["patch"]["broker"] == {"message": "no route"}
    assert whole(hub)["tree"]["broker"]["since"] == first["since"]
    assert "syncthing/nas" in whole(hub)["tree"]["instances"]
    assert not hub.is_connected


def test_topics_that_were_cleared_during_the_interruption_disappear() -> None:
    """The broker does not mark its last retained message, so the page asks again when it has been silent."""
    hub = hub_with({**TREE, "nas/folder/music": FOLDER, "nas/folder/films": FOLDER})
    asked: list[str] = []
    hub.ask = asked.extend
    hub.tick(0.0)
    hub.disconnected("refused")
    hub.tick(10.0)
    hub.expect_again()
    hub.connected()
    hub.tick(20.0)
    assert "reading" in whole(hub)["tree"]["broker"]
    receive(hub, dict(TREE))
    for at in (21.0, 22.0, 24.0):
        hub.tick(at)
    assert asked == []
    hub.tick(21.0 + QUIET_S)
    assert sorted(asked) == ["syncthing/nas/folder/films", "syncthing/nas/folder/music"]
    assert len(whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]) == 3
    assert whole(hub)["tree"]["broker"]["missing"] == 2
    receive(hub, {"nas/folder/films": ""})
    hub.answer({})
    hub.tick(22.0 + QUIET_S)
    assert list(whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]) == ["photos"]
    assert whole(hub)["tree"]["broker"] == {"connected": True}


def test_topics_that_the_broker_has_dropped_stay() -> None:
    """A broker may drop messages for a slow client: what it still has when it is asked again exists."""
    hub = hub_with({"nas/folder/photos": FOLDER, "nas/folder/music": FOLDER})
    hub.tick(0.0)
    hub.expect_again()
    hub.tick(1.0)
    hub.tick(1.0 + QUIET_S)
    hub.answer({"syncthing/nas/folder/photos": payload_of({**FOLDER, "label": "Pictures"})})
    hub.tick(2.0 + QUIET_S)
    folders = whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]
    assert {key: folder["label"] for key, folder in folders.items()} == {"photos": "Pictures"}


def test_an_answer_of_an_earlier_connection_removes_nothing() -> None:
    """After another interruption, every topic is expected again."""
    hub = hub_with({"nas/folder/photos": FOLDER})
    hub.tick(0.0)
    hub.answer({})
    hub.expect_again()
    hub.tick(1.0)
    assert "photos" in whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]


def test_too_many_missing_topics_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the broker has probably dropped them, and the page shows their number until they arrive."""
    monkeypatch.setattr(hub_module, "MOST_ASKED", 1)
    hub = hub_with({f"nas/folder/{name}": FOLDER for name in "abc"})
    asked: list[str] = []
    hub.ask = asked.extend
    hub.tick(0.0)
    hub.expect_again()
    receive(hub, {"nas/folder/a": FOLDER})
    for at in (1.0, 1.0 + QUIET_S, 100.0):
        hub.tick(at)
    assert asked == []
    assert whole(hub)["tree"]["broker"] == {"connected": True, "missing": 2}
    receive(hub, {"nas/folder/b": FOLDER, "nas/folder/c": FOLDER})
    hub.tick(101.0)
    assert whole(hub)["tree"]["broker"] == {"connected": True}
    assert len(whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]) == 3


def test_what_is_larger_than_the_messages_of_bridges_is_ignored() -> None:
    """Any client may publish events and folder IDs of any size."""
    hub = hub_with({})
    for number in range(50):
        receive(hub, {"nas/event/x": {"event_type": "x", "path": "x" * 2_000_000}})
        receive(hub, {f"nas/folder/{number}{'x' * 2000}": FOLDER})
    assert kept(hub) == {}
    hub.tick(0.0)
    assert "instances" not in whole(hub)["tree"]


def test_events_count_as_much_as_other_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many events within a second have to wait in the broker, too."""
    monkeypatch.setattr(hub_module, "MOST_PENDING_BYTES", 1000)
    hub = hub_with({})
    thread = threading.Thread(target=receive, args=(hub, {f"nas/event/{number}": "{}" for number in range(5)}))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    hub.tick(0.0)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_the_network_thread_never_waits_for_a_dead_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an unexpected error there are no more ticks, and the stop of the page waits for the network thread."""
    monkeypatch.setattr(hub_module, "MOST_PENDING_BYTES", 100)
    died = threading.Event()
    hub = Hub(Fleet(BaseTopics(["syncthing"], strict=False)), died=lambda _: died.set())
    monkeypatch.setattr(hub, "tick", lambda _now: 1 // 0)
    receive(hub, {"nas/folder/a": "x" * 200})
    thread = threading.Thread(target=receive, args=(hub, {"nas/folder/b": FOLDER}))
    thread.start()
    hub.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert died.wait(PATIENCE_S)
    hub.stop()


def test_too_many_messages_wait_in_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the updates cannot follow, the network thread stops to read, so the memory is bounded."""
    monkeypatch.setattr(hub_module, "MOST_PENDING_BYTES", 100)
    hub = hub_with({})
    receive(hub, {"nas/folder/a": "x" * 200})
    thread = threading.Thread(target=receive, args=(hub, {"nas/folder/b": FOLDER}))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    hub.tick(0.0)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    hub.tick(1.0)
    assert list(whole(hub)["tree"]["instances"]["syncthing/nas"]["folders"]) == ["b"]


def test_it_ticks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the hub notifies the server of each update."""
    monkeypatch.setattr(hub_module, "TICK_S", 0.01)
    ticked = threading.Event()
    hub = hub_with(dict(TREE))
    hub.ticked = ticked.set
    hub.start()
    assert ticked.wait(PATIENCE_S)
    hub.stop()
    assert hub.knows("syncthing", "nas")
    assert not hub.knows("syncthing", "box")

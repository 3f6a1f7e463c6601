"""What the page knows about all bridges."""

from itertools import pairwise
from typing import Any

import pytest

from stbridge.web import bases as bases_module
from stbridge.web import fleet as fleet_module
from stbridge.web.bases import BaseTopics
from stbridge.web.fleet import MOST_EVENTS, RATE_POINTS, Fleet
from stbridge.web.matrix import OLD, own_value
from tests.web.trees import FOLDER, LAPTOP, NAS, NOW, SYSTEM, TREE, feed, fleet_with, payload_of


def test_every_topic_has_its_place() -> None:
    """Folders and devices are kept by ID; completions are cells of the matrix."""
    fleet = fleet_with(TREE)
    assert sorted(fleet.tree.root) == ["bridges", "instances"]
    instance = fleet.tree.root["instances"]["syncthing/nas"]
    assert sorted(instance) == ["connection", "devices", "folders", "metrics", "state", "system"]
    assert instance["folders"]["photos"]["label"] == "Photos"
    assert instance["devices"][LAPTOP]["connected"] is True
    assert fleet.is_online("syncthing/nas")
    fleet.take_changes()
    assert (fleet.matrix.folders, fleet.matrix.devices) == (["photos"], [LAPTOP, NAS])


def test_several_base_topics_may_have_instances_of_the_same_name() -> None:
    """Each bridge of a fleet has its own base topic, and may call its instance `nas`."""
    fleet = fleet_with(TREE, base="fleet/berlin", patterns=("fleet/+",))
    feed(fleet, {**TREE, "bridge/state": "offline"}, base="fleet/paris")
    feed(fleet, TREE, base="fleet/too/deep")
    feed(fleet, TREE, base="elsewhere/oslo")
    assert sorted(fleet.tree.root["instances"]) == ["fleet/berlin/nas", "fleet/paris/nas"]
    assert [fleet.is_online(key) for key in fleet.tree.root["instances"]] == [True, False]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("syncthing/nas/nonsense", b"{}"),
        ("syncthing/nas/folder/%FF", b"{}"),
        ("syncthing/nas/folder/x", b"rubbish"),
        ("syncthing/nas/folder/x", b"[" * 5000),
        ("syncthing/nas/event/x", b"7"),
        ("syncthing/nas/completion/D/F", b"\xff"),
        ("syncthing/nas/command/scan", b"{}"),
        ("syncthing/nas/slow/folder/x", b"{}"),
        ("syncthing/bridge/system", b"{}"),
        ("syncthing/bridge/connection", b"{}"),
        ("syncthing/bridge/folder/x", b"{}"),
        ("syncthing/bridge/completion/D/F", b'{"completion": 1}'),
        ("syncthing", b"{}"),
        ("other/nas/folder/x", b"{}"),
    ],
)
def test_rubbish_is_ignored(topic: str, payload: bytes) -> None:
    """Any client may publish on the broker."""
    fleet = fleet_with({})
    fleet.take(topic, payload, NOW)
    assert fleet.take_changes() == {}


def test_rubbish_does_not_replace_what_is_known() -> None:
    """A payload that cannot be read is not the end of the folder, but an empty one is."""
    fleet = fleet_with(TREE)
    fleet.take("syncthing/nas/folder/photos", b"rubbish", NOW)
    assert fleet.tree.get("instances", "syncthing/nas", "folders", "photos", "label") == "Photos"
    fleet.take("syncthing/nas/folder/photos", b"", NOW)
    assert fleet.tree.get("instances", "syncthing/nas", "folders") is None


def test_an_instance_disappears_with_its_topics() -> None:
    """`stbridge purge` clears all topics of a bridge."""
    fleet = fleet_with(TREE)
    fleet.take_changes()
    feed(fleet, dict.fromkeys(TREE, ""))
    changes = fleet.take_changes()
    assert changes["patch"] == {"bridges": None, "instances": None}
    assert (changes["matrix"]["folders"], changes["matrix"]["devices"]) == ([], [])
    assert (fleet.topics, fleet.matrix.instances) == (0, 0)


def test_changes_are_small() -> None:
    """A folder that makes progress sends only its progress."""
    fleet = fleet_with(TREE)
    fleet.take_changes()
    feed(fleet, {"nas/folder/photos": {**FOLDER, "completion": 40, "status": "syncing"}})
    assert fleet.take_changes() == {
        "patch": {"instances": {"syncthing/nas": {"folders": {"photos": {"completion": 40, "status": "syncing"}}}}},
        "matrix": {**fleet.matrix.whole()},
    }
    assert fleet.take_changes() == {}


def test_events_are_kept_in_order() -> None:
    """The page shows the last events; a browser that opens later gets them, too."""
    fleet = fleet_with({})
    for number in range(MOST_EVENTS + 5):
        feed(fleet, {"nas/event/conflict": {"event_type": "conflict", "folder": "photos", "path": str(number)}})
    new = fleet.take_changes()["events"]
    assert len(new) == MOST_EVENTS
    assert new[-1] == {
        "event_type": "conflict",
        "folder": "photos",
        "path": str(MOST_EVENTS + 4),
        "time": "2026-11-28T12:00:00Z",
        "instance": "syncthing/nas",
    }
    assert fleet.whole()["events"] == new
    assert fleet.take_changes() == {}


def test_rates_become_graphs() -> None:
    """Rates of an instance that is offline are unknown, and graphs are bounded."""
    fleet = fleet_with(TREE)
    assert fleet.sample_rates() == {"syncthing/nas": [250_000, 0]}
    feed(fleet, {"nas/state": "offline"})
    assert fleet.sample_rates() == {"syncthing/nas": [-1, -1]}
    assert fleet.whole()["rates"] == {"syncthing/nas": [[250_000, -1], [0, -1]]}
    for _ in range(RATE_POINTS):
        fleet.sample_rates()
    assert [len(series) for series in fleet.whole()["rates"]["syncthing/nas"]] == [RATE_POINTS] * 2
    feed(fleet, dict.fromkeys(TREE, ""))
    fleet.sample_rates()
    assert fleet.whole()["rates"] == {}


def test_topics_that_were_cleared_meanwhile_disappear() -> None:
    """While there is no connection, the page cannot see that a topic is cleared; later, the broker does not send it."""
    tree = {**TREE, "nas/folder/music": FOLDER, "nas/folder/music/failed": {"count": 1, "items": []}}
    fleet = fleet_with({**tree, f"nas/completion/{LAPTOP}/music": {"completion": 3}, "box/state": "online"})
    assert fleet.unconfirmed() is None
    fleet.expect_again()
    assert fleet.unconfirmed() == len(tree) + 2
    feed(fleet, TREE)
    assert fleet.unconfirmed() == 4
    fleet.remove_unconfirmed()
    assert fleet.unconfirmed() is None
    assert fleet.tree.root == fleet_with(TREE).tree.root
    fleet.take_changes()
    assert fleet.matrix.folders == ["photos"]


def test_the_state_of_a_bridge_counts_for_its_instances_only() -> None:
    """`fleet` and `fleet/a` may both be base topics."""
    fleet = fleet_with(TREE, base="fleet", patterns=("fleet", "fleet/+"))
    feed(fleet, TREE, base="fleet/a")
    feed(fleet, {"bridge/state": "offline"}, base="fleet")
    assert not fleet.is_online("fleet/nas")
    assert fleet.is_online("fleet/a/nas")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any client may publish any number of instances, folders and completions."""
    for limit in ("MOST_INSTANCES", "MOST_REPORTS"):
        monkeypatch.setattr(fleet_module, limit, 10)
    monkeypatch.setattr(fleet_module, "MOST_BYTES", 20_000)
    fleet = fleet_with({})
    feed(fleet, {f"i{number}/folder/{number}": FOLDER for number in range(30)})
    assert len(fleet.tree.root["instances"]) == 10
    feed(fleet, {f"i0/folder/{number}": FOLDER for number in range(30)})
    feed(fleet, {f"i0/completion/D{number}/F": {"completion": 1} for number in range(30)})
    feed(fleet, {f"j{number}/completion/D/F": {"completion": 1} for number in range(30)})
    assert len(fleet.tree.root["instances"]["syncthing/i0"]["folders"]) < 20
    assert (fleet.matrix.reports, fleet.matrix.instances) == (10, 10)


def test_known_completions_change_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only further ones are left out; a cell that is shown is never old."""
    monkeypatch.setattr(fleet_module, "MOST_REPORTS", 1)
    fleet = fleet_with({"nas/completion/D/F": {"completion": 1}, "nas/completion/D/G": {"completion": 1}})
    feed(fleet, {"nas/completion/D/F": {"completion": 2}, "nas/completion/D/G": {"completion": 2}})
    fleet.take_changes()
    assert (fleet.matrix.folders, list(fleet.matrix._cells)) == (["F"], [2 + OLD])  # noqa: SLF001


def test_topics_of_other_programs_do_not_use_up_the_limit_of_bridges(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `+` as a base topic, the page receives topics of every program."""
    monkeypatch.setattr(bases_module, "MOST_BASES", 2)
    fleet = fleet_with({}, patterns=("+",))
    for number in range(10):
        fleet.take(f"program{number}/light/on", b"1", NOW)
    for base in ("berlin", "paris", "rome"):
        feed(fleet, TREE, base=base)
    assert sorted(fleet.tree.root["instances"]) == ["berlin/nas", "paris/nas"]


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("home/response/nas/event/conflict", "event"),
        ("home/response/nas/response/scan", "response"),
        ("home/response/nas/folder/response/failed", ""),
        ("home/response/event/folder/event", ""),
        ("home/response/event/state", ""),
        ("home/response/event/event/x", "event"),
        ("elsewhere/event/x", ""),
    ],
)
def test_topics_are_events_and_replies_by_their_place(topic: str, kind: str) -> None:
    """Base topics, instances and folders may have the same words as names."""
    bases = BaseTopics(["home/response"], strict=False)
    assert [one for one in ("event", "response") if bases.is_of_kind(topic, one)] == ([kind] if kind else [])


def test_topics_are_asked_for_in_both_encodings() -> None:
    """Each bridge has its own `mqtt.topic_encoding`."""
    fleet = fleet_with({"nas/folder/a.b": FOLDER, "nas/folder/c": FOLDER, f"nas/completion/{LAPTOP}/c": {}})
    fleet.expect_again()
    assert sorted(fleet.unconfirmed_topics()) == [
        f"syncthing/nas/completion/{LAPTOP}/c",
        "syncthing/nas/folder/a%2Eb",
        "syncthing/nas/folder/a.b",
        "syncthing/nas/folder/c",
    ]


def test_a_newer_message_overrides_what_was_asked_for() -> None:
    """A message that arrives while the page reads the topics again is the newest one."""
    fleet = fleet_with({"nas/folder/a": FOLDER, "nas/folder/b": FOLDER})
    fleet.expect_again()
    feed(fleet, {"nas/folder/a": {**FOLDER, "label": "new"}})
    found = {f"syncthing/nas/folder/{one}": payload_of({**FOLDER, "label": "read"}) for one in "ab"}
    fleet.confirm(found, NOW)
    fleet.remove_unconfirmed()
    folders = fleet.tree.root["instances"]["syncthing/nas"]["folders"]
    assert {key: folder["label"] for key, folder in folders.items()} == {"a": "new", "b": "read"}


def test_a_folder_may_have_any_id() -> None:
    """IDs are percent-encoded in topics, and keys of JavaScript's own objects are nothing special."""
    fleet = fleet_with({"nas/folder/__proto__": FOLDER, "nas/folder/a%2Fb": {**FOLDER, "label": "<b>"}})
    assert sorted(fleet.tree.get("instances", "syncthing/nas", "folders")) == ["__proto__", "a/b"]


def test_the_subscription_leaves_out_what_the_page_does_not_need() -> None:
    """Neither commands nor the copies for Home Assistant; the completions, which are the most, come last."""
    bases = BaseTopics(["fleet/+", "fleet/+"], strict=False)
    assert bases.filters == [
        "fleet/+/+/+",
        "fleet/+/+/event/+",
        "fleet/+/+/response/+",
        "fleet/+/+/device/#",
        "fleet/+/+/folder/#",
        "fleet/+/+/completion/#",
    ]


def test_a_storm_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates of one folder among a thousand do not touch the others."""
    fleet = fleet_with({f"nas/folder/f{number}": {**FOLDER, "label": str(number)} for number in range(1000)})
    fleet.take_changes()
    calls: list[Any] = []

    def counted(folder: Any) -> int:
        calls.append(folder)
        return own_value(folder)

    monkeypatch.setattr(fleet_module, "own_value", counted)
    for completion, _ in pairwise(range(50)):
        feed(fleet, {"nas/folder/f1": {**FOLDER, "completion": completion}})
    assert len(calls) == 49
    assert len(str(fleet.take_changes())) < 500


def test_a_fleet_keeps_an_unknown_device_id_out() -> None:
    """Without a device ID, an instance has no column of its own yet."""
    fleet = fleet_with({**TREE, "nas/system": {**SYSTEM, "device_id": 7}})
    fleet.take_changes()
    assert fleet.matrix.devices == [LAPTOP]
    assert isinstance(fleet, Fleet)
    fleet.take("syncthing/nas/system", payload_of(SYSTEM), NOW)
    fleet.take_changes()
    assert fleet.matrix.devices == [LAPTOP, NAS]

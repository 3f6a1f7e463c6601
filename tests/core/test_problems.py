"""Problems are raised and cleared once, by an observation or by time, also across restarts of the bridge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import DEVICE, FOLDER, INSTANCE, Alerts
from stbridge.core.model import DeviceConfig, LoggedError, short_id
from stbridge.core.observations import Observation, Read
from stbridge.core.problems import ROWS, Measure, Row
from stbridge.core.timing import in_utc
from stbridge.core.topics import Address
from tests.core.world import (
    BETA,
    BETA_DEVICE,
    COUNTS,
    DAY,
    GAMMA,
    GAMMA_DEVICE,
    HOUR,
    LACKING,
    MINUTE,
    NOW,
    OWN,
    World,
    config,
    failed,
    folder,
    needing,
    process,
    read,
)

Seen = Callable[[World], Sequence[Observation]]


@dataclass(frozen=True, slots=True)
class Case:
    """The observations that raise a problem and clear it."""

    come: Seen
    go: Seen
    message: str


def _errors(*messages: str) -> seen.ErrorsRead:
    return seen.ErrorsRead(items=tuple(LoggedError(when=NOW, message=message) for message in messages))


CASES: dict[str, Case] = {
    "folder_error": Case(
        come=lambda world: [world.turns("error", error="folder marker missing")],
        go=lambda world: [world.turns("idle")],
        message="folder marker missing",
    ),
    "folder_unreadable": Case(
        come=lambda _: [_finished("folder", "docs", error="url: HTTP 500")],
        go=lambda _: [_finished("folder", "docs")],
        message="url: HTTP 500",
    ),
    "failed_items": Case(
        come=lambda _: [read(of=replace(COUNTS, failed=2)), failed("a", "b")],
        go=lambda _: [read()],
        message="2 items failed, such as a: no",
    ),
    "watch_error": Case(
        come=lambda _: [seen.WatchErrorChanged(folder="docs", error="too many")],
        go=lambda _: [seen.WatchErrorChanged(folder="docs", error=None)],
        message="too many",
    ),
    "out_of_sync": Case(come=lambda _: [read(of=LACKING)], go=lambda _: [read()], message="4 items to be synced"),
    "stuck": Case(
        come=lambda world: [world.turns("scanning")],
        go=lambda _: [seen.ScanProgressed(folder="docs", current=1, total=2)],
        message="scanning without progress",
    ),
    "stale": Case(
        come=lambda world: [world.disconnect()],
        go=lambda world: [world.connect()],
        message="no device that shares the folder is online: newer changes may exist elsewhere",
    ),
    "local_changes": Case(
        come=lambda _: [read(of=replace(COUNTS, local_changes=1))],
        go=lambda _: [read()],
        message="1 local change in a receive-only folder",
    ),
    "conflicts": Case(
        come=lambda _: [_conflict(present=True)],
        go=lambda _: [_conflict(present=False)],
        message="1 conflict file, such as a.sync-conflict-20261101-120000-LAPTOPD.txt",
    ),
    "unseen": Case(
        come=lambda world: [world.disconnect()],
        go=lambda world: [world.connect()],
        message="the device is not connected",
    ),
    "behind": Case(come=lambda _: [needing(3)], go=lambda _: [needing(0)], message="the device needs 3 items"),
    "system_errors": Case(come=lambda _: [_errors("first", "last")], go=lambda _: [_errors()], message="last"),
    "instance_unreadable": Case(
        come=lambda _: [_finished("errors", error="url: HTTP 500")],
        go=lambda _: [_finished("errors")],
        message="url: HTTP 500",
    ),
    "restart_required": Case(
        come=lambda _: [seen.RestartRequiredRead(restart_required=True)],
        go=lambda _: [seen.RestartRequiredRead(restart_required=False)],
        message="a configuration change requires a restart of Syncthing",
    ),
    "no_listener": Case(
        come=lambda _: [process(listeners_ok=False)],
        go=lambda _: [process()],
        message="no listen address works: other devices cannot connect",
    ),
    "discovery": Case(
        come=lambda _: [process(discovery_ok=False)],
        go=lambda _: [process()],
        message="no discovery method works: Syncthing may not find other devices",
    ),
    "identity_changed": Case(
        come=lambda _: [process(device_id="ANOTHER-AAAAAAA")],
        go=lambda _: [],
        message=f"the device ID was {OWN}",
    ),
    "folders_vanished": Case(
        come=lambda _: [_without_folders()],
        go=lambda _: [],
        message="folders disappeared from the configuration: docs",
    ),
}


def _conflict(*, present: bool) -> seen.ConflictRead:
    return seen.ConflictRead(folder="docs", path="a.sync-conflict-20261101-120000-LAPTOPD.txt", present=present)


def _without_folders() -> seen.ConfigRead:
    return seen.ConfigRead(config=replace(config().config, folders={}))


def _finished(what: str, folder: str = "", *, error: str | None = None) -> seen.ReadFinished:
    return seen.ReadFinished(read=Read(what, folder), error=error)


ADDRESSES = {
    FOLDER: Address("folder", folder="docs"),
    DEVICE: Address("device", device=short_id(BETA)),
    INSTANCE: Address("system"),
}


def test_every_problem_has_a_case() -> None:
    """Every row of the problem table has a case here."""
    assert list(CASES) == [row.code for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_a_problem_is_raised_once_and_cleared_once(row: Row) -> None:
    """The problem appears in the payloads of its subject and of the instance when it reaches its threshold."""
    case, world = CASES[row.code], World().start()
    assert world.payload(ADDRESSES[row.subject])["problem"] is False
    began = world.now
    for _ in range(2):
        world.see(*case.come(world))
    if row.measure is Measure.SECONDS:
        assert row.code not in _codes(world, row.subject)
        world.later(row.threshold - 1)
        assert row.code not in _codes(world, row.subject)
        world.later(1)
    raised = [one for one in world.emitted("problem_raised") if one["code"] == row.code]
    assert [one["message"] for one in raised] == [case.message]
    assert "late" not in raised[0]
    payload = world.payload(ADDRESSES[row.subject])
    assert payload["problem"] is True
    (problem,) = [one for one in payload["problems"] if one["code"] == row.code]
    assert problem == {"code": row.code, "message": case.message, "since": began.isoformat().replace("+00:00", "Z")}
    assert world.system["problem"] is True
    assert row.code in [one["code"] for one in world.system["problems"]]

    world.see(*case.go(world))
    if row.measure is Measure.NOTICE:
        world.later(row.threshold)
    world.see(*case.go(world))
    cleared = [one["code"] for one in world.emitted("problem_cleared")]
    assert cleared.count(row.code) == 1
    assert row.code not in _codes(world, row.subject)
    assert row.code not in [one["code"] for one in world.system["problems"]]


def _codes(world: World, subject: str) -> list[str]:
    return [one["code"] for one in world.payload(ADDRESSES[subject])["problems"]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_zero_turns_a_problem_off(row: Row) -> None:
    """With a threshold of 0, the problem is never raised."""
    world = World(Alerts(thresholds={row.code: 0})).start()
    world.see(*CASES[row.code].come(world)).later(30 * DAY)
    assert row.code not in [one["code"] for one in world.emitted("problem_raised")]


def test_a_threshold_can_be_set_for_one_folder_and_one_device() -> None:
    """A threshold of one folder or device overrides the general one for that folder or device only."""
    alerts = Alerts(
        thresholds={"out_of_sync": HOUR, "unseen": HOUR},
        folders={"docs": {"out_of_sync": 60}},
        devices={short_id(BETA): {"unseen": 0}},
    )
    both = config(folder("docs", BETA), folder("music", BETA), devices=(BETA_DEVICE, GAMMA_DEVICE))
    world = World(alerts)
    world.start(read(of=LACKING), read("music", of=LACKING), world.connections(BETA, GAMMA), configured=both)
    world.see(world.disconnect(), world.disconnect(GAMMA)).emitted()
    world.later(60)
    assert [(one["code"], one["folder"]) for one in world.emitted()] == [("out_of_sync", "docs")]
    world.later(HOUR)
    raised = [(one["code"], one.get("folder") or one["device"]) for one in world.emitted()]
    assert sorted(raised) == [("out_of_sync", "music"), ("unseen", short_id(GAMMA))]


def test_a_count_can_have_a_threshold() -> None:
    """A problem with a minimum count is raised when the count reaches it."""
    world = World(Alerts(thresholds={"failed_items": 3})).start()
    world.see(read(of=replace(COUNTS, failed=2)))
    assert world.emitted("problem_raised") == []
    world.see(read(of=replace(COUNTS, failed=3)))
    assert [one["code"] for one in world.emitted("problem_raised")] == ["failed_items"]


def test_progress_delays_the_problem_stuck() -> None:
    """A sync with progress is not stuck, however long it takes, and neither is a sync that is queued."""
    world = World(Alerts(thresholds={"stuck": HOUR, "out_of_sync": 0})).start()
    world.see(world.turns("syncing"))
    for lacking in range(400, 0, -100):
        world.later(HOUR - 1)
        world.see(read(state="syncing", of=replace(LACKING, need_bytes=lacking)))
    world.later(HOUR - 1)
    assert world.emitted("problem_raised") == []
    world.later(1)
    assert [one["code"] for one in world.emitted("problem_raised")] == ["stuck"]
    world.see(world.turns("sync-waiting")).later(DAY)
    assert world.names() == ["problem_cleared"]


@pytest.mark.parametrize("code", [row.code for row in ROWS if row.measure is not Measure.SECONDS])
def test_a_restart_of_the_bridge_raises_nothing_again(code: str) -> None:
    """The retained payloads contain the raised problems and their times, so they are not raised again."""
    before = World().start()
    before.see(*CASES[code].come(before))
    subject = next(row.subject for row in ROWS if row.code == code)
    was = before.payload(ADDRESSES[subject])["problems"]
    after = World(retained=before.published(), now=NOW + timedelta(hours=1))
    still = [one for one in CASES[code].come(after) if not isinstance(one, seen.ConfigRead)]
    gone = code == "folders_vanished"
    after.start(*still, configured=_without_folders() if gone else None)
    assert after.emitted("problem_raised", "problem_cleared") == []
    assert after.payload(ADDRESSES[subject])["problems"] == was


def test_a_second_notice_is_shown_for_its_own_time() -> None:
    """More folders disappear while the first notice is still shown: it is not cleared at the end of the first one."""
    names = [f"f{number}" for number in range(8)]
    world = World().start(configured=config(*(folder(one, BETA) for one in names)))
    world.see(config(*(folder(one, BETA) for one in names[4:])))
    world.later(20 * HOUR).see(config(*(folder(one, BETA) for one in names[6:])))
    (notice,) = world.system["problems"]
    assert (notice["code"], notice["since"]) == ("folders_vanished", in_utc(NOW + timedelta(hours=20)))
    assert "f4, f5" in notice["message"]
    world.emitted()
    world.later(4 * HOUR).later(MINUTE)
    assert world.emitted("problem_raised", "problem_cleared") == []
    world.later(20 * HOUR)
    assert [one["event_type"] for one in world.emitted("problem_raised", "problem_cleared")] == ["problem_cleared"]


@pytest.mark.parametrize(
    ("outage", "known", "shown", "inactive"),
    [(21 * DAY, -HOUR, 0, True), (21 * DAY, HOUR, HOUR, True), (30, -30 * DAY, 0, False)],
    ids=["statistics before the outage", "statistics of the outage", "short outage, long connection before 1.20"],
)
def test_a_device_that_disconnected_during_an_outage_was_last_seen_at_its_beginning(
    outage: float, known: float, shown: float, inactive: bool
) -> None:
    """Or at the time in Syncthing's statistics, if that is later. It was not seen when the instance returned."""
    world = World().start().later(HOUR).see(seen.Unavailable(status="unreachable", message="no route"))
    began = world.now
    world.later(outage)
    statistics = seen.DeviceStatisticsRead(last_seen_at={BETA: began + timedelta(seconds=known)})
    world.snapshot(world.nobody(), statistics)
    seen_at = in_utc(began + timedelta(seconds=shown))
    assert (world.beta["last_seen_at"], world.beta["unseen_since"]) == (seen_at, seen_at)
    assert (world.beta["status"] == "disconnected_inactive") is inactive
    assert ("unseen" in [one["code"] for one in world.beta["problems"]]) is inactive


def test_a_problem_fixed_while_the_bridge_was_stopped_is_cleared_late() -> None:
    """A problem that is over when the bridge returns is cleared, and a new one is raised; both are marked as late."""
    before = World().start(read(of=replace(COUNTS, local_changes=1)))
    after = World(retained=before.published()).start(_errors("new"))
    emitted = after.emitted("problem_raised", "problem_cleared")
    assert {(one["event_type"], one["code"], one["late"]) for one in emitted} == {
        ("problem_cleared", "local_changes", True),
        ("problem_raised", "system_errors", True),
    }


def test_durations_continue_across_a_restart_of_the_bridge() -> None:
    """Durations are measured from the published time, not from the restart."""
    before = World()
    before.start(read(of=LACKING), needing(1), before.nobody())
    before.see(before.connect()).see(before.disconnect()).later(HOUR)
    after = World(retained=before.published(), now=NOW + timedelta(days=7))
    after.start(read(of=LACKING), needing(1), after.nobody())
    assert {one["code"] for one in after.emitted("problem_raised")} == {"out_of_sync", "behind", "unseen"}
    assert {one["since"] for one in after.system["problems"]} == {"2024-05-01T12:00:00Z"}


def test_a_device_that_was_never_seen_becomes_a_problem() -> None:
    """A device that has never connected is unseen since the bridge first found it in the configuration."""
    world = World()
    world.start(world.nobody()).later(7 * DAY)
    emitted = [(one["code"], one["since"]) for one in world.emitted("problem_raised")]
    assert sorted(emitted) == [("stale", "2024-05-01T12:00:00Z"), ("unseen", "2024-05-01T12:00:00Z")]
    assert world.beta["problems"][0]["message"] == "the device has never been connected"


def test_a_removed_or_paused_subject_has_no_problems() -> None:
    """Removed and paused subjects are not checked: their problems are cleared."""
    world = World(Alerts(thresholds={"unseen": 60}))
    both = config(folder("docs", BETA), folder("music", BETA), devices=(BETA_DEVICE, GAMMA_DEVICE))
    world.start(read(of=replace(COUNTS, failed=1)), read("music", of=replace(COUNTS, failed=1)), configured=both)
    world.see(world.disconnect()).later(60).emitted()
    beta = replace(both.config.devices[BETA], paused=True)
    folders = {"music": folder("music", BETA, paused=True)}
    devices: dict[str, DeviceConfig] = {BETA: beta}
    world.see(seen.ConfigRead(config=replace(both.config, folders=folders, devices=devices)))
    cleared = [(one["code"], one.get("folder") or one["device"]) for one in world.emitted("problem_cleared")]
    assert sorted(cleared) == [
        ("failed_items", "docs"),
        ("failed_items", "music"),
        ("unseen", short_id(BETA)),
        ("unseen", short_id(GAMMA)),
    ]
    assert world.system["problem"] is False


def test_problems_are_not_evaluated_while_syncthing_cannot_be_reached() -> None:
    """During an outage no problem is raised and no tick is scheduled, until everything was read again."""
    world = World(Alerts(thresholds={"unseen": HOUR})).start()
    world.see(world.disconnect()).emitted()
    world.see(seen.Unavailable(status="unreachable", message="gone"))
    assert world.state.next_due is None
    world.later(2 * HOUR)
    assert world.emitted("problem_raised") == []
    world.snapshot(world.nobody())
    assert [(one["code"], one["late"]) for one in world.emitted("problem_raised")] == [("unseen", True)]


def test_problems_are_null_before_the_previous_run_is_restored() -> None:
    """Before the first evaluation, `problem` is null, not false."""
    world = World().snapshot()
    assert (world.folder["problem"], world.beta["problems"], world.system["problem"]) == (None, None, None)


def test_a_tick_touches_only_what_is_due() -> None:
    """Of many folders, only the one that became due is rendered again."""
    many = config(*(folder(f"folder{number}", BETA) for number in range(200)))
    world = World(Alerts(thresholds={"out_of_sync": HOUR})).start(
        *(read(f"folder{number}") for number in range(200)), configured=many
    )
    world.see(read("folder7", of=LACKING))
    assert world.state.next_due == NOW + timedelta(hours=1)
    world.later(HOUR)
    assert world.changed == [Address("folder", folder="folder7"), Address("system")]


def test_the_problems_of_the_instance_come_first_however_many_others_there_are() -> None:
    """The list is truncated at its end, where the folders and devices are."""
    names = [f"folder{number}" for number in range(60)]
    world = World().start(
        *(read(name, state="error", error="gone") for name in names),
        configured=config(*(folder(name, BETA) for name in names)),
    )
    world.see(seen.RestartRequiredRead(restart_required=True))
    problems = world.system["problems"]
    assert problems[0]["code"] == "restart_required"
    assert [one["folder"] for one in problems[1:]] == names[:49]


def test_folders_that_are_removed_one_by_one_are_no_loss() -> None:
    """Only the removal of all folders, or of several and at least half at once, counts as a loss of configuration."""
    three = config(*(folder(name, BETA) for name in ("a", "b", "c")))
    world = World().start(configured=three)
    world.see(config(folder("a", BETA), folder("b", BETA)))
    assert world.system["problem"] is False
    after = World(retained=World().start(configured=three).published()).start(configured=config(folder("a", BETA)))
    assert [one["message"] for one in after.system["problems"]] == ["folders disappeared from the configuration: b, c"]


def test_a_pause_resets_the_out_of_sync_time_of_a_device() -> None:
    """The need of a paused device is unknown; when it is resumed, the time starts again."""
    world = World().start(needing(400))
    assert world.beta["out_of_sync_since"] is not None
    world.later(MINUTE).see(seen.DevicePaused(device=BETA, paused=True))
    assert world.beta["out_of_sync_since"] is None


# --- unobserved time does not count


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            [seen.FolderPaused(folder="docs", paused=True)],
            [seen.FolderPaused(folder="docs", paused=False), read()],
        ),
        (
            [seen.FolderStateChanged(folder="docs", state="error", at=NOW, error="disk is full")],
            [seen.FolderStateChanged(folder="docs", state="idle", at=NOW + timedelta(days=8), error=None), read()],
        ),
    ],
    ids=["paused", "in error"],
)
def test_a_folder_is_not_stale_after_a_time_in_which_it_was_not_checked(
    begin: Sequence[Observation], end: Sequence[Observation]
) -> None:
    """A device that shares the folder was connected all the time."""
    world = World().start()
    world.see(*begin).later(8 * DAY)
    world.see(*end).later(60)
    assert "stale" not in {one["code"] for one in world.emitted("problem_raised")}
    world.see(world.nobody()).later(8 * DAY)
    assert "stale" in {one["code"] for one in world.emitted("problem_raised")}

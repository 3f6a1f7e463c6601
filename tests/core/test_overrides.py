"""Thresholds for one folder or device: which one they apply to, and warnings about those that match nothing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from stbridge.core.alerts import DEVICE, FOLDER, Alerts, Subject
from stbridge.core.model import Config
from stbridge.core.overrides import matches, thresholds_by_subject, without_effect
from tests.core.world import BETA, DAY, GAMMA, HOUR, LACKING, World, configured, device, device_id, folder, read

TWIN = "-".join([BETA[:7], "7654327", *["2345672"] * 6])
NAS = configured(
    [folder("docs", label="Documents"), folder("art", label="docs"), folder("plain", label="")],
    [device(BETA, "beta"), device(GAMMA, "gamma"), device(device_id("NAMELES"), "")],
).config
PI = configured(
    [folder("docs", label="Papers"), folder("one", label="Twins"), folder("two", label="Twins")],
    [device(BETA, "beta"), device(TWIN, "twin")],
).config
NO_FOLDER = "no instance has a folder with this ID or label, so it has no effect"
THERE = "so it has no effect there"


def _folders(*names: str) -> Alerts:
    return Alerts(folders={name: {"stale": number} for number, name in enumerate(names)})


def _devices(*names: str) -> Alerts:
    return Alerts(devices={name: {"unseen": number} for number, name in enumerate(names)})


def _subjects(alerts: Alerts, config: Config) -> list[tuple[str, str]]:
    return list(thresholds_by_subject(alerts, config))


def _messages(alerts: Alerts, **instances: Config | None) -> list[str]:
    return without_effect(
        alerts, {name: None if config is None else matches(alerts, config) for name, config in instances.items()}
    )


@pytest.mark.parametrize(
    ("alerts", "subjects"),
    [
        (_folders("docs"), [(FOLDER, "docs")]),
        (_folders("Documents"), [(FOLDER, "docs")]),
        (_folders("documents"), []),
        (_folders("", "nothing"), []),
        (_devices(BETA), [(DEVICE, BETA)]),
        (_devices(BETA[:7]), [(DEVICE, BETA)]),
        (_devices(BETA[:7].lower()), [(DEVICE, BETA)]),
        (_devices(BETA.replace("-", "").lower()), [(DEVICE, BETA)]),
        (_devices(BETA[:15]), [(DEVICE, BETA)]),
        (_devices("beta"), [(DEVICE, BETA)]),
        (_devices("BETA", ""), []),
    ],
)
def test_thresholds_apply_to_the_named_folder_or_device(alerts: Alerts, subjects: list[tuple[str, str]]) -> None:
    """Names are IDs, short IDs, labels or device names; an empty name does not match a missing label."""
    assert _subjects(alerts, NAS) == subjects
    assert bool(_messages(alerts, nas=NAS)) == (not subjects or "" in {**alerts.folders, **alerts.devices})


def test_an_ambiguous_name_matches_nothing() -> None:
    """Longer short IDs still match, also after one of the two devices was removed."""
    assert _subjects(_folders("Twins"), PI) == []
    assert _subjects(_devices(BETA[:7]), PI) == []
    assert _subjects(_devices(BETA[:15], TWIN[:15].lower()), PI) == [(DEVICE, BETA), (DEVICE, TWIN)]
    alone = replace(PI, devices={TWIN: PI.devices[TWIN]})
    assert _subjects(_devices(BETA[:15], TWIN[:15]), alone) == [(DEVICE, TWIN)]


def test_thresholds_by_id_override_those_by_name() -> None:
    """The order in the file does not matter. Other thresholds are merged over the general ones."""
    tables: dict[str, Mapping[str, float]] = {"docs": {"stale": 1}, "Documents": {"stale": 2, "stuck": 3}}
    expected = {Subject(FOLDER, "docs"): {"stale": 1, "stuck": 3, "behind": 4}}
    for folders in (tables, dict(reversed(tables.items()))):
        assert thresholds_by_subject(Alerts(thresholds={"stale": 0, "behind": 4}, folders=folders), NAS) == expected


def test_a_name_must_match_on_at_least_one_instance() -> None:
    """There is no warning while the configuration of an instance is unknown, because that one may match."""
    alerts = _folders("Documents", "Papers", "Pappers")
    assert _messages(alerts, nas=NAS) != []
    assert _messages(alerts, nas=NAS, pi=None) == []
    expected = f"alerts.folder.Pappers: {NO_FOLDER}; did you mean alerts.folder.Papers?"
    assert _messages(alerts, nas=NAS, pi=PI) == [expected]


def test_an_ambiguous_name_causes_a_warning_at_once() -> None:
    """The warning shows alternatives, even if the name is unique elsewhere or an instance is still unknown."""
    several = f"pi has 2 folders with this label, {THERE}: write alerts.folder.one or alerts.folder.two"
    assert _messages(_folders("Twins"), pi=PI, nas=None) == [f"alerts.folder.Twins: {several}"]
    instead = f"write alerts.device.{BETA[:15]} or alerts.device.{TWIN[:15]}"
    expected = f"alerts.device.{BETA[:7]}: pi has 2 devices with this short ID or name, {THERE}: {instead}"
    assert _messages(_devices(BETA[:7]), nas=NAS, pi=PI) == [expected]
    assert "folders with this label (also tower)," in _messages(_folders("Twins"), pi=PI, nas=NAS, tower=PI)[0]
    many = configured([folder(f"f{number}", label="Same") for number in range(1000)]).config
    assert _messages(_folders("Same"), nas=many)[0].endswith(
        "nas has 1000 folders with this label, so it has no effect there"
        ": write alerts.folder.f0 or alerts.folder.f1 or alerts.folder.f2"
    )


def test_names_are_shown_as_they_are_written_in_the_file() -> None:
    """Names that need quotes in TOML are shown with quotes, and control characters as codes."""
    spaced = configured([folder("x", label="My photos")]).config
    assert _messages(_folders("My photo", "a\nb"), nas=spaced) == [
        f'alerts.folder."My photo": {NO_FOLDER}; did you mean alerts.folder."My photos"?',
        f'alerts.folder."a\\nb": {NO_FOLDER}: correct or remove it',
    ]


def test_thresholds_follow_a_label_to_another_folder() -> None:
    """Problems that are raised or cleared by the change are reported immediately."""
    art = folder("art", BETA, label="Art")
    world = World(Alerts(thresholds={"out_of_sync": HOUR}, folders={"Art": {"out_of_sync": 0}}))
    world.start(read(of=LACKING), read("art", of=LACKING), configured=configured([folder("docs", BETA), art]))
    world.later(DAY)
    assert _edges(world) == {("problem_raised", "docs")}
    world.see(configured([folder("docs", BETA, label="Art"), replace(art, label="Old")]))
    assert _edges(world) == {("problem_cleared", "docs"), ("problem_raised", "art")}
    world.see(configured([folder("docs", BETA, label="Art"), replace(art, label="Art")]))
    assert _edges(world) == {("problem_raised", "docs")}
    world.see(configured([replace(art, label="Art")]))
    assert _edges(world) == {("problem_cleared", "docs"), ("problem_cleared", "art")}


def _edges(world: World) -> set[tuple[str, str]]:
    return {(one["event_type"], one["folder"]) for one in world.emitted("problem_raised", "problem_cleared")}


def test_names_are_looked_up_only_when_the_configuration_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other observations reuse the result."""
    looked_up: list[Config] = []

    def look_up(alerts: Alerts, config: Config) -> Mapping[Subject, Mapping[str, float]]:
        looked_up.append(config)
        return thresholds_by_subject(alerts, config)

    monkeypatch.setattr("stbridge.core.rules.configuration.thresholds_by_subject", look_up)
    world = World(_folders("Docs")).start()
    assert len(looked_up) == 1
    world.see(read(of=LACKING), world.disconnect(), world.connect(), configured(), configured())
    assert len(looked_up) == 2

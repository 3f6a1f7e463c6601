"""The blueprints and the dashboard of the examples, imported into a real Home Assistant and run there."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.homeassistant.conftest import House
from tests.servers import ROOT, eventually

EXAMPLES = ROOT / "examples/home-assistant"
BLUEPRINTS = sorted((EXAMPLES / "blueprints").glob("*.yaml"))


@pytest.fixture(scope="module")
def photos(house: House) -> House:
    """Return the test setup with the folder and the device that the dashboard uses."""
    a, b = house.nodes
    a.request("PATCH", "/rest/config/folders/docs", body={"label": "Photos"})
    a.request("PATCH", f"/rest/config/devices/{b.device_id}", body={"name": "laptop"})
    eventually(lambda: {"nas Photos", "nas laptop"} <= {one["name"] for one in house.hass.devices().values()})
    _rename(house)
    return house


def _rename(house: House) -> None:
    """Rename the entity IDs, because Home Assistant derives them from the first names of folders and devices."""
    for entry in house.hass.entities().values():
        name = re.sub(r"nas_1_0_papers_|nas_beta_", _new, entry["entity_id"])
        if name != entry["entity_id"]:
            house.hass.ask("config/entity_registry/update", entity_id=entry["entity_id"], new_entity_id=name)


def _new(found: re.Match[str]) -> str:
    return "nas_photos_" if "papers" in found[0] else "nas_laptop_"


@pytest.fixture
def automate(house: House) -> Iterator[Callable[..., None]]:
    """Return a function that creates an automation from a blueprint; remove the automations afterwards."""
    made: list[str] = []

    def make(name: str, **inputs: Any) -> None:
        made.append(name)
        _automate(house, EXAMPLES / f"blueprints/{name}.yaml", **inputs)

    yield make
    for name in made:
        house.hass.request("DELETE", f"/api/config/automation/config/{name}")


def _automate(house: House, blueprint: Path, **inputs: Any) -> None:
    """Import a blueprint as the web page does, and create an automation from it."""
    where = f"stbridge/{blueprint.name}"
    source = blueprint.read_text(encoding="utf-8")
    imported = house.hass.ask("blueprint/list", domain="automation")
    if where not in imported:
        house.hass.ask("blueprint/save", domain="automation", path=where, yaml=source)
    body = {"alias": blueprint.stem, "use_blueprint": {"path": where, "input": inputs}}
    house.hass.request("POST", f"/api/config/automation/config/{blueprint.stem}", body)
    eventually(lambda: f"automation.{blueprint.stem}" in house.hass.states())


def _notifications(house: House) -> dict[str, str]:
    found = house.hass.ask("persistent_notification/get")
    return {one["title"]: one["message"] for one in found}


def test_every_blueprint_is_valid(house: House) -> None:
    """Home Assistant accepts each blueprint without an error."""
    for blueprint in BLUEPRINTS:
        house.hass.ask(
            "blueprint/save", domain="automation", path=f"check/{blueprint.name}", yaml=blueprint.read_text("utf-8")
        )
    found = house.hass.ask("blueprint/list", domain="automation")
    for blueprint in BLUEPRINTS:
        assert "error" not in found[f"check/{blueprint.name}"]
    assert len(BLUEPRINTS) == 3


def test_a_conflict_notifies(house: House, automate: Callable[..., None]) -> None:
    """One blueprint reports folder and path of a real conflict at once, the other a problem that has lasted."""
    instance, folder = house.subject("system").object_id, house.subject("folder", "docs")
    problem = f"{folder.object_id}_problem"
    automate("notify_conflict", conflict=house.entity_id(f"{instance}_conflict_event"))
    automate("notify_problem", problem=[house.entity_id(problem)], duration={"seconds": 1})
    conflict = house.directory / "alpha/docs/letter.sync-conflict-20261125-120000-ABCDEFG.txt"
    conflict.write_bytes(b"the other one")
    eventually(partial(_shows, house, problem, "on"))
    eventually(partial(_shows, house, f"{folder.object_id}_conflicts", "1"))
    state = house.hass.state_of(f"{folder.object_id}_conflicts")
    assert state is not None
    assert state["attributes"]["items"] == [conflict.name]
    eventually(lambda: _notifications(house).get(f"Syncthing: conflict in {folder.name}") == conflict.name)
    eventually(lambda: "conflict" in _notifications(house).get(f"nas {folder.name} Problem", ""))
    conflict.unlink()
    eventually(partial(_shows, house, problem, "off"))
    eventually(partial(_shows, house, f"{folder.object_id}_conflicts", "0"))


def _shows(house: House, unique_id: str, state: str) -> bool:
    return house.state(unique_id) == state


def test_a_folder_is_paused_while_something_is_on(house: House, automate: Callable[..., None]) -> None:
    """The blueprint pauses and resumes the real folder."""
    paused = house.entity_id(f"{house.subject('folder', 'docs').object_id}_paused")
    automate("pause_while_on", paused=[paused], while_on="input_boolean.gaming")
    for action, state in (("on", True), ("off", False)):
        house.hass.act(f"input_boolean.turn_{action}", "input_boolean.gaming")
        eventually(partial(_folder_is_paused, house, paused=state))


def _folder_is_paused(house: House, *, paused: bool) -> bool:
    return bool(house.nodes[0].request("GET", "/rest/config/folders/docs")["paused"] is paused)


def test_every_entity_of_the_dashboard_exists(photos: House) -> None:
    """Home Assistant loads the dashboard, and every entity in it exists."""
    (photos.hass.directory / "ui-lovelace.yaml").write_bytes((EXAMPLES / "dashboard.yaml").read_bytes())
    dashboard = photos.hass.ask("lovelace/config", force=True)
    named = set(
        re.findall(r"\b(?:sensor|binary_sensor|switch|button|event)\.nas_\w+|\b\w+\.syncthing_nas_\w+", str(dashboard))
    )
    assert len(named) > 30
    eventually(lambda: named <= set(photos.hass.states()))

"""The dashboard and the card of the bridge in a real Home Assistant."""

from collections.abc import Iterator
from typing import Any

import yaml

from stbridge.homeassistant.card import template
from tests.homeassistant.conftest import House

URL_PATH = "syncthing-bridge"


def import_dashboard(house: House) -> Any:
    """Run `stbridge dashboard`, save its output as its raw configuration editor does, and return what is saved."""
    done = house.bridge.run("dashboard")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    config = yaml.safe_load(done.stdout)
    hass = house.hass
    if all(one["url_path"] != URL_PATH for one in hass.ask("lovelace/dashboards/list")):
        about = {"url_path": URL_PATH, "title": "Syncthing", "show_in_sidebar": True, "require_admin": False}
        hass.ask("lovelace/dashboards/create", **about)
    hass.ask("lovelace/config/save", url_path=URL_PATH, config=config)
    saved = hass.ask("lovelace/config", url_path=URL_PATH, force=True)
    assert saved == config
    return saved


def entity_ids(config: Any) -> Iterator[str]:
    """Yield every entity ID in a part of a dashboard."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ("entity", "entity_id"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from entity_ids(value)
    elif isinstance(config, list):
        for one in config:
            yield from entity_ids(one)


def shown(house: House) -> str:
    """Return what Home Assistant makes of the card, as Markdown."""
    return house.hass.render(template())

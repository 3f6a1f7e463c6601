"""The page about Home Assistant names every rule of its quality scale."""

import json
import re

from tests.documents import ROOT, rows, sections, spans
from tests.homeassistant.hass import HASS

(MQTT,) = (HASS.parent.parent / "lib").glob("python*/site-packages/homeassistant/components/mqtt")


def test_every_rule_of_the_quality_scale_is_in_the_table() -> None:
    """The list of rules is the one by which Home Assistant rates its MQTT integration, which has the highest level."""
    assert json.loads((MQTT / "manifest.json").read_text(encoding="utf-8"))["quality_scale"] == "platinum"
    rules = re.findall(r"^  ([a-z-]+):", (MQTT / "quality_scale.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    table = rows(sections(ROOT / "docs/home-assistant.md")["Quality scale"], "level")
    assert sorted(rule for cells in table for rule in spans(cells[1])) == sorted(rules)

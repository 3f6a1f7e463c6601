"""A partial configuration becomes a list of changes; changes that would lock out the bridge are refused."""

from typing import Any

import pytest

from stbridge.core.config_changes import Change, changes
from stbridge.core.envelope import CommandError
from tests.core.recorded import VERSIONS, recorded

CURRENT = {
    "version": 37,
    "folders": [{"id": "docs", "label": "Docs"}],
    "devices": [{"deviceID": "A"}, {"deviceID": "B"}],
    "gui": {"enabled": True, "address": "127.0.0.1:8384", "apiKey": "key", "theme": "default"},
    "options": {"maxSendKbps": 0},
    "ldap": {},
    "remoteIgnoredDevices": [],
    "defaults": {"folder": {}, "device": {}, "ignores": {"lines": []}},
}
DOCS, NEW = {"id": "docs", "label": "Papers"}, {"id": "new", "path": "/new"}
B, C = {"deviceID": "B", "name": "b"}, {"deviceID": "C"}


@pytest.mark.parametrize(
    ("document", "planned"),
    [
        ({}, []),
        ({"options": {"maxSendKbps": 5}}, [Change("options", {"maxSendKbps": 5})]),
        ({"ldap": {"address": "x"}}, [Change("ldap", {"address": "x"})]),
        ({"gui": {"theme": "dark", "apiKey": "key"}}, [Change("gui", {"theme": "dark", "apiKey": "key"})]),
        ({"folders": [DOCS, NEW]}, [Change("folders", DOCS, "docs"), Change("folders", NEW, "new", known=False)]),
        ({"devices": [C, B]}, [Change("devices", C, "C", known=False), Change("devices", B, "B")]),
        (
            {"defaults": {"ignores": {"lines": ["*.tmp"]}, "folder": {"path": "~"}}},
            [Change("defaults/ignores", {"lines": ["*.tmp"]}), Change("defaults/folder", {"path": "~"})],
        ),
        ({"defaults": {}}, []),
        ({"version": 37, "remoteIgnoredDevices": []}, []),
    ],
)
def test_each_part_is_a_change(document: dict[str, Any], planned: list[Change]) -> None:
    """Only the given parts are changed. Folders and devices are changed one by one."""
    assert changes(document, CURRENT) == planned


def test_changes_are_made_in_an_order_that_works() -> None:
    """Devices come before the folders that refer to them. The GUI comes last because it restarts."""
    document = {"gui": {}, "folders": [NEW], "defaults": {"device": {}}, "ldap": {}, "options": {}, "devices": [C]}
    shown = [change.shown for change in changes(document, CURRENT)]
    assert shown == ["devices/C", "folders/new", "options", "ldap", "defaults/device", "gui"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_configuration_can_be_merged_into_itself(version: str) -> None:
    """The document that `get_config` returns can be merged back, and adds nothing."""
    config = recorded(version, "config")
    planned = changes(config, config)
    assert all(change.known for change in planned)
    assert {change.part.partition("/")[0] for change in planned} == config.keys() - {"version", "remoteIgnoredDevices"}
    assert len(planned) == len(config["folders"]) + len(config["devices"]) + len(config["defaults"]) + 3


def test_an_empty_list_is_no_loss_if_the_current_list_is_null() -> None:
    """Older versions of Syncthing write null for an empty list."""
    assert changes({"folders": [], "devices": [C]}, {"folders": None, "devices": None}) == [
        Change("devices", C, "C", known=False)
    ]


KEY = "this would drop the API key, which the bridge uses: give replace: true if you intend that"
GUI = "this would turn off the GUI, and the API with it: give replace: true if you intend that"
PARTS = "only devices, folders, options, ldap, defaults, gui"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"gui": {"apiKey": ""}}, KEY),
        ({"gui": {"apiKey": "other"}}, KEY),
        ({"gui": {"apiKey": None}}, KEY),
        ({"gui": {"apikey": "other"}}, KEY),
        ({"gui": {"API\u212aEY": "other"}}, KEY),
        ({"gui": {"enabled": False}}, GUI),
        ({"gui": {"enabled": True, "Enabled": False}}, GUI),
        ({"gui": {"address": ""}}, GUI),
        ({"gui": {"addre\u017fs": ""}}, GUI),
        ({"folders": []}, "an empty list would remove all folders: leave it out, or give replace: true"),
        ({"options": {}, "devices": []}, "an empty list would remove all devices: leave it out, or give replace: true"),
        ({"folders": {"docs": {}}}, "folders must be a list of objects, each with its id"),
        ({"folders": None}, "folders must be a list of objects, each with its id"),
        ({"folders": [DOCS, {"label": "x"}]}, "folders must be a list of objects, each with its id"),
        ({"folders": [{"id": ""}]}, "folders must be a list of objects, each with its id"),
        ({"devices": [{"deviceID": 5}]}, "devices must be a list of objects, each with its deviceID"),
        ({"devices": ["A"]}, "devices must be a list of objects, each with its deviceID"),
        ({"options": 5}, "options must be an object"),
        ({"gui": None}, "gui must be an object"),
        ({"defaults": []}, "defaults must be an object"),
        ({"defaults": {"gui": {}}}, "defaults has no part 'gui', only folder, device, ignores"),
        ({"Options": {}}, f"config has no part 'Options', {PARTS}"),
        ({"options": {}, "config": {}}, f"config has no part 'config', {PARTS}"),
        ({"version": 36}, "version can only be changed with replace: true"),
        ({"remoteIgnoredDevices": [C]}, "remoteIgnoredDevices can only be changed with replace: true"),
    ],
)
def test_invalid_changes_and_lockouts_are_refused(document: dict[str, Any], message: str) -> None:
    """The check runs before any change, and ignores the case of keys because Syncthing does."""
    with pytest.raises(CommandError) as refused:
        changes(document, CURRENT)
    assert (refused.value.code, refused.value.message) == ("invalid_arguments", message)

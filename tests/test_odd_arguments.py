"""Unusual arguments on real Syncthing nodes: a command reaches the folder that it names, or is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stbridge.call import call
from stbridge.demo.node import SyncthingNode
from stbridge.errors import UsageError
from stbridge.settings import SyncthingSettings
from tests.conftest import ODD_FOLDER


def run(node: SyncthingNode, command: str, **arguments: Any) -> Any:
    """Run a command as `stbridge call` does, and return its data."""
    settings = SyncthingSettings(url=node.url, api_key=SecretStr(node.api_key))
    words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in arguments.items()]
    return json.loads(call(settings, command, words))


@pytest.fixture(params=["..", ".", ODD_FOLDER, "%2e%2e"])
def folder(request: pytest.FixtureRequest, node: SyncthingNode, tmp_path: Path) -> Iterator[str]:
    """A folder ID that is not a single level of a URL's path."""
    one: str = request.param
    node.share(one, tmp_path / "files")
    yield one
    remove(node, one)


@pytest.fixture
def docs(node: SyncthingNode, tmp_path: Path) -> Iterator[str]:
    """The ID of an ordinary folder."""
    node.share("docs", tmp_path / "files")
    yield "docs"
    remove(node, "docs")


def remove(node: SyncthingNode, folder: str) -> None:
    """Remove a folder whose ID may be unsuitable for a path."""
    config = node.request("GET", "/rest/config")
    config["folders"] = [one for one in config["folders"] if one["id"] != folder]
    node.request("PUT", "/rest/config", body=config)
    assert folder not in [one["id"] for one in node.request("GET", "/rest/config/folders")]


def config_of(node: SyncthingNode, folder: str) -> Any:
    """Return Syncthing's configuration of a folder."""
    (found,) = [one for one in node.request("GET", "/rest/config/folders") if one["id"] == folder]
    return found


def test_a_folder_is_changed_whatever_its_id_is(node: SyncthingNode, folder: str) -> None:
    """The ID must not become part of a path that an HTTP client would shorten or Syncthing would split."""
    before = config_of(node, folder)
    run(node, "pause", folder=folder)
    assert config_of(node, folder) == {**before, "paused": True}
    run(node, "resume", folder=folder)
    run(node, "new_config", config={"folders": [{"id": folder, "label": "Odd"}]})
    assert config_of(node, folder) == {**before, "label": "Odd"}
    assert run(node, "get_folder_status", folder=folder)["localFiles"] == 0


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        *(
            (name, one)
            for name in ("get_need", "get_local_changes", "get_folder_errors")
            for one in ("page", "perpage")
        ),
        ("browse_database", "level"),
    ],
)
@pytest.mark.parametrize("value", [2**62, 2**31, 10**30])
def test_a_number_that_syncthing_cannot_take_is_not_sent(
    node: SyncthingNode, docs: str, command: str, argument: str, value: int
) -> None:
    """Syncthing closes the connection if page times perpage overflows, which looks as if it were unreachable."""
    with pytest.raises(UsageError, match=f"{argument} must be at most"):
        run(node, command, folder=docs, **{argument: value})


def test_the_largest_numbers_work_together(node: SyncthingNode, docs: str) -> None:
    """Arguments at their limits are answered."""
    for command in ("get_need", "get_local_changes", "get_folder_errors"):
        assert run(node, command, folder=docs, page=32_767, perpage=65_536)["page"] == 32_767
    assert run(node, "browse_database", folder=docs, level=1000) == []

"""The answers of the example that were not recorded have the form of a real Syncthing's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stbridge.core.commands import COMMANDS
from stbridge.demo.node import SyncthingNode
from stbridge.syncthing import SyncthingClient
from tests import example
from tests.secrecy import SECRECY
from tests.servers import newest_syncthing


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[SyncthingClient]:
    """A node of the newest version with a local change in the receive-only folder of the example."""
    node = SyncthingNode("nas", tmp_path / "home", newest_syncthing("2"))
    try:
        node.start()
        SECRECY.keep(node.api_key, "the API key of the node")
        body = {"deviceID": example.PHONE, "name": "phone", "addresses": ["dynamic"]}
        node.request("POST", "/rest/config/devices", body=body)
        node.share("camera", tmp_path / "camera", type="receiveonly")
        node.wait_for(lambda: node.is_idle("camera"))
        (tmp_path / "camera/receipt.jpg").write_bytes(b"picture")
        with SyncthingClient(node.api_key, node.url) as client:
            client.scan("camera", timeout_s=60)
            yield client
    finally:
        node.stop()


def test_the_answers_that_were_not_recorded_have_real_keys(nas: SyncthingClient) -> None:
    """The keys of each answer, and of the first item of each list in it, are those of a real answer."""
    real = {
        "get_ping": nas.get_ping(),
        "get_insync": nas.get_insync(),
        "get_ignores": nas.get_ignores("camera"),
        "get_need": nas.get_need("camera"),
        "get_remote_need": nas.get_remote_need(example.PHONE, "camera"),
        "get_local_changes": nas.get_local_changes("camera"),
    }
    shown = {row.name: example.reply(row)["data"] for row in COMMANDS if row.name in real}
    assert {name: set(answer) for name, answer in real.items()} == {name: set(one) for name, one in shown.items()}
    (change,), (example_change,) = real["get_local_changes"]["files"], shown["get_local_changes"]["files"]
    assert set(change) == set(example_change)
    assert (change["invalid"], change["localFlags"]) == (example_change["invalid"], example_change["localFlags"])

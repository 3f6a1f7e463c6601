"""A malicious peer offers folders: it must not choose which directory is shared or where files are written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from tests.servers import DIALS_AGAIN_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance

HOSTILE = {
    "up": "../../outside",
    "absolute": "/etc",
    "dots": "..",
    "dot": ".",
    "tilde": "~",
    "home": "~root",
    "hidden": ".ssh",
    "empty": "",
    "blank": " ",
    "long": "x" * 300,
    "wide": "\u00fc" * 200,
    "control": "a\x1b[2Jb",
    "line": "a\nb",
    "turned": "a\u202eb",
    "device": "CON",
    "backslash": "..\\..\\outside",
    "trailing": "name.",
}
"""Labels that are not valid directory names, by folder ID; each ID is a valid name."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Node alpha, whose home directory contains documents, and a peer that offers folders."""

    alpha: SyncthingNode
    peer: SyncthingNode
    home: Path
    subscriber: Subscriber

    def accept(self, folder: str, **arguments: Any) -> Any:
        """Accept a folder, and return the reply."""
        return ask(self.subscriber, "accept_folder", json.dumps({"folder": folder, **arguments}))

    def refusal(self, folder: str, **arguments: Any) -> str:
        """Accept a folder that must be refused, and return the error code."""
        reply = self.accept(folder, **arguments)
        assert reply["status"] == "error", reply
        assert folder not in self.paths
        code: str = reply["error"]["code"]
        return code

    @property
    def paths(self) -> dict[str, str]:
        """The path of each folder that alpha has, with `~` expanded."""
        folders = self.alpha.request("GET", "/rest/config/folders")
        return {one["id"]: str(one["path"]).replace("~", str(self.home), 1) for one in folders}


@pytest.fixture(scope="module")
def scene(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A scene for each version of Syncthing; the peer offers all of its folders before it connects."""
    directory = tmp_path_factory.mktemp("accept")
    home = directory / "home"
    for name in ("Documents", "docs"):
        (home / name).mkdir(parents=True)
        (home / name / "private.txt").write_text("private", encoding="utf-8")
    alpha, peer = nodes = [SyncthingNode(name, directory / name, binary) for name in ("alpha", "peer")]
    broker = Mosquitto(directory)
    subscriber = bridge = None
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            alpha.start()
        peer.start()
        alpha.share("docs", home / "docs", label="Private")
        alpha.link(peer)
        labels = {
            "theft": "Documents",
            "double": "docs",
            "nice": "Holiday",
            "mine": "Mine",
            "Documents": "..",
            **HOSTILE,
        }
        for folder, label in labels.items():
            peer.share(folder, directory / "offered" / folder, label=label, devices=[alpha])
        peer.share("docs", directory / "offered/docs", label="Party", devices=[alpha])
        eventually(lambda: len(alpha.request("GET", "/rest/cluster/pending/folders")) > len(labels), DIALS_AGAIN_S)
        broker.start()
        subscriber = Subscriber(broker.port)
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", alpha)}
        bridge = BridgeProcess(directory, {**variables, "STBRIDGE_COMMANDS__ALLOW": '["admin"]'}).start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        yield Scene(alpha, peer, home, subscriber)
    finally:
        if bridge:
            bridge.stop()
        if subscriber:
            subscriber.close()
        for node in nodes:
            node.stop()
        broker.stop()


@pytest.mark.parametrize("folder", ["theft", "Theft with a path"])
def test_the_label_of_an_offer_does_not_share_an_existing_directory(scene: Scene, folder: str) -> None:
    """A folder offered with the label "Documents" is refused, also if the command gives the path ~/Documents."""
    path = {} if folder == "theft" else {"path": "~/Documents"}
    assert scene.refusal("theft", **path) == "not_applicable"


@pytest.mark.parametrize(
    "path",
    ["~/docs", "{home}/docs", "{home}/docs/", "{home}//x/../docs", "{home}/docs/new", "~", "{home}", "/", "~/DOCS"],
)
def test_the_path_of_another_folder_is_refused(scene: Scene, path: str) -> None:
    """A path that contains another folder, or that is inside one, is refused as well, however it is spelled."""
    assert scene.refusal("theft", path=path.format(home=scene.home)) == "not_applicable"


def test_the_path_of_another_folder_is_refused_by_label(scene: Scene) -> None:
    """The label of the offer would lead to the directory of an existing folder."""
    assert scene.refusal("double") == "not_applicable"


def test_an_id_does_not_share_an_existing_directory(scene: Scene) -> None:
    """The peer chooses the ID, too, and the ID replaces a label that is not a valid directory name."""
    assert scene.refusal("Documents") == "not_applicable"


@pytest.mark.parametrize(
    ("arguments", "code"), [({"existing": True}, "invalid_arguments"), ({"path": "new"}, "invalid_arguments")]
)
def test_a_path_that_cannot_be_checked_is_refused(scene: Scene, arguments: dict[str, Any], code: str) -> None:
    """`existing` requires a path, and a relative path would depend on the working directory of Syncthing."""
    assert scene.refusal("theft", **arguments) == "invalid_arguments"


def test_the_label_of_an_offer_does_not_select_a_configured_folder(scene: Scene) -> None:
    """The peer chooses that label. Only the ID or the locally configured label selects a folder."""
    reply = scene.accept("Party")
    assert (reply["status"], reply["error"]["code"]) == ("error", "invalid_arguments"), reply
    devices = scene.alpha.request("GET", "/rest/config/folders/docs")["devices"]
    assert scene.peer.device_id not in [one["deviceID"] for one in devices]


@pytest.mark.parametrize("folder", HOSTILE)
def test_no_label_leads_out_of_the_default_path(scene: Scene, folder: str) -> None:
    """The ID replaces a label that is not a valid directory name."""
    assert scene.accept(folder)["error"] is None
    assert scene.paths[folder] == str(scene.home / folder)
    assert not (scene.home.parent / "outside").exists()


def test_a_valid_label_becomes_the_name_of_the_directory(scene: Scene) -> None:
    """The directory does not exist yet."""
    assert scene.accept("Holiday")["data"]["path"] == "~/Holiday"
    eventually((scene.home / "Holiday").is_dir)


def test_an_existing_directory_is_shared_on_explicit_request(scene: Scene) -> None:
    """The command must give the path and `existing`."""
    mine = scene.home / "mine"
    mine.mkdir()
    (mine / "shared.txt").write_text("shared", encoding="utf-8")
    assert scene.refusal("mine", path="~/mine") == "not_applicable"
    assert scene.accept("mine", path="~/mine", existing=True)["error"] is None
    eventually((scene.home.parent / "offered/mine/shared.txt").is_file, DIALS_AGAIN_S)
    assert not list((scene.home.parent / "offered").rglob("private.txt"))

"""The calls of pysyncthing 0.0.4 on real Syncthing: code that only replaces its import keeps working.

Where Syncthing's own API has changed since 2015, the row has today's answer of Syncthing; `docs/python-client.md` lists
these differences.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo import node as demo_node
from stbridge.demo.node import SyncthingNode
from stbridge.errors import Unsupported
from tests.conftest import Pair
from tests.servers import eventually
from tests.syncthing.conftest import Connect, Serve
from tests.syncthing.server import answers

COMPLETED = {"code": 200, "message": "Completed successfully"}
"""The return value of calls that Syncthing answers with an empty body."""

FILES = ("kept/deep/one.txt", "two.txt")


@dataclass(frozen=True, slots=True)
class Row:
    """An old call and its correct reply: keys with values, or with types where values differ by machine."""

    call: Callable[[Any, str], Any]
    right: Any


def row(call: Callable[[Any, str], Any], right: Any) -> Row:
    """Return a row; the call gets the client, untyped as in old code, and the ID of the other device."""
    return Row(call, right)


def misfit(found: Any, right: Any, where: str = "") -> str:
    """Return the first difference from the correct reply, or an empty text; additional keys are allowed."""
    if isinstance(right, type):
        return "" if isinstance(found, right) else f"{where}: {found!r} is not {right.__name__}"
    if isinstance(right, dict) and isinstance(found, dict):
        missing = [f"{where}.{key} is missing" for key in right if key not in found]
        return (missing or [""])[0] or next(
            filter(None, (misfit(found[k], right[k], f"{where}.{k}") for k in right)), ""
        )
    return "" if found == right else f"{where}: {found!r} is not {right!r}"


def names(tree: list[Any]) -> list[Any]:
    """Return the names of a tree, each directory with its contents."""
    return [[one["name"], *names(one["children"])] if one.get("children") else one["name"] for one in tree]


def ignoring(client: Any, ignores: Any) -> Any:
    """Set ignore patterns, and return the resulting patterns of the folder."""
    client.new_ignores("docs", ignores)
    return client.get_ignores("docs")


WHOLE_TREE = [["kept", ["deep", "one.txt"]], "two.txt"]
NOTHING_NEEDED = {"page": 1, "perpage": int, "progress": [], "queued": [], "rest": []}
SYSTEM = dict.fromkeys(("alloc", "uptime", "sys", "goroutines", "cpuPercent"), int) | {
    "pathSeparator": "/",
    "tilde": str,
    "myID": str,
}
COUNTS = {f"{scope}{what}": int for scope in ("global", "local") for what in ("Bytes", "Files", "Deleted")}

ROWS: dict[str, Row] = {
    "get_version()": row(
        lambda c, _: c.get_version(),
        {"os": "linux", "codename": str, "version": str, "arch": str, "longVersion": str},
    ),
    "get_connections()": row(
        lambda c, other: c.get_connections()["connections"][other],
        {"inBytesTotal": int, "outBytesTotal": int, "at": str, "clientVersion": str, "address": str},
    ),
    "get_connections(), total": row(
        lambda c, _: c.get_connections()["total"], {"inBytesTotal": int, "outBytesTotal": int, "at": str}
    ),
    "get_config()": row(
        lambda c, _: c.get_config(),
        {"folders": list, "devices": list, "gui": dict, "options": dict, "version": int, "remoteIgnoredDevices": []},
    ),
    "get_insync()": row(lambda c, _: c.get_insync(), {"configInSync": True}),
    "new_error(message)": row(lambda c, _: c.new_error("foo"), COMPLETED),
    "new_error(error_body=)": row(lambda c, _: c.new_error(error_body="foo"), COMPLETED),
    "clear_errors()": row(lambda c, _: c.clear_errors(), COMPLETED),
    "get_errors()": row(lambda c, _: (c.clear_errors(), c.get_errors())[1], {"errors": []}),
    "get_discovery()": row(lambda c, _: c.get_discovery(), dict),
    "new_config(config)": row(lambda c, _: c.new_config(c.get_config()), COMPLETED),
    "get_status()": row(lambda c, _: c.get_status(), SYSTEM),
    "get_ping()": row(lambda c, _: c.get_ping(), {"ping": "pong"}),
    "new_ping()": row(lambda c, _: c.new_ping(), {"ping": "pong"}),
    "browse_database(folder)": row(lambda c, _: names(c.browse_database("docs")), WHOLE_TREE),
    "browse_database(folder, 0)": row(lambda c, _: names(c.browse_database("docs", 0)), WHOLE_TREE),
    "browse_database(level=, prefix=)": row(
        lambda c, _: names(c.browse_database("docs", level=0, prefix="kept")), [["deep", "one.txt"]]
    ),
    "browse_databse(folder)": row(lambda c, _: names(c.browse_databse("docs", False, False)), WHOLE_TREE),
    "browse_databse(folder, 0, prefix)": row(
        lambda c, _: names(c.browse_databse("docs", 0, "kept")), [["deep", "one.txt"]]
    ),
    "get_completion(device, folder)": row(lambda c, other: c.get_completion(other, "docs"), {"completion": 100}),
    "get_completion(device_id=, folder=)": row(
        lambda c, other: c.get_completion(device_id=other, folder="docs"), {"completion": 100}
    ),
    "get_file(folder, file)": row(
        lambda c, _: c.get_file("docs", "two.txt"),
        {"global": {"name": "two.txt", "size": 7}, "local": {"name": "two.txt"}, "availability": list},
    ),
    "get_ignores(folder)": row(lambda c, _: ignoring(c, {"ignore": []}), {"ignore": None, "expanded": None}),
    "new_ignores(folder, ignores)": row(
        lambda c, _: c.new_ignores("docs", {"ignore": ["foo"]}), {"ignore": ["foo"], "expanded": list}
    ),
    "new_ignores(ignores=)": row(lambda c, _: c.new_ignores("docs", ignores={"ignore": ["bar"]}), {"ignore": ["bar"]}),
    "new_ignores(folder, list)": row(lambda c, _: c.new_ignores("docs", ["a", "b"]), {"ignore": ["a", "b"]}),
    "new_ignores(folder, get_ignores(folder))": row(
        lambda c, _: (c.new_ignores("docs", ["foo"]), ignoring(c, c.get_ignores("docs")))[1], {"ignore": ["foo"]}
    ),
    "new_ignores(folder, no patterns)": row(
        lambda c, _: (c.new_ignores("docs", []), ignoring(c, c.get_ignores("docs")))[1], {"ignore": None}
    ),
    "get_need(folder)": row(lambda c, _: c.get_need("docs"), NOTHING_NEEDED),
    "need(folder)": row(lambda c, _: c.need("docs"), NOTHING_NEEDED),
    "assign_priority(folder, file)": row(lambda c, _: c.assign_priority("docs", "two.txt"), NOTHING_NEEDED),
    "assign_priority(filename=)": row(lambda c, _: c.assign_priority("docs", filename="two.txt"), NOTHING_NEEDED),
    "scan(folder)": row(lambda c, _: c.scan("docs"), COMPLETED),
    "scan(folder, False)": row(lambda c, _: c.scan("docs", False), COMPLETED),
    "scan(folder, subfolder)": row(lambda c, _: c.scan("docs", "kept"), COMPLETED),
    "scan(folder, subfolder=)": row(lambda c, _: c.scan("docs", subfolder="kept"), COMPLETED),
    "get_folder_status(folder)": row(
        lambda c, _: c.get_folder_status("docs"),
        COUNTS
        | {"state": "idle", "stateChanged": str, "needFiles": 0, "needBytes": 0, "inSyncFiles": 2, "inSyncBytes": int}
        | {"version": int, "invalid": "", "ignorePatterns": bool},
    ),
    "get_device_statistics()": row(lambda c, other: c.get_device_statistics()[other], {"lastSeen": str}),
    "get_folder_statistics()": row(
        lambda c, _: c.get_folder_statistics()["docs"]["lastFile"], {"filename": str, "at": str, "deleted": bool}
    ),
}


@pytest.fixture(scope="module")
def peers(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two connected nodes, used only in this module, that share a folder with two files."""
    directory = tmp_path_factory.mktemp("old")
    a, b = (SyncthingNode(name, directory / name / "home", binary) for name in ("alpha", "beta"))
    one = Pair("", a, b, directory / "a", directory / "b")
    for name in FILES:
        one.write(name)
    try:
        a.start()
        b.start()
        a.link(b)
        a.share("docs", directory / "a/docs", devices=[b])
        b.share("docs", directory / "b/docs", devices=[a])
        a.wait_for(lambda: b.is_idle("docs") and all((directory / "b/docs" / name).exists() for name in FILES))
        a.wait_for(lambda: a.request("GET", "/rest/db/completion", {"device": b.device_id})["completion"] == 100)
        yield one
    finally:
        a.stop()
        b.stop()


@pytest.mark.parametrize("name", ROWS)
def test_an_old_call_works(peers: Pair, connect: Connect, name: str) -> None:
    """Arguments and reply are those of the documentation of the old bindings."""
    client = connect(peers.a.url, peers.a.api_key)
    found = ROWS[name].call(client, peers.b.device_id)
    assert misfit(found, ROWS[name].right) == ""


def test_an_old_call_has_its_documented_effect(peers: Pair, connect: Connect) -> None:
    """An error is added, patterns are written unchanged, and a scan of a directory finds a file in it."""
    client: Any = connect(peers.a.url, peers.a.api_key)
    client.clear_errors()
    client.new_error("foo")
    assert ["foo" in one["message"] for one in client.get_errors()["errors"]] == [True]
    client.clear_errors()
    client.new_ignores("docs", {"ignore": ["foo"]})
    assert (peers.a_files / "docs/.stignore").read_text(encoding="utf-8") == "foo\n"
    client.new_ignores("docs", [])
    peers.write("kept/three.txt")
    client.scan("docs", subfolder="kept")
    assert client.get_file("docs", "kept/three.txt")["local"]["size"] == 7
    (peers.a_files / "docs/kept/three.txt").unlink()
    client.scan("docs")
    assert client.get_file("docs", "kept/three.txt")["local"]["deleted"] is True


def test_a_file_needs_its_folder(peers: Pair, connect: Connect) -> None:
    """Syncthing no longer finds a file by its name only, so the old call is refused before it is sent."""
    client: Any = connect(peers.a.url, peers.a.api_key)
    with pytest.raises(TypeError, match="file"):
        client.get_file("two.txt")


def test_the_process_is_restarted_reset_and_stopped(expendable: SyncthingNode, connect: Connect) -> None:
    """The reply of each call describes its effect."""
    client = connect(expendable.url, expendable.api_key)
    for call, right in ((client.restart, {"ok": "restarting"}), (client.reset, {"ok": "resetting database"})):
        started_at = client.get_status()["startTime"]
        assert call() == right
        client.wait_for_restart(started_at, 60)
    assert client.shutdown() == {"ok": "shutting down"}
    eventually(lambda: not expendable.running)


def can_upgrade(client: Any) -> bool:
    """Return whether this build can upgrade itself; builds of Linux distributions cannot."""
    try:
        client.get_upgrade()
    except Unsupported:
        return False
    return True


def test_upgrades_are_checked_and_installed(
    binary: str, tmp_path: Path, connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release server of this test offers the running version, so there is nothing to install."""
    monkeypatch.setattr(demo_node, "VARIABLES", {"STNODEFAULTFOLDER": "1"})  # without STNOUPGRADE
    one = SyncthingNode("upgradable", tmp_path / "home", binary)
    try:
        one.start()
        client: Any = connect(one.url, one.api_key)
        version = client.get_version()
        tag = version["version"]
        asset = {"name": f"syncthing-{version['os']}-{version['arch']}-{tag}.tar.gz", "url": "http://127.0.0.1:9/"}
        server = serve({"/releases": answers([{"tag_name": tag, "prerelease": True, "assets": [asset]}])})
        client.patch_config("options", {"releasesURL": f"{server.url}/releases", "upgradeToPreReleases": True})
        if can_upgrade(client):
            found = client.get_upgrade()
            assert (found["running"], found["latest"], found["newer"]) == (tag, tag, False)
            assert client.upgrade() == COMPLETED
            assert set(server.lines) == {"GET /releases"}
        else:
            with pytest.raises(Unsupported):
                client.upgrade()
            assert server.lines == []
    finally:
        one.stop()

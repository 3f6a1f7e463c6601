"""The real servers that the other tests use."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stbridge.demo import node as demo_node
from stbridge.demo.node import ServerPorts, SyncthingNode
from stbridge.errors import Failed
from tests.conftest import ODD_FOLDER, Pair
from tests.proxy import Proxy
from tests.servers import PATIENCE_S, Mosquitto, Subscriber, content_of, eventually

LOOPBACK = "0100007F"
LISTEN = "0A"
UNUSED_PORTS = range(32_000, 32_010)
"""Between the ports that the tests give to servers and those of outgoing connections."""


def target_of(link: Path) -> str:
    """Return the target of a link in /proc; nothing if it was closed meanwhile."""
    with suppress(OSError):
        return str(link.readlink())
    return ""


def processes_of(home: Path) -> list[Path]:
    """Return the folders in /proc of the processes that were started with this home directory."""
    mark = b"\0" + bytes(home) + b"\0"
    return [line.parent for line in Path("/proc").glob("[0-9]*/cmdline") if mark in content_of(line)]


def sockets_of(processes: list[Path]) -> set[str]:
    """Return the inodes of the sockets of these processes."""
    links = [target_of(file) for process in processes for file in (process / "fd").iterdir()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def local_addresses(inodes: set[str]) -> Iterator[str]:
    """Yield the address:port, as in /proc/net, of each TCP listener and UDP socket with one of these inodes."""
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in (Path("/proc/net") / table).read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if rest[5] in inodes and (table.startswith("udp") or state == LISTEN):
                yield local


def test_a_port_is_not_selected_again_before_its_server_has_started() -> None:
    """Another server would otherwise take it; after the whole range, ports without a server are free again."""
    ports = ServerPorts(UNUSED_PORTS)
    with socket.create_server(("127.0.0.1", UNUSED_PORTS[3])):
        others = sorted(ports.free() for _ in UNUSED_PORTS[1:])
        assert others == [*UNUSED_PORTS[:3], *UNUSED_PORTS[4:]]
        assert ports.free() in others


def test_every_version_starts_and_reports_its_version(node: SyncthingNode, syncthing_version: str) -> None:
    """The version in the manifest is the version that the server reports."""
    answer = node.request("GET", "/rest/system/version")
    assert answer["version"].removeprefix("v").startswith(syncthing_version)
    assert node.request("GET", "/rest/system/status")["myID"] == node.device_id


def test_a_node_has_no_devices_and_no_folders(node: SyncthingNode) -> None:
    """A new node is configured with only itself."""
    configuration = node.request("GET", "/rest/config")
    assert [device["name"] for device in configuration["devices"]] == [node.name]
    assert configuration["folders"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are looked up in /proc")
def test_a_node_listens_on_the_loopback_address_only(node: SyncthingNode) -> None:
    """No other machine can reach the servers of a test."""
    listening = set(local_addresses(sockets_of(processes_of(node.home))))
    assert listening == {f"{LOOPBACK}:{port:04X}" for port in (node.gui_port, node.sync_port)}


def test_a_node_contacts_no_other_machine(node: SyncthingNode) -> None:
    """Discovery, relays, NAT, STUN, reports and upgrades are off in the active configuration."""
    options = node.request("GET", "/rest/config/options")
    assert not any(
        options[name]
        for name in (
            "globalAnnounceEnabled",
            "localAnnounceEnabled",
            "relaysEnabled",
            "natEnabled",
            "crashReportingEnabled",
            "stunKeepaliveStartS",
            "autoUpgradeIntervalH",
        )
    )
    assert options["urAccepted"] == -1


def test_a_pair_syncs_a_file(pair: Pair) -> None:
    """A file that is written on one node arrives at the other."""
    pair.write("servers/hello.txt", b"hello")
    arrived = pair.b_files / "docs/servers/hello.txt"
    eventually(lambda: arrived.is_file() and arrived.read_bytes() == b"hello")


def test_a_pair_syncs_the_folder_with_the_odd_id(pair: Pair) -> None:
    """A folder ID with slash, space, plus, hash, percent and umlaut works like any other."""
    pair.write("servers.txt", b"odd", folder=ODD_FOLDER)
    arrived = pair.b_files / "odd/servers.txt"
    eventually(lambda: arrived.is_file() and arrived.read_bytes() == b"odd")
    assert pair.a.request("GET", "/rest/db/status", {"folder": ODD_FOLDER})["globalFiles"] >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_stopping_a_monitored_node_leaves_no_process(binary: str, tmp_path: Path) -> None:
    """The monitor and the Syncthing process under it both exit, and stopping twice does no harm."""
    one = SyncthingNode("one", tmp_path / "home", binary, monitor=True)
    try:
        one.start()
        assert len(processes_of(one.home)) == 2
    finally:
        one.stop()
    one.stop()
    eventually(lambda: processes_of(one.home) == [])


FIRST_THREAD_EXITS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("started", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_process_is_running_until_its_last_thread_has_exited() -> None:
    """A killed Syncthing locks its database until then, although /proc already shows it as a zombie."""
    arguments = [sys.executable, "-c", FIRST_THREAD_EXITS]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        status = Path(f"/proc/{process.pid}/status")
        eventually(lambda: "State:\tZ" in status.read_text(encoding="utf-8"))
        session = os.getsid(process.pid)
        assert process.pid in demo_node.other_processes(session)
        process.stdin.close()
        eventually(lambda: process.pid not in demo_node.other_processes(session))


def test_a_node_that_cannot_start_names_its_log(tmp_path: Path) -> None:
    """If Syncthing exits at its start, the error contains the path of its log."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.xml").write_text("<configuration><gui/></configuration>", encoding="utf-8")
    false = shutil.which("false")
    assert false is not None
    with pytest.raises(Failed, match=r"syncthing\.log"):
        SyncthingNode("one", home, false).start()


def test_a_missing_syncthing_is_reported_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message explains how to install Syncthing."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Failed, match="apt-get install syncthing"):
        demo_node.find_syncthing()


def test_a_restarted_broker_has_its_port_and_is_empty(broker: Mosquitto, subscriber: Subscriber) -> None:
    """A broker that is started again uses the same port, and has lost its retained messages."""
    subscriber.publish("kept", b"1", retain=True)
    port = broker.port
    broker.stop()
    broker.start()
    assert broker.port == port
    again = Subscriber(port)
    try:
        again.publish("fresh", b"2")
        again.wait_for(lambda message: message.topic == "fresh")
        assert "kept" not in again.latest()
    finally:
        again.close()


def test_a_killed_broker_can_be_started_again(new_broker: Callable[..., Mosquitto]) -> None:
    """A test can simulate a crash of the broker."""
    broker = new_broker().start()
    broker.kill()
    broker.start()
    Subscriber(broker.port).close()


def test_the_subscriber_sees_payload_topic_and_order(subscriber: Subscriber) -> None:
    """A plain client receives every message, in the order of publication."""
    for number in range(20):
        subscriber.publish("order", f'{{"number": {number}}}')
    assert subscriber.wait_for_json("order", lambda payload: payload["number"] == 19) == {"number": 19}
    assert [bytes(one.payload) for one in subscriber.messages if one.topic == "order"] == [
        b'{"number": %d}' % number for number in range(20)
    ]


def test_a_proxy_resets_a_connection_that_it_has_only_just_accepted(broker: Mosquitto) -> None:
    """Also while the proxy still connects to the server."""
    proxy = Proxy(broker.port).start()
    try:
        for connections in range(100):
            with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as client:
                while not proxy.more_than(connections):
                    pass
                proxy.reset()
                with suppress(ConnectionResetError):  # if the proxy has also closed its other side, it may be a FIN
                    assert client.recv(1) == b""
    finally:
        proxy.stop()

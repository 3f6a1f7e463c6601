"""Finding the Syncthing of this machine, without any configuration of the bridge."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import SettingsError
from stbridge.syncthing.locate import LocalSyncthing, find_local, places
from stbridge.syncthing.tls import OFF, SYSTEM
from tests.certificates import self_signed
from tests.syncthing.conftest import Connect, Serve
from tests.syncthing.server import says

XDG = {"XDG_CONFIG_HOME": "/xdg/config", "XDG_STATE_HOME": "/xdg/state"}
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the places differ")
USUAL = Path(".config/syncthing/config.xml")


def write(
    file: Path, *, address: str = "127.0.0.1:8384", key: str = "the-key", tls: str = "false", enabled: str = "true"
) -> Path:
    """Write a configuration as Syncthing does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    gui = f'<gui enabled="{enabled}" tls="{tls}"><address>{address}</address><apikey>{key}</apikey></gui>'
    file.write_text(f'<configuration version="37">{gui}</configuration>', encoding="utf-8")
    return file


def fault(home: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return what is said when none can be used."""
    with pytest.raises(SettingsError) as raised:
        find_local(environment or {}, home)
    assert len(raised.value.faults) == 1
    return raised.value.faults[0]


# --- where it may be


@LINUX_ONLY
@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, ["/home/ann/.config/syncthing", "/home/ann/.local/state/syncthing", "/var/syncthing/config"]),
        (XDG, ["/xdg/config/syncthing", "/home/ann/.config/syncthing", "/xdg/state/syncthing"]),
        ({"STHOMEDIR": "/st/home"}, ["/st/home", "/home/ann/.config/syncthing"]),
        ({"STCONFDIR": "/st/conf", "STHOMEDIR": "/st/home"}, ["/st/conf", "/st/home", "/home/ann/.config/syncthing"]),
    ],
)
def test_the_places_are_those_of_syncthing_itself(environment: Mapping[str, str], first: list[str]) -> None:
    """What is named in the environment comes first, then configuration, then state."""
    assert places(environment, Path("/home/ann"))[: len(first)] == [Path(place) / "config.xml" for place in first]


@pytest.mark.parametrize(
    ("platform", "environment", "looked"),
    [
        ("darwin", {}, ["/home/ann/Library/Application Support/Syncthing"]),
        ("win32", {"LOCALAPPDATA": "/local", "AppData": "/roaming"}, ["/local/Syncthing", "/roaming/Syncthing"]),
        ("win32", {}, []),
    ],
)
def test_other_systems_have_other_places(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: Mapping[str, str], looked: list[str]
) -> None:
    """Each system keeps configurations where it keeps them."""
    monkeypatch.setattr(sys, "platform", platform)
    assert places(environment, Path("/home/ann")) == [Path(place) / "config.xml" for place in looked]


def test_no_place_is_looked_at_twice() -> None:
    """A list of places that is shown to people has each one once."""
    looked = places({"XDG_CONFIG_HOME": "/home/ann/.config"}, Path("/home/ann"))
    assert len(set(looked)) == len(looked)


@LINUX_ONLY
@pytest.mark.parametrize("place", [".config/syncthing", ".local/state/syncthing"])
def test_a_configuration_is_found_wherever_a_version_keeps_it(tmp_path: Path, place: str) -> None:
    """Version 1 kept it in .config, later ones in .local/state."""
    write(tmp_path / place / "config.xml")
    assert find_local({}, tmp_path) == LocalSyncthing(url="http://127.0.0.1:8384", api_key="the-key", verify=SYSTEM)


def test_the_likelier_of_two_configurations_counts(tmp_path: Path) -> None:
    """An older one that was left behind does not."""
    write(tmp_path / USUAL, key="old")
    write(tmp_path / "named/config.xml", key="new")
    assert find_local({"STHOMEDIR": str(tmp_path / "named")}, tmp_path).api_key == "new"


# --- what it says


@LINUX_ONLY
@pytest.mark.parametrize(
    ("address", "tls", "url"),
    [
        ("127.0.0.1:8384", "false", "http://127.0.0.1:8384"),
        ("127.0.0.1:8384", "true", "https://127.0.0.1:8384"),
        ("192.168.1.2:80", "false", "http://192.168.1.2:80"),
        ("nas:9999", "true", "https://nas:9999"),
        ("127.0.0.1", "false", "http://127.0.0.1:8384"),
        ("0.0.0.0:8384", "false", "http://127.0.0.1:8384"),
        ("[::]:8384", "true", "https://127.0.0.1:8384"),
        (":8384", "false", "http://127.0.0.1:8384"),
        ("[::1]:8384", "false", "http://[::1]:8384"),
        ("http://127.0.0.1:1", "true", "http://127.0.0.1:1"),
        ("/run/syncthing.sock", "false", "unix:///run/syncthing.sock"),
        ("unix:///run/syncthing.sock", "false", "unix:///run/syncthing.sock"),
        ("/run/with space %20#?.sock", "false", "unix:///run/with%20space%20%2520%23%3F.sock"),
    ],
)
def test_the_address_of_the_gui_becomes_a_url(tmp_path: Path, address: str, tls: str, url: str) -> None:
    """Where it listens on everything it is met on this machine."""
    write(tmp_path / USUAL, address=address, tls=tls)
    assert find_local({}, tmp_path).url == url


@LINUX_ONLY
def test_the_certificate_beside_the_configuration_is_trusted(tmp_path: Path, serve: Serve, connect: Connect) -> None:
    """With TLS the one certificate that Syncthing has made for itself is accepted, and no other."""
    own = self_signed((tmp_path / USUAL).parent)
    server = serve({"/rest/system/ping": says({"ping": "pong"})}, context=own.context)
    write(tmp_path / USUAL, address=f"127.0.0.1:{server.port}", tls="true")
    found = find_local({}, tmp_path)
    assert found.verify == str(own.file)
    assert connect(found.url, found.api_key, verify=found.verify).get_ping() == {"ping": "pong"}


@LINUX_ONLY
def test_a_unix_socket_with_an_odd_path_is_reached(tmp_path: Path, serve: Serve, connect: Connect) -> None:
    """What was found is what the client understands."""
    path = tmp_path / "a b%20#.sock"
    serve({"/rest/system/ping": says({"ping": "pong"})}, path=path)
    write(tmp_path / USUAL, address=str(path))
    found = find_local({}, tmp_path)
    assert connect(found.url, found.api_key, verify=found.verify).get_ping() == {"ping": "pong"}


def test_the_key_is_not_shown() -> None:
    """What was found may be logged."""
    assert "the-key" not in repr(LocalSyncthing(url="http://nas", api_key="the-key", verify=OFF))


# --- the environment of Syncthing


@pytest.mark.parametrize(
    ("address", "url", "verify"),
    [
        ("127.0.0.1:1234", "http://127.0.0.1:1234", SYSTEM),
        ("0.0.0.0:8384", "http://127.0.0.1:8384", SYSTEM),
        ("https://127.0.0.1:1234", "https://127.0.0.1:1234", OFF),
        ("unix:///run/gui.sock", "unix:///run/gui.sock", SYSTEM),
    ],
)
def test_address_and_key_of_the_environment_are_enough(tmp_path: Path, address: str, url: str, verify: str) -> None:
    """STGUIADDRESS and STGUIAPIKEY are what Syncthing itself would go by; no file is needed then."""
    found = find_local({"STGUIADDRESS": address, "STGUIAPIKEY": "k"}, tmp_path)
    assert (found.url, found.api_key, found.verify) == (url, "k", verify)


@LINUX_ONLY
@pytest.mark.parametrize(
    ("environment", "url", "key"),
    [
        ({"STGUIADDRESS": "127.0.0.1:1234"}, "http://127.0.0.1:1234", "the-key"),
        ({"STGUIAPIKEY": "other"}, "http://127.0.0.1:8384", "other"),
    ],
)
def test_the_environment_beats_the_file(tmp_path: Path, environment: Mapping[str, str], url: str, key: str) -> None:
    """One of the two alone is completed from the file."""
    write(tmp_path / USUAL)
    found = find_local(environment, tmp_path)
    assert (found.url, found.api_key) == (url, key)


# --- when there is none


def test_where_none_is_found_the_places_and_the_cure_are_told(tmp_path: Path) -> None:
    """Whoever has Syncthing elsewhere can see where was looked, and what to set."""
    says = fault(tmp_path, {"STHOMEDIR": str(tmp_path / "named")})
    assert says.startswith("syncthing: no Syncthing instance is configured and none was found on this machine")
    assert str(tmp_path / "named/config.xml") in says
    assert says.endswith("set syncthing.NAME.url and syncthing.NAME.api_key")


@LINUX_ONLY
def test_a_place_that_may_not_be_looked_into_is_passed_over(tmp_path: Path) -> None:
    """The home of another user, or what is no directory at all, hides nothing that comes after it."""
    (tmp_path / "file").touch()
    too_long = tmp_path / ("x" * 300)
    write(tmp_path / USUAL)
    for place in (tmp_path / "file", too_long):
        assert find_local({"STHOMEDIR": str(place)}, tmp_path).api_key == "the-key"


@LINUX_ONLY
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "cannot read {file} (no element found"),
        ("<configuration>", "cannot read {file} (no element found"),
        ("<configuration/>", "the GUI is turned off in {file}, and the API with it"),
        ('<configuration><gui enabled="false"/></configuration>', "is turned off in {file}"),
        ("<configuration><gui><address>x</address></gui></configuration>", "{file} contains no API key"),
        ("<configuration><gui><apikey> </apikey></gui></configuration>", "{file} contains no API key"),
        (
            "<configuration><gui><address>nas:http</address><apikey>k</apikey></gui></configuration>",
            "the GUI address 'nas:http' cannot be used",
        ),
        (
            "<configuration><gui><address>[::1:80</address><apikey>k</apikey></gui></configuration>",
            "the GUI address '[::1:80' cannot be used",
        ),
    ],
)
def test_a_configuration_that_is_of_no_use_says_why(tmp_path: Path, content: str, says: str) -> None:
    """The file is named in one line, and never the key."""
    file = write(tmp_path / USUAL)
    file.write_text(content, encoding="utf-8")
    assert says.format(file=file) in fault(tmp_path)


@LINUX_ONLY
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A file that may not be read is no reason to look elsewhere."""
    file = tmp_path / USUAL
    file.parent.mkdir(parents=True)
    file.symlink_to("/proc/self/mem")  # fails to be read for everybody, the superuser included
    assert fault(tmp_path).startswith(f"syncthing: cannot read {file} (")


def test_an_address_of_the_environment_that_is_none_is_named(tmp_path: Path) -> None:
    """A slip in STGUIADDRESS is told as such."""
    assert "'nas:x' cannot be used" in fault(tmp_path, {"STGUIADDRESS": "nas:x", "STGUIAPIKEY": "k"})


# --- a real one


def test_a_real_syncthing_is_found_by_its_home(node: SyncthingNode, connect: Connect) -> None:
    """Each version writes what is read here."""
    found = find_local({"STHOMEDIR": str(node.home)}, Path("/nowhere"))
    assert connect(found.url, found.api_key, verify=found.verify).get_status()["myID"] == node.device_id


def test_a_real_syncthing_is_trusted_by_its_own_certificate(node: SyncthingNode, connect: Connect) -> None:
    """The certificate that each version makes for itself is accepted by its file, and is not by the system."""
    certificate = node.home / "https-cert.pem"
    client = connect(node.url.replace("http:", "https:"), node.api_key, verify=str(certificate))
    assert client.get_ping() == {"ping": "pong"}

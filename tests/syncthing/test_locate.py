"""Finding Syncthing on this machine without any configuration of the bridge."""

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
from tests.syncthing.server import answers

XDG = {"XDG_CONFIG_HOME": "/xdg/config", "XDG_STATE_HOME": "/xdg/state"}
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the places differ")
USUAL = Path(".config/syncthing/config.xml")


def write(
    file: Path, *, address: str = "127.0.0.1:8384", key: str = "the-key", tls: str = "false", enabled: str = "true"
) -> Path:
    """Write a configuration file like Syncthing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    gui = f'<gui enabled="{enabled}" tls="{tls}"><address>{address}</address><apikey>{key}</apikey></gui>'
    file.write_text(f'<configuration version="37">{gui}</configuration>', encoding="utf-8")
    return file


def fault(home: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return the message when no instance can be used."""
    with pytest.raises(SettingsError) as raised:
        find_local(environment or {}, home)
    assert len(raised.value.faults) == 1
    return raised.value.faults[0]


# --- locations


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
def test_the_locations_are_those_of_syncthing(environment: Mapping[str, str], first: list[str]) -> None:
    """Locations from the environment come first, then the configuration directory, then the state directory."""
    assert places(environment, Path("/home/ann"))[: len(first)] == [Path(place) / "config.xml" for place in first]


@pytest.mark.parametrize(
    ("platform", "environment", "looked"),
    [
        ("darwin", {}, ["/home/ann/Library/Application Support/Syncthing"]),
        ("win32", {"LOCALAPPDATA": "/local", "AppData": "/roaming"}, ["/local/Syncthing", "/roaming/Syncthing"]),
        ("win32", {}, []),
    ],
)
def test_other_systems_have_other_locations(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: Mapping[str, str], looked: list[str]
) -> None:
    """The locations depend on the operating system."""
    monkeypatch.setattr(sys, "platform", platform)
    assert places(environment, Path("/home/ann")) == [Path(place) / "config.xml" for place in looked]


def test_no_location_is_listed_twice() -> None:
    """The list is shown to users."""
    looked = places({"XDG_CONFIG_HOME": "/home/ann/.config"}, Path("/home/ann"))
    assert len(set(looked)) == len(looked)


@LINUX_ONLY
@pytest.mark.parametrize("place", [".config/syncthing", ".local/state/syncthing"])
def test_a_configuration_is_found_at_the_location_of_each_version(tmp_path: Path, place: str) -> None:
    """Version 1 used .config, later versions use .local/state."""
    write(tmp_path / place / "config.xml")
    assert find_local({}, tmp_path) == LocalSyncthing(url="http://127.0.0.1:8384", api_key="the-key", verify=SYSTEM)


def test_the_first_of_two_configurations_is_used(tmp_path: Path) -> None:
    """An older configuration file that was left behind is ignored."""
    write(tmp_path / USUAL, key="old")
    write(tmp_path / "named/config.xml", key="new")
    assert find_local({"STHOMEDIR": str(tmp_path / "named")}, tmp_path).api_key == "new"


# --- contents of the configuration


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
    """If the GUI listens on all addresses, the URL uses loopback."""
    write(tmp_path / USUAL, address=address, tls=tls)
    assert find_local({}, tmp_path).url == url


@LINUX_ONLY
def test_the_certificate_next_to_the_configuration_is_trusted(tmp_path: Path, serve: Serve, connect: Connect) -> None:
    """With TLS, only the certificate that Syncthing created for itself is accepted."""
    own = self_signed((tmp_path / USUAL).parent)
    server = serve({"/rest/system/ping": answers({"ping": "pong"})}, context=own.context)
    write(tmp_path / USUAL, address=f"127.0.0.1:{server.port}", tls="true")
    found = find_local({}, tmp_path)
    assert found.verify == str(own.file)
    assert connect(found.url, found.api_key, verify=found.verify).get_ping() == {"ping": "pong"}


@LINUX_ONLY
def test_a_unix_socket_with_an_odd_path_is_reached(tmp_path: Path, serve: Serve, connect: Connect) -> None:
    """The client understands the URL that was found."""
    path = tmp_path / "a b%20#.sock"
    serve({"/rest/system/ping": answers({"ping": "pong"})}, path=path)
    write(tmp_path / USUAL, address=str(path))
    found = find_local({}, tmp_path)
    assert connect(found.url, found.api_key, verify=found.verify).get_ping() == {"ping": "pong"}


def test_the_key_is_not_shown() -> None:
    """The result may be logged."""
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
def test_address_and_key_from_the_environment_are_sufficient(
    tmp_path: Path, address: str, url: str, verify: str
) -> None:
    """Syncthing itself uses STGUIADDRESS and STGUIAPIKEY. With both, no file is needed."""
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
def test_the_environment_overrides_the_file(tmp_path: Path, environment: Mapping[str, str], url: str, key: str) -> None:
    """If only one of the two is set, the other comes from the file."""
    write(tmp_path / USUAL)
    found = find_local(environment, tmp_path)
    assert (found.url, found.api_key) == (url, key)


# --- errors


def test_without_a_configuration_the_locations_and_the_fix_are_shown(tmp_path: Path) -> None:
    """Users with Syncthing elsewhere see which locations were checked and which settings they need."""
    message = fault(tmp_path, {"STHOMEDIR": str(tmp_path / "named")})
    assert message.startswith("syncthing: no Syncthing instance is configured and none was found on this machine")
    assert str(tmp_path / "named/config.xml") in message
    assert message.endswith("set syncthing.NAME.url and syncthing.NAME.api_key")


@LINUX_ONLY
def test_an_inaccessible_location_is_skipped(tmp_path: Path) -> None:
    """The home of another user, or a path that is not a directory, must not hide later locations."""
    (tmp_path / "file").touch()
    too_long = tmp_path / ("x" * 300)
    write(tmp_path / USUAL)
    for place in (tmp_path / "file", too_long):
        assert find_local({"STHOMEDIR": str(place)}, tmp_path).api_key == "the-key"


@LINUX_ONLY
@pytest.mark.parametrize(
    ("content", "message"),
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
def test_an_unusable_configuration_is_reported_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    """One line contains the path of the file, and never the key."""
    file = write(tmp_path / USUAL)
    file.write_text(content, encoding="utf-8")
    assert message.format(file=file) in fault(tmp_path)


@LINUX_ONLY
def test_an_unreadable_configuration_is_reported(tmp_path: Path) -> None:
    """An unreadable file must not make the bridge use another location."""
    file = tmp_path / USUAL
    file.parent.mkdir(parents=True)
    file.symlink_to("/proc/self/mem")  # reading it fails for every user, including root
    assert fault(tmp_path).startswith(f"syncthing: cannot read {file} (")


def test_an_invalid_address_in_the_environment_is_reported(tmp_path: Path) -> None:
    """A typing error in STGUIADDRESS is shown."""
    assert "'nas:x' cannot be used" in fault(tmp_path, {"STGUIADDRESS": "nas:x", "STGUIAPIKEY": "k"})


# --- real instances


def test_a_real_syncthing_is_found_by_its_home(node: SyncthingNode, connect: Connect) -> None:
    """Every version writes the files that are read here."""
    found = find_local({"STHOMEDIR": str(node.home)}, Path("/nowhere"))
    assert connect(found.url, found.api_key, verify=found.verify).get_status()["myID"] == node.device_id


def test_a_real_syncthing_is_trusted_by_its_own_certificate(node: SyncthingNode, connect: Connect) -> None:
    """Every version creates a certificate that its file verifies and the system does not."""
    certificate = node.home / "https-cert.pem"
    client = connect(node.url.replace("http:", "https:"), node.api_key, verify=str(certificate))
    assert client.get_ping() == {"ping": "pong"}

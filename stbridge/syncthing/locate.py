"""Finds the Syncthing instance of this machine, for a bridge without any configuration."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from stbridge.errors import SettingsError
from stbridge.syncthing.tls import OFF, SYSTEM

CONFIG = "config.xml"
CERTIFICATE = "https-cert.pem"
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - addresses that Syncthing listens on, not the bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSyncthing:
    """The settings for the local Syncthing instance."""

    url: str
    api_key: str = field(repr=False)
    verify: str


def places(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Return the directories that may contain a `config.xml`, the most likely first.

    Up to 1.26 it is in the configuration directory, and since 1.27 possibly in the state directory. The Docker image
    and Debian's system-wide user use other directories.
    """
    named = [environment[name] for name in ("STCONFDIR", "STHOMEDIR") if environment.get(name)]
    if sys.platform == "darwin":
        usual = [home / "Library/Application Support/Syncthing"]
    elif sys.platform == "win32":
        usual = [Path(environment[name]) / "Syncthing" for name in ("LOCALAPPDATA", "AppData") if name in environment]
    else:
        usual = [
            Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "syncthing",
            home / ".config/syncthing",
            Path(environment.get("XDG_STATE_HOME") or home / ".local/state") / "syncthing",
            home / ".local/state/syncthing",
            Path("/var/syncthing/config"),
            Path("/var/lib/syncthing/.config/syncthing"),
            Path("/var/lib/syncthing/.local/state/syncthing"),
        ]
    return [directory / CONFIG for directory in dict.fromkeys([*map(Path, named), *usual])]


def find_local(environment: Mapping[str, str], home: Path) -> LocalSyncthing:
    """Return the settings for the local Syncthing instance.

    Args:
        environment: STGUIADDRESS and STGUIAPIKEY take precedence, as for Syncthing itself.
        home: the home directory.

    Raises:
        SettingsError: no instance is found, or its configuration cannot be read.
    """
    address, api_key = environment.get("STGUIADDRESS"), environment.get("STGUIAPIKEY")
    if address and api_key:
        url = _url(address, tls=False)
        return LocalSyncthing(url=url, api_key=api_key, verify=OFF if url.startswith("https") else SYSTEM)
    looked = places(environment, home)
    file = next((file for file in looked if _is_file(file)), None)
    if file is None:
        fault = f"no Syncthing instance is configured and none was found on this machine (looked for {_listed(looked)})"
        raise SettingsError([f"syncthing: {fault}; set syncthing.NAME.url and syncthing.NAME.api_key"])
    return _from_config(file, address, api_key)


def _listed(files: list[Path]) -> str:
    return ", ".join(map(str, files))


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # no permission for the directory
        return False


def _from_config(file: Path, address: str | None, api_key: str | None) -> LocalSyncthing:
    try:
        gui = ElementTree.parse(file).getroot().find("gui")  # noqa: S314 - Syncthing's own file
    except (OSError, ElementTree.ParseError) as error:
        raise SettingsError([f"syncthing: cannot read {file} ({error})"]) from error
    if gui is None or gui.get("enabled") == "false":
        raise SettingsError([f"syncthing: the GUI is turned off in {file}, and the API with it"])
    key = api_key or (gui.findtext("apikey") or "").strip()
    if not key:
        raise SettingsError([f"syncthing: {file} contains no API key"])
    url = _url(address or (gui.findtext("address") or "").strip(), tls=gui.get("tls") == "true")
    certificate = file.parent / CERTIFICATE
    verify = str(certificate) if url.startswith("https:") and _is_file(certificate) else SYSTEM
    return LocalSyncthing(url=url, api_key=key, verify=verify)


def _url(address: str, *, tls: bool) -> str:
    """Return the URL for a GUI address: `host:port`, a URL, or the path of a unix socket."""
    if address.startswith("/"):
        return f"unix://{quote(address)}"
    if address.startswith(("unix:", "unixs:")):
        return f"unix:{address.partition(':')[2]}"
    try:
        parts = urlsplit(address if "://" in address else f"{'https' if tls else 'http'}://{address}")
        host, port = parts.hostname or "", parts.port or 8384
    except ValueError as error:
        raise SettingsError([f"syncthing: the GUI address {address!r} cannot be used ({error})"]) from error
    host = "127.0.0.1" if host in EVERYWHERE else host
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}"

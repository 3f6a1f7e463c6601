"""The commands that accept or dismiss what waits in `pending`."""

from collections.abc import Mapping, Sequence
from typing import Any

from stbridge.core.envelope import CommandError
from stbridge.errors import NotFound
from stbridge.syncthing import SyncthingClient

Arguments = Mapping[str, Any]

_UNFIT_FOR_A_PATH = frozenset('/\\:*?"<>|')


def accept_device(client: SyncthingClient, arguments: Arguments) -> Any:
    """Add a device that asked to connect; it may connect from whatever address it has.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses it.
    """
    device = arguments["device"]
    offered = client.get_pending_devices().get(device)
    if offered is None:
        raise NotFound(f"no device {device!r} waits to be accepted")
    config = {"deviceID": device, "name": arguments.get("name") or offered.get("name") or ""}
    client.add_device({**config, "addresses": ["dynamic"]})
    return config


def dismiss_device(client: SyncthingClient, arguments: Arguments) -> None:
    """Forget a device that asked to connect.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses it.
    """
    client.dismiss_pending_device(arguments["device"])


def dismiss_folder(client: SyncthingClient, arguments: Arguments) -> None:
    """Forget a folder that is offered.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses it.
    """
    client.dismiss_pending_folder(arguments["folder"], arguments.get("device"))


def accept_folder(client: SyncthingClient, arguments: Arguments) -> Any:
    """Share a folder with the devices that offer it, and add it if it is not here yet.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses it.
        CommandError: no path can be made of its label.
    """
    folder = arguments["folder"]
    offers = _offers(client, folder, arguments.get("device"))
    existing = next((one for one in client.get_config()["folders"] or () if one["id"] == folder), None)
    if existing is not None:
        shared = {one["deviceID"] for one in existing["devices"]}
        added = [{"deviceID": device} for device in offers if device not in shared]
        client.patch_folder(folder, {"devices": [*existing["devices"], *added]})
        return {"id": folder, "path": existing["path"]}
    config = _new_folder(client, arguments, list(offers.values()))
    client.add_folder({**config, "devices": [{"deviceID": device} for device in offers]})
    return config


def _offers(client: SyncthingClient, folder: str, device: str | None) -> Mapping[str, Any]:
    offers = (client.get_pending_folders().get(folder) or {}).get("offeredBy") or {}
    found = {one: offer for one, offer in offers.items() if device in (None, one)}
    if not found:
        raise NotFound(f"no folder {folder!r} waits to be accepted")
    return found


def _new_folder(client: SyncthingClient, arguments: Arguments, offers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    folder = arguments["folder"]
    label = arguments.get("label") or next((offer["label"] for offer in offers if offer.get("label")), "")
    # `receiveEncrypted` came with 1.18: the others only trust this machine with what it cannot read
    usual = "receiveencrypted" if any(offer.get("receiveEncrypted") for offer in offers) else "sendreceive"
    return {
        "id": folder,
        "label": label,
        "path": arguments.get("path") or _default_path(client, label or folder),
        "type": arguments.get("type") or usual,
    }


def _default_path(client: SyncthingClient, name: str) -> str:
    """Return where Syncthing's own GUI would suggest to keep a folder: below the default path, by its label."""
    if set(name) & _UNFIT_FOR_A_PATH or name.startswith(".") or not name.isprintable():
        raise CommandError("invalid_arguments", f"no path can be made of {name!r}: give path")
    separator = client.get_status().get("pathSeparator") or "/"
    default: str = client.get_folder_defaults().get("path") or "~"
    return f"{default.rstrip(separator)}{separator}{name}"

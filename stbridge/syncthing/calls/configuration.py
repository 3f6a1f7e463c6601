"""Calls about Syncthing's configuration."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stbridge.errors import NotFound, Rejected
from stbridge.syncthing.calls.base import Calls, Completed, Json


def _is_level(identifier: str) -> bool:
    """Return whether an ID can be one level of the path of a URL."""
    return "/" not in identifier and identifier not in ("", ".", "..")


class ConfigurationCalls(Calls):
    """The configuration."""

    def get_config(self) -> Json:
        """Return the configuration with all its secrets (GET /rest/config).

        Returns:
            `folders`, `devices`, `gui`, `ldap`, `options`, `defaults`, `remoteIgnoredDevices` and `version`.

        Example:
            >>> [folder["id"] for folder in client.get_config()["folders"]]
            ['photos']
        """
        return self._get("config")

    def new_config(self, config: Mapping[str, Any]) -> Completed:
        """Replace the whole configuration (PUT /rest/config).

        Args:
            config: the new configuration, in the form that `get_config` returns. Missing keys get their default values:
                without `gui` Syncthing gets another API key.

        Raises:
            Rejected: Syncthing does not accept the configuration; nothing is changed.

        Example:
            >>> config = client.get_config()
            >>> config["options"]["maxSendKbps"] = 500
            >>> client.new_config(config)
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("PUT", "config", body=config)

    def get_config_part(self, part: str) -> Json:
        """Return a part of the configuration (GET /rest/config/PART).

        Args:
            part: `options`, `gui`, `ldap`, `defaults/folder`, `defaults/device` or `defaults/ignores`.

        Returns:
            Its keys. `gui` contains the API key and the hash of the password.

        Raises:
            Unsupported: there is no such part.

        Example:
            >>> client.get_config_part("options")["maxSendKbps"]
            0
        """
        return self._get(f"config/{part}")

    def new_config_part(self, part: str, config: Mapping[str, Any]) -> Completed:
        """Replace a part of the configuration (PUT /rest/config/PART).

        Args:
            part: `options`, `gui`, `ldap`, `defaults/folder`, `defaults/device` or `defaults/ignores`.
            config: the new part, in the form that `get_config_part` returns. Missing keys get their default values:
                `gui` without `apiKey` changes the API key.

        Raises:
            Rejected: Syncthing does not accept it; nothing is changed.
            Unsupported: there is no such part.

        Example:
            >>> client.new_config_part("defaults/ignores", {"lines": ["*.tmp"]})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("PUT", f"config/{part}", body=config)

    def patch_config(self, part: str, changes: Mapping[str, Any]) -> Completed:
        """Change keys of a part of the configuration (PATCH /rest/config/PART).

        Args:
            part: `options`, `gui`, `ldap`, `defaults/folder` or `defaults/device`.
            changes: the keys to change; a list replaces the old list. Syncthing ignores keys that it does not know.

        Raises:
            Rejected: Syncthing does not accept it; nothing is changed.
            Unsupported: there is no such part.

        Example:
            >>> client.patch_config("options", {"maxSendKbps": 500})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("PATCH", f"config/{part}", body=changes)

    def set_limits(self, send_kbps: int | None = None, recv_kbps: int | None = None) -> Completed:
        """Limit the rates of all connections together (PATCH /rest/config/options).

        Args:
            send_kbps: KiB per second that are sent, 0 for unlimited; None does not change the limit.
            recv_kbps: the same for what is received.

        Example:
            >>> client.set_limits(send_kbps=500)
            {'code': 200, 'message': 'Completed successfully'}
        """
        limits = {"maxSendKbps": send_kbps, "maxRecvKbps": recv_kbps}
        return self.patch_config("options", {key: limit for key, limit in limits.items() if limit is not None})

    def add_folder(self, config: Mapping[str, Any]) -> Completed:
        """Add a folder, or replace the one with the same ID (POST /rest/config/folders).

        Args:
            config: `id`, `path` and more; missing keys get Syncthing's default values, not those of
                `get_folder_defaults`.

        Raises:
            Rejected: Syncthing does not accept it, for example without an ID; nothing is changed.

        Example:
            >>> client.add_folder({"id": "photos", "path": "~/Photos", "devices": [{"deviceID": laptop}]})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "config/folders", body=config)

    def patch_folder(self, folder: str, changes: Mapping[str, Any]) -> Completed:
        """Change keys of a folder (PATCH /rest/config/folders/ID).

        Some IDs cannot be part of a path: 1.19 splits an ID at a slash, quoted or not, and every HTTP client
        removes the levels `.` and `..`. Such a folder is read from the list and replaced as a whole
        (POST /rest/config/folders).

        Args:
            folder: ID of the folder.
            changes: the keys to change; a list replaces the old list. Syncthing ignores keys that it does not know.

        Raises:
            NotFound: there is no such folder.
            Rejected: Syncthing does not accept the change.

        Example:
            >>> client.patch_folder("photos", {"label": "Photos"})
            {'code': 200, 'message': 'Completed successfully'}
        """
        if _is_level(folder):
            return self._done("PATCH", f"config/folders/{quote(folder, safe='')}", body=changes)
        folders = self._get_list("config/folders")
        config = next((one for one in folders if isinstance(one, dict) and one.get("id") == folder), None)
        if config is None:
            raise NotFound(f"there is no folder {folder!r}")
        return self.add_folder({**config, **changes})

    def remove_folder(self, folder: str) -> Completed:
        """Remove a folder from Syncthing; its files stay (DELETE /rest/config/folders/ID).

        Nothing happens if there is no such folder. If the ID cannot be part of a path (see `patch_folder`), the
        configuration is read and replaced by one without the folder (PUT /rest/config).

        Args:
            folder: ID of the folder.

        Example:
            >>> client.remove_folder("photos")
            {'code': 200, 'message': 'Completed successfully'}
        """
        if _is_level(folder):
            return self._done("DELETE", f"config/folders/{quote(folder, safe='')}")
        config = self.get_config()
        others = [one for one in config["folders"] or () if one["id"] != folder]
        # not PUT /rest/config/folders: that adds and changes the folders in its list, but removes none (1.19 to 2.1)
        return self.new_config({**config, "folders": others})

    def add_device(self, config: Mapping[str, Any]) -> Completed:
        """Add a device, or replace the one with the same ID (POST /rest/config/devices).

        Args:
            config: `deviceID`, `name` and more; missing keys get Syncthing's default values, not those of
                `get_device_defaults`.

        Raises:
            Rejected: Syncthing does not accept it, for example because of the device ID; nothing is changed.

        Example:
            >>> client.add_device({"deviceID": laptop, "name": "laptop"})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "config/devices", body=config)

    def patch_device(self, device: str, changes: Mapping[str, Any]) -> Completed:
        """Change keys of a device (PATCH /rest/config/devices/ID).

        Args:
            device: ID of the device.
            changes: the keys to change; a list replaces the old list. Syncthing ignores keys that it does not know.

        Raises:
            NotFound: there is no such device.
            Rejected: it is not a device ID, or Syncthing does not accept the change.

        Example:
            >>> client.patch_device(laptop, {"name": "laptop"})
            {'code': 200, 'message': 'Completed successfully'}
        """
        if not _is_level(device):
            raise NotFound(f"there is no device {device!r}")
        return self._done("PATCH", f"config/devices/{quote(device, safe='')}", body=changes)

    def remove_device(self, device: str) -> Completed:
        """Remove a device from Syncthing (DELETE /rest/config/devices/ID).

        Nothing happens if there is no such device.

        Args:
            device: ID of the device.

        Raises:
            Rejected: it is not a device ID.

        Example:
            >>> client.remove_device(laptop)
            {'code': 200, 'message': 'Completed successfully'}
        """
        if not _is_level(device):
            raise Rejected(f"{device!r} is not a device ID")
        return self._done("DELETE", f"config/devices/{quote(device, safe='')}")

    def get_folder_defaults(self) -> Json:
        """Return the defaults of new folders (GET /rest/config/defaults/folder).

        Returns:
            The keys of a folder in the configuration.

        Example:
            >>> client.get_folder_defaults()["rescanIntervalS"]
            3600
        """
        return self.get_config_part("defaults/folder")

    def get_device_defaults(self) -> Json:
        """Return the defaults of new devices (GET /rest/config/defaults/device).

        Returns:
            The keys of a device in the configuration.

        Example:
            >>> client.get_device_defaults()["addresses"]
            ['dynamic']
        """
        return self.get_config_part("defaults/device")

    def new_default_ignores(self, defaults: Mapping[str, Any]) -> Completed:
        """Replace the ignore patterns of new folders (PUT /rest/config/defaults/ignores, since 1.19).

        Args:
            defaults: `lines`, the list of patterns.

        Example:
            >>> client.new_default_ignores({"lines": ["*.tmp"]})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self.new_config_part("defaults/ignores", defaults)

    def get_insync(self) -> Json:
        """Return whether the running configuration equals the saved one (GET /rest/config/insync).

        Returns:
            `configInSync`; false if a change requires a restart.

        Example:
            >>> client.get_insync()
            {'configInSync': True}
        """
        return self._get("config/insync")

    def get_restart_required(self) -> Json:
        """Return whether a change of the configuration requires a restart (GET /rest/config/restart-required).

        Returns:
            `requiresRestart`.

        Example:
            >>> client.get_restart_required()
            {'requiresRestart': False}
        """
        return self._get("config/restart-required")

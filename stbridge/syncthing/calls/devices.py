"""Calls about remote devices, and about pending devices and folders."""

from stbridge.syncthing.calls.base import Calls, Completed, Json


class DeviceCalls(Calls):
    """Devices."""

    def get_connections(self) -> Json:
        """Return the connections to devices, with their byte counters (GET /rest/system/connections).

        Returns:
            `connections`, by device ID: `connected`, `paused`, `address`, `type`, `clientVersion`, `at`, `inBytesTotal`
            and `outBytesTotal` in bytes since the device connected, and more; up to 1.24 this device is included.
            `total`: `at`, `inBytesTotal` and `outBytesTotal` since Syncthing started.

        Example:
            >>> client.get_connections()["connections"][laptop]["connected"]
            True
        """
        return self._get("system/connections")

    def get_discovery(self) -> Json:
        """Return the addresses of devices that discovery has found (GET /rest/system/discovery).

        Returns:
            `addresses`, a list, by device ID.

        Example:
            >>> client.get_discovery()
            {}
        """
        return self._get("system/discovery")

    def get_device_statistics(self) -> Json:
        """Return when each device was last seen (GET /rest/stats/device).

        Returns:
            `lastSeen` and `lastConnectionDurationS` (seconds), by device ID; 1970 stands for never. This device is
            included.

        Example:
            >>> client.get_device_statistics()[laptop]["lastSeen"]
            '2026-11-23T20:14:05Z'
        """
        return self._get("stats/device")

    def pause_device(self, device: str | None = None) -> Completed:
        """Pause a device, or all of them (POST /rest/system/pause).

        Args:
            device: ID of the device; None for all devices.

        Raises:
            NotFound: there is no such device.
            Rejected: it is not a device ID.

        Example:
            >>> client.pause_device(laptop)
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "system/pause", device=device)

    def resume_device(self, device: str | None = None) -> Completed:
        """Resume a device, or all of them (POST /rest/system/resume).

        Args:
            device: ID of the device; None for all devices.

        Raises:
            NotFound: there is no such device.
            Rejected: it is not a device ID.

        Example:
            >>> client.resume_device(laptop)
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "system/resume", device=device)

    def get_pending_devices(self) -> Json:
        """Return unknown devices that have tried to connect (GET /rest/cluster/pending/devices).

        Returns:
            `time`, `name` and `address`, by device ID.

        Example:
            >>> client.get_pending_devices()
            {}
        """
        return self._get("cluster/pending/devices")

    def get_pending_folders(self, device: str | None = None) -> Json:
        """Return unknown folders that devices offer (GET /rest/cluster/pending/folders).

        Args:
            device: ID of the device whose offers to return; None for all devices.

        Returns:
            `offeredBy`, by folder ID; in it `time`, `label` and more, by device ID.

        Raises:
            Rejected: it is not a device ID.

        Example:
            >>> client.get_pending_folders(laptop)
            {}
        """
        return self._get("cluster/pending/folders", device=device)

    def dismiss_pending_device(self, device: str) -> Completed:
        """Dismiss a pending device until it connects again (DELETE /rest/cluster/pending/devices, since 1.18).

        Nothing happens if the device is not pending.

        Args:
            device: ID of the device.

        Raises:
            Rejected: it is not a device ID.

        Example:
            >>> client.dismiss_pending_device(laptop)
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("DELETE", "cluster/pending/devices", device=device)

    def dismiss_pending_folder(self, folder: str, device: str | None = None) -> Completed:
        """Dismiss a pending folder until it is offered again (DELETE /rest/cluster/pending/folders, since 1.18).

        Nothing happens if the folder is not pending.

        Args:
            folder: ID of the folder.
            device: ID of the device that offers it; None for all devices.

        Raises:
            Rejected: it is not a device ID.

        Example:
            >>> client.dismiss_pending_folder("photos", laptop)
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("DELETE", "cluster/pending/folders", folder=folder, device=device)

"""A client for Syncthing's REST API; useful by itself, without MQTT.

It works with Syncthing 1.19 and later, 2.x included. Methods return its JSON (docs.syncthing.net/dev/rest.html).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from stbridge.errors import BadReply, NotFound
from stbridge.syncthing.tls import default_verify
from stbridge.syncthing.transport import LARGEST_ANSWER, Transport

Json = dict[str, Any]

SLOW_S = 30.0
"""Timeout in seconds of calls that take longer: they ask a server on the Internet, or concern a whole folder."""

EXTRA_S = 10.0
"""Seconds by which the timeout of a long poll exceeds the poll itself."""


class SyncthingClient:
    """A client for one Syncthing instance.

    Every method raises an error of `stbridge.errors.SyncthingError`: SyncthingUnavailable if Syncthing cannot be used
    now (unreachable, starting, unauthorized ...), CallFailed if only this call failed. Calls that are safe to repeat
    are tried again for about two seconds; others only if Syncthing cannot have received them.

    Args:
        api_key: from Syncthing's settings.
        api_url: `http://...`, `https://...` or `unix:///path` of its GUI.
        verify: how its certificate is checked: `system`, the path of a certificate or authority,
            `sha256:<fingerprint>` or `off`. By default `off` for loopback addresses, which nobody can intercept, and
            `system` for others.
        timeout_s: seconds to wait for an answer, all attempts together.
        largest_answer: the size of the largest answer that is accepted, in bytes.
    """

    def __init__(
        self,
        api_key: str,
        api_url: str = "https://127.0.0.1:8384",
        *,
        verify: str | None = None,
        timeout_s: float = 10.0,
        largest_answer: int = LARGEST_ANSWER,
    ) -> None:
        self.url = api_url
        self._transport = Transport(
            api_key, api_url, verify or default_verify(api_url), timeout_s, largest_answer=largest_answer
        )

    def __repr__(self) -> str:
        return f"SyncthingClient({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls that are under way or wait for another attempt fail."""
        self._transport.close()

    def break_off(self) -> None:
        """Break the connections; calls that are under way fail as if the network had done it."""
        self._transport.break_off()

    def _get(self, path: str, timeout_s: float | None = None, **parameters: Any) -> Json:
        return self._object("GET", path, timeout_s=timeout_s, **parameters)

    def _get_list(self, path: str, timeout_s: float | None = None, **parameters: Any) -> list[Any]:
        found = self._call("GET", path, timeout_s=timeout_s, **parameters)
        if not isinstance(found, list | None):
            raise self._wrong_shape("GET", path, found, "an array")
        return found or []

    def _post(self, path: str, body: Any = None, timeout_s: float | None = None, **parameters: Any) -> Any:
        return self._call("POST", path, body=body, timeout_s=timeout_s, **parameters)

    def _object(self, method: str, path: str, **arguments: Any) -> Json:
        found = self._call(method, path, **arguments)
        if not isinstance(found, dict):
            raise self._wrong_shape(method, path, found, "an object")
        return found

    def _call(self, method: str, path: str, body: Any = None, timeout_s: float | None = None, **parameters: Any) -> Any:
        return self._transport.call(method, f"/rest/{path}", parameters=parameters, body=body, timeout_s=timeout_s)

    def _wrong_shape(self, method: str, path: str, found: object, expected: str) -> BadReply:
        kind = {dict: "an object", list: "an array", type(None): "empty"}.get(type(found), "a plain value")
        return BadReply(f"url: the answer of {self.url} to {method} /rest/{path} is {kind} instead of {expected}")

    # --- the process

    def get_ping(self) -> Json:
        """Check that Syncthing answers (GET /rest/system/ping)."""
        return self._get("system/ping")

    def get_health(self) -> Json:
        """Check that Syncthing answers, without a key (GET /rest/noauth/health, since 1.22.1)."""
        return self._get("noauth/health")

    def get_version(self) -> Json:
        """Return version, operating system and architecture (GET /rest/system/version)."""
        return self._get("system/version")

    def get_status(self) -> Json:
        """Return the state of the process (GET /rest/system/status)."""
        return self._get("system/status")

    def get_paths(self) -> Json:
        """Return where Syncthing keeps its files (GET /rest/system/paths, since 1.21)."""
        return self._get("system/paths")

    def restart(self) -> Json:
        """Restart Syncthing (POST /rest/system/restart); its monitor or service manager starts it again."""
        return self._object("POST", "system/restart")

    def wait_for_restart(self, started_at: str, timeout_s: float) -> None:
        """Wait until a new process answers.

        Args:
            started_at: the `startTime` of GET /rest/system/status before the restart.
            timeout_s: seconds to wait.

        Raises:
            TimedOut: there is none in time.
        """
        self._transport.wait_until(lambda: self.get_status().get("startTime", started_at) != started_at, timeout_s)

    def shutdown(self) -> Json:
        """Stop Syncthing (POST /rest/system/shutdown)."""
        return self._object("POST", "system/shutdown")

    def reset(self, folder: str | None = None) -> Json:
        """Delete the index of one folder or of all, and restart (POST /rest/system/reset); they must be paused."""
        return self._object("POST", "system/reset", folder=folder)

    def check_upgrade(self) -> Json:
        """Ask whether there is a newer version (GET /rest/system/upgrade); that asks a server on the Internet."""
        return self._get("system/upgrade", timeout_s=SLOW_S)

    def upgrade(self) -> Json | None:
        """Upgrade and restart (POST /rest/system/upgrade); may take minutes, None if there is nothing newer."""
        result: Json | None = self._post("system/upgrade", timeout_s=600)
        return result

    # --- errors

    def get_errors(self) -> Json:
        """Return Syncthing's error list (GET /rest/system/error); `errors` is null without any."""
        return self._get("system/error")

    def new_error(self, message: str) -> None:
        """Add an entry to the error list (POST /rest/system/error)."""
        self._transport.call("POST", "/rest/system/error", text=message)

    def clear_errors(self) -> None:
        """Empty the error list (POST /rest/system/error/clear)."""
        self._post("system/error/clear")

    # --- configuration

    def get_config(self) -> Json:
        """Return the configuration with all its secrets (GET /rest/config)."""
        return self._get("config")

    def new_config(self, config: Mapping[str, Any]) -> None:
        """Replace the whole configuration (PUT /rest/config); missing keys get their default values."""
        self._transport.call("PUT", "/rest/config", body=config)

    def patch_config(self, part: str, changes: Mapping[str, Any]) -> None:
        """Change keys of a part of the configuration (PATCH /rest/config/PART).

        Args:
            part: `options`, `gui`, `ldap`, `defaults/folder` or `defaults/device`.
            changes: the keys to change; a list replaces the old list.
        """
        self._transport.call("PATCH", f"/rest/config/{part}", body=changes)

    def patch_folder(self, folder: str, changes: Mapping[str, Any]) -> None:
        """Change keys of a folder (PATCH /rest/config/folders/ID).

        An ID with a slash cannot be part of a path (1.19 splits it, quoted or not). Such a folder is read from the
        list and replaced as a whole (POST /rest/config/folders).
        """
        if "/" not in folder:
            self._transport.call("PATCH", f"/rest/config/folders/{quote(folder, safe='')}", body=changes)
            return
        folders = self._get_list("config/folders")
        config = next((one for one in folders if isinstance(one, dict) and one.get("id") == folder), None)
        if config is None:
            raise NotFound(f"there is no folder {folder!r}")
        self.add_folder({**config, **changes})

    def patch_device(self, device: str, changes: Mapping[str, Any]) -> None:
        """Change keys of a device (PATCH /rest/config/devices/ID)."""
        self._transport.call("PATCH", f"/rest/config/devices/{quote(device, safe='')}", body=changes)

    def add_folder(self, config: Mapping[str, Any]) -> None:
        """Add a folder, or replace the one with the same ID (POST /rest/config/folders)."""
        self._post("config/folders", body=config)

    def add_device(self, config: Mapping[str, Any]) -> None:
        """Add a device, or replace the one with the same ID (POST /rest/config/devices)."""
        self._post("config/devices", body=config)

    def get_folder_defaults(self) -> Json:
        """Return the defaults of new folders (GET /rest/config/defaults/folder)."""
        return self._get("config/defaults/folder")

    def get_device_defaults(self) -> Json:
        """Return the defaults of new devices (GET /rest/config/defaults/device)."""
        return self._get("config/defaults/device")

    def new_default_ignores(self, defaults: Mapping[str, Any]) -> None:
        """Replace the ignore patterns of new folders (PUT /rest/config/defaults/ignores, since 1.19)."""
        self._transport.call("PUT", "/rest/config/defaults/ignores", body=defaults)

    def get_insync(self) -> Json:
        """Return whether the running configuration is the saved one (GET /rest/config/insync)."""
        return self._get("config/insync")

    def get_restart_required(self) -> Json:
        """Return whether a change requires a restart (GET /rest/config/restart-required)."""
        return self._get("config/restart-required")

    # --- devices

    def get_connections(self) -> Json:
        """Return connections and byte counters (GET /rest/system/connections)."""
        return self._get("system/connections")

    def get_discovery(self) -> Json:
        """Return the addresses found by discovery (GET /rest/system/discovery)."""
        return self._get("system/discovery")

    def get_device_statistics(self) -> Json:
        """Return when each device was last seen (GET /rest/stats/device)."""
        return self._get("stats/device")

    def pause_device(self, device: str | None = None) -> None:
        """Pause a device, or all of them (POST /rest/system/pause)."""
        self._post("system/pause", device=device)

    def resume_device(self, device: str | None = None) -> None:
        """Resume a device, or all of them (POST /rest/system/resume)."""
        self._post("system/resume", device=device)

    def get_pending_devices(self) -> Json:
        """Return the pending devices (GET /rest/cluster/pending/devices)."""
        return self._get("cluster/pending/devices")

    def get_pending_folders(self, device: str | None = None) -> Json:
        """Return the pending folders (GET /rest/cluster/pending/folders)."""
        return self._get("cluster/pending/folders", device=device)

    def dismiss_pending_device(self, device: str) -> None:
        """Dismiss a pending device (DELETE /rest/cluster/pending/devices, since 1.18)."""
        self._transport.call("DELETE", "/rest/cluster/pending/devices", parameters={"device": device})

    def dismiss_pending_folder(self, folder: str, device: str | None = None) -> None:
        """Dismiss a pending folder of one device or of all (DELETE /rest/cluster/pending/folders, since 1.18)."""
        parameters = {"folder": folder, "device": device}
        self._transport.call("DELETE", "/rest/cluster/pending/folders", parameters=parameters)

    # --- folders

    def get_folder_statistics(self) -> Json:
        """Return last scan and last file of each folder (GET /rest/stats/folder); paused ones are missing."""
        return self._get("stats/folder")

    def get_folder_status(self, folder: str) -> Json:
        """Return state and counts of a folder (GET /rest/db/status); all zeros while it is paused."""
        return self._get("db/status", folder=folder)

    def get_folder_errors(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that failed (GET /rest/folder/errors)."""
        return self._get("folder/errors", folder=folder, page=page, perpage=perpage)

    def get_completion(self, device: str | None = None, folder: str | None = None) -> Json:
        """Return how complete a folder (default: all) is on a device (default: this one) (GET /rest/db/completion)."""
        return self._get("db/completion", device=device, folder=folder)

    def get_need(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that this device needs (GET /rest/db/need)."""
        return self._get("db/need", folder=folder, page=page, perpage=perpage)

    def get_remote_need(self, device: str, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that a device needs (GET /rest/db/remoteneed)."""
        return self._get("db/remoteneed", device=device, folder=folder, page=page, perpage=perpage)

    def get_local_changes(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the local changes of a receive-only folder (GET /rest/db/localchanged)."""
        return self._get("db/localchanged", folder=folder, page=page, perpage=perpage)

    def get_file(self, folder: str, file: str) -> Json:
        """Return the versions of a file here and on other devices (GET /rest/db/file)."""
        return self._get("db/file", folder=folder, file=file)

    def browse_database(self, folder: str, level: int | None = None, prefix: str | None = None) -> list[Any]:
        """Return the tree of a folder (GET /rest/db/browse); level 0 is its top, None is all of it."""
        return self._get_list("db/browse", timeout_s=SLOW_S, folder=folder, levels=level, prefix=prefix)

    def get_ignores(self, folder: str) -> Json:
        """Return the ignore patterns of a folder (GET /rest/db/ignores)."""
        return self._get("db/ignores", folder=folder)

    def new_ignores(self, folder: str, ignore: Sequence[str]) -> Json:
        """Replace the ignore patterns of a folder (POST /rest/db/ignores)."""
        return self._object("POST", "db/ignores", body={"ignore": list(ignore)}, folder=folder)

    def assign_priority(self, folder: str, file: str) -> Json:
        """Move a file to the front of the queue, and return the needed items (POST /rest/db/prio)."""
        return self._object("POST", "db/prio", folder=folder, file=file)

    def scan(
        self,
        folder: str | None = None,
        sub: str | Sequence[str] | None = None,
        next_s: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Scan a folder or all of them, and wait until the scan is complete (POST /rest/db/scan).

        Args:
            folder: its ID; None for all.
            sub: one or several paths in it.
            next_s: seconds until the next periodic scan.
            timeout_s: seconds to wait. After TimedOut the scan goes on in Syncthing.
        """
        subs = [sub] if isinstance(sub, str) else sub
        self._post("db/scan", timeout_s=timeout_s, folder=folder, sub=subs, next=next_s)

    def override(self, folder: str) -> None:
        """Replace changes of other devices with the local version of a send-only folder (POST /rest/db/override)."""
        self._post("db/override", folder=folder)

    def revert(self, folder: str) -> None:
        """Undo the local changes of a receive-only folder (POST /rest/db/revert)."""
        self._post("db/revert", folder=folder)

    # --- events

    def get_events(
        self, since: int, mask: Sequence[str] = (), *, limit: int | None = None, timeout_s: float = 60.0
    ) -> list[Json]:
        """Wait for events (GET /rest/events).

        It is not tried again: when Syncthing restarts, IDs begin at 1 again, so `since` may be far ahead.

        Args:
            since: the ID of the last event known; IDs are per mask.
            mask: the types of events; none means Syncthing's default. Syncthing keeps a buffer for each mask.
            limit: maximum number of events, the newest ones.
            timeout_s: seconds until an empty list is returned; 0 does not wait.
        """
        parameters = {"since": since, "limit": limit, "timeout": int(timeout_s), "events": ",".join(mask) or None}
        timeout_s += EXTRA_S
        events = self._transport.call("GET", "/rest/events", parameters=parameters, timeout_s=timeout_s, again=False)
        if not isinstance(events, list | None):
            raise self._wrong_shape("GET", "events", events, "an array")
        return events or []

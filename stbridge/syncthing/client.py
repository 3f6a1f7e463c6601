"""A client for Syncthing's REST API; useful by itself, without MQTT.

It works with Syncthing 1.19 and later, 2.x included. Replies are Syncthing's JSON (docs.syncthing.net/dev/rest.html).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from stbridge.errors import BadReply, NotFound
from stbridge.syncthing.tls import default_verify
from stbridge.syncthing.transport import Transport

Json = dict[str, Any]

SLOW_S = 30.0
"""How many seconds are waited for answers that take long: from a server on the Internet, or of a whole folder."""

EXTRA_S = 10.0
"""How many seconds longer than a long poll its answer is waited for."""


class SyncthingClient:
    """One Syncthing.

    Every method raises an error of `stbridge.errors.SyncthingError`: SyncthingUnavailable if no use can be made of
    Syncthing now (unreachable, starting, unauthorized ...), CallFailed if it refuses this call. Calls that do no harm
    twice are tried again for about two seconds; others only if they cannot have arrived.

    Args:
        api_key: from Syncthing's settings.
        api_url: `http://...`, `https://...` or `unix:///path` of its GUI.
        verify: how its certificate is checked: `system`, the path of a certificate or authority,
            `sha256:<fingerprint>` or `off`. By default `off` for loopback addresses, where nobody can sit in between,
            and `system` for others.
        timeout_s: seconds to wait for an answer.
    """

    def __init__(
        self,
        api_key: str,
        api_url: str = "https://127.0.0.1:8384",
        *,
        verify: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.url = api_url
        self._transport = Transport(api_key, api_url, verify or default_verify(api_url), timeout_s)

    def __repr__(self) -> str:
        return f"SyncthingClient({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls that are under way, or wait to be tried again, fail."""
        self._transport.close()

    def break_off(self) -> None:
        """Fail the calls that are under way, as if their connections had been lost."""
        self._transport.break_off()

    def _get(self, path: str, timeout_s: float | None = None, **parameters: Any) -> Any:
        return self._transport.call("GET", f"/rest/{path}", parameters=parameters, timeout_s=timeout_s)

    def _post(self, path: str, body: Any = None, timeout_s: float | None = None, **parameters: Any) -> Any:
        return self._transport.call("POST", f"/rest/{path}", parameters=parameters, body=body, timeout_s=timeout_s)

    # --- the process

    def get_ping(self) -> Json:
        """Return a sign of life (GET /rest/system/ping)."""
        return self._json(self._get("system/ping"))

    def get_health(self) -> Json:
        """Return a sign of life that needs no key (GET /rest/noauth/health, since 1.22.1)."""
        return self._json(self._get("noauth/health"))

    def get_version(self) -> Json:
        """Return version, operating system and architecture (GET /rest/system/version)."""
        return self._json(self._get("system/version"))

    def get_status(self) -> Json:
        """Return how the process is doing (GET /rest/system/status)."""
        return self._json(self._get("system/status"))

    def get_paths(self) -> Json:
        """Return where Syncthing keeps its files (GET /rest/system/paths, since 1.21)."""
        return self._json(self._get("system/paths"))

    def restart(self) -> Json:
        """Restart Syncthing (POST /rest/system/restart); whatever started it must start it again."""
        return self._json(self._post("system/restart"))

    def wait_for_restart(self, started_at: str, timeout_s: float) -> None:
        """Wait until another process answers than the one that started at a time.

        Args:
            started_at: the `startTime` of GET /rest/system/status before the restart.
            timeout_s: seconds to wait.

        Raises:
            TimedOut: none does in time.
        """
        self._transport.wait_until(lambda: self.get_status().get("startTime", started_at) != started_at, timeout_s)

    def shutdown(self) -> Json:
        """End Syncthing (POST /rest/system/shutdown)."""
        return self._json(self._post("system/shutdown"))

    def reset(self, folder: str | None = None) -> Json:
        """Forget the index, of one folder or of all, and restart (POST /rest/system/reset); they must be paused."""
        return self._json(self._post("system/reset", folder=folder))

    def check_upgrade(self) -> Json:
        """Ask whether there is a newer version (GET /rest/system/upgrade); that asks a server on the Internet."""
        return self._json(self._get("system/upgrade", timeout_s=SLOW_S))

    def upgrade(self) -> Json | None:
        """Upgrade and restart (POST /rest/system/upgrade); may take minutes, None if there is nothing newer."""
        result: Json | None = self._post("system/upgrade", timeout_s=600)
        return result

    # --- errors

    def get_errors(self) -> Json:
        """Return Syncthing's error list (GET /rest/system/error); `errors` is null without any."""
        return self._json(self._get("system/error"))

    def new_error(self, message: str) -> None:
        """Add an entry to the error list (POST /rest/system/error)."""
        self._transport.call("POST", "/rest/system/error", text=message)

    def clear_errors(self) -> None:
        """Empty the error list (POST /rest/system/error/clear)."""
        self._post("system/error/clear")

    # --- configuration

    def get_config(self) -> Json:
        """Return the configuration with all its secrets (GET /rest/config)."""
        return self._json(self._get("config"))

    def new_config(self, config: Mapping[str, Any]) -> None:
        """Replace the whole configuration (PUT /rest/config); what is left out falls back to its default."""
        self._transport.call("PUT", "/rest/config", body=config)

    def patch_config(self, part: str, changes: Mapping[str, Any]) -> None:
        """Change keys of a part of the configuration (PATCH /rest/config/PART).

        Args:
            part: `options`, `gui`, `ldap`, `defaults/folder` or `defaults/device`.
            changes: the keys to be changed; lists in it replace those that are there.
        """
        self._transport.call("PATCH", f"/rest/config/{part}", body=changes)

    def patch_folder(self, folder: str, changes: Mapping[str, Any]) -> None:
        """Change keys of a folder (PATCH /rest/config/folders/ID).

        An ID with a slash cannot be part of a path (1.19 splits it, quoted or not): such a folder is read from the
        list and replaced by itself with the changes (POST /rest/config/folders).
        """
        if "/" not in folder:
            self._transport.call("PATCH", f"/rest/config/folders/{quote(folder, safe='')}", body=changes)
            return
        config = next((one for one in self._get("config/folders") if one.get("id") == folder), None)
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
        """Return what a new folder begins with (GET /rest/config/defaults/folder)."""
        return self._json(self._get("config/defaults/folder"))

    def get_device_defaults(self) -> Json:
        """Return what a new device begins with (GET /rest/config/defaults/device)."""
        return self._json(self._get("config/defaults/device"))

    def new_default_ignores(self, defaults: Mapping[str, Any]) -> None:
        """Replace the ignore patterns that a new folder begins with (PUT /rest/config/defaults/ignores, since 1.19)."""
        self._transport.call("PUT", "/rest/config/defaults/ignores", body=defaults)

    def get_insync(self) -> Json:
        """Return whether the running configuration is the saved one (GET /rest/config/insync)."""
        return self._json(self._get("config/insync"))

    def get_restart_required(self) -> Json:
        """Return whether a change waits for a restart (GET /rest/config/restart-required)."""
        return self._json(self._get("config/restart-required"))

    # --- devices

    def get_connections(self) -> Json:
        """Return connections and byte counters (GET /rest/system/connections)."""
        return self._json(self._get("system/connections"))

    def get_discovery(self) -> Json:
        """Return the addresses found by discovery (GET /rest/system/discovery)."""
        return self._json(self._get("system/discovery"))

    def get_device_statistics(self) -> Json:
        """Return when each device was last seen (GET /rest/stats/device)."""
        return self._json(self._get("stats/device"))

    def pause_device(self, device: str | None = None) -> None:
        """Pause a device, or all of them (POST /rest/system/pause)."""
        self._post("system/pause", device=device)

    def resume_device(self, device: str | None = None) -> None:
        """Resume a device, or all of them (POST /rest/system/resume)."""
        self._post("system/resume", device=device)

    def get_pending_devices(self) -> Json:
        """Return the devices that wait to be accepted (GET /rest/cluster/pending/devices)."""
        return self._json(self._get("cluster/pending/devices"))

    def get_pending_folders(self, device: str | None = None) -> Json:
        """Return the folders that wait to be accepted (GET /rest/cluster/pending/folders)."""
        return self._json(self._get("cluster/pending/folders", device=device))

    def dismiss_pending_device(self, device: str) -> None:
        """Forget a device that waits (DELETE /rest/cluster/pending/devices, since 1.18)."""
        self._transport.call("DELETE", "/rest/cluster/pending/devices", parameters={"device": device})

    def dismiss_pending_folder(self, folder: str, device: str | None = None) -> None:
        """Forget a folder that waits, of one device or of all (DELETE /rest/cluster/pending/folders, since 1.18)."""
        parameters = {"folder": folder, "device": device}
        self._transport.call("DELETE", "/rest/cluster/pending/folders", parameters=parameters)

    # --- folders

    def get_folder_statistics(self) -> Json:
        """Return last scan and last file of each folder (GET /rest/stats/folder); paused ones are missing."""
        return self._json(self._get("stats/folder"))

    def get_folder_status(self, folder: str) -> Json:
        """Return state and counts of a folder (GET /rest/db/status); all zeros while it is paused."""
        return self._json(self._get("db/status", folder=folder))

    def get_folder_errors(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that failed (GET /rest/folder/errors)."""
        return self._json(self._get("folder/errors", folder=folder, page=page, perpage=perpage))

    def get_completion(self, device: str | None = None, folder: str | None = None) -> Json:
        """Return how far a device is (default: this one) with a folder (default: all) (GET /rest/db/completion)."""
        return self._json(self._get("db/completion", device=device, folder=folder))

    def get_need(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return what this machine lacks of a folder (GET /rest/db/need)."""
        return self._json(self._get("db/need", folder=folder, page=page, perpage=perpage))

    def get_remote_need(self, device: str, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return what a device lacks of a folder (GET /rest/db/remoteneed)."""
        return self._json(self._get("db/remoteneed", device=device, folder=folder, page=page, perpage=perpage))

    def get_local_changes(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the local changes of a receive-only folder (GET /rest/db/localchanged)."""
        return self._json(self._get("db/localchanged", folder=folder, page=page, perpage=perpage))

    def get_file(self, folder: str, file: str) -> Json:
        """Return what is known of a file, here and on other devices (GET /rest/db/file)."""
        return self._json(self._get("db/file", folder=folder, file=file))

    def browse_database(self, folder: str, level: int | None = None, prefix: str | None = None) -> list[Any]:
        """Return the tree of a folder (GET /rest/db/browse); level 0 is its top, None is all of it."""
        tree: list[Any] = self._get("db/browse", timeout_s=SLOW_S, folder=folder, levels=level, prefix=prefix)
        return tree

    def get_ignores(self, folder: str) -> Json:
        """Return the ignore patterns of a folder (GET /rest/db/ignores)."""
        return self._json(self._get("db/ignores", folder=folder))

    def new_ignores(self, folder: str, ignore: Sequence[str]) -> Json:
        """Replace the ignore patterns of a folder (POST /rest/db/ignores)."""
        return self._json(self._post("db/ignores", body={"ignore": list(ignore)}, folder=folder))

    def assign_priority(self, folder: str, file: str) -> Json:
        """Move a file to the front of the queue, and return what is needed (POST /rest/db/prio)."""
        return self._json(self._post("db/prio", folder=folder, file=file))

    def scan(
        self,
        folder: str | None = None,
        sub: str | Sequence[str] | None = None,
        next_s: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Scan a folder, or all of them, and wait until that has ended (POST /rest/db/scan).

        Args:
            folder: its ID; None for all.
            sub: one or several paths in it.
            next_s: seconds until the next periodic scan.
            timeout_s: seconds to wait. TimedOut means that Syncthing still scans; it does not stop for that.
        """
        subs = [sub] if isinstance(sub, str) else sub
        self._post("db/scan", timeout_s=timeout_s, folder=folder, sub=subs, next=next_s)

    def override(self, folder: str) -> None:
        """Make the local version of a send-only folder the one that counts (POST /rest/db/override)."""
        self._post("db/override", folder=folder)

    def revert(self, folder: str) -> None:
        """Undo the local changes of a receive-only folder (POST /rest/db/revert)."""
        self._post("db/revert", folder=folder)

    # --- events

    def get_events(
        self, since: int, mask: Sequence[str] = (), *, limit: int | None = None, timeout_s: float = 60.0
    ) -> list[Json]:
        """Wait for events (GET /rest/events).

        It is not tried again: when Syncthing restarts IDs begin anew, and this one may be far away then.

        Args:
            since: the ID of the last event known; IDs are per mask.
            mask: the types to be told; none means Syncthing's default. Each mask costs the server a buffer.
            limit: the newest so many.
            timeout_s: seconds until an empty list is returned; 0 does not wait.
        """
        parameters = {"since": since, "limit": limit, "timeout": int(timeout_s), "events": ",".join(mask) or None}
        timeout_s += EXTRA_S
        events = self._transport.call("GET", "/rest/events", parameters=parameters, timeout_s=timeout_s, again=False)
        if not isinstance(events, list | None):
            raise BadReply(f"url: what answers is not Syncthing (it sends a {type(events).__name__} of events)")
        return events or []

    @staticmethod
    def _json(reply: Any) -> Json:
        if not isinstance(reply, dict):
            raise BadReply(f"url: what answers is not Syncthing (it sends a {type(reply).__name__})")
        return reply

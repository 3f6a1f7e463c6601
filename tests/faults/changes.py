"""Changes that users make during a random walk, directly in Syncthing and never through the bridge."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from stbridge.demo.node import SyncthingNode
from tests.faults.world import World
from tests.homeassistant.test_scale import device_id
from tests.servers import eventually

MOST_RENAMED = 10

STANDING = ("state", "sequence", "remoteSequence", "needTotalItems", "globalBytes")
"""The values of a folder's status that change during a sync."""

LOOK_S = 0.5
LOOKS_WITHOUT_SYNC = 10
"""How often a folder that is not in sync must look the same, at intervals of LOOK_S, until no sync is expected."""


@dataclass(frozen=True)
class Standing:
    """The configuration of a folder, and the STANDING values of its status."""

    folder: Mapping[str, Any]
    status: Mapping[str, Any]

    @property
    def syncs(self) -> bool:
        """Whether the folder runs and is shared."""
        return not self.folder["paused"] and self.status["state"] == "idle" and len(self.folder["devices"]) > 1


Standings = dict[tuple[str, str], Standing]
"""By the name of the instance and the ID of the folder."""


class ChangingWorld(World):
    """A test world with changes to files, folders and devices; a change may name an object that does not exist."""

    def __init__(self, directory: Path, binary: str) -> None:
        super().__init__(directory, binary)
        self._pause = threading.Event()

    def wait(self, seconds: float) -> None:
        """Wait for some seconds."""
        self._pause.wait(seconds)

    def request(self, method: str, path: str, parameters: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Send a request to the first instance, which a command may be restarting; return None if it refuses."""
        return patient_request(self.alpha, method, path, parameters, body)

    # --- files of the shared folder

    def side(self, node: str) -> tuple[SyncthingNode, Path]:
        """Return a Syncthing instance by name, and its directory of the shared folder."""
        return (self.alpha, self.files / "docs") if node == "alpha" else (self.beta, self.directory / "b/files/docs")

    def scan(self, *nodes: str) -> None:
        """Make Syncthing instances scan the shared folder."""
        for node in nodes:
            patient_request(self.side(node)[0], "POST", "/rest/db/scan", {"folder": "docs"})

    def write_on(self, node: str, name: str, number: int) -> None:
        """Write a file."""
        self._put(node, name, number)
        self.scan(node)

    def write_on_both(self, _node: str, name: str, number: int) -> None:
        """Write a file on both sides at the same time, which sometimes causes a conflict."""
        self._put("alpha", name, number)
        self._put("beta", name, number)
        self.scan("alpha", "beta")

    def _put(self, node: str, name: str, number: int) -> None:
        (self.side(node)[1] / name).write_text(f"{node} {number}\n" * number, encoding="utf-8")

    def delete_on(self, node: str, name: str, _number: int) -> None:
        """Delete a file and its conflict copies."""
        for file in self.side(node)[1].glob(f"{name}*"):
            file.unlink(missing_ok=True)
        self.scan(node)

    def rename_on(self, node: str, name: str, number: int) -> None:
        """Rename a file."""
        file = self.side(node)[1] / name
        if file.exists():
            file.rename(file.with_name(f"renamed-{number % MOST_RENAMED}"))
        self.scan(node)

    # --- folders

    def join_folder(self, folder: str, kind: str) -> None:
        """Add a folder, and share it with the second instance."""
        path = self.files / folder
        path.mkdir(parents=True, exist_ok=True)
        devices = [{"deviceID": node.device_id} for node in (self.alpha, self.beta)]
        body = {"id": folder, "path": str(path), "type": kind, "devices": devices}
        self.request("POST", "/rest/config/folders", body=body)

    def leave_folder(self, folder: str) -> None:
        """Remove a folder."""
        self.request("DELETE", f"/rest/config/folders/{folder}")

    def label_folder(self, folder: str, number: int) -> None:
        """Change the label of a folder."""
        self._patch_folder(folder, label=f"Label {number}")

    def pause_folder(self, folder: str, paused: bool) -> None:
        """Pause or resume a folder."""
        self._patch_folder(folder, paused=paused)

    def ignore(self, folder: str, number: int) -> None:
        """Change the ignore patterns of a folder."""
        self.request("POST", "/rest/db/ignores", {"folder": folder}, {"ignore": [f"*.ignored-{number}"]})

    def _patch_folder(self, folder: str, **change: Any) -> None:
        self.request("PATCH", f"/rest/config/folders/{folder}", body=change)

    def offer(self, folder: str) -> None:
        """Make the second instance offer a folder."""
        self.beta.share(folder, self.directory / "b/files" / folder, devices=[self.alpha])

    def offer_no_more(self, folder: str) -> None:
        """Remove a folder from both instances: a command may have accepted it."""
        patient_request(self.beta, "DELETE", f"/rest/config/folders/{folder}")
        self.leave_folder(folder)

    # --- devices

    def id_of(self, device: str) -> str:
        """Return the ID of a device: the second instance, or a device that never connects."""
        return self.beta.device_id if device == "beta" else device_id(device)

    def add_device(self, device: str) -> None:
        """Add a device; if it is the second instance, share the folder with it again."""
        port = self.beta.sync_port if device == "beta" else 1
        body = {"deviceID": self.id_of(device), "name": device, "addresses": [f"tcp://127.0.0.1:{port}"]}
        self.request("POST", "/rest/config/devices", body=body)
        if device == "beta":
            self._patch_folder("docs", devices=[{"deviceID": node.device_id} for node in (self.alpha, self.beta)])

    def remove_device(self, device: str) -> None:
        """Remove a device."""
        self.request("DELETE", f"/rest/config/devices/{self.id_of(device)}")

    def name_device(self, device: str, number: int) -> None:
        """Change the name of a device."""
        self.request("PATCH", f"/rest/config/devices/{self.id_of(device)}", body={"name": f"{device} {number}"})

    def pause_device(self, device: str, paused: bool) -> None:
        """Pause or resume a device."""
        self.request("PATCH", f"/rest/config/devices/{self.id_of(device)}", body={"paused": paused})

    def is_wanted(self, device: str) -> bool:
        """Return whether a device is configured on the first instance and not paused."""
        known: Sequence[Mapping[str, Any]] = self.request("GET", "/rest/config/devices")
        return any(one["deviceID"] == self.id_of(device) and not one["paused"] for one in known)

    # --- the instance

    def set_options(self, number: int) -> None:
        """Change options; some of them require a restart of Syncthing."""
        change = {"maxFolderConcurrency": number, "auditEnabled": number % 2 == 0}
        self.request("PATCH", "/rest/config/options", body=change)

    def add_error(self, number: int) -> None:
        """Add an error to Syncthing's list."""
        self.request("POST", "/rest/system/error", body=f"error {number}")

    def clear_errors(self) -> None:
        """Empty Syncthing's list of errors."""
        self.request("POST", "/rest/system/error/clear")

    # --- waiting until the changes have taken effect

    def settle(self) -> None:
        """Wait until both Syncthing instances are idle or stopped by an error, and have synced the shared folder.

        If they do not sync it completely, it is enough that nothing changes for some time.
        """
        before: Standings | None = None
        unchanged = 0

        def settled() -> bool:
            nonlocal before, unchanged
            now = self._standings()
            unchanged = unchanged + 1 if now is not None and now == before else 0
            before = now
            done = now is not None and unchanged >= (1 if self._is_synced(now) else LOOKS_WITHOUT_SYNC)
            self.wait(0.0 if done else LOOK_S)
            return done

        for node in (self.alpha, self.beta):
            patient_request(node, "POST", "/rest/db/scan")
        eventually(settled, 60)

    def _standings(self) -> Standings | None:
        """Return the standings of all folders; None while a folder is busy or a connection is missing."""
        if self.is_wanted("beta") and not self.alpha.is_connected(self.beta):
            return None
        found: Standings = {}
        for node in (self.alpha, self.beta):
            for folder in patient_request(node, "GET", "/rest/config/folders"):
                status = patient_request(node, "GET", "/rest/db/status", {"folder": folder["id"]}) or {}
                if not folder["paused"] and status.get("state") not in ("idle", "error"):
                    return None
                found[node.name, folder["id"]] = Standing(folder, {key: status.get(key) for key in STANDING})
        return found

    def _is_synced(self, standings: Standings) -> bool:
        """Return whether each instance knows and has what the other one has of the shared folder, or does not sync it.

        A folder is also idle before the indexes are exchanged, and then until it begins to download.
        """
        shared = [standings.get((node.name, "docs")) for node in (self.alpha, self.beta)]
        if not self.is_wanted("beta") or not all(one is not None and one.syncs for one in shared):
            return True
        at_alpha, at_beta = (one.status for one in shared if one is not None)
        known = [  # null if the folder was just stopped
            (at_alpha["remoteSequence"] or {}).get(self.beta.device_id),
            (at_beta["remoteSequence"] or {}).get(self.alpha.device_id),
        ]
        complete = at_alpha["needTotalItems"] == at_beta["needTotalItems"] == 0
        return complete and known == [at_beta["sequence"], at_alpha["sequence"]]


def patient_request(
    node: SyncthingNode, method: str, path: str, parameters: Mapping[str, Any] | None = None, body: Any = None
) -> Any:
    """Repeat a request until it is answered, and return its JSON; None if it is refused."""
    answers: list[Any] = []

    def answered() -> bool:
        try:
            answers.append(node.request(method, path, parameters, body))
        except HTTPError:
            answers.append(None)
        except (OSError, ValueError, HTTPException):  # it is stopped, or stopped in the middle of its answer
            return False
        return True

    eventually(answered)
    return answers[-1]

"""Calls about folders and the files in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from stbridge.syncthing.calls.base import SLOW_S, Calls, Completed, Json, takes_old_names


class FolderCalls(Calls):
    """Folders."""

    def get_folder_statistics(self) -> Json:
        """Return the last scan and the last file of each folder (GET /rest/stats/folder).

        Returns:
            By folder ID `lastScan`, and `lastFile` with `filename`, `at` and `deleted`; year 1 stands for never. Paused
            folders are missing.

        Example:
            >>> client.get_folder_statistics()["photos"]["lastFile"]["filename"]
            '2026/sunset.jpg'
        """
        return self._get("stats/folder")

    def get_folder_status(self, folder: str) -> Json:
        """Return the state and the counts of a folder (GET /rest/db/status).

        Args:
            folder: ID of the folder.

        Returns:
            `state`, such as `idle` or `syncing`, `stateChanged`, `errors` (the number of failed items), and counts such
            as `needFiles` and `needBytes`, which begin with `global`, `local`, `need`, `inSync` or
            `receiveOnlyChanged`. All are zero and `state` is empty while the folder is paused.

        Raises:
            NotFound: there is no such folder.

        Example:
            >>> client.get_folder_status("photos")["state"]
            'idle'
        """
        return self._get("db/status", folder=folder)

    def get_folder_errors(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that failed (GET /rest/folder/errors).

        Args:
            folder: ID of the folder.
            page: number of the page, from 1.
            perpage: number of items on a page.

        Returns:
            `errors`, a list of `path` and `error`.

        Raises:
            NotFound: there is no such folder, or it is paused.

        Example:
            >>> client.get_folder_errors("photos")["errors"]
            []
        """
        return self._get("folder/errors", lists=("errors",), folder=folder, page=page, perpage=perpage)

    @takes_old_names
    def get_completion(self, device: str | None = None, folder: str | None = None) -> Json:
        """Return how complete a folder is on a device (GET /rest/db/completion).

        Args:
            device: ID of the device; None for this device.
            folder: ID of the folder; None for all folders that the device shares.

        Returns:
            `completion` in percent, `globalBytes`, `globalItems`, `needBytes`, `needItems`, `needDeletes` and more.
            It is 0 with all counts 0 if the device shares no folder.

        Raises:
            NotFound: there is no such folder, or it is paused; with 1.19 also if `folder` is None and any is paused.
            Rejected: it is not a device ID.

        Example:
            >>> client.get_completion(laptop, "photos")["completion"]
            100
        """
        return self._get("db/completion", device=device, folder=folder)

    def get_need(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that this device needs (GET /rest/db/need).

        Args:
            folder: ID of the folder.
            page: number of the page, from 1.
            perpage: number of items on a page.

        Returns:
            Lists of items: `progress` (being transferred), `queued` and `rest`. Also `page` and `perpage`.

        Raises:
            NotFound: there is no such folder, or it is paused.

        Example:
            >>> client.get_need("photos")["rest"]
            []
        """
        lists = ("progress", "queued", "rest")
        return self._get("db/need", lists=lists, folder=folder, page=page, perpage=perpage)

    def get_remote_need(self, device: str, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the items of a folder that a device needs (GET /rest/db/remoteneed).

        Args:
            device: ID of the device.
            folder: ID of the folder.
            page: number of the page, from 1.
            perpage: number of items on a page.

        Returns:
            `files`, a list of items, `page` and `perpage`.

        Raises:
            NotFound: there is no such folder, or it is paused.
            Rejected: it is not a device ID.

        Example:
            >>> client.get_remote_need(laptop, "photos")["files"]
            []
        """
        return self._get("db/remoteneed", lists=("files",), device=device, folder=folder, page=page, perpage=perpage)

    def get_local_changes(self, folder: str, page: int | None = None, perpage: int | None = None) -> Json:
        """Return the local changes of a receive-only folder (GET /rest/db/localchanged).

        Args:
            folder: ID of the folder.
            page: number of the page, from 1.
            perpage: number of items on a page.

        Returns:
            `files`, a list of items, `page` and `perpage`.

        Raises:
            NotFound: there is no such folder, or it is paused.

        Example:
            >>> client.get_local_changes("photos")["files"]
            []
        """
        return self._get("db/localchanged", lists=("files",), folder=folder, page=page, perpage=perpage)

    def get_file(self, folder: str, file: str) -> Json:
        """Return the versions of a file here and on other devices (GET /rest/db/file).

        Args:
            folder: ID of the folder; the old bindings sent none, which Syncthing no longer accepts.
            file: path of the file in the folder.

        Returns:
            `local` (the version here), `global` (the newest version), and `availability`, the devices that have it.

        Raises:
            NotFound: there is no such folder or file, or the folder is paused.

        Example:
            >>> client.get_file("photos", "2026/sunset.jpg")["local"]["size"]
            7
        """
        return self._get("db/file", folder=folder, file=file)

    def browse_database(
        self, folder: str, level: int | None = None, prefix: str | None = None, *, levels: int | None = None
    ) -> list[Any]:
        """Return the tree of a folder (GET /rest/db/browse).

        Args:
            folder: ID of the folder.
            level: number of levels below the top; None and, as in the old bindings, 0 for the whole tree.
            prefix: path of the directory to list; None for the whole folder.
            levels: number of levels below the top, as Syncthing counts: 0 for the top only. It overrides `level`.

        Returns:
            A list of `name`, `type`, `size` in bytes and `modTime`; directories have `children`.

        Raises:
            Rejected: there is no such folder, or it is paused.

        Example:
            >>> [item["name"] for item in client.browse_database("photos", prefix="2026")]
            ['sunset.jpg']
        """
        depth = levels if levels is not None else level or None
        return self._get_list("db/browse", timeout_s=SLOW_S, folder=folder, levels=depth, prefix=prefix or None)

    def get_ignores(self, folder: str) -> Json:
        """Return the ignore patterns of a folder (GET /rest/db/ignores).

        Args:
            folder: ID of the folder.

        Returns:
            `ignore`, the list of patterns or None, `expanded`, the patterns as Syncthing applies them, and `error`.

        Raises:
            Rejected: there is no such folder (1.19; later versions put the reason into `error`).

        Example:
            >>> client.get_ignores("photos")
            {'error': None, 'expanded': ['*.tmp', '**/*.tmp', '*.tmp/**', '**/*.tmp/**'], 'ignore': ['*.tmp']}
        """
        return self._get("db/ignores", folder=folder)

    @takes_old_names
    def new_ignores(self, folder: str, ignore: Sequence[str] | Mapping[str, Any] | None) -> Json:
        """Replace the ignore patterns of a folder (POST /rest/db/ignores).

        Args:
            folder: ID of the folder.
            ignore: a list of patterns, a text with a pattern on each line, or the reply of `get_ignores`.

        Returns:
            The same as `get_ignores`.

        Raises:
            Rejected: there is no such folder, or Syncthing cannot write the file.
            ValueError: it is a mapping without the key `ignore`.

        Example:
            >>> client.new_ignores("photos", ["*.tmp"])["ignore"]
            ['*.tmp']
        """
        return self._object("POST", "db/ignores", body={"ignore": _patterns(ignore)}, folder=folder)

    @takes_old_names
    def assign_priority(self, folder: str, file: str) -> Json:
        """Move a file to the front of the queue (POST /rest/db/prio).

        Args:
            folder: ID of the folder.
            file: path of the file in the folder; a file that is not queued changes nothing.

        Returns:
            The same as `get_need`.

        Raises:
            NotFound: there is no such folder, or it is paused.

        Example:
            >>> client.assign_priority("photos", "2026/sunset.jpg")["queued"]
            []
        """
        return self._object("POST", "db/prio", folder=folder, file=file)

    @takes_old_names
    def scan(
        self,
        folder: str | None = None,
        sub: str | Sequence[str] | None = None,
        next_s: int | None = None,
        timeout_s: float | None = None,
    ) -> Completed:
        """Scan a folder or all of them, and wait until the scan is complete (POST /rest/db/scan).

        Args:
            folder: ID of the folder; None for all folders.
            sub: one path in the folder or several; None for the whole folder.
            next_s: seconds until the next periodic scan.
            timeout_s: maximum number of seconds to wait; None for the timeout of the client.

        Raises:
            TimedOut: the scan takes longer; Syncthing continues it.
            Rejected: there is no such folder, or it is paused or in error.

        Example:
            >>> client.scan("photos", "2026", timeout_s=600)
            {'code': 200, 'message': 'Completed successfully'}
        """
        subs = [sub] if isinstance(sub, str) else sub or None
        return self._done("POST", "db/scan", timeout_s=timeout_s, folder=folder, sub=subs, next=next_s)

    def override(self, folder: str) -> Completed:
        """Replace changes of other devices with the local version of a send-only folder (POST /rest/db/override).

        Syncthing answers before it is done, and ignores other folders and unknown ones.

        Args:
            folder: ID of the folder.

        Example:
            >>> client.override("photos")
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "db/override", folder=folder)

    def revert(self, folder: str) -> Completed:
        """Undo the local changes of a receive-only folder; files added here are deleted (POST /rest/db/revert).

        Syncthing answers before it is done, and ignores other folders and unknown ones.

        Args:
            folder: ID of the folder.

        Example:
            >>> client.revert("photos")
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "db/revert", folder=folder)

    def get_versions(self, folder: str) -> Json:
        """Return the old versions of files that Syncthing keeps for a folder (GET /rest/folder/versions).

        Args:
            folder: ID of the folder.

        Returns:
            By the path of the file, a list of `versionTime` (when it was replaced), `modTime` and `size` in bytes.

        Raises:
            Rejected: there is no such folder, or it has no file versioning.

        Example:
            >>> client.get_versions("photos")
            {}
        """
        return self._get("folder/versions", timeout_s=SLOW_S, folder=folder)

    def restore_versions(self, folder: str, versions: Mapping[str, str]) -> Json:
        """Restore old versions of files (POST /rest/folder/versions).

        The file that is replaced becomes an old version itself, also if the version to restore is not found.

        Args:
            folder: ID of the folder.
            versions: the `versionTime` of `get_versions`, by the path of the file.

        Returns:
            By the path of each file that was not restored the reason; an empty mapping if all are.

        Raises:
            Rejected: there is no such folder, or it has no file versioning.

        Example:
            >>> client.restore_versions("photos", {"2026/sunset.jpg": "2026-11-23T20:14:05Z"})
            {}
        """
        return self._object("POST", "folder/versions", timeout_s=SLOW_S, body=versions, folder=folder)


def _patterns(ignore: Sequence[str] | Mapping[str, Any] | None) -> list[str]:
    if isinstance(ignore, Mapping):
        if "ignore" not in ignore:  # treating it as an empty list would silently remove all patterns
            raise ValueError("ignore: a mapping needs the key 'ignore', as in the reply of get_ignores")
        ignore = ignore["ignore"]
    return ignore.splitlines() if isinstance(ignore, str) else list(ignore or ())

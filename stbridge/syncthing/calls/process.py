"""Calls about the Syncthing process, its error list and its log."""

from collections.abc import Mapping

from stbridge.errors import Rejected
from stbridge.syncthing.calls.base import SLOW_S, Calls, Completed, Json, completed, takes_old_names


class ProcessCalls(Calls):
    """The process."""

    def get_ping(self) -> Json:
        """Check that Syncthing answers (GET /rest/system/ping).

        Returns:
            `ping`, always `pong`.

        Example:
            >>> client.get_ping()
            {'ping': 'pong'}
        """
        return self._get("system/ping")

    def get_health(self) -> Json:
        """Check that Syncthing answers, without an API key (GET /rest/noauth/health, since 1.22.1).

        Returns:
            `status`, always `OK`.

        Raises:
            Unsupported: Syncthing is older than 1.22.1.

        Example:
            >>> client.get_health()
            {'status': 'OK'}
        """
        return self._get("noauth/health")

    def get_version(self) -> Json:
        """Return the version, operating system and architecture (GET /rest/system/version).

        Returns:
            `version`, `longVersion`, `codename`, `os`, `arch` and more.

        Example:
            >>> client.get_version()["version"]
            'v2.1.3'
        """
        return self._get("system/version")

    def get_status(self) -> Json:
        """Return the state of the process (GET /rest/system/status).

        Returns:
            `myID` (the ID of this device), `startTime`, `uptime` in seconds, `alloc` and `sys` in bytes, `goroutines`,
            `tilde`, `pathSeparator` and more; `cpuPercent` is always 0.

        Example:
            >>> client.get_status()["uptime"]
            86400
        """
        return self._get("system/status")

    def get_paths(self) -> Json:
        """Return where Syncthing keeps its files (GET /rest/system/paths, since 1.21).

        Returns:
            Paths by their purpose, such as `config` and `database`.

        Raises:
            Unsupported: Syncthing is older than 1.21.

        Example:
            >>> client.get_paths()["config"]
            '/home/ann/.local/state/syncthing/config.xml'
        """
        return self._get("system/paths")

    def browse_directories(self, current: str | None = None) -> list[str]:
        """Return directories of the machine that Syncthing runs on (GET /rest/system/browse).

        Args:
            current: the beginning of the paths. To get the directories inside a directory, end it with a slash. None
                for the top level.

        Returns:
            The paths; an empty list if no path matches. 1.19 adds a slash to each.

        Example:
            >>> client.browse_directories("/home/")
            ['/home/ann']
        """
        return self._get_list("system/browse", current=current)

    def restart(self) -> Json:
        """Restart Syncthing (POST /rest/system/restart); its monitor or service manager starts it again.

        Returns:
            `ok`, always `restarting`; the old process still responds for a moment, see `wait_for_restart`.

        Example:
            >>> client.restart()
            {'ok': 'restarting'}
        """
        return self._object("POST", "system/restart")

    def wait_for_restart(self, started_at: str, timeout_s: float) -> None:
        """Wait until a new process responds (GET /rest/system/status).

        Args:
            started_at: the `startTime` that `get_status` returned before the restart.
            timeout_s: maximum number of seconds to wait.

        Raises:
            TimedOut: no new process responds in time.

        Example:
            >>> started_at = client.get_status()["startTime"]
            >>> client.restart()
            {'ok': 'restarting'}
            >>> client.wait_for_restart(started_at, timeout_s=60)
        """
        self._transport.wait_until(lambda: self.get_status().get("startTime", started_at) != started_at, timeout_s)

    def shutdown(self) -> Json:
        """Stop Syncthing (POST /rest/system/shutdown); it is not started again.

        Returns:
            `ok`, always `shutting down`.

        Example:
            >>> client.shutdown()
            {'ok': 'shutting down'}
        """
        return self._object("POST", "system/shutdown")

    def reset(self, folder: str | None = None) -> Json:
        """Delete the index of one folder or of all folders, and restart Syncthing (POST /rest/system/reset).

        No files are deleted. The folders must be paused first.

        Args:
            folder: ID of the folder; None for all folders.

        Returns:
            `ok`, with what is reset.

        Raises:
            Rejected: a folder is not paused, or there is no such folder.

        Example:
            >>> client.patch_folder("photos", {"paused": True})
            {'code': 200, 'message': 'Completed successfully'}
            >>> client.reset("photos")
            {'ok': 'resetting folder "photos"'}
        """
        return self._object("POST", "system/reset", folder=folder)

    def check_upgrade(self) -> Json:
        """Ask Syncthing's upgrade server whether there is a newer version (GET /rest/system/upgrade).

        Returns:
            `running` and `latest` version, `newer` and `majorNewer`.

        Raises:
            Unsupported: this build cannot upgrade itself, for example one of a Linux distribution.
            Rejected: the upgrade server cannot be reached.

        Example:
            >>> client.check_upgrade()["newer"]
            False
        """
        return self._get("system/upgrade", timeout_s=SLOW_S)

    def upgrade(self) -> Json | Completed:
        """Install the newest version and restart Syncthing (POST /rest/system/upgrade); this may take minutes.

        Returns:
            `ok`, always `restarting`; `{'code': 200, 'message': 'Completed successfully'}` if no version is newer.

        Raises:
            Unsupported: this build cannot upgrade itself, for example one of a Linux distribution.
            Rejected: the upgrade server cannot be reached.

        Example:
            >>> client.upgrade()
            {'ok': 'restarting'}
        """
        found: Json | None = self._call("POST", "system/upgrade", timeout_s=600)
        return found or completed()

    def get_device_id(self, device: str) -> Json:
        """Check a device ID and return it in its usual form (GET /rest/svc/deviceid).

        Args:
            device: the ID, in upper or lower case, with or without dashes and check digits.

        Returns:
            `id`, in upper case, with dashes and check digits.

        Raises:
            Rejected: it is not a device ID; the message has the reason.

        Example:
            >>> client.get_device_id(laptop.lower())["id"] == laptop
            True
        """
        found = self._get("svc/deviceid", id=device)
        if "error" in found:  # the status is 200 even for an error
            raise Rejected(str(found["error"]))
        return found

    def get_random_string(self, length: int | None = None) -> Json:
        """Return a random string of letters and digits, for example for a password (GET /rest/svc/random/string).

        Args:
            length: number of characters; None for 32.

        Returns:
            `random`, the string.

        Example:
            >>> len(client.get_random_string(12)["random"])
            12
        """
        return self._get("svc/random/string", length=length)

    def get_languages(self) -> list[str]:
        """Return the preferred languages of the client, from the header Accept-Language (GET /rest/svc/lang).

        Syncthing's web page uses this call to get the languages of the browser. This client does not send the header.

        Returns:
            A list with an empty string.

        Example:
            >>> client.get_languages()
            ['']
        """
        return self._get_list("svc/lang")

    def get_report(self, version: int | None = None) -> Json:
        """Return the data of Syncthing's anonymous usage report (GET /rest/svc/report).

        For the report, Syncthing measures its hashing speed, which takes about a second of CPU time. Nothing is sent.

        Args:
            version: format of the report; None for the newest.

        Returns:
            `version`, `platform`, `numFolders`, `numDevices`, `totFiles`, `totMiB`, `uptime` in seconds and more.

        Example:
            >>> client.get_report()["numFolders"]
            1
        """
        return self._get("svc/report", timeout_s=SLOW_S, version=version)


class LogCalls(Calls):
    """Errors and log."""

    def get_errors(self) -> Json:
        """Return Syncthing's error list (GET /rest/system/error).

        Returns:
            `errors`, a list of `when`, `message` and `level`, the oldest first.

        Example:
            >>> client.get_errors()
            {'errors': []}
        """
        return self._get("system/error", lists=("errors",))

    @takes_old_names
    def new_error(self, message: str) -> Completed:
        """Add an entry to the error list (POST /rest/system/error).

        Args:
            message: text of the entry. Syncthing 2 puts it in quotation marks and adds text of its own.

        Example:
            >>> client.new_error("The disk is full")
            {'code': 200, 'message': 'Completed successfully'}
        """
        self._transport.call("POST", "/rest/system/error", text=message)
        return completed()

    def clear_errors(self) -> Completed:
        """Empty the error list (POST /rest/system/error/clear).

        Example:
            >>> client.clear_errors()
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "system/error/clear")

    def get_log(self, since: str | None = None) -> Json:
        """Return the newest lines of Syncthing's log (GET /rest/system/log).

        Args:
            since: only lines after this time, in the form of RFC 3339; None for all lines that Syncthing keeps (250,
                since 2.0 1000).

        Returns:
            `messages`, a list of `when`, `message` and `level`, the oldest first. `level` is a number up to 1.x, and
            `DBG`, `INF`, `WRN` or `ERR` since 2.0.

        Example:
            >>> client.get_log(since="2999-01-01T00:00:00Z")
            {'messages': []}
        """
        return self._get("system/log", lists=("messages",), since=since)

    def get_log_text(self, since: str | None = None) -> str:
        """Return the newest lines of Syncthing's log as text (GET /rest/system/log.txt).

        Args:
            since: only lines after this time, in the form of RFC 3339; None for all lines that Syncthing keeps.

        Returns:
            The lines, each with its time.

        Example:
            >>> client.get_log_text(since="2999-01-01T00:00:00Z")
            ''
        """
        parameters = {"since": since}
        text: str = self._transport.call("GET", "/rest/system/log.txt", parameters=parameters, as_text=True)
        return text

    def get_log_levels(self) -> Json:
        """Return the log level of each package of Syncthing (GET /rest/system/loglevels, since 2.0).

        Returns:
            `packages`, descriptions by the name of the package, and `levels`: `DEBUG`, `INFO`, `WARN` or `ERROR`.

        Raises:
            Unsupported: Syncthing is older than 2.0.

        Example:
            >>> client.get_log_levels()["levels"]["scanner"]
            'INFO'
        """
        return self._get("system/loglevels")

    def new_log_levels(self, levels: Mapping[str, str]) -> Completed:
        """Change the log levels of packages of Syncthing (POST /rest/system/loglevels, since 2.0).

        Args:
            levels: `DEBUG`, `INFO`, `WARN` or `ERROR` by the name of the package. Other packages keep their levels.
                Syncthing ignores packages that it does not know.

        Raises:
            Unsupported: Syncthing is older than 2.0.
            Rejected: there is no such level.

        Example:
            >>> client.new_log_levels({"scanner": "DEBUG"})
            {'code': 200, 'message': 'Completed successfully'}
        """
        return self._done("POST", "system/loglevels", body=levels)

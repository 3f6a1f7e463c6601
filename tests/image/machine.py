"""A machine with a fresh Debian, on which a user types commands."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.image.container import CACHE, PACKAGES_COME_BY, SYSTEM_PATH, WAY_TO_PACKAGES, with_environment

USER = "ann"
HOME = f"/home/{USER}"
_WHERE = "/var/tmp/where"


class DebianMachine:
    """A Debian without packages beyond the minimum and sudo; it has the network of this machine, but no systemd.

    Args:
        root: its root directory, which is created.
        hosts: addresses for names.
    """

    def __init__(self, root: Path, hosts: Mapping[str, str]) -> None:
        self.root = root
        subprocess.run(["cp", "--archive", CACHE / "bookworm", root], check=True)
        for file in WAY_TO_PACKAGES:
            if Path(file).exists():
                shutil.copy(file, f"{root}{file}")
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in hosts.items())]
        self.path("/etc/hosts").write_text("\n".join([*lines, ""]), encoding="utf-8")
        # The user answers the question of apt. Packages that are only recommended would take a minute.
        options = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'
        self.path("/etc/apt/apt.conf.d/99tests").write_text(options, encoding="utf-8")
        ways = {name: value for name, value in os.environ.items() if PACKAGES_COME_BY.fullmatch(name)}
        self._ways = {**ways, "PIP_NO_COMPILE": "1"}  # bytecode takes as long as the rest of an installation
        kept = f'Defaults env_keep += "{" ".join(self._ways)} DEBIAN_FRONTEND"\n'
        self.path("/etc/sudoers.d/tests").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n{kept}", encoding="utf-8")
        self._run(["useradd", "--create-home", "--shell", "/bin/bash", USER])

    def path(self, name: str) -> Path:
        """Return the path on this machine of a file there; a relative path is relative to the working directory."""
        if name.startswith("~/"):
            name = f"{HOME}/{name.removeprefix('~/')}"
        if not name.startswith("/"):
            name = f"{self.where}/{name}"
        return self.root / name.lstrip("/")

    @property
    def where(self) -> str:
        """The working directory of the user."""
        file = self.root / _WHERE.lstrip("/")
        return file.read_text(encoding="utf-8").strip() if file.exists() else HOME

    def type(self, command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the user in a login shell.

        Args:
            command: it may change the working directory of the next one.
            given: what the user types into the command.
        """
        script = f"cd {shlex.quote(self.where)}\n{command}\nstatus=$?\npwd >{_WHERE}\nexit $status"
        return self._run(["/bin/bash", "--login", "-c", script], given=given, user=USER)

    def write(self, name: str, text: str, *, added: bool = False) -> None:
        """Write a file with an editor, as root if it does not belong to the user."""
        file = self.path(name)
        if added:
            text = file.read_text(encoding="utf-8") + text
        file.write_text(text, encoding="utf-8")
        owner = file.parent.stat()
        os.chown(file, owner.st_uid, owner.st_gid)

    def prefix(self, user: str, environment: Mapping[str, str], *, hidden: Sequence[str] = ()) -> list[str]:
        """Return the command prefix that runs a program on the machine.

        Args:
            user: user and group, as for chroot.
            environment: all environment variables.
            hidden: directories that the program finds empty.
        """
        root = self.root
        mounts = [
            ["mount", "--bind", f"{root}", f"{root}"],
            ["mount", "--rbind", "/proc", f"{root}/proc"],
            ["mount", "--rbind", "/dev", f"{root}/dev"],
            *(["mount", "--types", "tmpfs", "tmpfs", f"{root}{place}"] for place in hidden),
        ]
        entered = shlex.join(["chroot", f"--userspec={user}", f"{root}", *with_environment(environment)])
        script = f'{" && ".join(map(shlex.join, mounts))} && exec {entered} "$@"'
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"]

    def _run(self, command: Sequence[str], *, given: str = "", user: str = "root") -> subprocess.CompletedProcess[str]:
        variables = {"PATH": SYSTEM_PATH, "HOME": HOME if user == USER else "/root", "USER": user, "LANG": "C.UTF-8"}
        environment = {**variables, "DEBIAN_FRONTEND": "noninteractive", **self._ways}
        whole = [*self.prefix(user, environment), *command]
        return subprocess.run(whole, check=False, capture_output=True, text=True, input=given)

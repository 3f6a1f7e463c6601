"""Runs the steps of Dockerfiles without a Docker engine, in a Debian root directory instead of the Python image."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from types import MappingProxyType

from tests.servers import PATIENCE_S, ROOT, eventually

CACHE = ROOT / ".cache/image"
BASE = "python:3.13-slim-trixie"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES_COME_BY = re.compile(r"pip_index_url|pip_trusted_host|\w+_proxy", re.IGNORECASE)
WAY_TO_PACKAGES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")

BUILD_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {"VERSION": "1.2.3", "REVISION": "0123abc", "CREATED": "2026-11-28T12:00:00Z"}
)
"""The arguments that a release passes to the build."""


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each with its arguments."""
    lines = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", "").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole if line)]


def with_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the command prefix that sets exactly this environment."""
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items())]


class Image:
    """The result of the instructions of a Dockerfile; an unknown instruction fails.

    Args:
        dockerfile: its directory is the context.
        directory: holds the root directory of each stage.
        build_arguments: the values of ARG that differ from the defaults.

    Attributes:
        labels: those of the last stage.
    """

    def __init__(
        self, dockerfile: Path, directory: Path, build_arguments: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._context = dockerfile.parent
        self._directory = directory
        self._build_arguments = build_arguments
        self._begin(directory)
        for word, rest in instructions(dockerfile):
            getattr(self, f"_{word.lower()}")(rest)

    def _begin(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": SYSTEM_PATH}
        self.user = "0:0"
        self.health: list[str] = []
        self.labels: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._place = "/"
        self._entry: list[str] = []
        self._arguments: list[str] = []

    @property
    def command(self) -> list[str]:
        """The command that a container starts."""
        return self.command_with(())

    def command_with(self, arguments: Sequence[str]) -> list[str]:
        """Return the command with other arguments, or with those of the image if there are none."""
        return self._entry + list(arguments or self._arguments)

    def _from(self, rest: str) -> None:
        base, _, name = rest.partition(" AS ")
        assert base.partition("@")[0] == BASE, "the Debian root replaces a Python image of another version"
        self._begin(self._directory / (name or "last"))
        subprocess.run(["cp", "--archive", CACHE / "debian", self.root], check=True)
        for file in WAY_TO_PACKAGES:
            if Path(file).exists():
                shutil.copy(file, f"{self.root}{file}")

    def _workdir(self, rest: str) -> None:
        self._place = rest
        self._inside(rest).mkdir()

    def _env(self, rest: str) -> None:
        for one in shlex.split(rest):
            name, _, value = one.partition("=")
            self.environment[name] = Template(value).substitute(self.environment)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        context = self._context
        if sources[0].startswith("--from="):
            context = self._directory / sources.pop(0).removeprefix("--from=")
        to = self._inside(target)
        if target.endswith("/"):
            to.mkdir(exist_ok=True)
        for source in sources:
            path = context / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, to, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, to)

    def _inside(self, path: str) -> Path:
        return self.root / os.path.normpath(f"{self._place}/{path}" if path[0] != "/" else path).lstrip("/") / ""

    def _run(self, rest: str) -> None:
        ways = {name: value for name, value in os.environ.items() if PACKAGES_COME_BY.fullmatch(name)}
        script = f"cd {shlex.quote(self._place)} && {rest}"
        command = ["chroot", str(self.root), *with_environment({**self.environment, **ways}), "/bin/sh", "-c", script]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _user(self, rest: str) -> None:
        self.user = rest

    def _healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition(" CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self._entry = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._arguments = json.loads(rest)

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self._values[name] = self._build_arguments.get(name, default)

    def _label(self, rest: str) -> None:
        for one in shlex.split(rest):
            name, _, value = one.partition("=")
            self.labels[name] = Template(value).substitute(self._values)


class Container:
    """A process in an image, with its own mounts and process IDs, and the network of this machine.

    Args:
        image: the image.
        environment: variables in addition to those of the image.
        volumes: files and directories of this machine, each with its path in the container; they are mounted
            read-only.
        read_only: whether the root directory is also read-only, except /tmp.
        arguments: instead of those of the image.
    """

    def __init__(
        self,
        image: Image,
        environment: Mapping[str, str],
        *,
        volumes: Mapping[Path, str],
        read_only: bool,
        arguments: Sequence[str] = (),
    ) -> None:
        self._image = image
        self._command = image.command_with(arguments)
        self._environment = {**image.environment, "HOME": "/", **environment}
        self._volumes = volumes
        self._read_only = read_only
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Container":
        """Start the command of the image."""
        root = self._image.root
        mounts = [["mount", "--bind", root, root]]
        for source, place in self._volumes.items():
            at = root / place.lstrip("/")
            directory = at if source.is_dir() else at.parent
            directory.mkdir(parents=True, exist_ok=True)
            if source.is_file():
                at.touch()
            mounts.append(["mount", "--bind", source, at])
            mounts.append(["mount", "--options", "remount,bind,ro", at])
        mounts.append(["mount", "--types", "tmpfs", "tmpfs", root / "tmp"])
        mounts.append(["mount", "--types", "proc", "proc", root / "proc"])
        if self._read_only:
            mounts.append(["mount", "--options", "remount,bind,ro", root])
        steps = [shlex.join(map(str, one)) for one in mounts]
        script = " && ".join([*steps, f"exec setpriv --no-new-privs {shlex.join(self._inside(self._command))}"])
        apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--kill-child", "--fork"]
        command = [*apart, "/bin/sh", "-c", script]
        self._process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self

    def _inside(self, command: Sequence[str]) -> list[str]:
        entered = ["chroot", f"--userspec={self._image.user}", "--groups=", str(self._image.root)]
        return [*entered, *with_environment(self._environment), *command]

    @property
    def id(self) -> int:
        """The ID of the process, as this machine sees it: the only child of `unshare`."""
        assert self._process is not None, "start() comes first"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        eventually(lambda: children.read_text(encoding="ascii").strip())
        return int(children.read_text(encoding="ascii"))

    def health(self) -> subprocess.CompletedProcess[str]:
        """Run the health check in the container of the process."""
        namespaces = [f"--mount=/proc/{self.id}/ns/mnt", f"--pid=/proc/{self.id}/ns/pid"]
        command = ["nsenter", *namespaces, *self._inside(self._image.health)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def stop(self) -> int:
        """Stop the process, and return its exit status."""
        if self._process is None:
            return 0
        os.kill(self.id, signal.SIGTERM)
        return self.wait()[0]

    def wait(self) -> tuple[int, str]:
        """Wait until it exits, and return its exit status and its output."""
        assert self._process is not None, "start() comes first"
        try:
            said, _ = self._process.communicate(timeout=PATIENCE_S)
            return self._process.returncode, said
        finally:
            self._process.kill()
            self._process = None

"""What a Dockerfile says, carried out in a root directory of Debian: no engine is needed, only root and namespaces."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import PATIENCE_S, eventually

ROOT_USER = "0:0"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each as its word and what follows."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


@dataclass
class Image:
    """A root directory that the instructions of one stage have been carried out in, and how it wants to be started."""

    root: Path
    user: str = ROOT_USER
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": SYSTEM_PATH, "HOME": "/"})
    commands: dict[str, list[str]] = field(default_factory=lambda: {"ENTRYPOINT": []})

    def copy(self, context: Path, arguments: str, stages: Mapping[str, "Image"]) -> None:
        """Carry out COPY."""
        *names, target = shlex.split(arguments)
        if names[0].startswith("--from="):
            context = stages[names.pop(0).removeprefix("--from=")].root
        place = self.root / os.path.join(self.directory, target).lstrip("/")  # noqa: PTH118 - an absolute target wins
        for name in names:
            source = context / name.lstrip("/")
            into = place / source.name if target.endswith("/") and source.is_file() else place
            into.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, into, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy2(source, into)

    def run(self, command: str) -> None:
        """Carry out RUN; packages are fetched as this machine fetches them."""
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        script = f"cd {self.directory} && {command}"
        confined = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot", str(self.root)]
        environment = {**pip, **self.environment}
        result = subprocess.run(
            [*confined, "/bin/sh", "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def carry_out(self, word: str, rest: str, context: Path, stages: Mapping[str, "Image"]) -> None:
        """Carry out one instruction; one that is not known ends the test."""
        match word:
            case "WORKDIR":
                self.directory = rest
                (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self.copy(context, rest, stages)
            case "RUN":
                self.run(rest)
            case "ENV":
                for name, _, value in (pair.partition("=") for pair in shlex.split(rest)):
                    self.environment[name] = value.replace(f"${name}", self.environment.get(name, ""))
            case "USER":
                self.user = rest
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                self.commands[word] = json.loads(rest[rest.index("[") :])
            case "LABEL":
                pass
            case _:
                raise AssertionError(f"a test has to learn what {word} is")


def build(dockerfile: Path, base: Path, directory: Path) -> Image:
    """Carry out a Dockerfile, each of its stages in a copy of the base; the last one is the image."""
    stages: dict[str, Image] = {}
    image: Image | None = None
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            subprocess.run(["cp", "--archive", base, directory / name], check=True)
            image = stages[name] = Image(directory / name)
        else:
            assert image is not None, "FROM comes first"
            image.carry_out(word, rest, dockerfile.parent, stages)
    assert image is not None
    return image


@dataclass
class Container:
    """A process in an image, with its own processes and mounts, and the network of this machine.

    Args:
        image: what to run.
        variables: as given by `docker run --env`.
        mounts: directories of this machine, by their places in the container.
        confined: as the compose file has it: a read-only root, no capabilities, no new privileges.
    """

    image: Image
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    confined: bool = False
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Container":
        """Start what the image says."""
        root, places = self.image.root, list(self.mounts)
        for place in places:
            (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        script = [
            f"mount --bind {root} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount -t tmpfs tmpfs {root}/tmp",
            *(f"mount --bind -o ro {self.mounts[place]} {root}{place}" for place in places),
            *([f"mount -o remount,bind,ro {root}"] if self.confined else []),
            "exec " + shlex.join(self._inside([*self.image.commands["ENTRYPOINT"], *self.image.commands["CMD"]])),
        ]
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", "\n".join(script)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        return self

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.image.environment, **self.variables}

    def _inside(self, command: Sequence[str]) -> list[str]:
        user, _, group = self.image.user.partition(":")
        limits = ["--no-new-privs", "--bounding-set=-all"] if self.confined else []
        person = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        return ["chroot", str(self.image.root), "setpriv", *person, *limits, *command]

    @property
    def id(self) -> int:
        """The ID of its first process, as this machine sees it."""
        assert self._process is not None, "start() comes first"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(eventually(lambda: children.read_text(encoding="ascii").split())[0])

    def call(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Call something in it, as `docker exec` and the health check do."""
        enter = ["nsenter", "--target", str(self.id), "--mount", "--pid"]
        return subprocess.run(
            [*enter, *self._inside(command)], capture_output=True, text=True, check=False, env=self._environment
        )

    @property
    def health(self) -> subprocess.CompletedProcess[str]:
        """What the health check of the image says."""
        return self.call(self.image.commands["HEALTHCHECK"])

    def ended(self) -> int | None:
        """Return its exit status, if it has ended by itself."""
        assert self._process is not None, "start() comes first"
        return self._process.poll()

    def stop(self) -> int | None:
        """Ask its first process to end, as `docker stop` does, and return its exit status."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            os.kill(self.id, signal.SIGTERM)
        try:
            return self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process = None

"""A clone of the repository, as the person has it who makes a release."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.documents import ROOT

INSTALLED_BY_SCRIPTS = frozenset({"asyncapi", "build", "sbom"})
"""Directories of `.cache` that scripts of a clone install: programs in them would name the path of the clone."""


class Clone:
    """A clone of the repository that uses the environment of the tests.

    Attributes:
        root: its directory.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory
        self.git("clone", "--quiet", str(ROOT), ".")
        (directory / ".venv").symlink_to(sys.prefix)
        (directory / ".cache").mkdir()
        for one in (ROOT / ".cache").iterdir():
            if one.name not in INSTALLED_BY_SCRIPTS:
                (directory / ".cache" / one.name).symlink_to(one)
        # .gitignore names directories, and not links to them
        (directory / ".git/info/exclude").write_text(".venv\n", encoding="utf-8")
        self.git("config", "user.name", "somebody")
        self.git("config", "user.email", "somebody@localhost")

    def git(self, *arguments: str) -> str:
        """Run git, and return its output."""
        return subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the clone."""
        command = [str(self.root / "scripts" / script), *arguments]
        return subprocess.run(command, cwd=self.root, check=False, capture_output=True, text=True)

    def replace(self, file: str, changes: Mapping[str, str]) -> None:
        """Replace texts in a file; each of them must be in it."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def commit(self) -> None:
        """Commit all changes."""
        self.git("commit", "--quiet", "--all", "--message", "A change")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Return a fresh clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git clone")
    directory = tmp_path / "clone"
    directory.mkdir()
    return Clone(directory)

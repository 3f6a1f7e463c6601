"""The scripts of a release: tags of images, notes, licenses, the address of the repository, and checks of workflows."""

import re
import subprocess
from importlib.metadata import Distribution
from os import PathLike
from pathlib import Path

import pytest

from tests.documents import ROOT, loaded, text_of
from tests.release.conftest import Clone

TAGS = loaded(ROOT / "scripts/image-tags")
NOTES = loaded(ROOT / "scripts/notes")
LICENSES = loaded(ROOT / "scripts/licenses")
ADDRESS = loaded(ROOT / "scripts/address")
NOT_AVAILABLE = loaded(ROOT / "scripts/release").NOT_AVAILABLE


@pytest.mark.parametrize(
    ("version", "others", "expected"),
    [
        ("0.1.0", [], "0.1.0 0.1 latest"),
        ("0.1.0", ["v0.1.0"], "0.1.0 0.1 latest"),
        ("0.2.0", ["v0.1.0", "v0.1.1"], "0.2.0 0.2 latest"),
        ("0.1.2", ["v0.1.0", "v0.1.1", "v0.2.0"], "0.1.2 0.1"),
        ("0.1.1", ["v0.1.2"], "0.1.1"),
        ("1.0.0", ["v0.9.0"], "1.0.0 1.0 1 latest"),
        ("1.9.3", ["v1.10.0", "v2.0.0"], "1.9.3 1.9"),
        ("1.10.1", ["v1.9.0", "v2.0.0"], "1.10.1 1.10 1"),
        ("1.0.0rc1", ["v0.9.0"], "1.0.0rc1"),
        ("0.9.1", ["v0.9.0", "v1.0.0rc1"], "0.9.1 0.9 latest"),
    ],
)
def test_the_tags_of_an_image_never_go_back(version: str, others: list[str], expected: str) -> None:
    """A fix of an old version and a prerelease do not replace a newer release."""
    assert list(TAGS.tags(version, others)) == expected.split()


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    """Neither other versions nor the heading are part of them."""
    text = "# Changelog\n\n## 0.2.0 (2026-12-24)\n\n- Two\n\n## 0.1.0 (2026-11-28)\n\n- One\n"
    assert NOTES.section(text, "0.2.0") == ("2026-12-24", "- Two")
    assert NOTES.section(text, "0.1.0") == ("2026-11-28", "- One")
    with pytest.raises(SystemExit, match=r"no section for 0\.3\.0"):
        NOTES.section(text, "0.3.0")


class Package(Distribution):
    """A package whose metadata consists of these lines."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        self._text = "".join(f"{name}: {value}\n" for name, value in lines)

    def read_text(self, filename: str) -> str | None:
        """Return the metadata."""
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        """Return nothing: the package has no files."""
        raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("License-Expression", "MIT"), ("Classifier", "License :: OSI Approved :: BSD License")], "MIT"),
        ([("License", "Apache License 2.0")], "Apache-2.0"),
        ([("License", "Copyright (c) by somebody\n  Permission is hereby granted")], ""),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("Classifier", "Typing :: Typed")], ""),
    ],
)
def test_the_license_of_a_package_is_found(lines: list[tuple[str, str]], expected: str) -> None:
    """Old packages have it as a text or as a classifier. A package without any license is not allowed."""
    assert LICENSES.license_of(Package(*lines)) == expected
    assert (expected in LICENSES.ALLOWED) == (expected != "")


def test_the_licenses_of_all_packages_are_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    """They include those of the optional packages."""
    assert LICENSES.main() == 0
    names = {line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"syncthing-mqtt", "paho-mqtt", "pydantic-core", "urllib3", "rich", "amqtt", "shtab"} <= names
    assert "pytest" not in names


def test_the_address_of_the_repository_is_changed_everywhere(clone: Clone) -> None:
    """Afterwards nothing names the old repository, its site or its images."""
    old, new = ADDRESS.current(), "https://github.com/Some-Body/sync"
    owner, _ = ADDRESS.split(old)
    places = (
        rf"github\.com(?:/|%2F){owner}\b|raw\.githubusercontent\.com/{owner}\b|ghcr\.io/{owner}\b|{owner}\.github\.io"
    )
    assert clone.run("address", "--check", old).returncode == 0
    assert clone.run("address", new).returncode == 0
    tracked = [clone.root / one for one in clone.git("ls-files").splitlines()]
    texts = {one: one.read_bytes() for one in tracked if one.is_file()}
    assert [one for one, text in texts.items() if re.search(places.encode(), text)] == []
    assert clone.run("address").stdout.strip() == new
    assert clone.run("address", "--check", old).returncode == 1
    assert "ghcr.io/some-body/sync" in text_of(clone.root / ".github/workflows/release.yml")
    assert 'Homepage = "https://some-body.github.io/sync/"' in text_of(clone.root / "pyproject.toml")


def test_the_workflows_have_no_known_flaws(clone: Clone) -> None:
    """The linters accept the files below .github, and refuse an action without a commit."""
    done = clone.run("lint-workflows")
    assert done.returncode == 0, done.stdout + done.stderr
    text = text_of(clone.root / ".github/workflows/ci.yml")
    unpinned = re.sub(r"actions/checkout@\w+", "actions/checkout@main", text)
    (clone.root / ".github/workflows/ci.yml").write_text(unpinned, encoding="utf-8")
    zizmor = [str(ROOT / ".cache/release/bin/zizmor"), "--offline", ".github/workflows/ci.yml"]
    refused = subprocess.run(zizmor, cwd=clone.root, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "unpinned-uses" in refused.stdout


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_every_script_of_a_workflow_exists(workflow: Path) -> None:
    """Workflows run scripts of the project, which these tests run, too."""
    text = text_of(workflow)
    scripts = set(re.findall(r"\bscripts/[\w-]+|\.ci/run", text))
    assert [one for one in scripts if not (ROOT / one).stat().st_mode & 0o111] == []
    targets = set(re.findall(r"run: make ([a-z-]+)", text))
    assert targets <= set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))


def test_the_asyncapi_document_is_valid(clone: Clone) -> None:
    """The parser of AsyncAPI finds neither errors nor warnings, and does find a channel without its parameter."""
    done = clone.run("asyncapi")
    if done.returncode == NOT_AVAILABLE:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stdout) == (0, "")
    clone.replace(
        "docs/asyncapi.json", {'"address": "syncthing/{instance}/state"': '"address": "syncthing/{other}/state"'}
    )
    assert "other" in clone.run("asyncapi").stdout


def test_the_locked_packages_have_no_known_vulnerability(clone: Clone) -> None:
    """The search succeeds, or reports that it could not search."""
    done = clone.run("audit")
    if done.returncode == NOT_AVAILABLE:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout

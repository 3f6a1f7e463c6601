"""scripts/release builds what is published from a fresh clone, and refuses if something is not ready."""

import hashlib
import json
import re
import tarfile
from collections.abc import Callable

import pytest

from stbridge import __version__
from tests.documents import ROOT, text_of
from tests.release.conftest import Clone

CHANGELOG = "CHANGELOG.md"
HEADING = f"## {__version__} "
DATED = re.sub(rf"(?<={HEADING})\(.*\)", "(2026-11-28)", text_of(ROOT / CHANGELOG))


def dated(clone: Clone) -> None:
    """Do what is done on the day of the release: the date in the changelog, and new pictures."""
    (clone.root / CHANGELOG).write_text(DATED, encoding="utf-8")
    clone.run("pictured", "--confirm")
    clone.git("add", "--all")
    if clone.git("status", "--porcelain"):
        clone.commit()


def test_a_dry_run_in_a_fresh_clone_succeeds(clone: Clone) -> None:
    """It builds and checks everything that is published, and creates no tag."""
    done = clone.run("release", __version__, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"release: {__version__} is ready; no tag was created"
    assert clone.git("tag", "--list") == ""
    assert clone.git("status", "--porcelain") == ""


def test_a_release_is_built_and_tagged(clone: Clone) -> None:
    """The directory has everything that the workflow publishes; a second run, as in the workflow, changes nothing."""
    dated(clone)
    done = clone.run("release", __version__)
    assert done.returncode == 0, done.stdout + done.stderr
    assert clone.git("tag", "--list") == f"v{__version__}"
    assert clone.git("rev-parse", f"v{__version__}^{{commit}}") == clone.git("rev-parse", "HEAD")
    output = clone.root / "build/release"
    packages = {file.name: file.read_bytes() for file in (output / "packages").iterdir()}
    name = f"syncthing_mqtt-{__version__}"
    assert set(packages) == {f"{name}-py3-none-any.whl", f"{name}.tar.gz"}
    sums = dict(line.split("  ")[::-1] for line in text_of(output / "SHA256SUMS").splitlines())
    assert sums == {file: hashlib.sha256(content).hexdigest() for file, content in packages.items()}
    with tarfile.open(output / f"packages/{name}.tar.gz") as archive:
        assert f"{name}/CHANGELOG.md" in archive.getnames()
    materials = json.loads(text_of(output / "sbom.cdx.json"))
    assert materials["metadata"]["component"]["version"] == __version__
    listed = {f"{one['name'].replace('_', '-').lower()}=={one['version']}" for one in materials["components"]}
    assert listed == set(re.findall(r"^(\S+==[^\s;]+)", text_of(ROOT / "requirements/service.txt"), re.MULTILINE))
    assert f"syncthing-mqtt {__version__}: MPL-2.0" in text_of(output / "licenses.txt")
    assert text_of(output / "notes.md").strip() in DATED


# --- what is not ready


def another_version(clone: Clone) -> None:
    """Set a version that is not the one to release."""
    clone.replace("stbridge/__init__.py", {f'"{__version__}"': '"0.0.9"'})
    clone.commit()


def another_version_of_the_app(clone: Clone) -> None:
    """Set a version of the app that is not the one to release."""
    clone.replace("homeassistant-app/stbridge/config.yaml", {f'"{__version__}"': '"0.0.9"'})
    clone.commit()


def no_section(clone: Clone) -> None:
    """Remove the section of the version from the changelog."""
    clone.replace(CHANGELOG, {f"## {__version__}": "## 0.0.9"})
    clone.commit()


def no_date(clone: Clone) -> None:
    """Remove the date from the changelog."""
    clone.replace(CHANGELOG, {f"{HEADING}(2026-11-28)": f"{HEADING}(unreleased)"})
    clone.commit()


def change_without_commit(clone: Clone) -> None:
    """Change a file, and do not commit it."""
    clone.replace("LICENSE", {"Mozilla": "mozilla"})


def file_without_commit(clone: Clone) -> None:
    """Create a file, and do not commit it."""
    (clone.root / "stbridge/new.py").touch()


def tag_elsewhere(clone: Clone) -> None:
    """Give the tag of the version to another commit."""
    clone.git("tag", f"v{__version__}")
    clone.replace("LICENSE", {"Mozilla": "mozilla"})
    clone.commit()


def old_picture(clone: Clone) -> None:
    """Change a page that a picture shows."""
    clone.replace("stbridge/homeassistant/dashboard.py", {"Scan all": "Scan everything"})
    clone.commit()


def old_table(clone: Clone) -> None:
    """Change a generated table."""
    clone.replace("docs/events.md", {"`folder_synced`": "`folder_done`"})
    clone.commit()


def another_repository(clone: Clone) -> None:
    """Take the clone from another address than the one in the files."""
    clone.git("remote", "set-url", "origin", "git@github.com:somebody/else.git")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (another_version, r"stbridge/__init__\.py has the version 0\.0\.9"),
        (another_version_of_the_app, r"config\.yaml has the version 0\.0\.9"),
        (no_section, rf"CHANGELOG\.md has no section for {__version__}"),
        (no_date, rf"CHANGELOG\.md has no date for {__version__}"),
        (change_without_commit, r"changes that are not committed:(?:\n.*)? M LICENSE"),
        (file_without_commit, r"stbridge/new\.py"),
        (tag_elsewhere, rf"the tag v{__version__} exists, and is another commit"),
        (old_picture, r"home-assistant-dashboard\.png is older than what it shows"),
        (old_table, r"events\.md: tables differ"),
        (another_repository, r"run scripts/address https://github\.com/somebody/else"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(clone: Clone, change: Callable[[Clone], None], reason: str) -> None:
    """The message names what must be done, nothing is built, and there is no new tag."""
    dated(clone)
    change(clone)
    tags = clone.git("tag", "--list")
    done = clone.run("release", __version__)
    assert done.returncode == 1
    assert re.search(reason, done.stderr), done.stderr
    assert all(line.startswith("release: not ready: ") for line in done.stderr.splitlines())
    assert clone.git("tag", "--list") == tags
    assert not (clone.root / "build").exists()


@pytest.mark.parametrize("version", ["v1.0.0", "1.0", "1.0.0-1", "latest"])
def test_a_version_has_three_numbers(clone: Clone, version: str) -> None:
    """Docker, PyPI and Home Assistant accept versions of this form only."""
    done = clone.run("release", version, "--dry-run")
    assert done.returncode == 1
    assert f"{version} is not a version such as 1.2.3" in done.stderr

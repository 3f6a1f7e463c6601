"""The pages about installing name the right package and fit the image. tests/image runs their commands."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import DOCUMENTS, ROOT, blocks, spoken_code, text_of

DISTRIBUTION = "syncthing-mqtt"
"""On PyPI, `stbridge` is another project."""
LINUX = ROOT / "docs/install-linux.md"
DOCKER = ROOT / "docs/install-docker.md"
PROJECT: Any = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
EVERY_DOCUMENT = [*DOCUMENTS, *sorted(ROOT.glob("homeassistant-app/**/*.md"))]
WITH_VALUE = {"--requirement", "-r", "--python", "--group"}
BY_PATH = re.compile(r"(\.|/|\$).*|\S+\.(whl|tar\.gz)")
BY_NAME = re.compile(rf"{DISTRIBUTION}(\[[a-z,]+\])?(==\S+)?")


def installed_by(text: str) -> Iterator[str]:
    """Yield what the commands of pip and pipx in a text install, without options."""
    for found in re.finditer(r"\bpipx? (?:install|upgrade)\b(.*)", text):
        words = iter(shlex.split(found[1].partition("   #")[0]))
        for word in words:
            if word in WITH_VALUE:
                next(words)
            elif not word.startswith("-"):
                yield word


def test_only_the_distribution_has_another_name() -> None:
    """Command and import package are called stbridge."""
    assert PROJECT["name"] == DISTRIBUTION
    assert PROJECT["scripts"] == {"stbridge": "stbridge.cli:main"}


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=lambda path: path.name)
def test_no_document_installs_a_program_of_others(document: Path) -> None:
    """Whatever is installed by its name is this project."""
    installed = list(installed_by(spoken_code(document)))
    assert [one for one in installed if not BY_PATH.fullmatch(one) and not BY_NAME.fullmatch(one)] == []


@pytest.mark.parametrize(
    ("text", "installed"),
    [
        ("$ pipx install stbridge", ["stbridge"]),
        ("$ sudo X=/y pipx install --force './stbridge[watch]'", ["./stbridge[watch]"]),
        ("$ /opt/x/bin/pip install --require-hashes --requirement requirements/service.txt", []),
        ("$ pip install syncthing-mqtt[watch]==0.1.0", ["syncthing-mqtt[watch]==0.1.0"]),
    ],
)
def test_the_installed_package_of_a_command_is_found(text: str, installed: list[str]) -> None:
    """Options, their values and quotes do not count."""
    assert list(installed_by(text)) == installed


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=lambda path: path.name)
def test_a_page_states_that_the_package_is_not_published(document: Path) -> None:
    """Before the first release, a page that names the package also shows a way that works today, and shows it first."""
    text = text_of(document)
    if (named := re.search(rf"pipx? (?:install|upgrade) {DISTRIBUTION}", text)) is not None:
        assert re.search(r"not published|As soon as \S+ (?:\S+ )?is published", text)
        assert re.search(r"pipx? install (--force )?'?\.", text[: named.start()])


def test_the_release_file_on_the_pages_has_the_name_of_the_wheel() -> None:
    """In a file name the hyphen becomes an underscore (PEP 427)."""
    named = {name for page in DOCUMENTS for name in re.findall(r"[\w-]+-VERSION[\w.-]*(?:whl|tar\.gz)", text_of(page))}
    ours = f"{DISTRIBUTION.replace('-', '_')}-VERSION"
    assert named == {f"{ours}-py3-none-any.whl", f"{ours}.tar.gz"}


def test_the_page_adds_what_the_live_view_needs() -> None:
    """`pipx inject` gets the packages of the extra."""
    (added,) = re.findall(rf"pipx inject {DISTRIBUTION} (.*)", text_of(LINUX))
    assert shlex.split(added) == PROJECT["optional-dependencies"]["watch"]


def test_the_container_of_the_page_is_as_confined_as_that_of_the_stack() -> None:
    """Its rights and limits are those of the bridge in docker-compose.yml."""
    (example,) = (yaml.safe_load(block) for block in blocks(DOCKER, "yaml"))
    stack = yaml.safe_load(text_of(ROOT / "docker-compose.yml"))
    confined = {"restart", "read_only", "cap_drop", "security_opt", "tmpfs", "mem_limit", "pids_limit"}
    theirs = {key: value for key, value in stack["services"]["stbridge"].items() if key in confined}
    assert {key: example["services"]["stbridge"][key] for key in confined} == theirs


def test_the_user_on_the_page_is_that_of_the_image() -> None:
    """The files of the page belong to the user of the image."""
    (user,) = re.findall(r"^USER (.*)$", text_of(ROOT / "Dockerfile"), re.MULTILINE)
    assert f"chown -R {user} secrets" in text_of(DOCKER)

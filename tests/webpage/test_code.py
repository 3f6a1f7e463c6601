"""The code of the page: its types, its style, and tests of the modules that need no browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT
from tests.webpage.conftest import TOOLS

HERE = Path(__file__).parent
STATIC = ROOT / "stbridge/web/static"

with_tools = pytest.mark.skipif(not TOOLS.joinpath("ready").is_file(), reason="run scripts/web-tools")
with_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def output_of(*command: str | Path) -> str:
    """Run a program, and return its output if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    return result.stdout + result.stderr if result.returncode else ""


@with_tools
def test_the_types_are_right() -> None:
    """The types are in comments (JSDoc), because browsers run the files as they are."""
    assert output_of(TOOLS / "node_modules/.bin/tsc", "-p", HERE / "tsconfig.json") == ""


@with_tools
def test_the_style_is_right() -> None:
    """The formatter and the linter accept scripts and styles."""
    biome = TOOLS / "node_modules/.bin/biome"
    assert output_of(biome, "check", f"--config-path={HERE / 'rules.json'}", STATIC, HERE / "units.test.mjs") == ""


@with_node
def test_the_modules_work() -> None:
    """State, formats and the model of the page, in Node."""
    assert output_of("node", "--test", HERE / "units.test.mjs") == ""


def test_the_page_is_small() -> None:
    """A phone loads it quickly, also over a slow connection."""
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 120_000

"""`stbridge --help` is a manual that is true."""

import re
import shlex

import pytest

from stbridge.cli import MANUAL, _parser
from stbridge.settings_sources import CONFIG_VARIABLE, DOCKER_SECRETS, SYSTEM_FILE, SYSTEMD_SECRETS_VARIABLE
from tests.documents import ROOT, rows, text_of
from tests.machine import SETTINGS, variable_of

EXAMPLES = re.findall(r"^  stbridge (.+)$", MANUAL, re.MULTILINE)


def test_the_manual_tells_every_exit_status() -> None:
    """They are those that the documents explain."""
    documented = {cells[0] for cells in rows(text_of(ROOT / "docs/command-line.md"), "exit status")}
    assert set(re.findall(r"^  (\d+) ", MANUAL, re.MULTILINE)) == documented


def test_the_manual_names_the_places_of_settings() -> None:
    """Variables and files are called as the bridge looks for them."""
    assert set(re.findall(r"STBRIDGE_\w+", MANUAL)) <= {CONFIG_VARIABLE, *(variable_of(path) for path in SETTINGS)}
    for place in (CONFIG_VARIABLE, SYSTEMD_SECRETS_VARIABLE, str(DOCKER_SECRETS), str(SYSTEM_FILE)):
        assert place in MANUAL


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_the_manual_are_understood(example: str) -> None:
    """Whoever types one gets no error of usage."""
    assert _parser().parse_args(shlex.split(example)).subcommand == example.split(maxsplit=1)[0]


def test_help_shows_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands below the subcommands, in lines as they were written, and fits a terminal."""
    with pytest.raises(SystemExit):
        _parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert MANUAL in shown
    assert max(len(line) for line in MANUAL.splitlines()) <= 110
